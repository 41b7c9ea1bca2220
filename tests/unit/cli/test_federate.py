"""`holdfast federate`: what is asked of a federated study, what is printed of its result, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import holdfast.study.federation
from holdfast.cli import main
from holdfast.core.errors import Interrupted, TrainingStopped
from holdfast.core.evidence import Estimate, Evidence
from holdfast.core.progress import Progress
from holdfast.data import load_data
from holdfast.federated import partitioned
from holdfast.runs import RunRecord
from holdfast.study import StudyResult

STUDY = """
title = "Small"
[data]
source = "jsonl:utterances.jsonl"
[model]
name = "bag"
embedding = 4
hidden = 5
[federation]
local = { learning_rate = 0.5, batch_size = 4 }
cohort = 4
rounds = 2
kernel = "sequential"
seed = 7
[[run]]
name = "uniform"
[[run]]
name = "heavy"
select = "activity"
"""


def rows(*, without: str = "", seed: int = 0, count: int = 120) -> str:
    draw = np.random.default_rng(seed)
    lines = []
    for hour in range(count):
        moment = f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
        row = {"text": f"w{draw.integers(9)} w{draw.integers(9)}", "label": f"l{draw.integers(2)}"}
        row |= {"user_id": f"u{draw.integers(8)}", "timestamp": moment}
        lines.append(json.dumps({key: value for key, value in row.items() if key != without}))
    return "\n".join(lines) + "\n"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study file with its data in a folder of its own, which is the working folder too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(STUDY)
    (tmp_path / "utterances.jsonl").write_text(rows())
    return Path("small.toml")


def result() -> StudyResult:
    def one(name: str, subject: str, value: float, unit: str = "share", direction: str = "higher is better") -> Estimate:
        return Estimate(name=name, subject=subject, value=value, unit=unit, direction=direction)

    def record(name: str, *estimates: Estimate) -> RunRecord:
        nothing = {"settings": {}, "environment": {}, "data": {}, "model": {}, "mechanism": {}}
        evidence = Evidence(estimates=estimates)
        return RunRecord(name=name, status="finished", created="2026-11-22T12:00:00+00:00", evidence=evidence, **nothing)

    files = SimpleNamespace(html=Path("out/trust.html"), evidence_json=Path("out/evidence.json"), model_card=Path("out/model_card.md"))
    uniform = one("accuracy", "uniform", 0.81), one("participation_gini", "uniform", 0.12345, "index", "neither")
    heavy = (
        one("accuracy", "heavy", 0.9),
        one("participation_gini", "heavy", 0.5, "index", "neither"),
        one("forgetting", "heavy", -0.01, "share", "lower is better"),
        one("bytes_up_per_client", "heavy", 17500.0, "bytes", "lower is better"),
    )
    return StudyResult((record("uniform", *uniform), record("heavy", *heavy)), files)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list]:
    """Replaces the study itself, and keeps what it was asked for."""

    def answer(given: object) -> list:
        calls: list = []

        def run_federated(plan: object, out: Path, **options: object) -> object:
            calls.append((plan, out, options))
            options["on_progress"](Progress(phase="federate uniform", done=1, total=2, note="test loss 0.5"))
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(holdfast.study.federation, "run_federated", run_federated)
        return calls

    return answer


def test_prints_a_row_for_each_run_and_the_file_to_open(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result())
    assert main(["federate", str(study)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "run      accuracy  participation gini  forgetting  bytes up per client",
        "uniform  0.81      0.123               -           -",
        "heavy    0.9       0.5                 -0.01       1.75e+04",
        "open out/trust.html",
    ]
    assert "federate uniform: 1 of 2" in printed.err
    assert "test loss 0.5" in printed.err


def test_hands_on_what_was_typed(study: Path, asked: Callable):
    calls = asked(result())
    main(["federate", str(study), "--resume", "--out", "a b"])
    ((plan, out, options),) = calls
    assert [run.name for run in plan.run] == ["uniform", "heavy"]
    assert out == Path("a b")
    assert options["resume"] is True
    assert options["text"] == STUDY
    assert options["command"] == "holdfast federate small.toml --resume --out 'a b'"


def test_the_folder_is_named_after_the_study_file(study: Path, asked: Callable):
    calls = asked(result())
    main(["federate", str(study)])
    assert calls[0][1] == Path("small")
    assert calls[0][2]["resume"] is False


def test_json_is_one_document_on_standard_output(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result())
    assert main(["federate", str(study), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["contradicted"] is False
    assert found["report"]["html"] == "out/trust.html"
    assert Evidence.from_json(found["evidence"]) == result().evidence


def test_an_interruption_ends_with_130_and_the_way_on(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(Interrupted("uniform stopped after round 3 of 9; resume with --resume"))
    assert main(["federate", str(study)]) == 130
    assert capsys.readouterr().err.endswith("interrupted: uniform stopped after round 3 of 9; resume with --resume\n")


def test_a_simulation_that_could_not_go_on_ends_with_one(study: Path, asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(TrainingStopped("uniform: after round 3 the server's weights are not finite"))
    assert main(["federate", str(study)]) == 1
    assert "not finite" in capsys.readouterr().err


def test_processes_that_are_not_the_first_print_nothing(
    study: Path, asked: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in {"MASTER_ADDR": "localhost", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    calls = asked(StudyResult((), None))
    assert main(["federate", str(study), "--json"]) == 0
    assert len(calls) == 1
    assert capsys.readouterr() == ("", "")


def wrong(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is printed of something that was given wrong."""
    assert main(["federate", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "a fault of holdfast" not in printed.err
    last = printed.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("cohort = 4", "cohrt = 4"), "did you mean 'cohort'?"),
        (STUDY.replace("[federation]", "[federaton]"), "did you mean 'federation'?"),
        (STUDY.replace('select = "activity"', 'select = "activty"'), "did you mean 'activity'?"),
        (STUDY.replace("cohort = 4\n", ""), "has no cohort"),
        (STUDY.replace("rounds = 2", "rounds = 0"), "federation.rounds"),
        ("title = ", "not valid TOML"),
        (STUDY.replace("cohort = 4", "cohort = 4\nlora = { rnk = 2, alpha = 4.0 }"), "did you mean 'rank'?"),
        (STUDY.replace("cohort = 4", 'cohort = 4\nlora = { rank = 2, alpha = "much" }'), "alpha is 'much'"),
        (STUDY.replace("cohort = 4", "cohort = 4\nlora = { rank = 2 }"), "alpha"),
    ],
)
def test_a_wrong_study_file_ends_with_two(text: str, message: str, study: Path, capsys: pytest.CaptureFixture[str]):
    study.write_text(text)
    assert message in wrong(capsys, str(study))


