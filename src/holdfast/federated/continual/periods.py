"""Cuts time into periods: by equal spans, by equal counts of events, or by days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError

DAY = 86_400
"""Seconds of a day."""


def equal_spans(times_n: NDArray[np.int64], *, periods: int) -> NDArray[np.int64]:
    """Periods of the same length, to the second.

    Args:
        times_n: When each event was, seconds since 1970, (n,), n >= 1.
        periods: P >= 1.

    Returns:
        Edges, (P + 1,), ascending: period p holds the events from edge p up to but without edge p + 1. A period may hold none.

    Raises:
        InputError: For no events, or more periods than seconds.

    >>> equal_spans(np.array([0, 9, 4]), periods=2).tolist()
    [0, 5, 10]
    """
    first, last = _ends(times_n)
    _check_count("periods", periods)
    if periods > last - first + 1:
        raise InputError(f"{periods} periods for {last - first + 1} seconds from the first event to the last; give fewer")
    whole = last + 1 - first
    return first + (np.arange(periods + 1, dtype=np.int64) * whole + periods - 1) // periods


def equal_counts(times_n: NDArray[np.int64], *, periods: int) -> NDArray[np.int64]:
    """Periods that hold as many events each, as nearly as equal times allow: events of one second are never parted.

    Args:
        times_n: When each event was, seconds since 1970, (n,), n >= 1.
        periods: P >= 1.

    Returns:
        Edges, (P + 1,), as of `equal_spans`; every period holds an event.

    Raises:
        InputError: For no events, or times too few or too alike for so many periods.

    >>> equal_counts(np.array([7, 1, 1, 3, 2, 9]), periods=3).tolist()
    [1, 2, 7, 10]
    """
    _, last = _ends(times_n)
    _check_count("periods", periods)
    sorted_n = np.sort(times_n)
    aims = np.arange(1, periods) * len(times_n) // periods
    before, behind = (np.searchsorted(sorted_n, sorted_n[aims], side=side) for side in ("left", "right"))
    cuts = np.where(aims - before <= behind - aims, before, behind)  # the nearest place between two different times
    inner = np.append(sorted_n, last + 1)[cuts]
    edges = np.concatenate([sorted_n[:1], inner, [last + 1]]).astype(np.int64)
    if (np.diff(edges) <= 0).any():
        raise InputError(f"{periods} periods of equal counts: too many of {len(times_n):,} events have the same time; give fewer")
    return edges


def by_days(times_n: NDArray[np.int64], *, days: int) -> NDArray[np.int64]:
    """Periods of so many days, the first from the midnight (UTC) before the first event.

    Args:
        times_n: When each event was, seconds since 1970, (n,), n >= 1.
        days: Days of a period, >= 1.

    Returns:
        Edges, (P + 1,), as of `equal_spans`; the last period may reach past the last event, and a period may hold none.

    Raises:
        InputError: For no events.

    >>> (by_days(np.array([90_000, 300_000]), days=2) / DAY).tolist()
    [1.0, 3.0, 5.0]
    """
    first, last = _ends(times_n)
    _check_count("days", days)
    start = first // DAY * DAY
    return np.arange((last - start) // (days * DAY) + 2, dtype=np.int64) * (days * DAY) + start


def _ends(times_n: NDArray[np.int64]) -> tuple[int, int]:
    if not len(times_n):
        raise InputError("there is no event, so there are no periods; give data with times")
    return int(times_n.min()), int(times_n.max())


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}; give an integer >= 1")
