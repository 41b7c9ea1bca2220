"""Which of two sentences a model prefers: shares over pairs, by category and by direction, with tests against one half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate
from holdfast.fairness.inference.families import holm
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.proportions import mcnemar, wilson
from holdfast.fairness.likelihood.rows import Rows, student

Floats = NDArray[np.float64]

ALL = "all"
"""The category of all pairs together."""


@dataclass(frozen=True, eq=False)
class Preferences:
    """What a model thinks of the two sentences of each pair.

    Args:
        more_n: Score of the more stereotypical sentence, (n,); NaN where it cannot be scored.
        less_n: Score of the other one, (n,).
        categories: Of each pair, such as "gender".
        directions: Of each pair: "stereo" or "antistereo".
    """

    more_n: Floats
    less_n: Floats
    categories: tuple[str, ...]
    directions: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.more_n) == len(self.less_n) == len(self.categories) == len(self.directions):
            raise InputError(
                f"preferences: {len(self.more_n)} and {len(self.less_n)} scores, {len(self.categories)} categories and "
                f"{len(self.directions)} directions; give one of each for every pair"
            )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which pairs have two finite scores, (n,)."""
        return np.isfinite(self.more_n) & np.isfinite(self.less_n)

    def where(self, kept: NDArray[np.bool_]) -> Preferences:
        """Some of the pairs.

        Args:
            kept: Which, (n,).
        """
        names = [(category, direction) for category, direction, one in zip(self.categories, self.directions, kept, strict=True) if one]
        return Preferences(self.more_n[kept], self.less_n[kept], tuple(c for c, _ in names), tuple(d for _, d in names))

    @property
    def differences(self) -> Floats:
        """Score of the more stereotypical sentence less that of the other, of the pairs that are known."""
        return (self.more_n - self.less_n)[self.known]


@dataclass(frozen=True)
class Share:
    """How often the more stereotypical sentence is preferred, in one category or direction.

    Args:
        category: "all" for all of them.
        direction: "both", "stereo" or "antistereo".
        preferred: Pairs in which it is.
        neutral: Pairs with a tie, which count as not preferred and stay in the denominator.
        n: Pairs with two scores.
        undefined: Pairs without.
        low: Lower end of Wilson's interval, in [0, 1]; NaN where n is 0.
        high: Upper end.
        p_value: Exact two-sided sign test against one half, ties left out; NaN where all pairs are tied.
        p_adjusted: After Holm, over the categories; NaN for rows that are in no family.
        interval: How the interval was made.
    """

    category: str
    direction: str
    preferred: int
    neutral: int
    n: int
    undefined: int
    low: float
    high: float
    p_value: float
    p_adjusted: float
    interval: str

    @property
    def share(self) -> float:
        """In [0, 1]; NaN where n is 0."""
        return self.preferred / self.n if self.n else math.nan


def preference_shares(found: Preferences, *, level: float) -> list[Share]:
    """Counts preferences: all pairs, the two directions, and each category.

    Args:
        found: Scores of the pairs.
        level: Coverage, of the first three intervals each by itself, of those of the categories together.

    Guarantee:
        Categories share no pair, so that intervals at the C-th root of the level hold together with chance `level` (Sidak).

    Edge cases:
        A tie is no preference and stays in the denominator, so that a model with many ties lies below one half without preferring
        anything; the test leaves ties out. A category without a pair that can be scored keeps its row, with NaN.

    References:
        Wilson 1927; Holm 1979; Sidak 1967, "Rectangular confidence regions for the means of multivariate normal distributions".
    """
    categories, directions = np.array(found.categories, dtype=object), np.array(found.directions, dtype=object)
    everything = np.ones(len(categories), dtype=bool)
    shares = [_share(found, everything, ALL, "both", level=level)]
    shares += [_share(found, directions == direction, ALL, direction, level=level) for direction in ("stereo", "antistereo")]
    names = sorted(set(found.categories))
    apart = level ** (1 / max(len(names), 1))
    rows = [_share(found, categories == name, name, "both", level=apart) for name in names]
    adjusted = holm([row.p_value for row in rows])
    told = f"Wilson, simultaneous over {len(names)} categories (Sidak)" if len(names) > 1 else "Wilson"
    return shares + [replace(row, p_adjusted=float(p), interval=told) for row, p in zip(rows, adjusted, strict=True)]


def _share(found: Preferences, chosen: NDArray[np.bool_], category: str, direction: str, *, level: float) -> Share:
    known = found.known & chosen
    more, less = found.more_n[known], found.less_n[known]
    preferred, neutral, n = int((more > less).sum()), int((more == less).sum()), len(more)
    ends = wilson(preferred, n, level=level)
    p_value = mcnemar(preferred, n - neutral - preferred) if n > neutral else math.nan
    undefined = int((chosen & ~known).sum())
    return Share(category, direction, preferred, neutral, n, undefined, float(ends.low), float(ends.high), p_value, math.nan, "Wilson")


def share_rows(shares: Sequence[Share], rows: Rows, *, name: str) -> list[Estimate]:
    """Makes evidence of shares, in points from 0 to 100.

    Args:
        shares: As of `preference_shares`.
        rows: What all of them have in common.
        name: Of the estimates, such as "crows_pairs_score".
    """
    found = []
    for share in shares:
        conditions: dict[str, Condition] = {"category": share.category, "neutral": share.neutral, "undefined": share.undefined}
        if share.direction != "both":
            conditions["direction"] = share.direction
        if not math.isnan(share.p_adjusted):
            conditions |= {"p_adjusted": share.p_adjusted, "adjustment": "Holm"}
        found.append(rows.row(name, _points(share), conditions=conditions))
    return found


def _points(share: Share) -> Measured:
    if not share.n:
        reason = f"none of the {share.undefined} pairs can be scored" if share.undefined else "there are no such pairs"
        return Measured(value=None, units=0, resampled="pairs", missing=reason)
    return Measured(
        value=100 * share.preferred / share.n,
        low=100 * share.low,
        high=100 * share.high,
        interval=share.interval,
        p_value=None if math.isnan(share.p_value) else share.p_value,
        test="exact binomial against one half, two-sided, ties left out",
        units=share.n,
        resampled="pairs",
    )


def difference_rows(found: Preferences, rows: Rows, *, name: str, unit: str) -> list[Estimate]:
    """The mean difference of the two scores and the mean of its absolute value, the second figure of the Evaluation Harness.

    Args:
        found: Scores of the pairs.
        rows: What both have in common.
        name: Of the estimates, such as "crows_pairs_difference".
        unit: Of the scores.
    """
    level = rows.inference.level
    none = "no pair can be scored"
    different = found.differences
    plain = student(different, level=level, resampled="pairs", missing=none)
    absolute = student(np.abs(different), level=level, resampled="pairs", missing=none)
    told: dict[str, Condition] = {"category": ALL, "undefined": int((~found.known).sum())}
    return [
        rows.row(name, plain, conditions={**told, "statistic": "mean difference"}, unit=unit, direction="neither"),
        rows.row(name, absolute, conditions={**told, "statistic": "mean absolute difference"}, unit=unit, direction="lower is better"),
    ]
