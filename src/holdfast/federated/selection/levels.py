"""Clients grouped by their number of examples, so that what depends on that number alone is computed once for each.

Shapes: N clients, L levels, b clients of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

TABLE = 2**20
"""Counts below this are looked up in a table; the few above it by bisection."""

Lookup = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Levels:
    """The distinct numbers of examples in a population.

    Args:
        counts: The numbers that occur, > 0, ascending, (L,).
        clients: How many clients have each, (L,).

    Edge cases:
        Clients with 0 examples are on no level.

    >>> levels = Levels.of(np.array([3, 0, 1, 3]))
    >>> levels.counts.tolist(), levels.clients.tolist(), levels.lookup(np.array([0.5, 0.25]))(np.array([3, 0, 1])).tolist()
    ([1, 3], [1, 2], [0.25, 0.0, 0.5])
    """

    counts: NDArray[np.int64]
    clients: NDArray[np.int64]

    @classmethod
    def of(cls, counts_N: NDArray[np.int64]) -> Self:
        """Groups the clients, without sorting them."""
        heavy = counts_N[:0]
        if counts_N.size and counts_N.max() >= TABLE:
            heavy, counts_N = counts_N[counts_N >= TABLE], counts_N[counts_N < TABLE]
        numbers = np.bincount(counts_N, minlength=1)
        numbers[0] = 0
        low = np.flatnonzero(numbers)
        high, high_numbers = np.unique(heavy, return_counts=True)
        return cls(np.concatenate([low, high]).astype(np.int64), np.concatenate([numbers[low], high_numbers]).astype(np.int64))

    @property
    def total(self) -> int:
        """How many clients have an example."""
        return int(self.clients.sum())

    def lookup(self, values_L: NDArray[np.float64], *, fill: float = 0.0) -> Lookup:
        """Makes a function from counts to the value of their level, `fill` for 0.

        Args:
            values_L: A value for each level.
            fill: What clients without examples get.

        Returns:
            A function that takes counts, (b,), all of which are 0 or a level.
        """
        top = int(self.counts[-1]) if len(self.counts) else 0
        low = self.counts < TABLE
        table = np.full(min(top, TABLE - 1) + 1, fill)
        table[self.counts[low]] = values_L[low]

        def values_of(counts_b: NDArray[np.int64]) -> NDArray[np.float64]:
            values: NDArray[np.float64] = np.take(table, counts_b, mode="clip")
            if top >= TABLE:
                above = counts_b >= TABLE
                values[above] = values_L[np.searchsorted(self.counts, counts_b[above])]
            return values

        return values_of
