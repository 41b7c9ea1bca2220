"""Shares: intervals for one, tests and effect sizes for two."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.core.errors import InputError

Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """Lower and upper ends, of the shape of what was given; NaN without a trial."""

    low: Floats
    high: Floats


class LogOdds(NamedTuple):
    """A log odds ratio and its standard error, in nats."""

    value: float
    error: float


def wilson(successes: ArrayLike, n: ArrayLike, *, level: float) -> Bounds:
    """Wilson's score interval for a share.

    Args:
        successes: 0 to n, or an array of them.
        n: Independent trials, at least 0.
        level: Coverage in (0, 1), for each entry by itself.

    Returns:
        The ends, in [0, 1]; NaN where n is 0.

    Raises:
        InputError: For successes outside 0 to n, or a level outside (0, 1).

    Guarantee:
        Near the level on average over shares; it may fall some points below for a share next to 0 or 1 (Brown et al. 2001).
        `clopper_pearson` never does.

    Edge cases:
        No success gives a low end of 0 and a high end above it; the interval never has width zero.

    References:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Brown, Cai and DasGupta 2001,
        "Interval estimation for a binomial proportion".

    >>> [round(float(end), 4) for end in wilson(0, 10, level=0.95)]
    [0.0, 0.2775]
    """
    hits, trials = _checked(successes, n, level)
    z = float(special.ndtri((1 + level) / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / trials
        centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
        reach = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = np.where(hits == 0, 0.0, np.clip(centre - reach, 0, 1))
    high = np.where(hits == trials, 1.0, np.clip(centre + reach, 0, 1))
    return Bounds(np.where(trials > 0, low, np.nan), np.where(trials > 0, high, np.nan))


def clopper_pearson(successes: ArrayLike, n: ArrayLike, *, level: float) -> Bounds:
    """The exact interval for a share.

    Arguments, returns and errors as in `wilson`.

    Guarantee:
        Coverage is at least the level at every n and every share.

    References:
        Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".

    >>> [round(float(end), 4) for end in clopper_pearson(0, 10, level=0.95)]
    [0.0, 0.3085]
    """
    hits, trials = _checked(successes, n, level)
    alpha = (1 - level) / 2
    some, missed = np.where(hits > 0, hits, 1.0), np.where(hits < trials, trials - hits, 1.0)
    low = np.where(hits > 0, special.betaincinv(some, trials - hits + 1, alpha), 0.0)
    high = np.where(hits < trials, special.betaincinv(hits + 1, missed, 1 - alpha), 1.0)
    return Bounds(np.where(trials > 0, low, np.nan), np.where(trials > 0, high, np.nan))


def _checked(successes: ArrayLike, n: ArrayLike, level: float) -> tuple[Floats, Floats]:
    hits, trials = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not 0 < level < 1:
        raise InputError(f"level {level} is outside (0, 1); .95 is usual")
    if np.any(trials < 0) or np.any(hits < 0) or np.any(hits > trials):
        raise InputError(f"{hits.tolist()} successes in {trials.tolist()} trials: give successes between 0 and the trials")
    return hits, trials


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: whether two paired shares are alike.

    Args:
        only_first: Pairs in which only the first succeeded, at least 0.
        only_second: Pairs in which only the second did.

    Returns:
        The p-value, in (0, 1]; 1 where no pair disagrees.

    References:
        McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages".

    >>> mcnemar(1, 9)
    0.021484375
    """
    if only_first < 0 or only_second < 0:
        raise InputError(f"{only_first} and {only_second} pairs that disagree: counts are at least 0")
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def cohen_h(first: float, second: float) -> float:
    """Cohen's h, the difference of two shares on the scale on which each is as well measured as the other.

    Args:
        first: A share, in [0, 1].
        second: Another.

    Returns:
        In [-pi, pi], positive where the first is larger; NaN where a share is. .2 is often called small, .5 medium, .8 large.

    References:
        Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 6.
    """
    for share in (first, second):
        if not (math.isnan(share) or 0 <= share <= 1):
            raise InputError(f"a share of {share} is outside [0, 1]")
    return 2 * math.asin(math.sqrt(first)) - 2 * math.asin(math.sqrt(second))


def log_odds(successes: tuple[float, float], n: tuple[float, float]) -> LogOdds:
    """The log of the odds ratio of two shares, half a row added to each cell so that no cell is empty.

    Args:
        successes: Of the first and the second group.
        n: Their trials.

    References:
        Haldane 1956, "The estimation and significance of the logarithm of a ratio of frequencies".
    """
    _checked(successes, n, 0.5)
    cells = [count + 0.5 for hits, trials in zip(successes, n, strict=True) for count in (hits, trials - hits)]
    return LogOdds(math.log(cells[0] / cells[1]) - math.log(cells[2] / cells[3]), math.sqrt(sum(1 / cell for cell in cells)))
