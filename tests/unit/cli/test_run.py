"""`holdfast run`, `train` and `demo`: what is asked of a study, what is printed of its result, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import holdfast.study
import holdfast.study.federation
from holdfast.cli import main
from holdfast.cli.run import words
from holdfast.core.claim import Verdict
from holdfast.core.errors import Interrupted
from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.core.progress import Progress
from holdfast.runs import RunRecord
from holdfast.study import StudyResult

STUDY = """
title = "Two ways"
[data]
source = "jsonl:utterances.jsonl"
[training]
epochs = 2
batch_size = 4
[[run]]
name = "plain"
mechanism = "none"
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
epsilon = 8.0
delta = 1e-5
clip_norm = 1.0
"""


def measured(name: str, subject: str, value: float | None, unit: str = "share", interval: Interval | None = None) -> Estimate:
    missing = "nothing is promised" if value is None else None
    direction = "higher is better" if name.endswith("accuracy") else "lower is better"
    return Estimate(name=name, subject=subject, value=value, unit=unit, direction=direction, interval=interval, missing=missing)


def record(name: str, evidence: Evidence) -> RunRecord:
    nothing = {"settings": {}, "environment": {}, "data": {}, "model": {}, "mechanism": {}}
    return RunRecord(name=name, status="finished", created="2026-11-22T12:00:00+00:00", evidence=evidence, **nothing)


def result(outcome: str) -> StudyResult:
    interval = Interval(low=0.49, high=0.5511, level=0.95, method="DeLong")
    plain = Evidence(estimates=(measured("epsilon", "plain", None, "nats"), measured("intent_accuracy", "plain", 0.97123)))
    private = Evidence(
        estimates=(
            measured("epsilon", "dp-sgd", 7.99, "nats"),
            measured("intent_accuracy", "dp-sgd", 0.81),
            measured("membership_auc", "dp-sgd", 0.52, interval=interval),
            measured("seconds_per_epoch", "dp-sgd", 3.14159, "seconds"),
        ),
        verdicts=(Verdict(subject="dp-sgd", outcome=outcome, reason="The attack shows little."),),
    )
    files = SimpleNamespace(html=Path("out/trust.html"), evidence_json=Path("out/evidence.json"), model_card=Path("out/model_card.md"))
    return StudyResult((record("plain", plain), record("dp-sgd", private)), files)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study file in a folder of its own, which is the working folder too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text(STUDY)
    return Path("two.toml")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list]:
    """Replaces the study itself, and keeps what it was asked for."""

    def answer(given: object) -> list:
        calls: list = []

        def run_study(plan: object, out: Path, **options: object) -> object:
            calls.append((plan, out, options))
            options["on_progress"](Progress(phase="train plain", done=1, total=1))
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(holdfast.study, "run_study", run_study)
        monkeypatch.setattr(holdfast.study.federation, "run_federated", run_study)
        return calls

    return answer


def test_prints_a_row_for_each_run_and_the_file_to_open(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result("not contradicted"))
    assert main(["run", str(study)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "run     epsilon  intent accuracy  membership auc      seconds per epoch",
        "plain   -        0.971            -                   -",
        "dp-sgd  7.99     0.81             0.52 [0.49, 0.551]  3.14",
        "dp-sgd: not contradicted. The attack shows little.",
        "open out/trust.html",
    ]
    assert "train plain: 1 of 1" in printed.err


def test_hands_on_what_was_typed(study: Path, asked: Callable):
    calls = asked(result("not contradicted"))
    main(["run", str(study), "--resume", "--out", "a b"])
    ((plan, out, options),) = calls
    assert [run.name for run in plan.run] == ["plain", "dp-sgd"]
    assert out == Path("a b")
    assert options["resume"] is True
    assert options["report"] is True
    assert options["text"] == STUDY
    assert options["command"] == "holdfast run two.toml --resume --out 'a b'"


def test_the_folder_is_named_after_the_study_file(study: Path, asked: Callable):
    calls = asked(result("not contradicted"))
    main(["run", str(study)])
    assert calls[0][1] == Path("two")


def test_a_contradicted_claim_ends_with_three(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result("contradicted"))
    assert main(["run", str(study), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["contradicted"] is True
    assert found["report"] == {"html": "out/trust.html", "evidence_json": "out/evidence.json", "model_card": "out/model_card.md"}
    assert Evidence.from_json(found["evidence"]) == result("contradicted").evidence


def test_an_interruption_ends_with_130_and_the_way_on(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(Interrupted("plain stopped after step 3 of 9; resume with --resume"))
    assert main(["run", str(study)]) == 130
    assert capsys.readouterr().err.endswith("interrupted: plain stopped after step 3 of 9; resume with --resume\n")


def test_train_asks_for_one_run_without_a_report(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    calls = asked(StudyResult(result("not contradicted").records, None))
    assert main(["train", str(study), "--run", "dp-sgd"]) == 0
    assert (calls[0][2]["only"], calls[0][2]["report"]) == ("dp-sgd", False)
    assert "open" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("epsilon = 8.0", "epsilom = 8.0"), "did you mean 'epsilon'?"),
        (STUDY.replace("[data]", "[dat]"), "did you mean 'data'?"),
        ("title = ", "not valid TOML"),
    ],
)
def test_a_wrong_study_file_ends_with_two(text: str, message: str, study: Path, capsys: pytest.CaptureFixture[str]):
    study.write_text(text)
    assert main(["run", str(study)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: two.toml: ")
    assert message in printed


def test_a_missing_study_file_ends_with_two(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "absent.toml"]) == 2
    assert capsys.readouterr().err.startswith("error: absent.toml: ")


def test_demo_does_the_study_that_ships_with_holdfast(asked: Callable, tmp_path: Path):
    calls = asked(result("not contradicted"))
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    (plan, out, options), (federation, beside, _) = calls
    assert out == tmp_path / "demo"
    assert beside == out / "federated"
    assert [run.name for run in federation.run] == ["uniform", "by-activity", "by-activity-continual"]
    assert plan.data.source.startswith("assistant")
    mechanisms = [run.mechanism for run in plan.run]
    assert mechanisms == ["none", "edp-sgd", "dp-sgd", "dp-sgd"]
    assert plan.run[1].epsilon == plan.run[2].epsilon != plan.run[3].epsilon
    assert options["text"]


def test_demo_prints_one_document_with_the_federation_inside(asked: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked(result("not contradicted"))
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["federated"].keys() == {"contradicted", "report", "evidence"} < document.keys()


def test_a_score_with_conditions_is_a_column_and_what_speaks_of_some_clients_is_none():
    share = {"subject": "plain", "value": 0.5, "unit": "share", "direction": "higher is better"}
    found = Evidence(
        estimates=(
            Estimate(name="slot_f1", conditions={"chunks": 7}, **share),
            Estimate(name="prequential_score", **share),
            Estimate(name="client_score_decile", conditions={"decile": 1}, **share),
            Estimate(name="client_score_percentile", conditions={"percentile": 0}, **share),
        )
    )
    told = words(SimpleNamespace(evidence=found, records=[SimpleNamespace(name="plain")], report=None), ("prequential_score",))
    assert told[0].split("\n")[0].split() == ["run", "slot", "f1", "prequential", "score"]
