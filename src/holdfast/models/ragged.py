"""Lists of whole numbers of unequal length in two flat arrays, so that a million utterances need no Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of unequal length, laid end to end.

    Args:
        values: All rows, one after the other, int32, (total,).
        offsets: Where each row begins and, last, where the last one ends, int64, (rows + 1,), ascending from 0.

    >>> rows = Ragged.from_rows([[3, 1, 4], [1, 5]])
    >>> ids_BT, mask_BT = rows.padded(np.array([1, 0]), fill=-1)
    >>> ids_BT.tolist(), mask_BT.sum(1).tolist()
    ([[1, 5, -1], [3, 1, 4]], [2, 3])
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.values) or (np.diff(offsets) < 0).any():
            raise InputError("ragged rows: offsets must ascend from 0 to the number of values")

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]]) -> Self:
        """Lays rows of numbers end to end."""
        return cls.from_flat(chain.from_iterable(rows), [len(row) for row in rows])

    @classmethod
    def from_flat(cls, values: Iterable[int], lengths: Sequence[int] | NDArray[np.int64]) -> Self:
        """Takes numbers that already lie end to end.

        Args:
            values: All rows, one after the other.
            lengths: The length of each row.
        """
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        flat = values if isinstance(values, np.ndarray) else np.fromiter(values, dtype=np.int32, count=int(offsets[-1]))
        return cls(flat.astype(np.int32, copy=False), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Returns one row, as a view."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each row, (rows,)."""
        return np.diff(self.offsets)

    def padded(self, indices: NDArray[np.int64], *, fill: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Gathers rows into a rectangle as wide as the longest of them.

        Args:
            indices: Rows to take, (B,); they may repeat and may be none.
            fill: What stands behind the end of a row.

        Returns:
            The values (B, T), T >= 1, and where they are real (B, T).
        """
        starts = self.offsets[indices]
        lengths = self.offsets[indices + 1] - starts
        places = np.arange(max(1, int(lengths.max(initial=0))))
        mask_BT = places < lengths[:, None]
        values_BT = np.full(mask_BT.shape, fill, dtype=np.int64)
        values_BT[mask_BT] = self.values[(starts[:, None] + places)[mask_BT]]
        return values_BT, mask_BT
