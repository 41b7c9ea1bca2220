"""The template of a grid becomes an ordinary study file with a run for each method, level and seed."""

from pathlib import Path

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.study import parse_plan
from holdfast.study.reproductions import grid_of, work_of


@pytest.mark.parametrize("quick", [False, True])
def test_each_method_level_and_seed_has_a_run_and_seeds_come_whole(quick: bool):
    plan = grid_of("edp-sgd", quick=quick).plan
    seeds = list(dict.fromkeys(run.seed for run in plan.run))
    assert [run.seed for run in plan.run] == sorted(run.seed for run in plan.run)
    assert len(seeds) >= 5, "with fewer seeds the interval of the correlation hardly ever leaves out 0"
    for seed in seeds:
        levels = {
            method: [run.noise_multiplier for run in plan.run if (run.seed, run.mechanism) == (seed, method)]
            for method in ("edp-sgd", "dp-sgd")
        }
        assert levels["edp-sgd"] == levels["dp-sgd"]
        assert len(levels["dp-sgd"]) >= 4
        assert [run.name for run in plan.run if (run.seed, run.mechanism) == (seed, "none")] == [f"non-private-seed-{seed}"]
    assert f"dp-sgd-noise-{plan.run[-1].noise_multiplier:g}-seed-{seeds[-1]}" == plan.run[-1].name


def test_methods_differ_in_the_mechanism_alone():
    plan = grid_of("edp-sgd").plan
    assert len({plan.training_settings(run).describe()["learning_rate"] for run in plan.run}) == 1
    assert len({str(plan.model_settings(run).describe()) for run in plan.run}) == 1
    assert len({plan.setting(run, "batch_size") for run in plan.run}) == 1


def test_the_text_is_a_study_file_of_the_same_plan():
    grid = grid_of("edp-sgd", quick=True)
    assert parse_plan(grid.text, origin="study.toml", folder=Path()) == grid.plan


def test_quick_is_smaller_and_other_data_take_the_place_of_the_corpus():
    full, quick = grid_of("edp-sgd"), grid_of("edp-sgd", quick=True)
    assert quick.seconds(quick.plan.run, examples=800) < 0.5 * full.seconds(full.plan.run, examples=2000)
    assert grid_of("edp-sgd", source="snips:somewhere").plan.data.source == "snips:somewhere"


def test_work_counts_what_is_to_do(tmp_path: Path):
    grid = grid_of("edp-sgd", quick=True)
    work = work_of(grid, tmp_path / "absent")
    assert (work.trainings, work.finished) == (len(grid.plan.run), 0)
    assert work.seconds == grid.seconds(grid.plan.run, examples=800)


def test_an_unknown_study_and_missing_data_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="did you mean 'edp-sgd'"):
        grid_of("edp-sdg")
    with pytest.raises(DataError, match="nowhere"):
        work_of(grid_of("edp-sgd", source=f"snips:{tmp_path / 'nowhere'}"), tmp_path)
