"""The rows of a table that clients use: of a vocabulary of thousands a client's few examples meet a few hundred words.

Shapes: C clients of a block, N tokens, V rows of the table, R rows of one client at most, D their width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.federated.local.blocks import Ints
from holdfast.models.ragged import Ragged

ABSENT = -1


@dataclass(frozen=True, eq=False)
class ActiveRows:
    """A small table for each client in the place of the large one.

    Args:
        rows_CR: Which row of the large table each is, ascending; 0 behind a client's own end.
        counts: How many rows each client has, (C,).
        size: V.
        slots: Where row v of client c stands among the small tables end to end, int32, flat by ``c * V + v``; `ABSENT` for others.
    """

    rows_CR: Tensor
    counts: Ints
    size: int
    slots: NDArray[np.int32]

    def of(self, clients: Ints, ids: Ints) -> Ints:
        """Places among the small tables end to end, for ids of clients; `ABSENT` for a row that a client does not have."""
        found: Ints = self.slots[clients * self.size + ids].astype(np.int64)
        return found


class Slots:
    """Finds the rows that clients use; the memory for it is kept from block to block.

    Args:
        size: V.
        always: Ids that every client has a row for, whether its examples use them or not; more may be set.
    """

    MOST = 1 << 26
    """Clients of a block times V, at most."""

    def __init__(self, size: int, *, always: Ints) -> None:
        self._size, self.always = size, always
        self._slots = np.empty(0, dtype=np.int32)
        self._used = np.empty(0, dtype=np.int64)

    @property
    def most(self) -> int:
        """How many clients a block may have."""
        return max(1, self.MOST // self._size)

    def find(self, clients: Ints, ids: Ints, count: int) -> ActiveRows:
        """Finds the rows.

        Args:
            clients: The client of each token, (N,), in [0, count).
            ids: What each token is, (N,), in [0, V).
            count: C.

        Edge cases:
            What was found before is void.
        """
        V = self._size
        if len(self._slots) < count * V:
            self._slots, self._used = np.full(count * V, ABSENT, dtype=np.int32), np.empty(0, dtype=np.int64)
        self._slots[self._used] = ABSENT
        always = (np.arange(count)[:, None] * V + self.always).reshape(-1)
        keys = np.sort(np.concatenate([clients * V + ids, always]))
        self._used = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
        ends = np.searchsorted(self._used, np.arange(1, count + 1) * V)
        counts = np.diff(ends, prepend=0)
        longest = max(1, int(counts.max(initial=0)))
        places = np.arange(len(self._used)) + np.repeat(np.arange(count) * longest - (ends - counts), counts)
        self._slots[self._used] = places
        rows = np.zeros(count * longest, dtype=np.int64)
        rows[places] = self._used - np.repeat(np.arange(count) * V, counts)
        return ActiveRows(torch.from_numpy(rows).view(count, longest), counts, V, self._slots)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of some examples end to end.

    Args:
        ids: (N,).
        lengths: Tokens of each example.
    """

    ids: Ints
    lengths: Ints

    @classmethod
    def of(cls, pieces: Ragged, examples: Ints) -> Tokens:
        """Gathers the tokens of examples, which may repeat."""
        starts = pieces.offsets[examples]
        lengths = pieces.offsets[examples + 1] - starts
        first = np.cumsum(lengths) - lengths
        return cls(pieces.values[np.repeat(starts - first, lengths) + np.arange(lengths.sum())].astype(np.int64), lengths)
