"""Two kinds of study file, and several federations at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.errors import HoldfastError
from holdfast.runs import RunStore
from holdfast.study import parse_plan, run_study
from holdfast.study.federation import parse_federated_plan, run_federated
from holdfast.study.kinds import FEDERATIONS, TRAININGS, kind_of
from holdfast.study.side_by_side import run_side_by_side

from .conftest import written

RUNS = "\n".join(f'[[run]]\nname = "{name}"\nseed = {seed}' for seed, name in enumerate(("one", "two", "three"), start=1))
TRAINING = """
title = "One training"
[data]
source = "assistant:train=200,validation=50,test=60,users=20"
[training]
epochs = 1
batch_size = 50
[[run]]
name = "plain"
mechanism = "none"
"""


def test_the_kind_of_a_plan_reads_and_does_it(study: Callable, folder: Path):
    federated = parse_federated_plan(study(), origin="study.toml", folder=folder)
    training = parse_plan(TRAINING, origin="study.toml", folder=Path())
    assert kind_of(federated) is FEDERATIONS
    assert kind_of(training) is TRAININGS
    assert FEDERATIONS.parse(study(), origin="study.toml", folder=folder) == federated
    assert TRAININGS.parse(TRAINING, origin="study.toml", folder=Path()) == training
    assert (FEDERATIONS.carry_out, TRAININGS.carry_out) == (run_federated, run_study)
    assert list(FEDERATIONS.phases(federated)) == ["data", "federate plain", "measure plain", "report"]
    assert "train plain" in TRAININGS.phases(training)


def test_neither_kind_reads_the_file_of_the_other(study: Callable, folder: Path):
    with pytest.raises(HoldfastError, match="unknown key"):
        TRAININGS.parse(study(), origin="study.toml", folder=folder)
    with pytest.raises(HoldfastError, match="unknown key 'training'"):
        FEDERATIONS.parse(TRAINING, origin="study.toml", folder=Path())


@pytest.mark.slow
def test_federations_at_once_are_those_that_come_one_after_another(study: Callable, folder: Path):
    text = study(runs=RUNS)
    plan, told = parse_federated_plan(text, origin="study.toml", folder=folder), []
    run_side_by_side(plan, folder / "at once", jobs=2, text=text, on_progress=told.append)
    assert {one.phase for one in told} >= {f"federate {run.name}" for run in plan.run}
    at_once = run_federated(plan, folder / "at once", text=text, resume=True, page=False)
    in_turn = run_federated(plan, folder / "in turn", text=text, page=False)
    for one, other in zip(at_once.records, in_turn.records, strict=True):
        assert (one.name, one.settings) == (other.name, other.settings)
        mine, theirs = ([e for e in record.evidence.estimates if e.name != "round_seconds"] for record in (one, other))
        assert mine == theirs
    assert (folder / "at once" / "study.toml").read_text() == text


@pytest.mark.slow
def test_the_error_of_one_process_ends_all_and_keeps_what_is_finished(study: Callable, tmp_path: Path):
    written(tmp_path)
    text = study(runs=RUNS)
    plan = parse_federated_plan(text, origin="study.toml", folder=tmp_path)
    run_federated(plan, tmp_path / "out", text=text, only=["two"], page=False)
    with pytest.raises(HoldfastError, match="already holds a run; give --resume") as met:
        run_side_by_side(plan, tmp_path / "out", jobs=2, text=text)
    assert met.value.exit_code == 2
    assert "two" in {name for name, record in RunStore(tmp_path / "out" / "runs").scan().runs if record.status == "finished"}
