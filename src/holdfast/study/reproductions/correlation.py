"""How well what is promised and what is measured go together: a rank correlation over seeds, with an interval that holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval

FEWEST_LEVELS, FEWEST_SEEDS = 3, 2
INTERVAL = "Student over seeds on Fisher's scale, the variance widened by one step of the rank correlation"


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's rank correlation within a seed, averaged over seeds.

    Args:
        value: In [-1, 1].
        interval: Of the average over all seeds that might have been taken.
        levels: Runs of a seed.
        seeds: Seeds.
    """

    value: float
    interval: Interval
    levels: int
    seeds: int


def rank_correlation(promised: Sequence[float], measured: Sequence[Sequence[float]], *, level: float = 0.95) -> RankCorrelation:
    """Correlates the ranks of promises with those of what was measured.

    Runs of one seed share their first weights and their data, so they are not independent; seeds are. Therefore each seed
    gives one rank correlation over its own runs, and the interval comes from how these differ between seeds.

    Args:
        promised: One number for each level, (levels,); at least three, not all equal.
        measured: A row for each seed, (seeds, levels); at least two.
        level: Confidence in (0, 1).

    Returns:
        The average over seeds, with its interval.

    Raises:
        InputError: For too few levels or seeds, rows of another length, numbers that are not finite, or a row (or the promises)
            without two different numbers, whose ranks mean nothing.

    Guarantee:
        Over another draw of the seeds, with data, levels and attack as they are. In simulations with five seeds and four to
        twelve levels an interval at .95 excludes 0 in 2 to 5% of the cases where nothing goes with the promise, and holds the
        true average in at least 93% of the cases where something does; with three seeds it hardly ever excludes 0.

    Edge cases:
        Where every seed gives the same correlation the interval is still not a point: a rank correlation over n levels moves
        in steps of 12 / (n (n^2 - 1)), and one such step counts as the least that seeds may differ by. An average of 1
        keeps 1 as its upper end, one of -1 as its lower.

    References:
        Spearman 1904, "The proof and measurement of association between two things"; Fisher 1921 for the scale.

    >>> found = rank_correlation([1.0, 4.0, 16.0], [[0.5, 0.52, 0.6], [0.51, 0.5, 0.58]])
    >>> found.value
    0.75
    """
    x, y = np.asarray(promised, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    _check(x, y)
    seeds, levels = y.shape
    each = _of_each(x, y)
    step = 12 / (levels * (levels**2 - 1))
    error = math.sqrt((each.var(ddof=1) + step**2) / seeds)
    value = float(np.clip(each.mean(), -1.0, 1.0))
    inner = float(np.clip(value, -1 + step / 2, 1 - step / 2))  # Fisher's scale has no place for 1
    reach = float(stats.t.ppf((1 + level) / 2, seeds - 1)) * error / (1 - inner**2)
    low, high = math.tanh(math.atanh(inner) - reach), math.tanh(math.atanh(inner) + reach)
    interval = Interval(low=-1.0 if value < inner else low, high=1.0 if value > inner else high, level=level, method=INTERVAL)
    return RankCorrelation(value=value, interval=interval, levels=levels, seeds=seeds)


def _of_each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation of x with each row of y; ties share their mean rank."""
    one, rows = stats.rankdata(x), stats.rankdata(y, axis=1)
    one, rows = one - one.mean(), rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(np.round(rows @ one / np.sqrt((one @ one) * (rows**2).sum(axis=1)), 12))  # so that 1 is 1


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim != 1 or x.size < FEWEST_LEVELS:
        raise InputError(f"{x.size} levels; a rank correlation with an interval needs at least {FEWEST_LEVELS}")
    if y.ndim != 2 or y.shape[0] < FEWEST_SEEDS or y.shape[1] != x.size:
        raise InputError(f"measured has the shape {y.shape}; give at least {FEWEST_SEEDS} seeds, each with {x.size} levels")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("a promise or a measurement is not finite; leave out runs without a promise")
    if np.ptp(x) == 0 or (np.ptp(y, axis=1) == 0).any():
        raise InputError("all promises, or all measurements of a seed, are equal; their ranks mean nothing")
