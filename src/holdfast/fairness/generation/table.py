"""A number for each group with intervals that hold together, the gap between groups, and a test by permuting prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.evidence import Direction
from holdfast.core.randomness import Streams
from holdfast.fairness.inference.bootstrap import ratio_replicates
from holdfast.fairness.inference.measured import Measured, gap_measured
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.inference.simultaneous import Band, GapResult, estimable, max_t_band, worst_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK = 2**18
"""Numbers that a block of permutations may hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantity:
    """What is measured of each group: a ratio of sums over its rows, such as a share or a mean.

    Args:
        name: Of the estimate, such as "negative_sentiment_share".
        unit: Of it.
        direction: Which way is better.
        above: What each row adds to the numerator, (n,).
        below: What it adds to the denominator, (n,); 0 for a row that does not count.
        bounds: The least and the largest value that there can be.
        says: How it was measured, in one phrase.
        missing: Why a group without a denominator has no value; ``{n}`` is the number of its rows.
        seen: Rows in which the quantity can be seen at all, (n,); a group without one has no value. Those of `below` where None.
        compared: Whether groups are compared in it.
    """

    name: str
    unit: str
    direction: Direction
    above: Floats
    below: Floats
    bounds: tuple[float, float]
    says: str
    missing: str = "no text of this group was rated"
    seen: Floats | None = None
    compared: bool = True

    @classmethod
    def share(cls, name: str, hits_n: ArrayLike, *, direction: Direction, says: str) -> Quantity:
        """The share of rows for which something holds."""
        hits = np.asarray(hits_n, dtype=np.float64)
        return cls(name=name, unit="share", direction=direction, above=hits, below=np.ones(len(hits)), bounds=(0.0, 1.0), says=says)


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupTable:
    """What was found of one quantity. G groups.

    Args:
        values: Of each group, (G,); NaN where it has none.
        replicates: Bootstrap replicates, (R, G).
        band: Simultaneous intervals of the groups.
        rows: How many rows each group has, (G,).
        units: How many prompts (or names) each has, (G,).
        counted: Places of the groups that have a value; gaps are between them.
        gap: Highest minus lowest of them; None where fewer than two have a value, or where they are not compared.
        worst: The worst of them; None also where no direction is better.
        ends: Places of the worst and the best group; (-1, -1) without a gap.
    """

    values: Floats
    replicates: Floats
    band: Band
    rows: Ints
    units: Ints
    counted: Ints
    gap: Measured | None
    worst: GapResult | None
    ends: tuple[int, int]


