"""Simulations that hold the interval of the rank correlation to its promise, and show that careless ones would fail.

A known world: seeds that shift all their runs, levels of noise, and an effect of the promise of a known size. The truth is the
average correlation within a seed, found from very many seeds. Generators are seeded, so a failure repeats.
"""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.study.reproductions.correlation import rank_correlation

REPEATS, SEEDS = 1_000, 5
ALARMS = 0.05


def two_errors(share: float, repeats: int = REPEATS) -> float:
    return 2 * math.sqrt(share * (1 - share) / repeats)


def world(levels: int, effect: float, seeds: int, *, tails: str, generator: np.random.Generator) -> np.ndarray:
    """What an attack finds, (seeds, levels): an effect of the promise, a shift of each seed, and noise of the run's own."""
    own = generator.standard_t(3, (seeds, levels)) if tails == "heavy" else generator.normal(size=(seeds, levels))
    spread = np.linspace(0.3, 2.0, levels) if tails == "uneven" else 1.0
    return effect * np.linspace(-1, 1, levels) + generator.normal(size=(seeds, 1)) + spread * own


def intervals(levels: int, effect: float, *, tails: str, seed: int) -> list:
    generator = np.random.default_rng(seed)
    promised = [2.0**level for level in range(levels)]
    return [
        rank_correlation(promised, world(levels, effect, SEEDS, tails=tails, generator=generator).tolist()).interval for _ in range(REPEATS)
    ]


@pytest.mark.parametrize("tails", ["normal", "heavy", "uneven"])
@pytest.mark.parametrize("levels", [4, 6, 12])
def test_where_nothing_goes_with_the_promise_nought_is_left_out_rarely(levels: int, tails: str):
    found = intervals(levels, 0.0, tails=tails, seed=levels)
    alarms = np.mean([not one.low <= 0 <= one.high for one in found])
    assert alarms <= ALARMS + two_errors(ALARMS)
    assert alarms > 0.01, "an interval that never leaves out 0 says nothing"


@pytest.mark.parametrize("effect", [0.5, 1.5, 4.0])
@pytest.mark.parametrize(("levels", "tails"), [(4, "normal"), (6, "normal"), (6, "uneven"), (12, "heavy")])
def test_where_something_does_the_truth_is_held(levels: int, tails: str, effect: float):
    many = world(levels, effect, 40_000, tails=tails, generator=np.random.default_rng(99))
    ranks, order = stats.rankdata(many, axis=1), np.arange(levels) - (levels - 1) / 2
    truth = float((ranks @ order).mean() / (order @ order))
    found = intervals(levels, effect, tails=tails, seed=7 * levels)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93 - two_errors(0.93)


def test_a_strong_effect_is_found():
    assert np.mean([one.low > 0 for one in intervals(6, 4.0, tails="normal", seed=3)]) > 0.95


def test_taking_runs_for_independent_would_miss_the_truth_or_the_effect():
    """The textbook interval over all runs at once, for comparison: where seeds shift their runs it covers another number."""
    generator = np.random.default_rng(5)
    levels, held = 6, 0
    many = world(levels, 4.0, 40_000, tails="normal", generator=np.random.default_rng(99))
    order = np.arange(levels) - (levels - 1) / 2
    truth = float((stats.rankdata(many, axis=1) @ order).mean() / (order @ order))
    for _ in range(300):
        found = world(levels, 4.0, SEEDS, tails="normal", generator=generator)
        rho = stats.spearmanr(np.tile(np.arange(levels), SEEDS), found.ravel()).statistic
        reach = 1.96 * math.sqrt((1 + rho**2 / 2) / (found.size - 3))
        held += math.tanh(math.atanh(rho) - reach) <= truth <= math.tanh(math.atanh(rho) + reach)
    assert held / 300 < 0.9
