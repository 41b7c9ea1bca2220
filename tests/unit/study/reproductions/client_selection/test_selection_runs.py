"""The template of client selection becomes an ordinary study file: a run for each seed, clock, weighting and strategy."""

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.federated import selector, weighting
from holdfast.federated.selection import View
from holdfast.federated.selection.named import SELECTORS
from holdfast.report.reproductions.client_selection import PRESENTATION
from holdfast.study.federation import parse_federated_plan
from holdfast.study.federation.plan import part_of
from holdfast.study.reproductions import Grid, grid_of
from holdfast.study.reproductions.client_selection import CLIENT_SELECTION
from holdfast.study.reproductions.client_selection.runs import UNPAIRED, runs


@cache
def selection(quick: bool, source: str | None = None) -> Grid:
    return grid_of("client-selection", quick=quick, source=source)


@pytest.fixture(params=[(False, None), (True, None), (False, "irc:logs")], ids=["whole", "quick", "irc"])
def grid(request: pytest.FixtureRequest) -> Grid:
    return selection(*request.param)


def test_names_are_unique_and_say_what_is_run(grid: Grid):
    names = [run.name for run in grid.plan.run]
    assert len(set(names)) == len(names)
    for run in grid.plan.run:
        parts = (run.cell["schedule"], run.cell["weighting"], str(run.cell["strategy"]).replace("^", "-"), f"seed-{run.seed}")
        assert run.name == "-".join(map(str, parts))


def test_every_seed_has_every_cell_and_comes_whole(grid: Grid):
    seeds = list(dict.fromkeys(run.seed for run in grid.plan.run))
    assert len(seeds) >= 5, "with fewer seeds no interval leaves out 0"
    assert [run.seed for run in grid.plan.run] == sorted(run.seed for run in grid.plan.run)
    cells = [[tuple(run.cell.items()) for run in grid.plan.run if run.seed == seed] for seed in seeds]
    assert all(one == cells[0] for one in cells)
    assert len(set(cells[0])) == len(cells[0])


def test_every_cell_has_its_uniform_partner_of_the_same_seed(grid: Grid):
    there = {(run.seed, *run.cell.values()) for run in grid.plan.run}
    for run in grid.plan.run:
        assert (run.seed, "uniform", run.cell["weighting"], run.cell["schedule"]) in there
        assert (run.seed, "uniform", "examples", run.cell["schedule"]) in there


def test_partners_differ_in_the_selection_alone(grid: Grid):
    by = {(run.seed, *run.cell.values()): run for run in grid.plan.run}
    for run in grid.plan.run:
        partner = by[run.seed, "uniform", run.cell["weighting"], run.cell["schedule"]]
        mine, theirs = (grid.plan.resolved(one) for one in (run, partner))
        assert {key for key in mine["asked"] if mine["asked"][key] != theirs["asked"].get(key)} <= {"select"}
        assert (mine["data"], mine["model"], mine["task"]) == (theirs["data"], theirs["model"], theirs["task"])


def test_cells_say_what_the_run_does(grid: Grid):
    for run in grid.plan.run:
        name, options = part_of(grid.plan.setting(run, "select"), "uniform")
        strategy = str(run.cell["strategy"])
        assert strategy.split("^")[0] == name
        if "^" in strategy:
            assert float(strategy.split("^")[1]) == options["tau"]
        assert part_of(grid.plan.setting(run, "weighting"), "examples")[0] == run.cell["weighting"]
        clock = part_of(grid.plan.setting(run, "schedule"), "static")[0]
        assert (clock == "continual") == (run.cell["schedule"] == "continual")


def test_clocks_have_as_many_rounds(grid: Grid):
    """Or the continual run would be behind, or ahead, for its rounds alone."""
    assert len({grid.plan.rounds_of(run) for run in grid.plan.run}) == 1


