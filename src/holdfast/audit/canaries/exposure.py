"""Rank and exposure of a secret: how low the loss of the truth lies among the losses of all fills, exactly or from a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from holdfast.audit.intervals import Floats, rate_at_least, rate_at_most
from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval

MOST_SPACE = 10**300
"""No space may be larger: a rank in it must be a finite number."""

EXACT_BELOW = 10**12
"""Above this size of a space the null mean is taken from Stirling's series, whose error is then far below rounding."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How low the loss of a secret's truth lies among the losses of its space.

    Everything is derived from one count, which may come from an enumeration or from references drawn uniformly and with
    replacement, independently of the truth.

    Args:
        space: |R|, the number of fills that the secret was drawn from, uniformly.
        at_or_below: How many fills have a loss of at most that of the truth. Enumerated: the truth is one of them, so at
            least 1. Sampled: k, how many of the references; from 0.
        references: N, how many were drawn; None where all of the space was enumerated.
        level: Coverage of the intervals of a sample, in (0, 1).

    Raises:
        InputError: For a count outside its range, a level outside (0, 1), or as many references as the space has fills.

    Guarantee:
        If the model does not depend on the secret, ``P[p_value <= t] <= t`` for every t, whatever the model finds likely: given
        the model the truth is a uniform draw, and at most r fills have a rank of r or less. With references the truth and they
        are drawn alike, so that its place among them is uniform, or higher with ties.

    Edge cases:
        Ties count against the attack: a fill with the same loss counts as lower. A constant model gives the worst rank, an
        exposure of 0 and a p-value of 1. No reference at or below the truth gives the most bits that so many references can
        show, and an interval that reaches to the bits of the space.

    References:
        Carlini, Liu, Erlingsson, Kos, Song 2019, "The secret sharer: evaluating and testing unintended memorization in neural
        networks", arXiv 1802.08232, definitions of rank and exposure, and its estimate by sampling. There the estimate is
        log2 N - log2 (1 + k); here N + 1 stands for N, which adds 1.44 / N bits. So exposure is always minus log2 of the
        p-value, never negative, and its null law is known exactly.

    >>> found = Exposure(space=10_000, at_or_below=3)
    >>> found.rank, round(found.bits, 2), found.p_value
    (3.0, 11.7, 0.0003)
    """

    space: int
    at_or_below: int
    references: int | None = None
    level: float = 0.95

    def __post_init__(self) -> None:
        _check_space(self.space)
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; a coverage lies strictly between 0 and 1, such as .95")
        if self.references is None:
            if not 1 <= self.at_or_below <= self.space:
                raise InputError(f"rank is {self.at_or_below} in a space of {self.space} fills; it lies between 1 and their number")
            return
        if not 1 <= self.references < self.space:
            raise InputError(
                f"{self.references} references for a space of {self.space} fills; draw at least 1, or enumerate a space this small"
            )
        if not 0 <= self.at_or_below <= self.references:
            raise InputError(f"{self.at_or_below} of {self.references} references lie at or below the truth; give a part of them")

    @property
    def sampled(self) -> bool:
        """Whether the count comes from references instead of all fills."""
        return self.references is not None

    @property
    def outcomes(self) -> int:
        """How many p-values there can be, all equally likely if the model knows nothing and no losses tie: |R| or N + 1."""
        return self.space if self.references is None else self.references + 1

    @property
    def place(self) -> int:
        """The truth's place among the outcomes, from 1, the best: its rank, or k + 1."""
        return self.at_or_below if self.references is None else self.at_or_below + 1

    @property
    def rank(self) -> float:
        """The rank of the truth, from 1 to |R|; from a sample the estimate |R| k / N.

        The estimate is unbiased, but for being held to 1 where no reference lies at or below the truth.
        """
        return float(self.at_or_below) if self.references is None else max(1.0, self.at_or_below / self.references * self.space)

    @property
    def p_value(self) -> float:
        """The chance of such a rank or a better one if the model knew nothing of the secret: rank / |R|, or (k + 1) / (N + 1)."""
        return self.place / self.outcomes

    @property
    def bits(self) -> float:
        """Exposure, from 0 to `most_bits`: how many bits the model takes off the search for the truth."""
        return math.log2(self.outcomes) - math.log2(self.place)

    @property
    def most_bits(self) -> float:
        """The exposure of a truth that lies below all else: log2 |R|, or log2 (N + 1) from a sample, which sees no more."""
        return math.log2(self.outcomes)

    @property
    def null_mean(self) -> float:
        """What exposure is on average, in bits, if the model knows nothing."""
        return null_mean_exposure(self.outcomes)

    @property
    def rank_interval(self) -> Interval | None:
        """Clopper-Pearson for the rank; None where it is known exactly."""
        if self.references is None:
            return None
        k, n, alpha = self.at_or_below, self.references, 1 - self.level
        low, high = float(rate_at_least(k, n, alpha=alpha / 2)), float(rate_at_most(k, n, alpha=alpha / 2))
        return Interval(low=max(1.0, low * self.space), high=max(1.0, high * self.space), level=self.level, method=self._interval)

    @property
    def bits_interval(self) -> Interval | None:
        """For the exposure that an enumeration would show, from the interval of the rank; None where that is known exactly."""
        ranks = self.rank_interval
        if ranks is None:
            return None
        bits = math.log2(self.space)
        low, high = max(0.0, bits - math.log2(ranks.high)), bits - math.log2(ranks.low)
        return Interval(low=low, high=high, level=self.level, method=self._interval)

    @property
    def method(self) -> str:
        """How the rank was found, in one phrase."""
        if self.references is None:
            return f"exact: all {self.space:,} fills enumerated, ties count as lower"
        return f"sampled: {self.references:,} fills drawn uniformly with replacement, ties count as lower"

    @property
    def _interval(self) -> str:
        return f"Clopper-Pearson on {self.references:,} references"


