"""What learning period by period is judged by: scores ahead of time, and what was forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Direction, Interval

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class OverPeriods:
    """A number for each of some periods, and their mean.

    Args:
        periods: Which periods, ascending.
        values: The number of each, (k,).
        mean: Their mean.
        interval: Of the mean, by Student's t over the periods; None for fewer than two. It tells how much the periods differ, as if they
            were drawn at random; it tells nothing of another run, and periods that follow each other are not independent.
    """

    periods: tuple[int, ...]
    values: NDArray[np.float64]
    mean: float
    interval: Interval | None


def score_matrix(found: Iterable[tuple[int, int, float]], *, periods: int) -> NDArray[np.float64]:
    """Lays out scores as a matrix.

    Args:
        found: Triples: trained through period p, scored on the events of period q, the score. -1 for p is the model before any training.
        periods: P.

    Returns:
        (P + 1, P); row p + 1 was trained through p, row 0 before any training; NaN where nothing was measured.

    Raises:
        InputError: For a period outside, or a place that is measured twice.
    """
    scores = np.full((periods + 1, periods), np.nan)
    for after, on, score in found:
        if not (-1 <= after < periods and 0 <= on < periods):
            raise InputError(f"score trained through {after} on {on}: there are periods 0 to {periods - 1}")
        if not np.isnan(scores[after + 1, on]):
            raise InputError(f"score trained through {after} on {on} stands there twice; leave one")
        scores[after + 1, on] = score
    return scores


def prequential(scores: NDArray[np.float64]) -> OverPeriods:
    """Scores on each period before it is trained on, by the model of the period before.

    Args:
        scores: As `score_matrix` gives them. The first period counts where the model was scored before any training.

    Raises:
        InputError: If no period was scored ahead of time.
    """
    values = np.diagonal(_checked(scores)).copy()
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        raise InputError("no period was scored before it was trained on; score the events of period p after training through p - 1")
    return _over(there, values[there])


def forgetting(scores: NDArray[np.float64], *, direction: Direction, after: int | None = None) -> OverPeriods:
    """How much worse each earlier period is than it was at its best: the best past score less the present one.

    Args:
        scores: As `score_matrix` gives them.
        direction: Which way the score is better. Forgetting is above 0 where something got worse, whichever way that is.
        after: The period trained through, in [1, P); the last one where None.

    Returns:
        For each period q before `after`: the best score on q of the models trained through q, ..., after - 1, less that of the model
        trained through `after`; with the sign turned where lower is better. Below 0 where later periods helped.

    Raises:
        InputError: For a direction that says no way, a period outside, or scores that are missing.

    Edge cases:
        A period that was never scored, as one in which nothing came, is left out.

        The best of several noisy scores is better than their mean, so chance alone gives a little forgetting, more of it with more periods.
        Compare it with that of another run on the same periods, not with 0.

    References:
        Chaudhry et al. 2018, "Riemannian walk for incremental learning", section 3: the best over the models trained through q
        and later, as here.
    """
    scores = _checked(scores)
    last = len(scores) - 2 if after is None else after
    if not 1 <= last < scores.shape[1]:
        raise InputError(f"forgetting after period {last}: give one in [1, {scores.shape[1]}); there is nothing to forget before it")
    if direction not in ("higher is better", "lower is better"):
        raise InputError(f"forgetting: direction {direction!r} does not say what is better; give 'higher is better' or 'lower is better'")
    signed = scores if direction == "higher is better" else -scores
    values = np.full(last, np.nan)
    for period in range(last):
        past = signed[period + 1 : last + 1, period]
        if np.isnan(signed[last + 1, period]) and np.isnan(past).all():
            continue  # nothing came in that period
        if np.isnan(signed[last + 1, period]) or np.isnan(past).all():
            raise InputError(f"forgetting after period {last}: the events of period {period} were not scored then and before")
        values[period] = np.nanmax(past) - signed[last + 1, period]
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        raise InputError(f"forgetting after period {last}: no earlier period was scored; score the events of each after every period")
    return _over(there, values[there])


def _checked(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] + 1:
        raise InputError(f"scores of shape {scores.shape}; give (P + 1, P), as score_matrix lays them out")
    return scores


def _over(periods: NDArray[np.int64], values: NDArray[np.float64]) -> OverPeriods:
    from scipy import stats

    mean, interval = float(values.mean()), None
    if len(values) > 1:
        half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        interval = Interval(low=mean - half, high=mean + half, level=LEVEL, method=f"Student's t over {len(values)} periods")
    return OverPeriods(tuple(periods.tolist()), values, mean, interval)
