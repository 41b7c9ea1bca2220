"""Rules that published tools use and this library does not: re-implemented here to show what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from harness import Row
from scipy import special

from audit_calibration.rules import Rule
from audit_calibration.worlds import SIDE, coins, laplace, of_area
from holdfast.audit.intervals import Area, rate_at_most
from holdfast.audit.roc import OperatingPoints
from holdfast.core.randomness import Streams

NOTE = "not shipped: for comparison"
Ratio = tuple[np.ndarray, np.ndarray]
HIGHEST = rate_at_most(np.arange(SIDE + 1), SIDE, alpha=0.025)  # Clopper-Pearson for each count
TWO_SIDED, ONE_SIDED = float(special.ndtri(0.975)), float(special.ndtri(0.95))
FEWEST = 10
"""Non-members accused that a ratio must rest on to be plugged in."""


def ratios(rng: np.random.Generator, how_many: int) -> list[Ratio]:
    """Counts over `SIDE` above and below the line of each ratio, at every threshold."""
    points = OperatingPoints.of(*laplace(0)(rng))
    found, accused = points.positives, points.negatives
    return [(found, accused), (SIDE - accused, SIDE - found), (accused, found), (SIDE - found, SIDE - accused)][:how_many]


def best_clopper_pearson(rng: np.random.Generator, how_many: int) -> bool:
    return any(np.any(1 - HIGHEST[SIDE - above] > HIGHEST[below]) for above, below in ratios(rng, how_many))


def best_katz(rng: np.random.Generator, how_many: int) -> bool:
    """The lower end of the logarithm of a ratio by its normal law, which few counts do not follow."""

    def alarms(above: np.ndarray, below: np.ndarray) -> bool:
        kept = (above > 0) & (below > 0)
        above, below = above[kept], below[kept]
        deviation = np.sqrt(1 / above - 1 / SIDE + 1 / below - 1 / SIDE)
        return bool(np.any((np.log(above / below) - ONE_SIDED * deviation > 0) & (deviation > 0)))

    return any(alarms(*one) for one in ratios(rng, how_many))


def plug_in(rng: np.random.Generator) -> float:
    """The largest logarithm of TPR over FPR, with no thought of chance."""
    [(found, accused)] = ratios(rng, 1)
    kept = accused >= FEWEST
    return float(np.log(np.max(found[kept] / accused[kept])))


def best_sweep(rng: np.random.Generator, canaries: int) -> bool:
    """One run: every (k+, k-) on a grid of sqrt(m) steps is tried on the same scores, and the best bound kept."""
    scores, included = coins(laplace(0, canaries, canaries))(rng)
    inside = included[np.argsort(scores)]
    steps = np.arange(0, canaries // 2 + 1, int(np.sqrt(canaries)))
    top = np.concatenate([[0], np.cumsum(inside[::-1])])[steps]
    bottom = np.concatenate([[0], np.cumsum(~inside)])[steps]
    guessed, right = steps[:, None] + steps, top[:, None] + bottom
    kept = right > 0
    v, r = right[kept], guessed[kept]
    return bool(np.any(special.betainc(v, r - v + 1, 0.5) < 0.05))


def logit_delong(area: float, n1: int, n0: int) -> Callable[[np.random.Generator], bool]:
    """The common interval of an area; a single point where the variance is 0."""
    draw = of_area(area, n1, n0)

    def missed(rng: np.random.Generator) -> bool:
        found = Area.between(*draw(rng))
        if found.variance == 0:
            return True
        width = TWO_SIDED * np.sqrt(found.variance) / (found.value * (1 - found.value))
        return bool(abs(special.logit(found.value) - special.logit(area)) > width)

    return missed


def careless_rules() -> Iterator[Rule]:
    """Each raises false alarms, or misses, more often than it says."""
    world = "no leakage"
    for how_many, words in ((1, "one ratio"), (4, "four ratios")):
        for name, rule in (("Clopper-Pearson", best_clopper_pearson), ("Katz-log", best_katz)):
            yield Rule(
                world=world,
                name=f"best of all thresholds, {name}, {words}",
                note=NOTE,
                alarm=lambda rng, rule=rule, how_many=how_many: rule(rng, how_many),
            )
    yield Rule(world=world, name="largest log ratio, plugged in", note=NOTE, alarm=lambda rng: plug_in(rng) > 0)
    for canaries in (SIDE, 4 * SIDE):
        yield Rule(
            world=f"no leakage, one run, {canaries} canaries",
            name="best (k+, k-) of a grid",
            note=NOTE,
            alarm=lambda rng, canaries=canaries: best_sweep(rng, canaries),
        )
    for area, n1, n0 in ((0.5, SIDE, SIDE), (0.5, 20, SIDE), (0.95, 20, SIDE), (0.995, 20, SIDE), (0.95, 5, SIDE)):
        yield Rule(
            world=f"area {area:g}, {n1} and {n0} rows",
            name="DeLong on the logit scale",
            metric="interval misses",
            note=NOTE,
            alarm=logit_delong(area, n1, n0),
        )


def plug_in_rows(repeats: int) -> list[Row]:
    """How large the plugged-in ratio is on pure noise."""
    streams = Streams(0)
    found = [plug_in(streams.generator("calibration plug-in", number)) for number in range(repeats)]
    figures = {"mean": float(np.mean(found)), "95th percentile": float(np.quantile(found, 0.95))}
    note = f"{NOTE}; the truth is 0; thresholds that accuse fewer than {FEWEST} non-members are left out"
    return [
        Row(
            bench="calibration", case="no leakage", engine="largest log ratio, plugged in", metric=name, value=value, unit="nats", note=note
        )
        for name, value in figures.items()
    ]