def exact_exposure(losses: ArrayLike, *, truth: int, tolerance: float = 0.0) -> Exposure:
    """Exposure by enumeration.

    Args:
        losses: The losses of all fills (|R|,), in nats; infinite ones are allowed.
        truth: Where the truth stands among them. Its loss is not passed by itself: computed in another batch it may differ in
            the last digit from the loss of the same fill.
        tolerance: In nats, at least 0: a fill that lies above the truth by no more counts as tied. It only ever worsens the
            rank, so the p-value stays valid. Give 1e-6 or so for a model that should tie but rounds.

    Raises:
        InputError: For no losses, a loss that is not a number, a truth outside, or a tolerance below 0.

    >>> exact_exposure([0.9, 0.2, 0.7, 0.2], truth=1).rank
    2.0
    """
    values = _losses(losses, "fills")
    if not 0 <= truth < values.size:
        raise InputError(f"the truth is fill {truth} of {values.size}; give its index, from 0 to {values.size - 1}")
    return Exposure(space=values.size, at_or_below=_count(values, float(values[truth]), tolerance))


def sampled_exposure(truth: float, references: ArrayLike, *, space: int, tolerance: float = 0.0, level: float = 0.95) -> Exposure:
    """Exposure estimated from references.

    Args:
        truth: The loss of the truth, in nats.
        references: The losses of N fills (N,) drawn uniformly with replacement from all of the space, the truth included.
        space: |R|, more than N.
        tolerance: As in `exact_exposure`. Worth giving here, because the truth's own loss comes from another batch than that
            of a reference equal to it.
        level: Coverage of the intervals.

    Raises:
        InputError: For a loss that is not a number, a tolerance below 0, or what `Exposure` refuses.

    >>> found = sampled_exposure(0.2, [0.9, 0.1, 0.7, 0.8], space=10_000)
    >>> found.rank, found.p_value
    (2500.0, 0.4)
    """
    values = _losses(references, "references")
    if math.isnan(truth):
        raise InputError("the loss of the truth is not a number; look for a model that diverged")
    return Exposure(space=space, at_or_below=_count(values, truth, tolerance), references=values.size, level=level)


def null_mean_exposure(space: int) -> float:
    """The mean of exposure over a secret that the model knows nothing of, without ties.

    Args:
        space: |R|, at least 1; N + 1 for an exposure estimated from N references.

    Returns:
        ``log2 |R| - log2(|R|!) / |R|``, in bits: 0 for a single fill, towards ``1 / ln 2 = 1.443`` for many.

    Raises:
        InputError: For a space outside 1 to `MOST_SPACE`.

    >>> round(null_mean_exposure(10), 3), round(null_mean_exposure(10_000), 3)
    (1.143, 1.442)
    """
    _check_space(space)
    if space > EXACT_BELOW:
        return (1 - math.log(2 * math.pi * space) / (2 * space)) / math.log(2)
    return max(0.0, math.log2(space) - float(special.gammaln(space + 1)) / (space * math.log(2)))


def _losses(given: ArrayLike, what: str) -> Floats:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"losses of the {what} have shape {values.shape}; give one loss for each, (n,), and at least one")
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum())} losses of the {what} are not numbers; look for a model that diverged")
    return values


def _count(losses: Floats, truth: float, tolerance: float) -> int:
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance is {tolerance}; give a finite number of nats, at least 0")
    return int(np.count_nonzero(losses <= truth + tolerance))


def _check_space(space: int) -> None:
    if not 1 <= space <= MOST_SPACE:
        raise InputError(f"the space has {space} fills; give at least 1 and at most 10^300")