def test_inverse_propensities_are_asked_only_where_chances_are_known(grid: Grid):
    """By drawing a cohort of each such run and weighing it: what the rule leaves in must not end in an error."""
    counts = np.array([1] * 20 + [2] * 9 + [5, 5, 9, 30, 80], dtype=np.int64)
    view = View(counts, losses_of=lambda chosen: np.ones(len(chosen)))
    asked = {}
    for run in grid.plan.run:
        if run.cell["weighting"] == "inverse-propensity":
            asked[run.cell["strategy"]] = part_of(grid.plan.setting(run, "select"), "uniform")
    for name, options in asked.values():
        drawn = selector(name, options).select(view, size=6, round=0, rounds=10, streams=Streams(1))
        shares = weighting("inverse-propensity").multipliers(counts[drawn.clients], drawn, clients=len(counts), examples=int(counts.sum()))
        assert np.isfinite(shares).all()
        assert name not in UNPAIRED
    if "inverse-propensity" in {run.cell["weighting"] for run in grid.plan.run}:
        assert {"uniform", "activity^1"} <= asked.keys()


def document(**strategies: object) -> dict:
    return {
        "grid": {"seeds": [3, 1], "weightings": ["examples", "inverse-propensity"]},
        "clock": {"still": {"rounds": 2}, "live": {"rounds": 5, "cohort": 9}},
        "strategy": strategies,
    }


def test_the_grid_is_a_product_in_the_order_of_the_template():
    found = list(runs(document(uniform="uniform", heavy={"name": "activity", "tau": 2.0})))
    order = list(product([3, 1], ["still", "live"], ["examples", "inverse-propensity"], ["uniform", "heavy"]))
    assert [(run["seed"], run["cell"]["schedule"], run["weighting"], run["cell"]["strategy"]) for run in found] == order
    assert found[1]["select"] == {"name": "activity", "tau": 2.0}
    assert [run["rounds"] for run in found[:8]] == [2] * 4 + [5] * 4
    assert found[4]["cohort"] == 9


@pytest.mark.parametrize("name", [name for name in SELECTORS if name not in ("threshold", "activity-schedule")])
def test_a_strategy_that_does_not_know_its_chances_is_left_out_whoever_names_it(name: str):
    """Held to what the selector itself says of a cohort, so that a new one cannot be forgotten."""
    view = View(np.array([1, 1, 1, 2, 2, 3, 5, 9, 9, 30]), losses_of=lambda chosen: np.ones(len(chosen)))
    drawn = selector(name).select(view, size=3, round=0, rounds=10, streams=Streams(1))
    known = drawn.exactness != "unknown" and drawn.never == 0
    asked = {run["weighting"] for run in runs(document(mine={"name": name}, plain=name))}
    assert ("inverse-propensity" in asked) == known


def test_a_template_without_inverse_propensities_leaves_nothing_out():
    whole = document(uniform="uniform", hard="top-k")
    whole["grid"]["weightings"] = ["uniform"]
    assert len(list(runs(whole))) == 2 * 2 * 2


def test_the_text_is_a_study_file_of_the_same_plan(grid: Grid):
    assert parse_federated_plan(grid.text, origin="study.toml", folder=Path()) == grid.plan


def test_quick_is_smaller_and_time_is_counted_by_rounds():
    whole, quick = selection(False), selection(True)
    rounds = sum(whole.plan.rounds_of(run) for run in whole.plan.run)
    seconds = whole.seconds(whole.plan.run, examples=8000)
    assert seconds == pytest.approx(len(whole.plan.run) * whole.per_run + rounds * whole.per_thousand["round"])
    assert quick.seconds(quick.plan.run, examples=3000) < 0.8 * seconds


def test_the_study_is_shown_as_what_it_is():
    assert CLIENT_SELECTION.name == "client-selection"
    assert CLIENT_SELECTION.presentation is PRESENTATION
    assert not CLIENT_SELECTION.timed


@pytest.mark.parametrize("source", ["multidogo:somewhere", "snips:somewhere"])
def test_data_without_times_have_no_clock(source: str):
    plan = selection(False, source).plan
    assert {run.cell["schedule"] for run in plan.run} == {"static", "equal-steps"}
    made = {plan.setting(run, "clients") is not None for run in plan.run}
    assert made == {source.startswith("snips")}
    assert plan.data.options["rows"] == {"validation": 100, "test": 4000}