def group_table(
    quantity: Quantity, group_n: Ints, names: Sequence[str], units: Units, *, inference: Inference, streams: Streams
) -> GroupTable:
    """Measures a quantity by group.

    Args:
        quantity: What.
        group_n: The group of each row, (n,), in [0, G).
        names: Of the G groups.
        units: Which rows hang together; all rows of a unit are of one group.
        inference: How intervals and tests are made.
        streams: Where replicates and permutations come from.

    Guarantee:
        A group without a row, whose rows add nothing to the denominator, or in none of whose rows the quantity can be seen, has no
        value; it never counts as 0.
    """
    groups = len(names)
    members_nG = one_hot(group_n, groups)
    above, below = members_nG * quantity.above[:, None], members_nG * quantity.below[:, None]
    seen = below if quantity.seen is None else members_nG * quantity.seen[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(seen.sum(0) > 0, above.sum(0) / below.sum(0), np.nan)
    replicates = np.full((inference.replicates, groups), np.nan)
    if len(group_n):
        drawn = ratio_replicates(above, below, units, replicates=inference.replicates, generator=streams.generator("replicates"))
        replicates = np.where(np.isnan(values), np.nan, drawn)
    of_units = np.zeros(units.count, dtype=np.int64)
    of_units[units.of] = group_n
    counted = estimable(values)
    band = max_t_band(values, replicates, level=inference.level, bounds=quantity.bounds)
    rows, unit_counts = np.bincount(group_n, minlength=groups), np.bincount(of_units, minlength=groups)
    table = GroupTable(
        values=values, replicates=replicates, band=band, rows=rows, units=unit_counts, counted=counted, gap=None, worst=None, ends=(-1, -1)
    )
    if not quantity.compared or len(counted) < 2:
        return table
    inside = np.isin(of_units, counted)
    generator = streams.generator("permutations")
    p_value = permutation_p(_by_unit(quantity, units)[inside], of_units[inside], groups, inference=inference, generator=generator)
    return _compared(table, quantity, names, units.what, p_value, inference)


def _compared(table: GroupTable, quantity: Quantity, names: Sequence[str], what: str, p_value: float, inference: Inference) -> GroupTable:
    values, replicates = table.values[table.counted], table.replicates[:, table.counted]
    better = quantity.direction != "lower is better"
    gap = gap_measured(
        values,
        replicates,
        names=[names[place] for place in table.counted],
        sizes=[int(table.rows[place]) for place in table.counted],
        inference=inference,
        share=quantity.bounds == (0.0, 1.0),
        p_value=p_value,
        test=f"permutation of {what} over groups, {inference.permutations} draws, dispersion of the groups",
        units=int(table.units[table.counted].sum()),
        resampled=what,
        higher_is_better=better,
    )
    worst = None
    if quantity.direction != "neither":
        worst = worst_group(values, replicates, level=inference.level, higher_is_better=better)
    low, high = int(table.counted[values.argmin()]), int(table.counted[values.argmax()])
    return replace(table, gap=gap, worst=worst, ends=(low, high) if better else (high, low))


def _by_unit(quantity: Quantity, units: Units) -> Floats:
    sums = [np.bincount(units.of, weights=column, minlength=units.count) for column in (quantity.above, quantity.below)]
    return np.stack(sums, axis=1)


def permutation_p(sums_U2: Floats, group_U: Ints, groups: int, *, inference: Inference, generator: np.random.Generator) -> float:
    """Tests whether groups are alike, by dealing whole units out to them anew.

    The statistic is the sum over groups of below * (above / below - overall)², so that small groups do not drown the others.

    Args:
        sums_U2: What each unit adds to numerator and denominator, (U, 2).
        group_U: The group of each unit, (U,).
        groups: G.
        inference: How many permutations.
        generator: Where they come from.

    Returns:
        (1 + hits) / (1 + permutations), in (0, 1].
    """
    counts = sums_U2[:, 1] > 0  # a unit that counts nowhere moves nothing
    sums, group_U = sums_U2[counts], group_U[counts]
    overall = sums[:, 0].sum() / sums[:, 1].sum()
    centred = np.stack([sums[:, 0] - overall * sums[:, 1], sums[:, 1]], axis=1)
    sizes = np.bincount(group_U, minlength=groups)
    sizes = sizes[sizes > 0]
    order = np.argsort(group_U, kind="stable")
    seen = float(_dispersion(np.add.reduceat(centred[order], np.cumsum([0, *sizes[:-1]]), axis=0)[None])[0])
    hits, edge = 0, 1e-9 * max(seen, 1e-300)
    for dealt in _dealt(centred, sizes, inference.permutations, generator):
        hits += int((_dispersion(dealt) >= seen - edge).sum())
    return (1 + hits) / (1 + inference.permutations)


def _dealt(rows_U2: Floats, sizes_G: Ints, draws: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Sums over groups after whole units were dealt out at random, block by block, (B, G, 2).

    Most units say the same, such as "no toxic text": only how many of the others fall to each group is drawn, and then which.
    """
    kinds, of, counts = np.unique(rows_U2, axis=0, return_inverse=True, return_counts=True)
    common = kinds[counts.argmax()]
    others = rows_U2[of.ravel() != counts.argmax()] - common
    step = max(1, _BLOCK // max(1, len(others)))
    for start in range(0, draws, step):
        block = min(step, draws - start)
        fall_BG = generator.multivariate_hypergeometric(sizes_G, len(others), size=block, method="marginals")
        yield _shuffled_sums(others, fall_BG, generator) + sizes_G[None, :, None] * common


def _shuffled_sums(others_n2: Floats, fall_BG: Ints, generator: np.random.Generator) -> Floats:
    """Sums of rows in random order over groups of these sizes, (B, G, 2)."""
    block, groups = fall_BG.shape
    found = np.zeros((block, groups, 2))
    ends = np.concatenate([np.zeros((block, 1), dtype=np.int64), fall_BG.cumsum(1)], axis=1)
    moving = [column for column in (0, 1) if others_n2[:, column].any()]
    order = np.tile(np.arange(len(others_n2)), (block, 1)) if len(moving) > 1 else None
    places = None if order is None else generator.permuted(order, axis=1)
    for column in moving:
        values = others_n2[:, column]
        running = np.zeros((block, len(values) + 1))
        mixed = generator.permuted(np.tile(values, (block, 1)), axis=1) if places is None else values[places]
        np.cumsum(mixed, axis=1, out=running[:, 1:])
        found[:, :, column] = np.diff(np.take_along_axis(running, ends, axis=1), axis=1)
    return found


def _dispersion(sums_BG2: Floats) -> Floats:
    return np.asarray((sums_BG2[:, :, 0] ** 2 / sums_BG2[:, :, 1]).sum(1))


def one_hot(group_n: Ints, groups: int) -> NDArray[np.bool_]:
    """Who belongs to which group, (n, G)."""
    return np.asarray(group_n[:, None] == np.arange(groups)[None, :], dtype=np.bool_)
