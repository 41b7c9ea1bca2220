"""How often intervals hold the truth and tests reject it, in worlds whose truth is known; what is usually done stands beside ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.fairness.association.contextual import averaged, sampled
from holdfast.fairness.inference import (
    Inference,
    Units,
    max_gap,
    max_t_band,
    partition_test,
    rate_label_test,
    ratio_replicates,
    sign_flip_test,
    unit_weights,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEVEL, REPLICATES, PERMUTATIONS = 0.95, 400, 399
FEW = Inference(replicates=100, permutations=PERMUTATIONS, exact_up_to=0)
NAMES = tuple(tuple(f"{side}{place}" for place in range(8)) for side in "xyab")


@dataclass(frozen=True, kw_only=True)
class Share:
    """In which share of worlds something happened.

    Args:
        world: What was drawn.
        method: What was done with it.
        event: "covers" or "rejects".
        nominal: The share that is promised: at least for an interval, at most for a test.
        share: That was seen.
        worlds: How many were drawn.
    """

    world: str
    method: str
    event: str
    nominal: float
    share: float
    worlds: int

    @property
    def error(self) -> float:
        """The Monte-Carlo standard error, at the share that is promised where all or no worlds are alike."""
        at = self.share if 0 < self.share < 1 else self.nominal
        return math.sqrt(at * (1 - at) / self.worlds)

    @property
    def kept(self) -> bool:
        """Whether the promise is kept to within three standard errors, those at the share that is promised."""
        slack = 3 * math.sqrt(self.nominal * (1 - self.nominal) / self.worlds)
        return bool(self.share >= self.nominal - slack if self.event == "covers" else self.share <= self.nominal + slack)


@dataclass(frozen=True)
class World:
    """Groups with known rates.

    Args:
        rates: Of each group.
        sizes: Rows of each, or units where they are correlated.
        rows: Rows of a unit, on average.
        correlation: Of two rows of a unit.
    """

    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    rows: int = 1
    correlation: float = 0.0

    @property
    def gap(self) -> float:
        """Highest less lowest rate."""
        return max(self.rates) - min(self.rates)

    def draw(self, rng: np.random.Generator) -> tuple[Bools, Bools, Units]:
        """Members (n, G), hits (n,) and units of one data set."""
        group_u = np.repeat(np.arange(len(self.rates)), self.sizes)
        of, rate_u = np.arange(len(group_u)), np.array(self.rates)[group_u]
        if self.correlation:
            of = np.repeat(of, np.maximum(1, rng.poisson(self.rows, len(group_u))))
            spread = 1 / self.correlation - 1
            rate_u = rng.beta(rate_u * spread, (1 - rate_u) * spread)
        hits: Bools = rng.random(len(of)) < rate_u[of]
        return np.eye(len(self.rates), dtype=bool)[group_u[of]], hits, Units(of, len(group_u), "users")


WORLDS = {
    "2 equal groups of 100": World((0.3,) * 2, (100,) * 2),
    "3 equal groups of 100": World((0.3,) * 3, (100,) * 3),
    "10 equal groups of 100": World((0.3,) * 10, (100,) * 10),
    "10 groups of 100, one .2 higher": World((0.3,) * 9 + (0.5,), (100,) * 10),
    "3 equal groups of 12 users, 8 rows each": World((0.3,) * 3, (12,) * 3, 8, 0.2),
    "2 groups of 25 users, .2 apart": World((0.3, 0.5), (25, 25), 6, 0.3),
}


def with_replacement(above: Bools, below: Bools, units: Units, rng: np.random.Generator) -> Floats:
    """Replicates of the ordinary bootstrap of units, (R, G)."""
    sums = [np.stack([np.bincount(units.of, weights=c, minlength=units.count) for c in side.T], axis=1) for side in (above, below)]
    weights = np.concatenate(list(unit_weights(units, replicates=REPLICATES, generator=rng)))
    found: Floats = (weights @ sums[0]) / (weights @ sums[1])
    return found


def gaps(name: str, worlds: int) -> Iterator[Share]:
    """The gap of one world: by max-T and by percentiles, and the test of parity where there is parity."""
    truth, rates = WORLDS[name], np.array(WORLDS[name].rates)
    counts = dict.fromkeys(("band", "gap", "percentile", "rows", "within", "labels"), 0)
    for number in range(worlds):
        streams = Streams.from_seed(number).child(f"calibration {name}")
        members, hits, units = truth.draw(streams.generator("data"))
        above = members & hits[:, None]
        values = above.sum(0) / members.sum(0)
        drawn = ratio_replicates(above, members, units, replicates=REPLICATES, generator=streams.generator("units"))
        band, gap = max_t_band(values, drawn, level=LEVEL), max_gap(values, drawn, level=LEVEL)
        counts["band"] += bool(np.all((band.low <= rates) & (rates <= band.high)))
        counts["gap"] += gap.low <= truth.gap <= gap.high
        for way, resampled in (("percentile", units), ("rows", Units.rows(len(units)))):
            if way == "percentile" or truth.correlation:
                plain = with_replacement(above, members, resampled, streams.generator("with replacement"))
                counts[way] += _percentiles_hold(plain, truth.gap)
        if not truth.correlation:
            sizes = members.sum(0)
            within = streams.generator("within groups").binomial(sizes, values, size=(REPLICATES, len(sizes))) / sizes
            counts["within"] += _percentiles_hold(within, truth.gap)
        if not truth.gap:
            counts["labels"] += rate_label_test(hits, members, units, inference=FEW, generator=streams.generator("labels")) <= 1 - LEVEL
    told = {"band": "rates of all groups, max-T", "gap": "gap, max-T", "percentile": "gap, percentile bootstrap"}
    rows = {"rows": "gap, percentile bootstrap of rows"}
    told |= rows if truth.correlation else {"within": "gap, percentile bootstrap within groups"}
    for way, method in told.items():
        yield Share(world=name, method=method, event="covers", nominal=LEVEL, share=counts[way] / worlds, worlds=worlds)
    if not truth.gap:
        share = counts["labels"] / worlds
        yield Share(world=name, method="permuted labels", event="rejects", nominal=1 - LEVEL, share=share, worlds=worlds)


def _percentiles_hold(replicates_RG: Floats, gap: float) -> bool:
    low, high = np.quantile(np.ptp(replicates_RG, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bool(low <= gap <= high)


def tests(worlds: int) -> Iterator[Share]:
    """Permutation tests where nothing is to be found, and drawing words with replacement, as wefe does."""
    counts = dict.fromkeys(("exact", "drawn", "replacement", "signs"), 0)
    for number in range(worlds):
        streams = Streams.from_seed(number).child("calibration of tests")
        rng = streams.generator("data")
        scores, first = rng.standard_t(3, 10), np.arange(10) < 5
        for way, limit in (("exact", 1000), ("drawn", 0)):
            inference = Inference(permutations=PERMUTATIONS, exact_up_to=limit)
            tested = partition_test(scores, first, inference=inference, generator=streams.generator(way))
            counts[way] += tested.p_value <= 1 - LEVEL
        other = scores[streams.generator("replacement").integers(0, 10, size=(PERMUTATIONS, 10))]
        further = (other[:, :5].sum(1) - other[:, 5:].sum(1) > scores[:5].sum() - scores[5:].sum()).sum()
        counts["replacement"] += (1 + further) / (1 + PERMUTATIONS) <= 1 - LEVEL
        differences = rng.normal(size=12) * np.exp(2 * rng.normal(size=12))
        counts["signs"] += sign_flip_test(differences, inference=FEW, generator=streams.generator("signs")) <= 1 - LEVEL
    words, pairs = "2 x 5 words without association", "12 symmetric differences, heavy tails"
    told = (
        ("exact", words, "all partitions"),
        ("drawn", words, f"{PERMUTATIONS} drawn partitions"),
        ("replacement", words, "words drawn with replacement"),
        ("signs", pairs, f"{PERMUTATIONS} sign flips"),
    )
    for way, world, method in told:
        yield Share(world=world, method=method, event="rejects", nominal=1 - LEVEL, share=counts[way] / worlds, worlds=worlds)


def contexts(worlds: int) -> Iterator[Share]:
    """CEAT on random words in noisy contexts: as published, with the right variance, and with words as units."""
    counts = dict.fromkeys(("paper", "hedges", "words"), 0)
    for number in range(worlds):
        streams = Streams.from_seed(number).child("calibration of contexts")
        rng = streams.generator("data")
        given = [[_unit(rng.normal(size=20) + 0.5 * rng.normal(size=(12, 20))) for _ in range(8)] for _ in range(4)]
        drawn = sampled(given, samples=500, generator=streams.generator("contexts"), jackknife=False)
        for way in ("paper", "hedges"):
            found = drawn.combined(variance=way)  # type: ignore[arg-type]  # one of the two
            counts[way] += found is not None and found.two_tailed <= 1 - LEVEL
        cosines = averaged(given, words=NAMES)
        tested = partition_test(cosines.scores, cosines.first, inference=FEW, generator=streams.generator("words"), alternative="two-sided")
        counts["words"] += tested.p_value <= 1 - LEVEL
    told = {"paper": "CEAT as published, N = 500", "hedges": "CEAT, Hedges' variance, N = 500", "words": "whole words permuted"}
    for way, method in told.items():
        world = "4 x 8 random words in 12 contexts"
        yield Share(world=world, method=method, event="rejects", nominal=1 - LEVEL, share=counts[way] / worlds, worlds=worlds)


def _unit(rows: Floats) -> Floats:
    found: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def calibration(worlds: int, told: Callable[[str], None] = lambda _: None) -> list[Share]:
    """All shares.

    Args:
        worlds: How many of each to draw; of contexts, which take longest, a third.
        told: Hears what is being drawn.
    """
    found: list[Share] = []
    for name in WORLDS:
        told(name)
        found += gaps(name, worlds)
    told("tests")
    found += tests(worlds)
    told("contexts")
    return found + list(contexts(max(2, worlds // 3)))
