"""`holdfast reproduce`: what it says beforehand, what it asks for, what it prints, and how it ends."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.extracting import DEFENCES, ladder, nothing
from tests.extracting import records as secret_records
from tests.reproducing import flat, records, rising

import holdfast.study.reproductions as reproductions
from holdfast.cli import main
from holdfast.core.claim import Verdict
from holdfast.core.processes import Place
from holdfast.study.reproductions import Reproduction, Work, study_of
from holdfast.study.reproductions.edp_sgd.summary import summarise
from holdfast.study.reproductions.grid import Study


def result(leakage: Callable = rising) -> Reproduction:
    files = SimpleNamespace(html=Path("out/reproduction.html"), evidence_json=Path("out/evidence.json"), table=Path("out/cells.csv"))
    runs = records(leakage)
    return Reproduction(records=tuple(runs), summary=summarise(runs), files=files)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Reproduction], list]:
    """Replaces the study itself, and keeps what it was asked for."""
    monkeypatch.chdir(tmp_path)

    def answer(given: Reproduction) -> list:
        calls: list = []

        def reproduce(grid: object, out: Path, **options: object) -> Reproduction:
            calls.append((grid, out, options))
            return given

        monkeypatch.setattr(reproductions, "reproduce", reproduce)
        return calls

    return answer


def test_it_says_beforehand_how_much_is_to_do(asked: Callable, capsys: pytest.CaptureFixture[str]):
    calls = asked(result())
    assert main(["reproduce", "edp-sgd"]) == 0
    assert capsys.readouterr().err.startswith("65 trainings, about ")
    ((grid, out, options),) = calls
    assert (len(grid.plan.run), out) == (65, Path("edp-sgd"))
    assert (options["resume"], options["command"]) == (False, "holdfast reproduce edp-sgd")


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (Work(trainings=65, finished=0, seconds=610.0), "65 trainings, about 10 minutes, where"),
        (Work(trainings=65, finished=60, seconds=50.0), "65 trainings, 60 of them done; the rest takes about 1 minute, where"),
        (Work(trainings=65, finished=65, seconds=0.0), "65 trainings, all of them done"),
    ],
)
def test_what_is_done_is_not_counted_again(
    work: Work, words: str, asked: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked(result())
    monkeypatch.setattr(reproductions, "work_of", lambda grid, out: work)
    assert main(["reproduce", "edp-sgd", "--resume"]) == 0
    assert capsys.readouterr().err.startswith(words)


@pytest.mark.parametrize(
    ("words", "jobs"),
    [(["edp-sgd"], 1), (["edp-sgd", "--jobs", "3"], 3), (["canary-extraction", "--quick"], 5)],
    ids=["timed", "asked", "cores"],
)
def test_runs_go_side_by_side_where_no_time_is_measured(
    words: list[str], jobs: int, asked: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(Study, "jobs", property(lambda study: 1 if study.timed else 5))
    calls = asked(result() if words[0] == "edp-sgd" else extracted(ladder))
    monkeypatch.setattr(reproductions, "work_of", lambda grid, out: Work(trainings=65, finished=0, seconds=600.0 * jobs))
    assert main(["reproduce", *words]) == 0
    assert calls[0][2]["jobs"] == jobs
    at_once = f", {jobs} at a time" if jobs > 1 else ""
    assert capsys.readouterr().err.startswith(f"65 trainings, about 10 minutes{at_once}, where")


def test_under_torchrun_one_training_comes_after_another(asked: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.cli.reproduce.place", lambda: Place(0, 2))
    calls = asked(result())
    assert main(["reproduce", "edp-sgd", "--jobs", "2"]) == 0
    assert calls[0][2]["jobs"] == 1


def test_quick_and_other_data_reach_the_study(asked: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    calls = asked(result())
    assert main(["reproduce", "edp-sgd", "--quick", "--data", "assistant:train=50,test=20", "--out", "there", "--resume"]) == 0
    ((grid, out, options),) = calls
    assert (grid.plan.data.source, out, options["resume"]) == ("assistant:train=50,test=20", Path("there"), True)
    assert len(grid.plan.run) < 65


def test_the_table_marks_what_is_unproved_and_the_reading_follows(asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result())
    main(["reproduce", "edp-sgd"])
    printed = capsys.readouterr().out
    heads, *rows = printed.splitlines()[:10]
    assert heads.split("  ")[0] == "cell"
    assert "naive (unproved)" in heads
    assert [row.split()[0] for row in rows[:2]] == ["non-private", "edp-sgd-noise-0.5"]
    assert "Both methods: A smaller promised ε went with a smaller AUC" in printed
    assert "their tables were not at hand, so this is no reproduction of their figures" in printed
    assert printed.rstrip().endswith("open out/reproduction.html")


def test_words_turn_with_the_numbers(asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result(flat))
    main(["reproduce", "edp-sgd"])
    assert "DP-SGD: A promised ε" in (printed := capsys.readouterr().out)
    assert "cannot be told" in printed


def test_json_is_one_document_of_the_summary(asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result())
    assert main(["reproduce", "edp-sgd", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["report"] == {"html": "out/reproduction.html", "evidence_json": "out/evidence.json", "table": "out/cells.csv"}
    assert any(one["name"] == "promise_correlation" for one in document["evidence"]["estimates"])
    assert any("no reproduction of their figures" in note for note in document["evidence"]["notes"])


def test_a_contradicted_claim_ends_with_three(asked: Callable, capsys: pytest.CaptureFixture[str]):
    found = result()
    last = found.records[-1]
    broken = replace(last.evidence, verdicts=(Verdict(subject=last.name, outcome="contradicted", reason="So the attack found."),))
    asked(replace(found, records=(*found.records[:-1], replace(last, evidence=broken))))
    assert main(["reproduce", "edp-sgd"]) == 3
    assert f"{last.name}: contradicted. So the attack found." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["edp-sdg"], "did you mean 'edp-sgd'?"),
        (["edp-sgd", "--data", "snips:nowhere"], "nowhere"),
        (["edp-sgd", "--data", "snisp:somewhere"], "did you mean 'snips'?"),
        (["edp-sgd", "--data", "snips"], "give snips:PATH"),
        (["edp-sgd", "--qick"], "did you mean '--quick'?"),
        ([], "STUDY"),
    ],
)
def test_what_is_wrong_ends_with_two(words: list[str], message: str, asked: Callable, capsys: pytest.CaptureFixture[str]):
    calls = asked(result())
    assert main(["reproduce", *words]) == 2
    assert message in capsys.readouterr().err
    assert not calls


def extracted(knows: Callable) -> Reproduction:
    files = SimpleNamespace(html=Path("out/reproduction.html"), evidence_json=Path("out/evidence.json"), table=Path("out/cells.csv"))
    runs = secret_records(knows, controls=True)
    return Reproduction(records=tuple(runs), summary=study_of("canary-extraction").summarise(runs), files=files)


@pytest.mark.parametrize(
    ("knows", "verdict"),
    [(ladder, "No: the combination of defences does not remove the risk."), (nothing, "Yes, as far as this can see:")],
)
def test_canary_extraction_prints_a_row_for_each_cell_and_the_answer(
    knows: Callable, verdict: str, asked: Callable, capsys: pytest.CaptureFixture[str]
):
    calls = asked(extracted(knows))
    assert main(["reproduce", "canary-extraction", "--quick"]) == 0
    shown = capsys.readouterr()
    heads, *rows = shown.out.splitlines()[: 1 + 2 * len(DEFENCES)]
    assert [head in heads for head in ("found", "exposure (bits)", "median rank", "epsilon")] == [True] * 4
    assert [row.split()[0] for row in rows] == [f"n4-r{copies}-{defence}" for copies in (1, 10) for defence in DEFENCES]
    (answer,) = (line for line in shown.out.splitlines() if line.startswith("Does the combination of defences remove the risk?"))
    assert "By accuracy: " in answer
    assert "By exposure: " in answer
    assert verdict in answer
    assert "Accuracy and exposure: " in shown.out
    assert "(arXiv 2203.13920); their tables were not at hand" in shown.out
    ((grid, out, _),) = calls
    assert (grid.study.name, out) == ("canary-extraction", Path("canary-extraction"))
    assert shown.err.startswith(f"{len(grid.plan.run)} trainings, about ")


def test_an_unknown_study_names_the_nearest(asked: Callable, capsys: pytest.CaptureFixture[str]):
    asked(result())
    assert main(["reproduce", "canary-extracton"]) != 0
    assert "did you mean 'canary-extraction'" in capsys.readouterr().err