def test_a_missing_study_file_ends_with_two(capsys: pytest.CaptureFixture[str]):
    assert wrong(capsys, "absent.toml").startswith("error: absent.toml: ")


def test_data_without_users_end_with_two_and_the_missing_column(study: Path, capsys: pytest.CaptureFixture[str]):
    Path("utterances.jsonl").write_text(rows(without="user_id"))
    assert "user_id" in wrong(capsys, str(study))


def test_a_cohort_that_is_too_large_ends_with_two_and_the_bound(study: Path, capsys: pytest.CaptureFixture[str]):
    study.write_text(STUDY.replace("cohort = 4", "cohort = 40"))
    said = wrong(capsys, str(study))
    assert "a cohort of 40 clients, but 8 of the 8 clients have examples" in said
    assert "give a cohort of 8 at most" in said


def test_a_stale_partition_file_ends_with_two_and_the_cure(study: Path, capsys: pytest.CaptureFixture[str]):
    partitioned("iid", load_data("jsonl:utterances.jsonl").train, clients=5, seed=1).save("clients.bin")
    Path("utterances.jsonl").write_text(rows(seed=1))
    study.write_text(STUDY.replace("cohort = 4", 'cohort = 4\nclients = { file = "clients.bin" }'))
    said = wrong(capsys, str(study))
    assert "was made for data" in said
    assert "make the partition again for these data" in said


def test_a_clock_without_times_ends_with_two(study: Path, capsys: pytest.CaptureFixture[str]):
    Path("utterances.jsonl").write_text(rows(without="timestamp"))
    study.write_text(STUDY.replace("cohort = 4", 'cohort = 4\nschedule = { name = "continual", periods = 3 }'))
    assert "time" in wrong(capsys, str(study))


def test_weights_that_a_selection_does_not_allow_end_with_two(study: Path, capsys: pytest.CaptureFixture[str]):
    study.write_text(STUDY.replace("cohort = 4", 'cohort = 4\nweighting = "inverse-propensity"\nselect = "top-k"'))
    assert "had no chance" in wrong(capsys, str(study))


@pytest.mark.slow
def test_a_folder_with_runs_needs_resume(study: Path, capsys: pytest.CaptureFixture[str]):
    """The one study that is carried out: figures and page arrive, a second time is refused, and resumed it is the same."""
    assert main(["federate", str(study), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert Path(first["report"]["html"]).exists()
    names = {one["name"] for one in first["evidence"]["estimates"]}
    assert {"accuracy", "participation_gini", "bytes_up_per_client", "client_score_decile"} <= names
    assert "already holds a run; give --resume" in wrong(capsys, str(study))
    assert main(["federate", str(study), "--resume"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["run", "uniform", "heavy", "open"]
    assert "kept" in printed.err


def test_help_names_the_ways(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as met:
        main(["federate", "--help"])
    assert met.value.code == 0
    printed = capsys.readouterr().out
    for word in ("--out", "--resume", "--json", "torchrun"):
        assert word in printed
