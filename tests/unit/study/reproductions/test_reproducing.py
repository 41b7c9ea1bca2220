"""A tiny grid from end to end: trained, attacked, summed up, drawn; resumed, and refused where it does not fit."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core.errors import InputError, RunError
from holdfast.core.progress import Progress
from holdfast.study import parse_plan, phases
from holdfast.study.reproductions import Grid, Reproduction, reproduce, study_of, work_of
from holdfast.study.reproductions.grid import study_file

pytestmark = pytest.mark.slow

NOISES, SEEDS = (0.5, 1.0, 2.0), (1, 2)
TABLES = {
    "title": "Tiny",
    "threads": 1,
    "data": {"source": "assistant:train=120,validation=20,test=60,users=20"},
    "task": {"unseen_labels": "count as wrong"},
    "model": {"embedding": 6, "hidden": 5, "characters": 0},
    "training": {"epochs": 1, "batch_size": 30},
}


def tiny(**training: object) -> Grid:
    runs = []
    for seed in SEEDS:
        runs.append({"name": f"non-private-seed-{seed}", "mechanism": "none", "seed": seed})
        for method, own in (("edp-sgd", {"micro_batch_size": 10}), ("dp-sgd", {})):
            for noise in NOISES:
                common = {"seed": seed, "noise_multiplier": noise, "clip_norm": 1.0, "delta": 1e-5}
                runs.append({"name": f"{method}-noise-{noise:g}-seed-{seed}", "mechanism": method, **common, **own})
    text = study_file({**TABLES, "training": {**TABLES["training"], **training}}, runs)
    plan = parse_plan(text, origin="tiny", folder=Path())
    return Grid(study=study_of("edp-sgd"), plan=plan, text=text, per_run=1.0, per_thousand={"none": 1.0, "edp-sgd": 1.0, "dp-sgd": 1.0})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reproduction, Path, list[Progress]]:
    out, told = tmp_path_factory.mktemp("grid"), []
    return reproduce(tiny(), out, command="holdfast reproduce edp-sgd", on_progress=told.append), out, told


def test_every_run_and_every_cell_is_there(done: tuple):
    found, out, _ = done
    assert len(found.records) == len(SEEDS) * (1 + 2 * len(NOISES))
    assert {record.status for record in found.records} == {"finished"}
    document = json.loads((out / "evidence.json").read_text())
    cells = {one["subject"]: one for one in document["estimates"] if one["name"] == "membership_auc" and "seeds" in one["conditions"]}
    assert len(cells) == 1 + 2 * len(NOISES)
    own = [record.evidence.estimate("membership_auc").value for record in found.records if record.name.startswith("dp-sgd-noise-1-")]
    assert cells["dp-sgd-noise-1"]["value"] == pytest.approx(sum(own) / len(SEEDS))
    assert {one["subject"] for one in document["estimates"] if one["name"] == "promise_correlation"} == {
        "edp-sgd",
        "dp-sgd",
        "both methods",
    }


def test_less_noise_promises_less_and_the_naive_account_of_edp_sgd_is_smaller(done: tuple):
    with (done[1] / "cells.csv").open() as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    for method in ("edp-sgd", "dp-sgd"):
        promised = [float(rows[f"{method}-noise-{noise:g}"]["epsilon"]) for noise in NOISES]
        assert promised == sorted(promised, reverse=True)
    assert float(rows["edp-sgd-noise-1"]["epsilon_naive"]) < float(rows["edp-sgd-noise-1"]["epsilon"])
    assert rows["dp-sgd-noise-1"]["epsilon_naive"] == rows["non-private"]["epsilon"] == ""


def test_the_page_says_what_it_is_not_and_no_other_page_is_drawn(done: tuple):
    page = done[0].files.html.read_text()
    assert "their tables were not at hand, so this is no reproduction of their figures" in page
    assert not (done[1] / "trust.html").exists()


def test_progress_covers_every_phase(done: tuple):
    assert {told.phase for told in done[2]} == set(phases(tiny().plan))


def test_what_is_finished_is_kept_and_the_page_comes_out_the_same(done: tuple):
    found, out, _ = done
    before = found.files.html.read_bytes()
    assert work_of(tiny(), out).finished == len(found.records)
    again = reproduce(tiny(), out, resume=True)
    assert again.records == found.records
    assert again.files.html.read_bytes() == before


def test_a_run_that_is_missing_is_trained_and_the_others_are_not(done: tuple, tmp_path: Path):
    import shutil

    found, out, _ = done
    shutil.copytree(out, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "runs" / "dp-sgd-noise-2-seed-2")
    assert work_of(tiny(), tmp_path / "copy").seconds == pytest.approx(1.0 + 0.12)
    again = reproduce(tiny(), tmp_path / "copy", resume=True)
    assert [record.created for record in again.records[:-1]] == [record.created for record in found.records[:-1]]
    auc = [one.records[-1].evidence.estimate("membership_auc").value for one in (found, again)]
    assert auc[0] == auc[1], "the same seed gives the same model"


def test_a_folder_of_other_settings_is_refused(done: tuple):
    with pytest.raises(RunError, match="already holds a run"):
        reproduce(tiny(), done[1])
    with pytest.raises(RunError, match="other settings"):
        reproduce(tiny(epochs=2), done[1], resume=True)


def test_at_least_one_run_is_trained_at_a_time(tmp_path: Path):
    with pytest.raises(InputError, match="jobs is 0; give how many runs to train at once, at least 1"):
        reproduce(tiny(), tmp_path, jobs=0)


@pytest.mark.slow
def test_runs_side_by_side_give_the_same_page(done: tuple, tmp_path: Path):
    found = reproduce(tiny(), tmp_path, jobs=2)
    names = ("membership_auc", "intent_accuracy", "epsilon", "promise_correlation")
    for one, other in zip(found.summary.estimates, done[0].summary.estimates, strict=True):
        assert (one.name, one.subject) == (other.name, other.subject)
        if one.name in names:
            assert one.value == other.value


def test_a_contradicted_claim_is_told(done: tuple):
    from holdfast.core.claim import Verdict

    assert not done[0].contradicted
    broken = Verdict(subject=done[0].records[-1].name, outcome="contradicted", reason="So the attack found.")
    record = done[0].records[-1]
    changed = replace(record, evidence=replace(record.evidence, verdicts=(broken,)))
    assert replace(done[0], records=(*done[0].records[:-1], changed)).contradicted
