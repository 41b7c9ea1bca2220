"""Intervals for a rate, for the area under a ROC curve and for points on the curve; none of them has width zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

AREA_INTERVAL = "Clopper-Pearson on as many pairs as DeLong's variance is worth"
"""How the interval of an area is made, in one phrase."""


def rate_at_least(successes: ArrayLike, trials: ArrayLike, *, alpha: float) -> Floats:
    """One-sided Clopper-Pearson: the true rate lies below this number with probability at most alpha.

    Args:
        successes: Successes seen, 0 to trials, or an array of them.
        trials: Independent trials, at least 1, or an array of them.
        alpha: Chance of error in (0, 1), for each entry by itself.

    Returns:
        Lower bounds, of the shape of the input.

    Raises:
        InputError: For successes outside 0 to trials, for no trials, or for alpha outside (0, 1).

    Guarantee:
        Exact at every number of trials: the chance of error is at most alpha, less where the binomial is coarse.

    Edge cases:
        No success gives 0. All successes give ``alpha ** (1 / trials)``, not 1.

    References:
        Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".

    >>> round(float(rate_at_least(100, 100, alpha=0.025)), 4)
    0.9638
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}; a chance of error lies strictly between 0 and 1, such as .05")
    hits, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if np.any(n < 1) or np.any(hits < 0) or np.any(hits > n):
        raise InputError(f"{hits} successes in {n} trials: give at least one trial, and successes between 0 and the trials")
    some = np.where(hits > 0, hits, 1.0)  # the beta law below has no meaning at 0 successes, where the answer is 0
    return np.asarray(np.where(hits > 0, special.betaincinv(some, n - some + 1, alpha), 0.0), dtype=np.float64)


def rate_at_most(successes: ArrayLike, trials: ArrayLike, *, alpha: float) -> Floats:
    """One-sided Clopper-Pearson: the true rate lies above this number with probability at most alpha.

    Arguments, errors, guarantee and reference as in `rate_at_least`. No success gives ``1 - alpha ** (1 / trials)``, not 0.

    >>> round(float(rate_at_most(0, 100, alpha=0.025)), 4)
    0.0362
    """
    n = np.asarray(trials, dtype=np.float64)
    return 1.0 - rate_at_least(n - np.asarray(successes, dtype=np.float64), n, alpha=alpha)


@dataclass(frozen=True, kw_only=True)
class Area:
    """The area under a ROC curve: the chance that a random member scores above a random non-member, ties counting half.

    Args:
        value: The area, in [0, 1].
        from_members: What the choice of members adds to its sampling variance.
        from_nonmembers: What the choice of non-members adds.
        members: n1, at least 2.
        nonmembers: n0, at least 2.
    """

    value: float
    from_members: float
    from_nonmembers: float
    members: int
    nonmembers: int

    @classmethod
    def between(cls, members: Floats, nonmembers: Floats) -> Self:
        """Measures the area by Mann-Whitney and its variance by DeLong, in O(n log n).

        Args:
            members: Scores (n1,), finite, n1 >= 2.
            nonmembers: Scores (n0,), finite, n0 >= 2.

        References:
            DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated ROC curves".
        """
        beaten = _share_below(members, nonmembers)
        beating = 1.0 - _share_below(nonmembers, members)
        return cls(
            value=float(beaten.mean()),
            from_members=float(beaten.var(ddof=1) / members.size),
            from_nonmembers=float(beating.var(ddof=1) / nonmembers.size),
            members=members.size,
            nonmembers=nonmembers.size,
        )

    @property
    def variance(self) -> float:
        """The sampling variance of the area after DeLong."""
        return self.from_members + self.from_nonmembers

    @property
    def rows(self) -> int:
        """Members and non-members together."""
        return self.members + self.nonmembers

    def interval(self, *, level: float = 0.95) -> Interval:
        """A confidence interval that holds on a side of few rows, near an area of 1 and with ties.

        An area is a share of pairs won. Were the pairs independent, Clopper-Pearson would bound it; so it is applied to as
        many pairs as would give the area the variance that it has, see `_pairs`.

        Args:
            level: Coverage in (0, 1).

        Guarantee:
            No proof for finite n. In simulations of fifteen laws (equal, wider and narrower spread, mixtures, losses, rare
            members that stand out or hide, rounded scores, scores of two values), areas from .5 to .995 and 5 to 1,000 rows
            on each side, no interval of level .95 covered in fewer than .936 of cases, and none of level .99 in fewer than
            .978. It is conservative where a side has 20 rows or fewer: .98 and more at level .95. DeLong's variance on the
            logit scale, which is common, covers in .88 of cases with 20 rows on one side and an area of .95, and in .06 in
            the worst case seen.

        Edge cases:
            Where the sides do not overlap, or all scores are equal, the interval is that of Clopper-Pearson for as many pairs
            as the smaller side has rows, not a single point. At an area of 1 with 1,000 rows on each side it is [.9963, 1].

        References:
            Clopper-Pearson with an effective number of trials: Korn and Graubard 1998, "Confidence intervals for proportions
            with small expected number of positive counts estimated from survey data", Survey Methodology 24, 193-201.
        """
        alpha = 1 - level
        pairs = self._pairs(alpha)
        won = self.value * pairs
        low, high = rate_at_least(won, pairs, alpha=alpha / 2), rate_at_most(won, pairs, alpha=alpha / 2)
        return Interval(low=float(low), high=float(high), level=level, method=AREA_INTERVAL)

    def _pairs(self, alpha: float) -> float:
        """How many independent pairs would tell as much of the area as these rows do.

        A variance estimated from few rows is itself in doubt, and too small where the rare row that counts was not drawn. So
        each side's spread, as a share of the largest that the area allows, is averaged with the largest one, which weighs as
        much as one row among the rows that can tell (fewer, the nearer the area is to 0 or 1), and Student's t is taken for
        the normal law. The pairs are never fewer than the rows of the smaller side: so many disjoint pairs can be formed.
        """
        most = self.value * (1 - self.value)
        fewest = min(self.members, self.nonmembers)
        if self.variance == 0 or most == 0:  # nothing is known of the spread
            return fewest
        sides = ((self.from_members, self.members), (self.from_nonmembers, self.nonmembers))
        parts = [(min(part * n / most, 1) * (telling := 2 * math.sqrt(most) * n) + 1) / (telling + 1) / n for part, n in sides]
        freedom = sum(parts) ** 2 / sum(part**2 / n for part, (_, n) in zip(parts, sides, strict=True))
        wider = special.stdtrit(freedom, 1 - alpha / 2) / special.ndtri(1 - alpha / 2)
        return max(float(fewest), 1 / (sum(parts) * float(wider) ** 2))


