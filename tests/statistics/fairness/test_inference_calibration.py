"""Simulations that hold intervals of groups and gaps to their level, and show that the usual ways would fail.

A share of `REPEATS` runs is held to two standard errors of its promise. Seeds are fixed, so a failure repeats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.inference import (
    GapResult,
    Units,
    equivalence,
    max_gap,
    max_t_band,
    minimum_detectable_difference,
    rate_label_test,
    ratio_replicates,
    worst_group,
)
from holdfast.fairness.inference.permutation import _null_hits
from holdfast.fairness.inference.settings import Inference

REPEATS, REPLICATES, LEVEL = 500, 400, 0.95
FEW = 150  # a share of .75 is seen with an error of .035, so that careless ways fall below their bounds of .88 and less
SLACK = 2 * math.sqrt(LEVEL * (1 - LEVEL) / REPEATS)
ENOUGH = LEVEL - SLACK


@dataclass(frozen=True)
class World:
    """Groups with known rates.

    Args:
        rates: Of each group.
        sizes: Rows of each group, or units where they are correlated.
        rows: Rows of a unit, on average.
        correlation: Of two rows of a unit.
    """

    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    rows: int = 1
    correlation: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Units]:
        """Members, hits and units of one data set."""
        group_u = np.repeat(np.arange(len(self.rates)), self.sizes)
        of = np.arange(len(group_u))
        rates_u = np.array(self.rates)[group_u]
        if self.correlation:
            of = np.repeat(of, np.maximum(1, rng.poisson(self.rows, len(group_u))))
            spread = 1 / self.correlation - 1
            rates_u = rng.beta(rates_u * spread, (1 - rates_u) * spread)
        hits = rng.random(len(of)) < rates_u[of]
        return np.eye(len(self.rates), dtype=bool)[group_u[of]], hits, Units(of, len(group_u), "users")

    @property
    def gap(self) -> float:
        return max(self.rates) - min(self.rates)


def equal(groups: int, rows: int, rate: float = 0.3) -> World:
    return World((rate,) * groups, (rows,) * groups)


WORLDS = {
    "2 groups of 100": equal(2, 100),
    "3 groups of 30": equal(3, 30),
    "3 groups of 100": equal(3, 100),
    "10 groups of 30": equal(10, 30),
    "10 groups of 100, rare": equal(10, 100, 0.05),
    "uneven groups": World((0.8,) * 4, (5, 30, 100, 400)),
    "2 groups, gap": World((0.3, 0.5), (60, 60)),
    "10 groups, gap": World((0.3,) * 9 + (0.5,), (100,) * 10),
    "10 groups, half and half": World((0.3,) * 5 + (0.5,) * 5, (60,) * 10),
    "2 groups of users": World((0.3, 0.3), (20, 20), 6, 0.3),
    "3 groups of users": World((0.3,) * 3, (12,) * 3, 8, 0.2),
    "2 groups of users, gap": World((0.3, 0.5), (25, 25), 6, 0.3),
}


@dataclass(frozen=True)
class Method:
    """A way from data to a band, a gap and a worst group."""

    gap: Callable[[np.ndarray, np.ndarray], GapResult]
    pseudo: float = 4.0
    by_rows: bool = False
    with_replacement: bool = False


def max_t(values: np.ndarray, replicates: np.ndarray) -> GapResult:
    return max_gap(values, replicates, level=LEVEL)


def percentile(values: np.ndarray, replicates: np.ndarray) -> GapResult:
    """What Fairlearn and most others do: quantiles of the replicates of the gap."""
    low, high = np.quantile(np.ptp(replicates, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return GapResult(float(np.ptp(values)), low, high, 0, 0, 0.0 if low > 0 else 1.0, "percentile")


def each_pair_alone(values: np.ndarray, replicates: np.ndarray) -> GapResult:
    """The interval of the difference of the two ends as if they had been chosen beforehand."""
    ends = [int(values.argmax()), int(values.argmin())]
    return max_gap(values[ends], replicates[:, ends], level=LEVEL)


METHODS = {
    "max-T": Method(max_t),
    "percentile": Method(percentile, with_replacement=True),
    "pair alone": Method(each_pair_alone),
    "rows as if alone": Method(max_t, by_rows=True),
    "not smoothed": Method(max_t, pseudo=0.0),
}


def draws_with_replacement(above: np.ndarray, below: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replicates of the ordinary bootstrap of single rows of groups that share none, (R, G): how many rows of each kind are drawn."""
    hits, misses = above.sum(0), (below & ~above).sum(0)
    kinds = np.concatenate([hits, misses])
    drawn = rng.multinomial(kinds.sum(), kinds / kinds.sum(), size=REPLICATES)
    return drawn[:, : len(hits)] / (drawn[:, : len(hits)] + drawn[:, len(hits) :])


