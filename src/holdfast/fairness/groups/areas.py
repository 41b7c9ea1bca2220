"""Areas under ROC curves between a group and everybody else, for weighted rows, from ranks that are sorted once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.fairness.inference import Units
from holdfast.fairness.inference.bootstrap import unit_weights

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

AREAS = ("subgroup_auc", "bpsn_auc", "bnsp_auc", "positive_aeg", "negative_aeg")
"""What is measured of each group: three areas and two average equality gaps."""

BLOCK = 400_000
"""Weights that are summed up at once: few enough that their cumulative sums stay near the processor."""


@dataclass(frozen=True, eq=False)
class AreasByGroup:
    """Areas of each group, for one or more weightings of the rows.

    Args:
        overall: Area of all rows, (B,).
        by_group: One (B, G) for each name in `AREAS`; NaN where a side has no weight.
    """

    overall: Floats
    by_group: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class RankedScores:
    """Scores in ascending order, with all places that weighted areas need.

    Ties count half. Background of a group are all rows that are not in it.

    Args:
        order: Place of each sorted row in what was given, (n,).
        positive: Who is positive, sorted, (n,).
        first: Where the ties of each sorted row begin, (n,).
        last: Where they end, exclusive, (n,).
        rows: The sorted rows of every group, one group after the other, (m,).
        firsts: As `first`, among the rows of the same group, (m,), counted from the beginning of `rows`.
        lasts: As `last`, likewise, (m,).
        ends: Where each group begins in `rows`, and the end, (G + 1,).
    """

    order: Places
    positive: NDArray[np.bool_]
    first: Places
    last: Places
    rows: Places
    firsts: Places
    lasts: Places
    ends: Places

    @classmethod
    def of(cls, scores_n: Floats, positive_n: NDArray[np.bool_], members_nG: NDArray[np.bool_]) -> Self:
        """Sorts.

        Args:
            scores_n: Higher means more likely positive.
            positive_n: Who is positive.
            members_nG: Who belongs to which group.
        """
        order = np.argsort(scores_n, kind="stable")
        sorted_n, members = scores_n[order], members_nG[order]
        of_groups = [np.flatnonzero(members[:, group]) for group in range(members.shape[1])]
        ends = np.cumsum([0, *map(len, of_groups)])
        ties = [_ties(sorted_n[rows], start) for rows, start in zip(of_groups, ends[:-1], strict=True)]
        empty = np.empty(0, dtype=np.int64)
        return cls(
            order.astype(np.int64),
            positive_n[order],
            *_ties(sorted_n, 0),
            np.concatenate([empty, *of_groups]),
            np.concatenate([empty, *(first for first, _ in ties)]),
            np.concatenate([empty, *(last for _, last in ties)]),
            ends.astype(np.int64),
        )

    def areas(self, weights_Bn: Floats | None = None) -> AreasByGroup:
        """Measures areas.

        Args:
            weights_Bn: How often each row counts, in the order in which rows were given, for each of B weightings; once where None.

        Edge cases:
            An area between two sides one of which has no weight is NaN.
        """
        given = np.ones((1, len(self.order))) if weights_Bn is None else weights_Bn
        weights = np.take(np.asarray(given, dtype=np.float64), self.order, axis=1)
        sides = [weights * self.positive, weights * ~self.positive]
        below = [_below(_cumulative(side), self.first, self.last) for side in sides]
        totals = [side.sum(1) for side in sides]
        overall = _share(_dot(sides[0], below[1]), totals[0] * totals[1])
        return AreasByGroup(overall, self._by_group(sides, below, totals))

    def _by_group(self, sides: list[Floats], below: list[Floats], totals: list[Floats]) -> dict[str, Floats]:
        """Areas of every group from weights of positive and of negative rows, sorted, what weighs below each row, and all weight."""
        everybody = [np.take(side, self.rows, axis=1) for side in below]
        own = [np.take(side, self.rows, axis=1) for side in sides]
        inside = [_cumulative(side) for side in own]
        within = [_below(total, self.firsts, self.lasts) for total in inside]
        count = len(self.ends) - 1
        found = {name: np.full((len(sides[0]), count), np.nan) for name in AREAS}
        for group in range(count):
            start, end = self.ends[group], self.ends[group + 1]
            part = slice(start, end)
            group_p, group_n = (total[:, end] - total[:, start] for total in inside)
            rest_p, rest_n = totals[0] - group_p, totals[1] - group_n
            weight_p, weight_n = (side[:, part] for side in own)
            group_below_p, group_below_n = (total[:, part] - at[:, start, None] for total, at in zip(within, inside, strict=True))
            rest_below_p, rest_below_n = (total[:, part] - at for total, at in zip(everybody, (group_below_p, group_below_n), strict=True))
            found["subgroup_auc"][:, group] = _share(_dot(weight_p, group_below_n), group_p * group_n)
            found["bnsp_auc"][:, group] = _share(_dot(weight_p, rest_below_n), group_p * rest_n)
            found["bpsn_auc"][:, group] = 1 - _share(_dot(weight_n, rest_below_p), group_n * rest_p)
            found["positive_aeg"][:, group] = _share(_dot(weight_p, rest_below_p), group_p * rest_p) - 0.5
            found["negative_aeg"][:, group] = _share(_dot(weight_n, rest_below_n), group_n * rest_n) - 0.5
        return found

    def replicates(self, units: Units, *, replicates: int, generator: np.random.Generator) -> AreasByGroup:
        """Areas of bootstrap replicates: whole units are drawn with replacement, and every area of one replicate is of the same draw.

        Args:
            units: Which rows hang together.
            replicates: How many.
            generator: Where the draws come from.

        Returns:
            Areas for B = replicates weightings.
        """
        blocks = [self.areas(weights) for weights in _row_weights(units, replicates, generator)]
        by_group = {name: np.concatenate([block.by_group[name] for block in blocks]) for name in AREAS}
        return AreasByGroup(np.concatenate([block.overall for block in blocks]), by_group)


def _row_weights(units: Units, replicates: int, generator: np.random.Generator) -> Iterator[Floats]:
    """How often each row is drawn, a few replicates at a time."""
    step = max(1, BLOCK // max(len(units), 1))
    for draws in unit_weights(units, replicates=replicates, generator=generator):
        for start in range(0, len(draws), step):
            block = draws[start : start + step]
            yield block.astype(np.float64) if units.single else np.take(block, units.of, axis=1).astype(np.float64)


def _ties(sorted_n: Floats, offset: int) -> tuple[Places, Places]:
    """Where the ties of each sorted score begin and end, counted from `offset`."""
    return np.searchsorted(sorted_n, sorted_n, "left") + offset, np.searchsorted(sorted_n, sorted_n, "right") + offset


def _cumulative(weights_Bn: Floats) -> Floats:
    """Sums of all before, (B, n + 1)."""
    sums = np.zeros((weights_Bn.shape[0], weights_Bn.shape[1] + 1))
    np.cumsum(weights_Bn, axis=1, out=sums[:, 1:])
    return sums


def _below(sums_Bn: Floats, first: Places, last: Places) -> Floats:
    """What weighs below each row, ties half, from cumulative sums."""
    if len(first) == sums_Bn.shape[1] - 1 and np.array_equal(last, first + 1):  # no ties: nothing to look up
        return 0.5 * (sums_Bn[:, :-1] + sums_Bn[:, 1:])
    return 0.5 * (np.take(sums_Bn, first, axis=1) + np.take(sums_Bn, last, axis=1))


def _dot(one_Bm: Floats, other_Bm: Floats) -> Floats:
    found: Floats = np.einsum("bm,bm->b", one_Bm, other_Bm)
    return found


def _share(above: Floats, below: Floats) -> Floats:
    """A ratio that is NaN where nothing stands below."""
    found: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return found
