"""The template of planted secrets becomes an ordinary study file with a run for each seed, place of the grid and defence."""

from functools import cache
from pathlib import Path

import pytest

from holdfast.report.reproductions.canary_extraction.grid import DEFENCES, OTHERS
from holdfast.study import parse_plan
from holdfast.study.reproductions import Grid, grid_of


@cache
def extraction(quick: bool) -> Grid:
    return grid_of("canary-extraction", quick=quick)


@pytest.fixture(params=[False, True], ids=["whole", "quick"])
def grid(request: pytest.FixtureRequest) -> Grid:
    return extraction(request.param)


def test_every_seed_has_every_defence_at_every_place(grid: Grid):
    seeds = list(dict.fromkeys(run.seed for run in grid.plan.run))
    assert len(seeds) >= 10
    places = list(dict.fromkeys((run.cell["length"], run.cell["repetitions"]) for run in grid.plan.run))
    assert len(places) >= 2
    for seed in seeds:
        for place in places:
            here = [
                run.cell["defence"] for run in grid.plan.run if (run.seed, run.cell["length"], run.cell["repetitions"]) == (seed, *place)
            ]
            assert here[: len(DEFENCES)] == list(DEFENCES), "in the order of the report"
            assert set(here[len(DEFENCES) :]) <= set(OTHERS)
    assert [run.seed for run in grid.plan.run] == sorted(run.seed for run in grid.plan.run)


def test_the_text_is_a_study_file_of_the_same_plan(grid: Grid):
    assert parse_plan(grid.text, origin="study.toml", folder=Path()) == grid.plan


def test_secrets_are_shared_by_defences_and_by_nothing_else(grid: Grid):
    keys: dict[int, set] = {}
    for run in grid.plan.run:
        keys.setdefault(run.secret_seed, set()).add((run.seed, run.cell["length"], run.cell["repetitions"]))
        planted = [(one.pattern, one.length, one.repetitions) for one in run.secrets if one.repetitions]
        assert planted == [(name, run.cell["length"], run.cell["repetitions"]) for name in ("call", "pin", "color")]
    assert all(len(places) == 1 for places in keys.values())
    assert len(keys) == len({place for places in keys.values() for place in places})


def test_runs_without_a_defence_have_a_secret_that_is_never_planted(grid: Grid):
    for run in grid.plan.run:
        controls = [one for one in run.secrets if one.repetitions == 0]
        assert len(controls) == (run.cell["defence"] == "none")
        assert all(one.template.count("{}") == run.cell["length"] for one in controls)
        assert run.secrets[:3] == tuple(one for one in run.secrets if one.repetitions), "or the others would be drawn otherwise"


def test_defences_differ_from_none_in_what_they_are_called_after(grid: Grid):
    plan = grid.plan
    chosen = [run for run in plan.run if run.seed == plan.run[0].seed and run.cell["repetitions"] == 10 and run.cell["length"] == 4]
    runs = {run.cell["defence"]: run for run in chosen if run.cell["defence"] != "transformer"}  # a model of its own
    settings = {name: plan.model_settings(run).describe() for name, run in runs.items()}
    training = {name: plan.training_settings(run).describe() for name, run in runs.items()}
    base = settings["none"]
    changed = {name: {key for key in found if found[key] != base[key]} for name, found in settings.items()}
    assert changed["dropout"] == changed["dropout-early-stopping"] == {"dropout"}
    assert changed["characters"] == {"characters"}
    assert changed["all-three"] == {"dropout", "characters"}
    assert changed["early-stopping"] == changed["dp-sgd-8"] == changed["dp-sgd-1"] == set()
    stopping = {name for name, found in training.items() if found.get("patience") is not None}
    assert stopping == {"early-stopping", "dropout-early-stopping", "all-three"}
    assert {name: run.epsilon for name, run in runs.items() if run.mechanism == "dp-sgd"} == {"dp-sgd-8": 8.0, "dp-sgd-1": 1.0}
    rest = ("patience", "learning_rate", "averaging")
    assert len({str({key: value for key, value in found.items() if key not in rest}) for found in training.values()}) == 1
    rates = {name: found["learning_rate"] for name, found in training.items()}
    assert {name for name, rate in rates.items() if rate != rates["none"]} == {"dp-sgd-8", "dp-sgd-1"}


def test_another_model_has_runs_at_one_place():
    other = [run for run in extraction(False).plan.run if run.cell["defence"] in OTHERS]
    assert {(run.cell["length"], run.cell["repetitions"]) for run in other} == {(4, 10)}
    assert not [run for run in extraction(True).plan.run if run.cell["defence"] in OTHERS]


def test_quick_takes_about_ten_minutes_by_its_own_account():
    quick = extraction(True)
    assert quick.seconds(quick.plan.run, examples=800) < 11 * 60
    whole = extraction(False)
    assert quick.seconds(quick.plan.run, examples=800) < 0.5 * whole.seconds(whole.plan.run, examples=2000)


def test_more_copies_and_more_secrets_take_longer():
    grid = extraction(False)
    dropout = {(run.cell["length"], run.cell["repetitions"]): run for run in grid.plan.run if run.cell["defence"] == "dropout"}
    few, many = dropout[4, 1], dropout[4, 100]
    assert grid.seconds([few], examples=2000) < grid.seconds([many], examples=2000)
    base = next(run for run in grid.plan.run if run.cell["defence"] == "none")
    assert grid.seconds([few], examples=0) < grid.seconds([base], examples=0), "it has a control to search for"


@pytest.mark.slow
def test_files_are_cut_to_the_size_of_the_corpus_and_the_corpus_is_not():
    assert grid_of("canary-extraction", source="snips:somewhere").plan.data.options == {
        "rows": {"train": 2000, "validation": 200, "test": 300}
    }
    assert grid_of("canary-extraction", source="assistant:train=50,test=20").plan.data.options == {}
    assert grid_of("edp-sgd", source="snips:somewhere").plan.data.options == {}