def _share_below(scores: Floats, others: Floats) -> Floats:
    """For each score, the share of the others below it, ties counting half."""
    ordered = np.sort(others)
    return np.asarray((np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * others.size))


@dataclass(frozen=True, kw_only=True)
class Band:
    """Lower and upper ends of an interval at each of several points.

    Args:
        low: Lower ends, (points,).
        high: Upper ends, (points,).
    """

    low: Floats
    high: Floats


def tpr_band(members: Floats, nonmembers: Floats, fprs: Floats, *, level: float = 0.95) -> Band:
    """Bounds the true positive rate at each false positive rate, whatever law the scores follow.

    Two things are uncertain: where the threshold of that false positive rate lies, which the non-members tell, and which
    share of all members lies above it, which the members tell. A binomial interval for the rank of the threshold among the
    non-members is joined with a Clopper-Pearson interval for the members, each at half the chance of error.

    Args:
        members: Scores (n1,).
        nonmembers: Scores (n0,).
        fprs: False positive rates (points,), in [0, 1].
        level: Confidence at each point by itself.

    Guarantee:
        Coverage is at least `level` at every n, for any laws and with ties, if all scores are independent and each side is
        drawn from one law. It is conservative: in simulations about .99 at level .95.

    Edge cases:
        The band is never empty or a single point. At a false positive rate of 0 the lower end is 0: that none of n0
        non-members was accused does not show that none ever is.
    """
    tail = (1 - level) / 4
    falling, ordered = np.sort(nonmembers)[::-1], np.sort(members)
    fewest, most = _binomial_quantile(tail, nonmembers.size, fprs), _binomial_quantile(1 - tail, nonmembers.size, fprs)
    thresholds = np.concatenate([[np.inf], falling, [-np.inf]])  # entry k is the k-th largest score, counted from 1
    surely = members.size - np.searchsorted(ordered, thresholds[fewest], "right")
    perhaps = members.size - np.searchsorted(ordered, thresholds[most + 1], "right")
    return Band(low=rate_at_least(surely, members.size, alpha=tail), high=rate_at_most(perhaps, members.size, alpha=tail))


def _binomial_quantile(share: float, trials: int, rates: Floats) -> Integers:
    """The smallest k with P[Binomial(trials, rate) <= k] >= share, for each rate."""
    inner = np.clip(rates, 1e-12, 1 - 1e-12)
    k = np.ceil(special.bdtrik(share, trials, inner))
    below = np.maximum(k - 1, 0)
    k = np.where(special.bdtr(below, trials, inner) >= share, below, k)
    return np.where(rates <= 0, 0, np.where(rates >= 1, trials, np.clip(k, 0, trials))).astype(np.int64)
