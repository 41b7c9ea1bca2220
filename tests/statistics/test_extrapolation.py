"""Simulations of the gate before extrapolation: how often it refuses what fits and what does not, and what its intervals cover."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from holdfast.audit.canaries.extrapolation import Extrapolation, Misfit, extrapolated_exposure
from holdfast.audit.canaries.skew_normal import SkewNormal, fit_skew_normal
from holdfast.core.randomness import Streams

Draw = Callable[[np.random.Generator], np.ndarray]
FAR = -4.0
"""The loss of the truth, in standard deviations from the mean of the references."""


def runs(draw: Draw, *, repeats: int, seed: int) -> list[Extrapolation]:
    rng, streams = np.random.default_rng(seed), Streams.from_seed(seed)
    return [extrapolated_exposure(FAR, draw(rng), space=10**300, streams=streams.child("run", run), draws=99) for run in range(repeats)]


def standardised(shape: float) -> SkewNormal:
    """The skew-normal law with mean 0 and standard deviation 1."""
    mean = math.sqrt(2 / math.pi) * shape / math.sqrt(1 + shape**2)
    scale = 1 / math.sqrt(1 - mean**2)
    return SkewNormal(location=-scale * mean, scale=scale, shape=shape)


def mixture(share: float, count: int) -> Draw:
    """Some values four standard deviations below the others."""
    return lambda rng: np.where(rng.random(count) < share, -4.0, 0.0) + rng.normal(size=count)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [0.0, -3.0])
def test_what_fits_is_seldom_refused_and_its_interval_covers(shape: float):
    law = standardised(shape)
    found = runs(lambda rng: law.draw(rng, 500), repeats=60, seed=1)
    refused = np.mean([run.bits is None for run in found])
    assert refused <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 60)
    true = -float(law.log_cdf(FAR)) / math.log(2)
    covered = np.mean([run.interval.low <= true <= run.interval.high for run in found if run.interval])
    assert covered >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 55)
    assert true > 9
    assert np.median([run.interval.high - run.interval.low for run in found if run.interval]) < true  # it says something


def test_what_fits_is_refused_about_as_often_as_the_level_says():
    """At a level of one half, where few runs tell much. Two independent tests at a quarter each refuse in .44 of cases."""
    law, rng, streams = standardised(-1.0), np.random.default_rng(2), Streams.from_seed(2)
    gates = [
        extrapolated_exposure(FAR, law.draw(rng, 200), space=10**9, streams=streams.child("run", run), draws=99, gate_level=0.5).gate
        for run in range(30)
    ]
    assert 0.2 <= np.mean([not gate.passed for gate in gates]) <= 0.7


@pytest.mark.parametrize("count", [300, 1000])
def test_two_hills_are_refused(count: int):
    found = runs(mixture(0.5, count), repeats=10, seed=3)
    assert all(run.bits is None for run in found)


@pytest.mark.slow
def test_a_few_values_in_the_tail_are_seen_by_the_test_of_the_tail():
    """Ten in 10,000 values lie far down. What the whole law hides the tail shows, and there a number would be read off."""
    found = runs(mixture(0.001, 10_000), repeats=10, seed=4)
    assert np.mean([run.bits is None for run in found]) >= 0.5
    assert sum(run.gate.tail <= 0.05 for run in found) > sum(run.gate.whole <= 0.05 for run in found)


def test_heavy_tails_are_refused():
    assert np.mean([run.bits is None for run in runs(lambda rng: rng.logistic(size=1000), repeats=15, seed=5)]) >= 0.7


def test_a_test_that_forgets_the_fit_refuses_too_seldom():
    """Under a law fixed beforehand the Anderson-Darling statistic passes 2.49 in 5 % of cases; after a fit it hardly ever does."""
    rng, law = np.random.default_rng(6), standardised(1.0)
    drawn = [law.draw(rng, 300) for _ in range(300)]
    fixed = [Misfit.between(values, law).whole > 2.492 for values in drawn]
    fitted = [Misfit.between(values, fit_skew_normal(values)).whole > 2.492 for values in drawn]
    assert np.mean(fixed) == pytest.approx(0.05, abs=0.04)
    assert np.mean(fitted) == 0