@dataclass(frozen=True)
class Shares:
    """In which share of runs the interval held, by kind."""

    band: float
    gap: float
    worst: float
    rejected: float


@cache
def calibration(world: str, method: str = "max-T", repeats: int = REPEATS) -> Shares:
    """Simulates a world and counts how often each interval of a method holds the truth."""
    truth, how, held = WORLDS[world], METHODS[method], []
    rates = np.array(truth.rates)
    for repeat in range(repeats):
        streams = Streams.from_seed(repeat).child(world)
        members, hits, units = truth.draw(streams.generator("data"))
        units = Units.rows(len(units)) if how.by_rows else units
        above = members & hits[:, None]
        values = above.sum(0) / members.sum(0)
        rng = streams.generator("units")
        if how.with_replacement:
            replicates = draws_with_replacement(above, members, rng)
        else:
            replicates = ratio_replicates(above, members, units, replicates=REPLICATES, generator=rng, pseudo=how.pseudo)
        band = max_t_band(values, replicates, level=LEVEL)
        gap = how.gap(values, replicates)
        worst = worst_group(values, replicates, level=LEVEL, higher_is_better=True)
        inside = np.all((band.low <= rates) & (rates <= band.high))
        held.append((inside, gap.low <= truth.gap <= gap.high, worst.low <= rates.min() <= worst.high, gap.p_value <= 1 - LEVEL))
    return Shares(*np.mean(held, axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_at_least_at_their_level(world: str):
    found = calibration(world)
    assert found.gap >= ENOUGH
    assert found.band >= ENOUGH - 0.01  # one point below where the groups are small, as the docstring says
    assert found.worst >= ENOUGH - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("world", [world for world in WORLDS if not WORLDS[world].gap])
def test_the_test_of_parity_rejects_no_more_than_it_may(world: str):
    assert calibration(world).rejected <= 1 - ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("world", ["2 groups of 100", "3 groups of 100", "2 groups, gap", "2 groups of users"])
def test_intervals_are_not_wider_than_they_need_be(world: str):
    """Where two or three groups have rows enough, the gap is covered at the level, not far above."""
    assert calibration(world).gap <= 0.985


@pytest.mark.slow
def test_the_percentile_interval_of_a_gap_fails_this_table():
    shares = {
        world: calibration(world, "percentile", FEW).gap
        for world in ("2 groups of 100", "3 groups of 100", "10 groups of 30", "10 groups, gap")
    }
    assert shares["2 groups of 100"] < 0.9
    assert shares["3 groups of 100"] < 0.1
    assert shares["10 groups of 30"] == 0.0
    assert shares["10 groups, gap"] < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "method"),
    [("10 groups of 30", "pair alone"), ("2 groups of users", "rows as if alone"), ("3 groups of users", "rows as if alone")],
)
def test_other_careless_ways_fail_it_too(world: str, method: str):
    assert calibration(world, method, FEW).gap < 0.88


