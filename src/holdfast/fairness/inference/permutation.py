"""Permutation tests: counted where that can be done, drawn without replacement elsewhere, and never a p-value of 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.inference.settings import Inference, Units

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Alternative = Literal["greater", "less", "two-sided"]

WIDTH = 12
"""Scores in one table of subset sums: its 4,096 entries stay in the cache."""
WIDEST = 44
"""Scores that can be counted exactly: two tables of 2^22 subset sums."""
MOST_BITS = 62
"""Groups whose memberships fit into one whole number."""

BLOCK = 2**21
"""Numbers that a block of permutations may hold."""


class PartitionResult(NamedTuple):
    """What a partition test found.

    Args:
        p_value: In (0, 1].
        partitions: How many were looked at; where the test is exact the observed one is among them.
        exact: Whether those were all there are.
    """

    p_value: float
    partitions: int
    exact: bool

    @property
    def test(self) -> str:
        """The same in words, without the alternative."""
        return f"{'exact' if self.exact else 'random'} permutation, {self.partitions} partitions"


def partition_test(
    scores_n: ArrayLike,
    in_first_n: ArrayLike,
    *,
    inference: Inference,
    generator: np.random.Generator,
    alternative: Alternative = "greater",
    exact: bool | None = None,
) -> PartitionResult:
    """Tests whether the scores of a first set are higher on average than those of the rest, over all ways to choose the set.

    Args:
        scores_n: One score for each word, (n,), finite.
        in_first_n: Which belong to the first set, (n,), bool; at least one does and one does not.
        inference: How many partitions are counted at most, and how many are drawn where there are more.
        generator: The source of randomness, not touched where the test is exact.
        alternative: "greater" where the first set is suspected of higher scores.
        exact: True to count all whatever their number (up to 44 scores), False to draw, None to follow `inference`.

    Raises:
        InputError: For scores that are not finite, an empty set, or more scores than can be counted.

    Guarantee:
        If all ways to choose the set are alike likely, the p-value is at most alpha with chance at most alpha, for every alpha.
        Each drawn partition takes words without replacement, and all of its size are alike likely; p = (1 + as extreme) / (1 + drawn).

    Edge cases:
        Partitions as extreme as the observed one count as more extreme (conservative). The sum of the first set decides: with the
        total fixed it orders partitions as the difference of the two means does, for sets of unequal size too. "two-sided" counts
        how far that sum is from its mean, to either side.

    References:
        Caliskan, Bryson and Narayanan 2017, "Semantics derived automatically from language corpora contain human-like biases";
        Phipson and Smyth 2010, "Permutation p-values should never be zero". Counting in two halves: Horowitz and Sahni 1974.
    """
    scores, first = np.asarray(scores_n, dtype=np.float64), np.asarray(in_first_n, dtype=bool)
    n, size = len(scores), int(first.sum())
    if scores.shape != (n,) or first.shape != (n,) or not np.isfinite(scores).all() or not 0 < size < n:
        raise InputError(f"scores of shape {scores.shape} with {size} in the first set: give (n,) finite scores, and some in and some out")
    total = math.comb(n, size)
    counted = total <= inference.exact_up_to if exact is None else exact
    if counted and n > WIDEST:
        raise InputError(f"an exact test of {n} scores: at most {WIDEST} can be counted; leave `exact` out to draw partitions")
    centred = scores - scores.mean()
    seen, edge = float(centred[first].sum()), 1e-12 * float(np.abs(centred).sum())
    if counted:
        return PartitionResult(_counted(centred, size, seen, edge, alternative) / total, total, True)
    sums = _drawn_sums(centred, size, inference.permutations, generator)
    return PartitionResult((1 + _tail(sums, seen, edge, alternative)) / (1 + len(sums)), len(sums), False)


def _tail(sums: Floats, seen: float, edge: float, alternative: Alternative) -> int:
    if alternative == "two-sided":
        return int((np.abs(sums) >= abs(seen) - edge).sum())
    return int((sums >= seen - edge).sum() if alternative == "greater" else (sums <= seen + edge).sum())


def _subsets(values: Floats) -> tuple[Floats, Integers]:
    """The sum of every subset, (2^k,), and how many values it holds."""
    sums, sizes = np.zeros(1), np.zeros(1, dtype=np.int64)
    for value in values:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    return sums, sizes


def _counted(values: Floats, size: int, seen: float, edge: float, alternative: Alternative) -> int:
    """How many subsets of that size are as extreme, by joining the subsets of two halves."""
    if alternative == "two-sided":
        far = abs(seen)
        if far <= edge:
            return math.comb(len(values), size)
        return _counted(values, size, far, edge, "greater") + _counted(values, size, -far, edge, "less")
    if alternative == "less":
        return _counted(-values, size, -seen, edge, "greater")
    half = len(values) // 2
    (left, left_sizes), (right, right_sizes) = _subsets(values[:half]), _subsets(values[half:])
    found = 0
    for inside in range(max(0, size - len(values) + half), min(half, size) + 1):
        others = np.sort(right[right_sizes == size - inside])
        wanted = np.sort(seen - edge - left[left_sizes == inside])  # in order, the search runs along the cache
        found += int((len(others) - np.searchsorted(others, wanted, "left")).sum())
    return found


def _drawn_sums(values: Floats, size: int, draws: int, generator: np.random.Generator) -> Floats:
    """Sums of random subsets of that size: block by block, how many values lie in it, then which, looked up in a table."""
    left, wanted, sums = len(values), np.full(draws, size), np.zeros(draws)
    for start in range(0, len(values), WIDTH):
        block = values[start : start + WIDTH]
        rest = left - len(block)
        inside = generator.hypergeometric(len(block), rest, wanted) if rest else wanted
        table, sizes = _subsets(block)
        counts = np.bincount(sizes, minlength=len(block) + 1)
        begins = np.cumsum(counts) - counts
        which = begins[inside] + (generator.random(draws) * counts[inside]).astype(np.int64)
        sums += table[np.argsort(sizes, kind="stable")][which]
        left, wanted = rest, wanted - inside
    return sums


def sign_flip_test(
    differences_u: ArrayLike, *, inference: Inference, generator: np.random.Generator, alternative: Alternative = "two-sided"
) -> float:
    """Tests whether paired differences are symmetric around 0, by flipping their signs.

    Args:
        differences_u: One difference for each unit, (u,), finite: sum or average the rows of a unit first.
        inference: How many flips are counted at most, and how many are drawn where there are more.
        generator: The source of randomness, not touched where the test is exact.
        alternative: "greater" where the differences are suspected to lie above 0.

    Returns:
        The p-value, in (0, 1]; 1 where no unit differs, NaN without a unit.

    Raises:
        InputError: For differences that are not finite.

    Guarantee:
        If each difference is as likely as its negative, independently over units, the p-value is below alpha with chance at most alpha.

    Edge cases:
        Differences of 0 stay in and change nothing. Six units that differ can at best give 2 / 2^6 = .031 two-sided: fewer never reach .05.

    References:
        Fisher 1935, "The design of experiments", section 21; Phipson and Smyth 2010.
    """
    differences = np.asarray(differences_u, dtype=np.float64)
    if differences.ndim != 1 or not np.isfinite(differences).all():
        raise InputError(f"differences of shape {differences.shape}, or not all finite: give (u,), one number for each unit")
    if not len(differences):
        return math.nan
    seen, edge = float(differences.sum()), 1e-12 * float(np.abs(differences).sum())
    moving = differences[differences != 0]
    if len(moving) < 60 and 2 ** len(moving) <= inference.exact_up_to:
        sums = 2 * _subsets(moving)[0] - moving.sum()
        return _tail(sums, seen, edge, alternative) / len(sums)
    sums = np.zeros(inference.permutations)
    for start in range(0, len(moving), WIDTH):
        block = moving[start : start + WIDTH]
        sums += (2 * _subsets(block)[0] - block.sum())[generator.integers(0, 2 ** len(block), len(sums))]
    return (1 + _tail(sums, seen, edge, alternative)) / (1 + len(sums))


def group_label_test(
    statistic: Callable[[Bools], float],
    members_nG: Bools,
    units: Units,
    *,
    inference: Inference,
    generator: np.random.Generator,
) -> float:
    """Tests whether groups are alike, by permuting who belongs to which.

    Where all rows of every unit belong to the same groups, units exchange what they belong to. Where a unit has rows of several
    groups, as a template filled for each has, rows exchange it within their unit, and units of one group alone say nothing.

    Args:
        statistic: What grows with the gap, as a function of members, (n, G); called once for each permutation.
        members_nG: Who belongs to which group, (n, G). Leave out rows that the statistic does not count, such as those of negative
            label for a true positive rate: else labels move between rows that are not alike under parity either.
        units: Which rows hang together.
        inference: How many permutations are drawn.
        generator: The source of randomness.

    Returns:
        The p-value, in (0, 1]; NaN where the statistic is.

    Raises:
        InputError: For members that are not one row for each row of the units.

    Guarantee:
        If rows are exchangeable between groups as described, the p-value is at most alpha with chance at most alpha. That asks more
        than equal rates do: groups with equal rates that differ otherwise, as in the size of their units, may be told apart.

    Edge cases:
        A permutation whose statistic is NaN counts as extreme (conservative).

    References:
        Pesarin and Salmaso 2010, "Permutation tests for complex data"; Phipson and Smyth 2010; DiCiccio et al. 2020, "Evaluating fairness
        using permutation tests".
    """
    _fitting(members_nG, units)
    seen = float(statistic(members_nG))
    if math.isnan(seen):
        return math.nan
    edge, further = seen - 1e-12 * max(1.0, abs(seen)), 0
    for sources in _sources(members_nG, units, inference.permutations, generator):
        further += not statistic(members_nG[sources]) < edge
    return (1 + further) / (1 + inference.permutations)


def _fitting(members_nG: Bools, units: Units) -> None:
    if members_nG.ndim != 2 or len(members_nG) != len(units) or not len(units):
        raise InputError(f"members of shape {members_nG.shape} for {len(units)} rows of {units.what}: give (n, G), n at least 1")


def _leaders(units: Units) -> Integers:
    """One row of each unit, (count,); 0 for a unit without rows."""
    leaders = np.zeros(units.count, dtype=np.int64)
    leaders[units.of] = np.arange(len(units.of))
    return leaders


def _sources(members_nG: Bools, units: Units, times: int, generator: np.random.Generator) -> Iterator[Integers]:
    """For each permutation, the row from which each row takes its membership, (n,)."""
    leaders = _leaders(units)
    if (members_nG != members_nG[leaders[units.of]]).any():
        order = np.argsort(units.of, kind="stable")
        for _ in range(times):
            sources = np.empty(len(order), dtype=np.int64)
            sources[order] = order[np.lexsort((generator.random(len(order)), units.of[order]))]
            yield sources
        return
    present = np.unique(units.of)
    for _ in range(times):
        taken = leaders.copy()
        taken[present] = leaders[generator.permutation(present)]
        yield taken[units.of]


def rate_label_test(
    hits_n: ArrayLike,
    members_nG: Bools,
    units: Units,
    *,
    inference: Inference,
    generator: np.random.Generator,
    counted_n: ArrayLike | None = None,
) -> float:
    """The test of `group_label_test` on the largest studentised difference of two rates, a thousand times as fast for single rows.

    Each difference is divided by sqrt(1 / n + 1 / m), n and m the rows of the two groups, so that the noise of the smallest groups does
    not hide what the large ones show.

    Args:
        hits_n: Which rows are hits, (n,), bool.
        members_nG: Who belongs to which group, (n, G).
        units: Which rows hang together.
        inference: How many permutations are drawn.
        generator: The source of randomness.
        counted_n: Which rows count at all, (n,), bool, such as those of positive label for a true positive rate; all where None. Labels are
            permuted among those alone.

    Returns:
        The p-value, in (0, 1]; NaN where a group has no row that counts.

    Guarantee:
        As in `group_label_test`. In simulations of 2 to 10 groups, of equal and of unequal size, .05 rejected in .04 to .06 of runs
        without a difference. With rates .75, .4 and .7 on 40, 30 and 10 rows it rejected in .78 of runs, and the plain
        difference of the highest and the lowest rate in .52.

    Edge cases:
        The overall rate stays as it is under permuted labels of single rows, so the pooled variance would change nothing and is left out.
        Two groups of single rows have the p-value of the plain difference.

    References:
        Chung and Romano 2013, "Exact and asymptotically robust permutation tests", for why statistics are studentised.
    """
    _fitting(members_nG, units)
    hits = np.asarray(hits_n, dtype=bool)
    if counted_n is not None:
        kept = np.asarray(counted_n, dtype=bool)
        hits, members_nG, units = hits[kept], members_nG[kept], Units(units.of[kept], units.count, units.what)
    sizes = members_nG.sum(0)
    if not sizes.all() or not len(sizes):
        return math.nan

    above = _null_hits(hits, members_nG, units, inference.permutations, generator)
    null = _distance(*above)
    seen = _distance(hits.astype(np.float64) @ members_nG, sizes)
    return (1 + int((null >= seen - 1e-12 * max(1.0, float(seen))).sum())) / (1 + inference.permutations)


def _distance(above_RG: ArrayLike, below_RG: ArrayLike) -> Floats:
    """The largest difference of two rates in units of sqrt(1 / n + 1 / m), (R,)."""
    below = np.asarray(below_RG, dtype=np.float64)
    rates, parts = np.asarray(above_RG, dtype=np.float64) / below, 1 / below
    largest = np.zeros(rates.shape[:-1])
    for place in range(1, rates.shape[-1]):
        away = np.abs(rates[..., :place] - rates[..., place, None]) / np.sqrt(parts[..., :place] + parts[..., place, None])
        largest = np.maximum(largest, away.max(-1))
    return np.asarray(largest)


def _null_hits(hits: Bools, members_nG: Bools, units: Units, times: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Hits and rows of each group under permuted labels, (R, G) each."""
    kinds, kind_n = _kinds(members_nG)
    alone = bool((np.bincount(units.of, minlength=1) <= 1).all())
    of = np.arange(len(units.of)) if alone else np.unique(units.of, return_inverse=True)[1]
    count = int(of.max()) + 1
    rows_uk = np.zeros((count, len(kinds)), dtype=np.int64)
    np.add.at(rows_uk, (of, kind_n), 1)
    hits_u = np.bincount(of, weights=hits).astype(np.int64)
    if count < len(of) and ((rows_uk > 0).sum(1) == 1).all():  # whole units exchange their labels
        labels_uG = kinds[rows_uk.argmax(1)].astype(np.float64)
        return _exchanged(np.stack([hits_u, rows_uk.sum(1)]), labels_uG, times, generator)
    if count == len(of):  # single rows are one unit within which all exchange their labels
        rows_uk, hits_u = rows_uk.sum(0, keepdims=True), hits_u.sum(keepdims=True)
    drawn = np.zeros((times, len(kinds)), dtype=np.int64)
    for rows_k, hit in zip(rows_uk, hits_u, strict=True):
        drawn += generator.multivariate_hypergeometric(rows_k, int(hit), size=times, method="marginals")
    return (drawn @ kinds).astype(np.float64), np.broadcast_to(members_nG.sum(0).astype(np.float64), (times, members_nG.shape[1]))


def _kinds(members_nG: Bools) -> tuple[Bools, Integers]:
    """The different rows of memberships, in the order of their bits, and which of them each row is."""
    groups = members_nG.shape[1]
    if groups > MOST_BITS:
        kinds, of = np.unique(members_nG, axis=0, return_inverse=True)
        return kinds, of.reshape(-1)
    codes = members_nG @ (1 << np.arange(groups - 1, -1, -1, dtype=np.int64))  # sorting whole rows takes twenty times as long
    _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    return members_nG[first], of


def _exchanged(sums_2u: Integers, labels_uG: Floats, times: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """The two sums over the units of each group, with the units' labels permuted, (R, G) each."""
    count = len(labels_uG)
    found: list[Floats] = []
    for start in range(0, times, max(1, BLOCK // count)):
        size = min(max(1, BLOCK // count), times - start)
        order = generator.permuted(np.broadcast_to(np.arange(count), (size, count)), axis=1)
        found.append(sums_2u[:, order] @ labels_uG)
    above, below = np.concatenate(found, axis=1)
    return above, below
