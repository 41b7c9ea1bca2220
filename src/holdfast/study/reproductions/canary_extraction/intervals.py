"""Intervals over trainings for what is bounded or skewed, and a test of ranks: each holds for few trainings too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from holdfast.audit.intervals import Floats, rate_at_least, rate_at_most
from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval

LEVEL = 0.95
BOUNDED = "Clopper-Pearson on as many trials as the spread over trainings is worth"
PAIRED = "Student over pairs of trainings of one seed, the variance at least that of one step of one secret"
ORDERED = "order statistics: holds for any law"
ABOVE_NOUGHT = "Student over trainings, cut off at 0"


def mean_within(values: Sequence[float], *, most: float = 1.0, step: float = 0.0, trials: float | None = None) -> Interval:
    """An interval for the mean of a quantity that lies between 0 and `most`.

    A mean of trainings is a share of `most`, and of all laws between 0 and 1 with that mean the one that only takes the values
    0 and 1 spreads widest. So the trainings tell at least as much as as many coins, and where they spread less than coins they
    tell as much as more coins would: Clopper-Pearson is applied to that many.

    Args:
        values: One for each training, (N,), each in [0, most].
        most: The largest value that there is, > 0.
        step: By how much a training would move if one of its secrets moved by one rank, >= 0, as a root mean square. It is the
            least by which trainings may differ, so that equal values do not pass for certain ones.
        trials: The largest number of coins to count, such as that of all secrets; None for no bound.

    Returns:
        The interval at .95; within [0, most], never a single point.

    Raises:
        InputError: For no values, or one out of its bounds.

    Guarantee:
        No proof for finite N. In simulations of mean exposures with 10 trainings (secrets that the model does not know, knows a
        little, or nearly knows; one and three secrets a training, alike or independent) it covers in at least .935 of cases, and
        each end misses in at most .06; near the largest value it is conservative. Student's interval misses there in up to .3.
        Shares of secrets that are found are covered in at least .94.

    Edge cases:
        Where all values are 0, or all are `most`, the interval is that of Clopper-Pearson for N trainings: with 10 of them it
        reaches .31 of the way to the other end.

    References:
        Clopper-Pearson with an effective number of trials: Korn and Graubard 1998, "Confidence intervals for proportions
        with small expected number of positive counts estimated from survey data", Survey Methodology 24, 193-201.

    >>> interval = mean_within([0.0] * 10)
    >>> interval.low, round(interval.high, 3)
    (0.0, 0.308)
    """
    x = np.asarray(values, dtype=np.float64) / most
    if x.size == 0 or x.min() < -1e-9 or x.max() > 1 + 1e-9:
        raise InputError(f"values {list(values)}: give at least one, each between 0 and {most:g}")
    mean = min(1.0, max(0.0, float(x.mean())))
    worth = min(_coins(x, mean, step / most), math.inf if trials is None else max(float(x.size), trials))
    alpha, won = (1 - LEVEL) / 2, mean * worth
    ends = float(rate_at_least(won, worth, alpha=alpha)), float(rate_at_most(won, worth, alpha=alpha))
    return Interval(low=most * min(ends[0], mean), high=most * max(ends[1], mean), level=LEVEL, method=BOUNDED)


def _coins(x: Floats, mean: float, step: float) -> float:
    """How many tosses of a coin would tell as much of the mean as these values do, and never fewer than there are values."""
    fewest = float(x.size)
    if x.size < 2:
        return fewest
    variance = float(x.var(ddof=1)) + step**2
    if variance == 0:
        return math.inf if 0 < mean < 1 else fewest
    wider = float(special.stdtrit(x.size - 1, (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2))
    return max(fewest, mean * (1 - mean) * fewest / variance / wider**2)


def mean_above_nought(values: Sequence[float]) -> Interval | None:
    """Student's interval for the mean of what is never below 0; None for fewer than two values."""
    x = np.asarray(values, dtype=np.float64)
    if x.size < 2:
        return None
    reach = _student(x.size) * float(x.std(ddof=1)) / math.sqrt(x.size)
    mean = float(x.mean())
    return Interval(low=max(0.0, mean - reach), high=mean + reach, level=LEVEL, method=ABOVE_NOUGHT)


def paired(differences: Sequence[float], *, most: float, step: float) -> tuple[Interval, float] | None:
    """How much two ways of training differ, from pairs of one seed.

    Args:
        differences: One for each seed, (N,), each in [-most, most].
        most: The largest difference that there is.
        step: By how much a difference would move if one secret moved by one step, > 0: the least that pairs are taken to differ by,
            so that equal differences do not pass for a certain one.

    Returns:
        The interval of the mean difference, and the two-sided p-value of no difference; None for fewer than two pairs.

    Guarantee:
        In simulations with 10 pairs where nothing differs, p < .05 in at most .055 of cases.
    """
    x = np.asarray(differences, dtype=np.float64)
    if x.size < 2:
        return None
    mean, error = float(x.mean()), math.sqrt(max(float(x.var(ddof=1)), step**2) / x.size)
    reach = _student(x.size) * error
    interval = Interval(low=max(-most, mean - reach), high=min(most, mean + reach), level=LEVEL, method=PAIRED)
    return interval, 2 * float(special.stdtr(x.size - 1, -abs(mean) / error)) if error else 1.0


def median_of(values: Sequence[float]) -> tuple[float, Interval | None]:
    """The median, with an interval that holds for any law of the values.

    Args:
        values: One for each training, (N,), N >= 1, independent.

    Returns:
        The median, and the interval between two of the ordered values that covers it with a chance of at least .95; None for
        fewer than six values, which no two of them can do for.

    References:
        David and Nagaraja 2003, "Order Statistics", section 7.1.

    >>> median_of([5.0, 1.0, 2.0, 9.0, 7.0, 3.0])[0]
    4.0
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    inner = int(stats.binom.ppf((1 - LEVEL) / 2, x.size, 0.5))
    while inner > 0 and 2 * stats.binom.cdf(inner - 1, x.size, 0.5) > 1 - LEVEL:
        inner -= 1
    if inner == 0:
        return float(np.median(x)), None
    covered = 1 - 2 * float(stats.binom.cdf(inner - 1, x.size, 0.5))
    interval = Interval(low=float(x[inner - 1]), high=float(x[-inner]), level=LEVEL, method=f"{ORDERED}; covers with {covered:.3f}")
    return float(np.median(x)), interval


def knows_nothing(p_values: Sequence[float]) -> float:
    """The chance of ranks as good as these, or better, if no model knew anything of its secrets.

    Args:
        p_values: Of the ranks, one for each secret and training, each in (0, 1].

    Guarantee:
        Exact but for ranks being whole numbers, which makes it conservative. The places of a secret are drawn uniformly and apart
        from all else; a model that knows nothing of them ranks them uniformly, whatever the model is, and secrets that are drawn
        apart rank independently, be they of one model or of several.

    References:
        Fisher 1932, "Statistical Methods for Research Workers", section 21.1.

    >>> round(knows_nothing([0.5]), 3), round(knows_nothing([0.05, 0.05]), 4)
    (0.5, 0.0175)
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.size == 0 or p.min() <= 0 or p.max() > 1:
        raise InputError(f"p-values {list(p_values)}: give at least one, each in (0, 1]")
    return float(special.chdtrc(2 * p.size, -2 * float(np.log(p).sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that hold together: the chance that any true null is called false at level a is at most a.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def _student(count: int) -> float:
    return float(special.stdtrit(count - 1, (1 + LEVEL) / 2))
