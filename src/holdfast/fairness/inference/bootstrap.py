"""Bootstrap replicates that draw whole units: counts of draws, and ratios of sums for all groups at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.core.errors import InputError
from holdfast.fairness.inference.settings import Units

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PSEUDO = 4.0
"""Pseudo-rows that smooth the share of a group, half of them hits: the 4 of Agresti and Coull's interval at level .95."""
BLOCK = 2**21
"""Numbers that a block of weights may hold."""


def unit_weights(units: Units, *, replicates: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Draws units with replacement, block by block.

    Args:
        units: Which rows hang together; at least one unit.
        replicates: How many draws of all units, at least 1.
        generator: The source of randomness.

    Yields:
        How often each unit was drawn, (r, count), int64; a row sums to the count of units. The r of all blocks sum to `replicates`.

    Raises:
        InputError: For no unit or no replicate.
    """
    _positive(units, replicates)
    step = max(1, BLOCK // units.count)
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        drawn = generator.integers(0, units.count, size=(size, units.count))
        drawn += np.arange(size)[:, None] * units.count
        yield np.bincount(drawn.ravel(), minlength=size * units.count).reshape(size, units.count)


def _positive(units: Units, replicates: int) -> None:
    if units.count < 1 or replicates < 1:
        raise InputError(f"{units.count} units ({units.what}) and {replicates} replicates: give at least one of each")


def ratio_replicates(
    above_nG: ArrayLike,
    below_nG: ArrayLike,
    units: Units,
    *,
    replicates: int,
    generator: np.random.Generator,
    pseudo: float = PSEUDO,
) -> Floats:
    """Replicates of a ratio of sums for each group, such as a rate, with the spread that the ratio has by the choice of units.

    Each replicate weighs whole units by independent exponential draws (the Bayesian bootstrap) and all groups by the same ones,
    so groups that share rows move together. Rows that add the same are weighed together, by one gamma draw, so that many
    thousand rows of a few kinds cost what the few kinds cost.

    Args:
        above_nG: What each row adds to the numerator of each group, (n, G), such as ``members & hit[:, None]``.
        below_nG: What it adds to the denominator, (n, G).
        units: Which rows hang together.
        replicates: R, at least 1.
        generator: The source of randomness.
        pseudo: Pseudo-rows by which shares are smoothed, at least 0; 0 for the plain bootstrap.

    Returns:
        Ratios, (R, G), in [0, 1] for shares. A column is NaN where the group has no denominator, and where it is no share and has
        fewer than two units, so that its spread cannot be told.

    Raises:
        InputError: For shapes that do not fit, no unit or no replicate.

    Guarantee:
        None for finite n. With `max_t_band` and `max_gap` at level .95, simulations in tests/statistics/fairness hold the coverage
        for 2 to 10 groups of 30 to 100 rows, equal or .2 apart, of single rows and of correlated ones.

    Edge cases:
        A share (a row counts 0 or 1, and hits only where it counts) with no hits, or nothing but hits, would have replicates that
        are all alike. So a share is smoothed: its replicates centre on that of `pseudo` further rows, half of them hits (Agresti
        and Coull). Several groups get some more at their pooled share, as many as the square of z grows with their number, less the
        more the groups differ (as James and Stein shrink). Replicates are therefore not centred on the share as seen: `max_t_band`
        and `max_gap` know. Rows that hang together tell less than single ones, so pseudo-rows are multiplied by the design effect;
        where it cannot be told it is taken as that of rows that are all alike within a unit.
        The spread of few units is itself in doubt: except for single rows of a share, replicates are stretched as Student's t is,
        and by what exponential weights lose.

    References:
        Rubin 1981, "The Bayesian bootstrap"; Agresti and Coull 1998, "Approximate is better than 'exact' for interval estimation of
        binomial proportions"; Agresti and Caffo 2000 for differences; Korn and Graubard 1998 for effective rows of clusters.
    """
    above, below = np.asarray(above_nG), np.asarray(below_nG)
    if above.shape != below.shape or above.ndim != 2 or len(above) != len(units):
        raise InputError(f"above of shape {above.shape}, below of shape {below.shape}, {len(units)} rows in units: give (n, G) twice")
    _positive(units, replicates)
    table, counts = _table(above, below, units, generator)
    facts = _facts(table, counts, _shares(above, below))
    won, lost = _pseudo_rows(facts, pseudo)
    groups = len(facts.share)
    sums = _weighted(table, counts, replicates=replicates, generator=generator)
    wins = facts.design * generator.standard_gamma(won, (replicates, groups))
    losses = facts.design * generator.standard_gamma(lost, (replicates, groups))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (sums[:, :groups] + wins) / (sums[:, groups:] + wins + losses)
        place = (facts.above + facts.design * won) / (facts.below + facts.design * (won + lost))
    if not (units.single and facts.share.all()):
        ratios = place + (ratios - place) * _stretch(facts, units, replicates, generator)
    known = (facts.below != 0) & (facts.share | (facts.units >= 2))
    return np.asarray(np.where(known, np.where(facts.share, np.clip(ratios, 0, 1), ratios), np.nan))


@dataclass(frozen=True, eq=False)
class _Facts:
    """What is known of each group before any draw, each (G,)."""

    share: Bools
    above: Floats
    below: Floats
    units: Floats
    design: Floats
    """How many rows tell as much as one independent row would, at least 1."""


def _facts(table_U2G: Floats, counts_U: Floats, share_G: Bools) -> _Facts:
    above, below = np.split(table_U2G, 2, axis=1)
    total_above, total_below = counts_U @ above, counts_U @ below
    units = counts_U @ (below != 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = total_above / total_below
        largest = np.maximum(counts_U @ below**2 / total_below, 1.0)
        left = (counts_U @ (above - rate * below) ** 2) * units / (units - 1)
        design = left / (rate * (1 - rate) * total_below)
    design = np.where(np.isfinite(design), np.clip(design, 1.0, largest), largest)
    return _Facts(share_G, total_above, total_below, units, np.where(np.isfinite(design), design, 1.0))


def _pseudo_rows(facts: _Facts, pseudo: float) -> tuple[Floats, Floats]:
    """Pseudo-rows that hit and that miss, (G,) each, in independent rows."""
    if pseudo < 0:
        raise InputError(f"{pseudo} pseudo-rows: give at least 0; 4 is usual and 0 is the plain bootstrap")
    counted = facts.share * pseudo
    alike = facts.share & (facts.below > 0)
    many = int(alike.sum())
    if not pseudo or many < 2:
        return counted / 2, counted / 2
    above, below = facts.above[alike], facts.below[alike]
    pooled = (above.sum() + pseudo / 2) / (below.sum() + pseudo)
    apart = float(((above / below - pooled) ** 2 * below / facts.design[alike]).sum() / (pooled * (1 - pooled)))
    further = max(0.0, float(special.ndtri(1 - 0.025 / many)) ** 2 - pseudo) * min(1.0, (many - 1) / max(apart, 1e-9))
    return counted / 2 + facts.share * further * pooled, counted / 2 + facts.share * further * (1 - pooled)


def _stretch(facts: _Facts, units: Units, replicates: int, generator: np.random.Generator) -> Floats:
    """By how much each deviation grows, (R, G): Student's t for the normal law, and the variance that exponential weights lose."""
    freedom = np.maximum(facts.units - 1, 1)
    drawn = generator.chisquare(freedom, (replicates, len(freedom)))
    if (facts.units == units.count).all():  # the same units speak of every group, so one doubt is shared
        drawn[:] = drawn[:, :1]
    grown = np.sqrt(freedom / drawn * (facts.units + 1) / freedom)
    return np.asarray(np.where(facts.share & units.single, 1.0, grown))


def _shares(above: NDArray[np.generic], below: NDArray[np.generic]) -> Bools:
    """Whether each group's ratio is a share of rows: every row counts 0 or 1, and hits only where it counts."""
    if above.dtype == np.bool_ and below.dtype == np.bool_:
        return ~np.asarray((above.astype(bool) & ~below.astype(bool)).any(0))
    a, b = above.astype(np.float64), below.astype(np.float64)
    return np.asarray((((a == 0) | (a == b)) & ((b == 0) | (b == 1))).all(0))


def _table(above: NDArray[np.generic], below: NDArray[np.generic], units: Units, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """What each kind of unit adds to the 2 G sums, (U, 2 G), and how many units are of that kind, (U,)."""
    rows = np.concatenate([above, below], axis=1).astype(np.float64)
    if not units.single:
        rows = np.stack([np.bincount(units.of, weights=column, minlength=units.count) for column in rows.T], axis=1)
    places = generator.random(rows.shape[1]) + 0.5  # kinds that differ land on different numbers
    _, first, counts = np.unique(rows @ places, return_index=True, return_counts=True)
    if len(first) > len(rows) / 4:
        return rows, np.ones(len(rows))
    return rows[first], counts.astype(np.float64)


def _weighted(table_U2G: Floats, counts_U: Floats, *, replicates: int, generator: np.random.Generator) -> Floats:
    """The 2 G sums of each replicate, (R, 2 G)."""
    step, alone = max(1, BLOCK // len(counts_U)), bool((counts_U == 1).all())
    found = []
    for start in range(0, replicates, step):
        shape = (min(step, replicates - start), len(counts_U))
        weights = generator.standard_exponential(shape) if alone else generator.standard_gamma(counts_U, shape)
        found.append(weights @ table_U2G)
    return np.concatenate(found)
