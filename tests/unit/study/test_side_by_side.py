"""Runs of a study at once: the same results, errors that arrive, and no run lost."""

from pathlib import Path

import pytest

from holdfast.core.errors import HoldfastError
from holdfast.runs import RunStore
from holdfast.study import parse_plan, run_study
from holdfast.study.side_by_side import run_side_by_side

STUDY = """
title = "Three runs"
threads = 1
run = [
  { name = "one", mechanism = "none", seed = 1 },
  { name = "two", mechanism = "none", seed = 2 },
  { name = "three", mechanism = "none", seed = 3 },
]
[data]
source = "assistant:train=200,validation=50,test=60,users=20"
[model]
embedding = 8
hidden = 4
characters = 0
[training]
epochs = 1
batch_size = 50
"""


def parse(text: str = STUDY):
    return parse_plan(text, origin="study.toml", folder=Path())


@pytest.mark.slow
def test_runs_at_once_are_those_that_come_one_after_another(tmp_path):
    plan, told = parse(), []
    run_side_by_side(plan, tmp_path / "at once", jobs=2, text=STUDY, on_progress=told.append)
    assert {one.phase for one in told} >= {f"train {run.name}" for run in plan.run} | {f"measure {run.name}" for run in plan.run}
    at_once = run_study(plan, tmp_path / "at once", text=STUDY, resume=True, page=False)
    in_turn = run_study(plan, tmp_path / "in turn", text=STUDY, page=False)
    for one, other in zip(at_once.records, in_turn.records, strict=True):
        assert one.name == other.name
        measured, again = (
            {(e.name, str(sorted(e.conditions.items()))): e.value for e in record.evidence.estimates if not e.name.startswith("seconds")}
            for record in (one, other)
        )
        assert measured == again
    assert (tmp_path / "at once" / "study.toml").read_text() == STUDY


@pytest.mark.slow
def test_the_error_of_one_process_ends_all_and_keeps_what_is_finished(tmp_path):
    plan = parse()
    run_side_by_side(plan, tmp_path, jobs=3, text=STUDY)
    with pytest.raises(HoldfastError, match="already holds a run; give --resume") as met:
        run_side_by_side(plan, tmp_path, jobs=2, text=STUDY)
    assert met.value.exit_code == 2
    assert {name for name, record in RunStore(tmp_path / "runs").scan().runs if record.status == "finished"} == {"one", "two", "three"}


def test_several_runs_are_chosen_by_name(tmp_path):
    result = run_study(parse(), tmp_path, only=["three", "one"], report=False)
    assert [record.name for record in result.records] == ["one", "three"]
    with pytest.raises(HoldfastError, match="no run 'tow' in the study; did you mean 'two'"):
        run_study(parse(), tmp_path, only=["one", "tow"])