@pytest.mark.slow
def test_without_smoothing_bands_of_rare_events_fail_it():
    assert calibration("10 groups of 100, rare", "not smoothed", FEW).band < 0.88


@pytest.mark.slow
@pytest.mark.parametrize("world", ["3 groups of 30", "10 groups of 30", "uneven groups", "3 groups of users"])
def test_permuted_labels_reject_as_often_as_they_may(world: str):
    """4 to 6 %, within two standard errors of the number of runs."""
    rejected = []
    for repeat in range(600):
        streams = Streams.from_seed(repeat).child(world)
        members, hits, units = WORLDS[world].draw(streams.generator("data"))
        p = rate_label_test(hits, members, units, inference=Inference(permutations=199), generator=streams.generator("labels"))
        rejected.append(p <= 0.05)
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.01 + 2 * math.sqrt(0.05 * 0.95 / 600))


@pytest.mark.slow
def test_studentised_labels_find_a_gap_that_the_plain_difference_misses_and_no_more_than_that():
    """Rates .75, .4 and .7 on 40, 30 and 10 rows: the ten rows, noisy under parity, hide the gap of the other two."""
    seen = {}
    for rates in ((0.75, 0.4, 0.7), (0.6, 0.6, 0.6)):
        world, found = World(rates, (40, 30, 10)), []
        for repeat in range(1000):
            streams = Streams.from_seed(repeat).child("uneven")
            members, hits, units = world.draw(streams.generator("data"))
            p = rate_label_test(hits, members, units, inference=Inference(permutations=199), generator=streams.generator("labels"))
            null, below = _null_hits(hits, members, units, 199, streams.generator("labels"))
            plain = np.ptp(hits @ members.astype(float) / members.sum(0))
            further = (np.ptp(null / below, axis=1) >= plain - 1e-12).sum()
            found.append((p <= 0.05, (1 + further) / 200 <= 0.05))
        seen[rates] = np.mean(found, axis=0)
    power, plain = seen[0.75, 0.4, 0.7]
    assert power > 0.7 > 0.6 > plain
    assert seen[0.6, 0.6, 0.6] == pytest.approx(0.05, abs=0.01 + 2 * math.sqrt(0.05 * 0.95 / 1000))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "sizes"), [(0.5, (100, 100)), (0.3, (60, 60, 60)), (0.2, (50, 50, 400))])
def test_the_smallest_detectable_gap_is_found_as_often_as_asked(rate: float, sizes: tuple[int, ...]):
    far = minimum_detectable_difference(rate, sizes, level=LEVEL, power=0.8)
    world = World((rate - far / 2, rate + far / 2) + (rate,) * (len(sizes) - 2), sizes)
    found = []
    for repeat in range(300):
        streams = Streams.from_seed(repeat).child("power")
        members, hits, units = world.draw(streams.generator("data"))
        above = members & hits[:, None]
        replicates = ratio_replicates(above, members, units, replicates=REPLICATES, generator=streams.generator("units"))
        found.append(max_t(above.sum(0) / members.sum(0), replicates).p_value <= 1 - LEVEL)
    assert 0.75 <= np.mean(found) <= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("groups", [2, 5])
def test_a_gap_as_large_as_the_margin_is_seldom_called_fair(groups: int):
    margin = 0.1
    world = World((0.3,) * (groups - 1) + (0.3 + margin,), (400,) * groups)
    fair = []
    for repeat in range(REPEATS):
        streams = Streams.from_seed(repeat).child("margin")
        members, hits, units = world.draw(streams.generator("data"))
        above = members & hits[:, None]
        replicates = ratio_replicates(above, members, units, replicates=REPLICATES, generator=streams.generator("units"))
        gap = max_gap(above.sum(0) / members.sum(0), replicates, level=0.9)
        fair.append(equivalence(gap.low, gap.high, margin=margin) == "fair within the margin")
    assert np.mean(fair) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / REPEATS)
