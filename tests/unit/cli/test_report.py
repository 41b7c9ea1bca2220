"""`holdfast report`: from stored runs to the three files, again and again the same."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.core.evidence import Estimate, Evidence
from holdfast.runs import RunRecord, RunStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """Two runs in the folder `runs` of the working folder."""
    monkeypatch.chdir(tmp_path)
    store = RunStore()
    for name, value in (("plain", 0.97), ("dp-sgd", 0.81)):
        score = Estimate(name="intent_accuracy", subject=name, value=value, unit="share", direction="higher is better", n=700)
        nothing = {"settings": {}, "environment": {}, "data": {}, "model": {}, "mechanism": {}}
        record = RunRecord(
            name=name, status="finished", created="2026-11-22T12:00:00+00:00", evidence=Evidence(estimates=(score,)), **nothing
        )
        store.create(name, created=record.created).write(record)
    return store


def test_draws_stored_runs_side_by_side(store: RunStore, capsys: pytest.CaptureFixture[str]):
    folders = sorted(str(path) for path in store.root.iterdir())
    assert main(["report", *folders, "--out", "both.html", "--title", "Two <ways>"]) == 0
    assert capsys.readouterr().out == "open both.html\n"
    page = Path("both.html").read_text()
    assert "Two &lt;ways&gt;" in page
    assert all(name in page for name in ("plain", "dp-sgd"))
    evidence = Evidence.from_json(json.loads(Path("evidence.json").read_text()))
    assert {estimate.subject for estimate in evidence.estimates} == {"plain", "dp-sgd"}
    assert Path("model_card.md").exists()


def test_takes_an_id_and_draws_the_same_bytes_again(store: RunStore, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "20261122-120000-plain", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert files == {"html": "trust.html", "evidence_json": "evidence.json", "model_card": "model_card.md"}
    before = {path: Path(path).read_bytes() for path in files.values()}
    main(["report", "runs/20261122-120000-plain"])
    assert {path: Path(path).read_bytes() for path in files.values()} == before


@pytest.mark.parametrize("run", ["20261122-120000-plian", "runs/20261122-120000-plian"])
def test_an_unknown_run_is_answered_with_the_nearest(run: str, store: RunStore, capsys: pytest.CaptureFixture[str]):
    assert main(["report", run]) == 2
    assert "did you mean '20261122-120000-plain'?" in capsys.readouterr().err
    assert not Path("trust.html").exists()
