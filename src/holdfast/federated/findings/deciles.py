"""Clients by how active they are: ten groups of equal size, from the lightest to the most active, and what is summed in each.

Shapes: N clients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECILES = 10


def deciles(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The clients that have examples, cut into ten groups by how many.

    Args:
        counts: Examples of each client, (N,).

    Returns:
        Ten arrays of clients from the lightest to the most active; their sizes differ by one at most, and with fewer than ten
        clients some are empty. Clients with the same number of examples are in their order, so that one of them may be in a group and
        the next in the following one.
    """
    there = np.flatnonzero(counts)
    return np.array_split(there[np.argsort(counts[there], kind="stable")], DECILES)


def lorenz(values: NDArray[np.floating] | NDArray[np.integer], *, points: int = 101) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Lorenz curve: the share of the total that the smallest share of clients has.

    Args:
        values: One for each client, >= 0, (N,).
        points: How many points of the curve to give at most.

    Returns:
        Shares of clients in [0, 1], ascending, and shares of the total. The diagonal where the total is 0.

    >>> share, total = lorenz(np.array([1, 1, 2]), points=4)
    >>> total.tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    places = np.unique(np.round(np.linspace(0, len(ordered), min(points, len(ordered) + 1))).astype(np.int64))
    shares = places / max(1, len(ordered))
    return shares, sums[places] / sums[-1] if sums[-1] else shares


def gini(values: NDArray[np.floating] | NDArray[np.integer]) -> float:
    """Gini's index: twice the area between the diagonal and the Lorenz curve; 0 where all have the same, near 1 where one has all.

    Args:
        values: One for each client, >= 0, (N,), N >= 1.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 1]))
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    total = ordered.sum()
    if total == 0:
        return 0.0
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * total))
