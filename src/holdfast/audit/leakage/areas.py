"""Intervals for differences of areas under ROC curves, and for the largest gap among several areas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import special

from holdfast.audit.intervals import AREA_INTERVAL, Area
from holdfast.core.evidence import Interval


def difference_interval(one: Area, other: Area, *, level: float) -> Interval:
    """An interval for the difference of two areas that share no row.

    The distances from each area to the ends of its interval are added as squares, as variances of independent figures are; so
    the interval takes over the skew of both and never leaves [-1, 1].

    Args:
        one: The area that the other is taken from.
        other: Of other rows.
        level: Coverage in (0, 1).

    References:
        Zou and Donner 2008, "Construction of confidence limits about effect measures", Statistics in Medicine 27, 1693-1702.
    """
    low, high = _apart(one.value, one.interval(level=level), other.value, other.interval(level=level))
    return Interval(low=low, high=high, level=level, method=f"square-and-add of both intervals: {AREA_INTERVAL}")


def gap_interval(areas: Sequence[Area], *, level: float) -> Interval:
    """Bounds the distance between the largest and the smallest true area.

    All differences of two groups are bounded at once (Bonferroni over the pairs). The gap is the largest of the true
    differences, so it lies below the largest upper end and above the largest lower end, and never below 0.

    Args:
        areas: At least two, of groups that share no row.
        level: Coverage in (0, 1).

    Guarantee:
        Coverage is at least `level` wherever the intervals of the differences hold, at parity too: there the lower end is 0
        unless some pair was found to differ. Resampling the gap cannot do this, because every resampled gap is above 0.

    References:
        Hsu 1996, "Multiple comparisons: theory and methods", chapter 5, on all pairwise differences.
    """
    pairs = math.comb(len(areas), 2)
    each = 1 - (1 - level) / pairs
    known = [(area.value, area.interval(level=each)) for area in areas]
    found = [_apart(*one, *other) for one, other in combinations(known, 2)]
    high = max(max(above, -below) for below, above in found)
    low = max(0.0, *(max(below, -above) for below, above in found))
    method = f"all {pairs} differences of two groups at once (Bonferroni), each by square-and-add of both intervals: {AREA_INTERVAL}"
    return Interval(low=low, high=high, level=level, method=method)


def _apart(value: float, interval: Interval, other: float, others: Interval) -> tuple[float, float]:
    """Ends of an interval for `value - other`, of figures that are independent."""
    gap = value - other
    low = gap - math.hypot(value - interval.low, others.high - other)
    high = gap + math.hypot(interval.high - value, other - others.low)
    return max(-1.0, low), min(1.0, high)


def gap_at_parity(areas: Sequence[Area]) -> float:
    """How large a gap is expected where all true areas are equal: the mean range of normal errors with DeLong's variances.

    Args:
        areas: At least two.
    """
    deviations = np.sqrt([max(area.variance, 1e-18) for area in areas])
    places, step = np.linspace(-8.0 * deviations.max(), 8.0 * deviations.max(), 4001, retstep=True)
    below = special.ndtr(places[:, None] / deviations)
    return float(step * np.sum(1 - below.prod(axis=1) - (1 - below).prod(axis=1)))
