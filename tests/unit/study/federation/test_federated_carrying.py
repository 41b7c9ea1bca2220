"""A whole federated study, small: records, report, resuming, refusing."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from holdfast import models
from holdfast.core.errors import InputError, Interrupted, RunError, StudyError, TrainingStopped
from holdfast.data import load_data
from holdfast.federated import partitioned
from holdfast.runs import RunFolder
from holdfast.study import StudyResult
from holdfast.study.federation import FederatedPlan, federated_phases, parse_federated_plan, run_federated

from .conftest import STUDY, written

pytestmark = pytest.mark.slow

RUNS = """
[[run]]
name = "uniform"
[[run]]
name = "by-activity"
select = "activity"
weighting = "uniform"
[[run]]
name = "continual"
schedule = { name = "continual", periods = 3, rounds_per_period = 1 }
"""
TEXT = STUDY.replace('[[run]]\nname = "plain"\n', RUNS)


def parse(text: str, folder: Path) -> FederatedPlan:
    return parse_federated_plan(text, origin="study.toml", folder=folder)


def carry(folder: Path, *, text: str = TEXT, out: str = "out", **options) -> StudyResult:
    return run_federated(parse(text, folder), folder / out, text=text, command="holdfast federate study.toml", **options)


def figures(result: StudyResult) -> list[list]:
    """The evidence of all records, but for the time it took."""
    return [[one for one in record.evidence.estimates if one.name != "round_seconds"] for record in result.records]


def curves(result: StudyResult) -> list:
    return [record.evidence.curves for record in result.records]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    written(folder)
    told: list = []
    return carry(folder, on_progress=told.append), folder, told


def test_every_run_has_a_record_with_its_settings(done):
    result, folder, _ = done
    assert [record.name for record in result.records] == ["uniform", "by-activity", "continual"]
    for record in result.records:
        assert record.status == "finished"
        assert RunFolder(folder / "out" / "runs" / record.name).read() == record
        assert record.settings["seed"] == 7
        assert record.settings["federation"]["algorithm"] == "fedavg"
        assert record.settings["federation"]["cohort"] == 4
        assert record.settings["federation"]["rounds"] == 3
        assert record.mechanism["mechanism"] == "none"
        assert record.command == "holdfast federate study.toml"
    assert result.records[1].settings["federation"]["select"]["strategy"] == "activity"
    assert [record.settings["federation"]["schedule"] for record in result.records] == ["static", "static", "continual"]


def test_no_user_is_named_in_what_is_written(done):
    _, folder, _ = done
    for path in (folder / "out").rglob("*"):
        if path.suffix in (".json", ".html", ".md"):
            assert "user1" not in path.read_text()


def test_every_run_has_the_agreed_evidence(done):
    result, folder, _ = done
    agreed = {
        *("accuracy", "client_score_decile", "participation_decile", "update_norm_decile", "activity_gini", "participation_gini"),
        *("clients", "examples", "mean_js_distance", "bytes_up", "bytes_down", "bytes_up_per_client", "bytes_down_per_client"),
        *("round_seconds", "local_steps"),
    }
    lines = {"convergence", "convergence_score", "activity_lorenz", "participation_lorenz", "js_map"}
    for record in result.records:
        assert agreed <= {one.name for one in record.evidence.estimates}
        assert lines <= {one.name for one in record.evidence.curves}
        assert {one.subject for one in record.evidence.estimates} == {record.name}
    last = result.records[2].evidence
    assert last.estimate("prequential_score", "continual") is not None
    assert last.estimate("forgetting", "continual") is not None
    assert {curve.name for curve in last.curves} >= {"prequential", "period_scores"}
    document = json.loads((folder / "out" / "evidence.json").read_text())
    assert {one["subject"] for one in document["estimates"]} >= {"uniform", "by-activity", "continual"}


def test_the_continual_run_tells_its_gap_to_the_static_one(done):
    result, folder, _ = done
    static, _, continual = result.records
    gap = continual.evidence.estimate("static_gap", "continual")
    scores = [record.evidence.estimate("accuracy", record.name).value for record in (static, continual)]
    assert gap.value == pytest.approx(scores[0] - scores[1])
    assert gap.conditions == {"measure": "accuracy", "static": "uniform"}
    kept = RunFolder(folder / "out" / "runs" / "continual").read()
    assert kept.evidence.estimate("static_gap", "continual") == gap


def test_the_report_holds_the_section(done):
    result, folder, _ = done
    assert result.report.html == folder / "out" / "trust.html"
    page = result.report.html.read_text()
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert 'id="federation"' in page or "Federated" in page
    for name in ("uniform", "by-activity", "continual"):
        assert name in page
    assert (folder / "out" / "study.toml").read_text() == TEXT
    assert (folder / "out" / "model_card.md").exists()


def test_without_a_page_none_is_drawn(tmp_path):
    written(tmp_path)
    result = carry(tmp_path, only=["uniform"], page=False)
    assert result.report is None
    assert not (tmp_path / "out" / "trust.html").exists()
    assert [record.name for record in result.records] == ["uniform"]


def test_the_model_that_is_kept_is_the_last_one(done):
    _, folder, _ = done
    run = folder / "out" / "runs" / "uniform"
    loaded = models.load(run / "model")
    kept = load_file(run / "checkpoints" / "federated.safetensors")
    for name, value in loaded.module.named_parameters():
        assert torch.equal(value, kept[f"weights/{name}"])


def test_progress_covers_every_phase_and_ends(done):
    _, folder, told = done
    assert {one.phase for one in told} == set(federated_phases(parse(TEXT, folder)))
    for run in ("uniform", "by-activity", "continual"):
        assert [one.done for one in told if one.phase == f"federate {run}"] == [1, 2, 3]


def test_a_second_time_needs_resume_and_keeps_finished_runs(done):
    result, folder, _ = done
    with pytest.raises(RunError, match="already holds a run; give --resume"):
        carry(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "runs").rglob("record.json")}
    told: list = []
    again = carry(folder, resume=True, page=False, on_progress=told.append)
    assert again.records == result.records
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {one.note for one in told if one.phase.startswith("federate")} == {"kept"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("rounds = 3", "rounds = 4"), ("seed = 7", "seed = 8"), ("hidden = 5", "hidden = 6"), ('select = "activity"', 'select = "top-k"')],
)
def test_other_settings_are_refused(done, old: str, new: str):
    _, folder, _ = done
    with pytest.raises(RunError, match="holds a run of other settings than the study file now asks for; give another --out"):
        carry(folder, text=TEXT.replace(old, new), resume=True)


def test_another_kernel_is_no_other_setting(done):
    result, folder, _ = done
    assert carry(folder, text=TEXT.replace('kernel = "sequential"', 'kernel = "auto"'), resume=True, page=False).records == result.records


def test_other_data_are_refused(tmp_path):
    written(tmp_path)
    carry(tmp_path, only=["uniform"], page=False)
    written(tmp_path, seed=1)
    with pytest.raises(RunError, match="holds a run on other data than the source now has; give another --out"):
        carry(tmp_path, only=["uniform"], page=False, resume=True)


def test_another_partition_under_the_same_name_is_refused(tmp_path):
    """The clients of a finished run are part of it, as its data are."""
    written(tmp_path)
    text = STUDY.replace("cohort = 4", 'cohort = 4\nclients = { file = "clients.bin" }')
    train = load_data(f"jsonl:{tmp_path / 'utterances.jsonl'}").train
    partitioned("iid", train, clients=5, seed=1).save(tmp_path / "clients.bin")
    carry(tmp_path, text=text, page=False)
    carry(tmp_path, text=text, page=False, resume=True)
    partitioned("label_dirichlet", train, {"alpha": 0.1}, clients=9, seed=2).save(tmp_path / "clients.bin")
    with pytest.raises(RunError, match="other clients"):
        carry(tmp_path, text=text, page=False, resume=True)


@pytest.mark.parametrize(("run", "done_rounds"), [("uniform", 2), ("continual", 1), ("continual", 2)])
def test_interrupted_it_goes_on_to_the_same_evidence(done, tmp_path, run: str, done_rounds: int):
    whole, _, _ = done

    def stop(progress):
        if progress.phase == f"federate {run}" and progress.done == done_rounds:
            os.kill(os.getpid(), signal.SIGINT)

    written(tmp_path)
    with pytest.raises(Interrupted, match=f"{run} stopped after round {done_rounds} of 3; resume with --resume"):
        carry(tmp_path, page=False, on_progress=stop)
    assert RunFolder(tmp_path / "out" / "runs" / run).read().status == "interrupted"
    resumed = carry(tmp_path, page=False, resume=True)
    assert figures(resumed) == figures(whole)
    assert curves(resumed) == curves(whole)
    assert [record.settings for record in resumed.records] == [
        {**record.settings, "data": again.settings["data"]} for record, again in zip(whole.records, resumed.records, strict=True)
    ]


def test_a_run_that_stopped_says_so(tmp_path):
    written(tmp_path)
    text = TEXT.replace("cohort = 4", "cohort = 4\nserver = { learning_rate = 1e38 }").replace("rounds = 3", "rounds = 20")
    with pytest.raises(TrainingStopped, match="lower the learning rate"):
        carry(tmp_path, text=text, only=["uniform"], page=False)
    assert RunFolder(tmp_path / "out" / "runs" / "uniform").read().status == "stopped"


def test_a_run_whose_last_loss_is_not_finite_has_stopped_too(tmp_path):
    """Weights of 1e36 are finite; what they make of an example is not."""
    written(tmp_path)
    text = TEXT.replace("cohort = 4", "cohort = 4\nserver = { learning_rate = 1e38 }").replace("rounds = 3", "rounds = 1")
    with pytest.raises(TrainingStopped, match="not finite"):
        carry(tmp_path, text=text, only=["uniform"], page=False)
    assert RunFolder(tmp_path / "out" / "runs" / "uniform").read().status == "stopped"


def test_what_a_later_run_cannot_do_is_found_before_the_first(tmp_path):
    written(tmp_path)
    text = TEXT + '[[run]]\nname = "late"\nclients = { scheme = "iid", clients = 5, alpah = 2 }\n'
    with pytest.raises(InputError, match="unknown option 'alpah'"):
        carry(tmp_path, text=text)
    assert not (tmp_path / "out" / "runs").exists()


def test_a_cohort_that_no_round_could_fill_is_found_before_the_first_run(tmp_path):
    written(tmp_path)
    text = TEXT + '[[run]]\nname = "late"\ncohort = 99\n'
    with pytest.raises(InputError, match=r"a cohort of 99 clients, but \d+ of the \d+ clients have examples"):
        carry(tmp_path, text=text)
    assert not (tmp_path / "out" / "runs").exists()


def test_runs_are_chosen_by_name(tmp_path):
    written(tmp_path)
    with pytest.raises(StudyError, match="there is no run 'unifrom' in the study; did you mean 'uniform'"):
        carry(tmp_path, only=["unifrom"])
    result = carry(tmp_path, only=["continual", "uniform"], page=False)
    assert [record.name for record in result.records] == ["uniform", "continual"]


@pytest.mark.parametrize(
    "lines",
    [
        'lora = { rank = 2, alpha = 4.0, train = "b" }',
        'compression = { name = "top-k", share = 0.2 }\nerror_feedback = true',
        'rule = "median"',
        'availability = { name = "independent", least = 0.6, most = 1.0 }\nstragglers = { failure = 0.2 }',
        'algorithm = "scaffold"',
        'clients = { scheme = "iid", clients = 5 }\nholdout = 0.2\nselect = "power-of-choice"',
        'trainable = "heads"\nweighting = { name = "inverse-propensity", normalise = true }',
    ],
    ids=lambda lines: lines.split(" ")[0],
)
def test_every_condition_is_carried_out_and_kept(tmp_path, lines: str, study: Callable):
    written(tmp_path)
    (record,) = carry(tmp_path, text=study(*lines.splitlines()), page=False).records
    told = record.settings["federation"]
    key = lines.split(" ")[0]
    assert told["algorithm"] == ("scaffold" if key == "algorithm" else "fedavg")
    if key in told:
        assert told[key] is not None
    assert record.evidence.estimate("accuracy", "plain") is not None
    if key == "rule":
        assert any("robust rule" in note for note in record.evidence.notes)
    if key == "compression":
        assert record.evidence.estimate("bytes_up", "plain").conditions["compression"] == "top-k"
    assert models.load(tmp_path / "out" / "runs" / "plain" / "model").module is not None
