"""`holdfast runs`: what is listed of a run, and what becomes of a run that cannot be read."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Estimate, Evidence
from holdfast.runs import RunRecord, RunStore


def record(name: str, created: str, evidence: Evidence) -> RunRecord:
    nothing = {"settings": {}, "environment": {}, "data": {}, "model": {}, "mechanism": {}}
    return RunRecord(name=name, status="finished", created=created, evidence=evidence, **nothing)


def score(name: str, subject: str, value: float) -> Estimate:
    return Estimate(name=name, subject=subject, value=value, unit="share", direction="higher is better")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Two runs, the private one younger."""
    store = RunStore(tmp_path / "runs")
    plain = Evidence(estimates=(score("slot_f1", "plain", 0.9), score("intent_accuracy", "plain", 0.9712)))
    claim = PrivacyClaim(
        subject="dp-sgd",
        epsilon=7.996,
        delta=1e-5,
        unit="example",
        neighbouring="add/remove",
        sampler="Poisson",
        accountant="PLD",
        kind="proved",
        steps=10,
    )
    private = Evidence(estimates=(score("accuracy", "dp-sgd", 0.5),), claims=(claim,))
    for name, created, evidence in (("dp-sgd", "2026-11-22T12:00:00+00:00", private), ("plain", "2026-11-21T12:00:00+00:00", plain)):
        store.create(name, created=created).write(record(name, created, evidence))
    return store


def test_lists_the_oldest_first_with_epsilon_and_main_score(store: RunStore, capsys: pytest.CaptureFixture[str]):
    assert main(["runs", str(store.root)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run                     status    epsilon  main score             created",
        "20261121-120000-plain   finished  -        intent_accuracy 0.971  2026-11-21T12:00:00+00:00",
        "20261122-120000-dp-sgd  finished  8        accuracy 0.500         2026-11-22T12:00:00+00:00",
    ]


def test_a_language_model_is_judged_by_its_perplexity(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = Evidence(estimates=tuple(score(name, "lm", value) for name, value in (("next_word_accuracy", 0.2), ("perplexity", 142.3))))
    created = "2026-11-22T12:00:00+00:00"
    RunStore(tmp_path).create("lm", created=created).write(record("lm", created, found))
    assert main(["runs", str(tmp_path)]) == 0
    assert "  perplexity 142.300  " in capsys.readouterr().out


def test_the_document_keeps_full_precision(store: RunStore, capsys: pytest.CaptureFixture[str]):
    main(["runs", str(store.root), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [run["epsilon"] for run in found["runs"]] == [None, 7.996]
    assert found["runs"][0]["score"] == {"name": "intent_accuracy", "value": 0.9712}
    assert found["damaged"] == []


def test_a_damaged_run_does_not_hide_the_others(store: RunStore, capsys: pytest.CaptureFixture[str]):
    (store.root / "20261121-120000-plain" / "record.json").write_text("{")
    assert main(["runs", str(store.root)]) == 0
    printed = capsys.readouterr()
    assert "20261122-120000-dp-sgd" in printed.out
    assert printed.err.startswith("warning: run 20261121-120000-plain is left out: ")
    main(["runs", str(store.root), "--json"])
    assert [run["run"] for run in json.loads(capsys.readouterr().out)["damaged"]] == ["20261121-120000-plain"]


def test_an_empty_folder_and_a_missing_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    assert main(["runs", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'absent'} is not a folder; give the folder of runs")


def test_a_run_without_a_score_is_listed_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = RunStore(tmp_path)
    missing = Estimate(name="accuracy", subject="new", value=None, unit="share", direction="higher is better", missing="not yet")
    created = "2026-11-22T12:00:00+00:00"
    store.create("new", created=created).write(record("new", created, Evidence(estimates=(missing,))))
    assert main(["runs", str(tmp_path)]) == 0
    assert "20261122-120000-new  finished  -        -" in capsys.readouterr().out
