"""A tiny grid of planted secrets from end to end: planted, trained, ranked, searched for, summed up, drawn; and resumed."""

import csv
import json
from pathlib import Path

import pytest

from holdfast.core.progress import Progress
from holdfast.study import parse_plan, phases
from holdfast.study.reproductions import Grid, Reproduction, reproduce, study_of, work_of
from holdfast.study.reproductions.grid import study_file

pytestmark = pytest.mark.slow

SEEDS = [1, 2]
TEMPLATE = {
    "title": "Tiny",
    "threads": 1,
    "data": {"source": "assistant:train=120,validation=20,test=60,users=20"},
    "task": {"unseen_labels": "count as wrong"},
    "model": {"embedding": 6, "hidden": 5, "characters": 0, "dropout": 0.0, "vocabulary": "hashed", "buckets": 4096},
    "training": {"epochs": 2, "batch_size": 30, "learning_rate": 0.02, "evaluate_every": 1},
    "audit": {"attacks": ["canary", "inversion"]},
    "grid": {
        "patterns": ["call", "pin"],
        "control": "my pin code is",
        "lengths": [2],
        "repetitions": [1, 5],
        "seeds": SEEDS,
        "others_at": {},
    },
    "defence": {
        "none": {},
        "all-three": {"model": {"dropout": 0.5, "characters": 4}, "patience": 1},
        "dp-sgd-8": {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-5, "clip_norm": 1.0},
    },
}


def tiny() -> Grid:
    study = study_of("canary-extraction")
    text = study_file(TEMPLATE, list(study.runs(TEMPLATE)))
    plan = parse_plan(text, origin="tiny", folder=Path())
    rates = dict.fromkeys(TEMPLATE["defence"], 1.0)
    return Grid(study=study, plan=plan, text=text, per_run=1.0, per_thousand=rates, per_secret={"2": 0.5})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reproduction, Path, list[Progress]]:
    out, told = tmp_path_factory.mktemp("secrets"), []
    return reproduce(tiny(), out, command="holdfast reproduce canary-extraction", on_progress=told.append), out, told


def test_every_run_and_every_cell_is_there(done: tuple):
    found, out, told = done
    assert len(found.records) == 2 * 3 * len(SEEDS)
    assert {record.status for record in found.records} == {"finished"}
    with (out / "cells.csv").open() as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    assert {f"n2-r{copies}-{defence}" for copies in (1, 5) for defence in TEMPLATE["defence"]} <= set(rows)
    assert float(rows["n2-r5-dp-sgd-8"]["epsilon"]) == pytest.approx(8.0, rel=0.02)
    assert {one.phase for one in told} == set(phases(tiny().plan))


def test_the_summary_is_that_of_the_records(done: tuple):
    found = done[0]
    exposures = []
    for record in found.records:
        if record.name.startswith("n2-r5-none-"):
            own = [one for one in record.evidence.estimates if one.name == "secret_exposure" and one.conditions["repetitions"]]
            exposures.append([one.value for one in own])
    assert [len(row) for row in exposures] == [2] * len(SEEDS)
    mean = sum(map(sum, exposures)) / (2 * len(SEEDS))
    assert found.summary.estimate("secret_exposure", "n2-r5-none").value == pytest.approx(mean)
    assert found.summary.estimate("secret_exposure", "never planted").conditions["secrets"] == 2 * len(SEEDS)
    assert found.summary.estimate("stopped_after", "n2-r1-all-three") is not None
    assert found.summary.estimate("optimiser_gap", "n2-r1-none").value >= 0


def test_defences_share_their_secrets(done: tuple):
    truths: dict[tuple[str, str], set[str]] = {}
    for record in done[0].records:
        cell = record.settings["run"]["cell"]
        for one in record.evidence.estimates:
            if one.name == "extraction_accuracy" and one.conditions["repetitions"]:
                key = (f"{record.settings['training']['seed']}-{cell['repetitions']}", str(one.conditions["secret"]))
                truths.setdefault(key, set()).add(str(one.conditions["truth"]))
    assert len(truths) == 2 * 2 * len(SEEDS)
    assert all(len(words) == 1 for words in truths.values())
    assert len({next(iter(words)) for words in truths.values()}) > 4


def test_the_page_answers_and_says_what_it_is_not(done: tuple):
    found, out, _ = done
    page = found.files.html.read_text()
    assert "Does the combination of defences remove the risk?" in page
    assert "their tables were not at hand, so this is no reproduction of their figures" in page
    assert not (out / "trust.html").exists()
    assert json.loads((out / "evidence.json").read_text())["title"] == "Tiny"


def test_what_is_finished_is_kept_and_the_page_comes_out_the_same(done: tuple):
    found, out, _ = done
    before = found.files.html.read_bytes()
    work = work_of(tiny(), out)
    assert (work.finished, work.seconds) == (len(found.records), 0.0)
    again = reproduce(tiny(), out, resume=True)
    assert again.records == found.records
    assert again.files.html.read_bytes() == before
