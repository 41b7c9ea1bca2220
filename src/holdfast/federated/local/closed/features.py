"""What examples look like to the layers above: means of words' vectors, which are trained, or cached states, which are not.

Shapes: C clients of a block, A of them that take a step, B rows of each at that step, R rows of a block, N their tokens, D width of a
vector, V rows of a table, U rows of the table of one client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from holdfast.federated.local.active import ActiveRows, Slots, Tokens
from holdfast.federated.local.blocks import Block, Ints
from holdfast.federated.local.closed.network import Network
from holdfast.models import Encoded
from holdfast.models.vocabulary import UNKNOWN
from holdfast.training.ensembles.randomness import OwnDraws

CHUNK = 4096
"""Examples whose states are pooled together."""
MOST = 50
"""Clients of a block at most: more rows of words would not stay in the cache."""
BYTES = 1 << 26
"""What the tables of the clients of a block may take where all rows move."""


class Features(Protocol):
    """The features of the examples of one block.

    Attributes:
        ways_CUD: How far each client has moved its rows of the trained table; None where no table is trained.
        active: Which rows these are; None for all of them.
    """

    ways_CUD: Tensor | None
    active: ActiveRows | None

    def forward(self, step: int, own: OwnDraws) -> Tensor:
        """The vectors of the rows of a step, (A, B, D)."""
        ...

    def backward(self, step: int, grads_ABD: Tensor, total_AUD: Tensor) -> None:
        """Adds the gradient of each client's rows of the table to a total, for the step that `forward` has just seen."""
        ...


class Source(Protocol):
    """Makes the features of blocks."""

    most: int

    def of(self, block: Block, weights: Mapping[str, Tensor], *, whole: bool) -> Features:
        """The features of the examples of a block.

        Args:
            block: The clients and their batches.
            weights: The server's, by name.
            whole: Whether all rows of a trained table move.
        """
        ...


class CachedStates:
    """States of a frozen encoder, pooled once into one vector for each example.

    Args:
        encoded: With states.
        device: Where to keep them.
    """

    most = 200

    def __init__(self, encoded: Encoded, device: torch.device) -> None:
        assert encoded.states is not None
        offsets = encoded.pieces.offsets
        pooled = torch.empty(len(encoded), encoded.states.shape[1])
        for first in range(0, len(encoded), CHUNK):
            ends = offsets[first : first + CHUNK + 1]
            states, starts = torch.from_numpy(np.array(encoded.states[ends[0] : ends[-1]])), torch.from_numpy(ends[:-1] - ends[0])
            pooled[first : first + CHUNK] = F.embedding_bag(torch.arange(len(states)), states, starts, mode="mean")
        self._pooled_ND = pooled.to(device)

    def of(self, block: Block, weights: Mapping[str, Tensor], *, whole: bool) -> Features:
        """The features of the examples of a block."""
        return _Cached(self._pooled_ND.index_select(0, torch.from_numpy(block.examples).to(self._pooled_ND.device)), block)


class _Cached:
    """Vectors that stay as they are."""

    ways_CUD: Tensor | None = None
    active: ActiveRows | None = None

    def __init__(self, vectors_RD: Tensor, block: Block) -> None:
        self._vectors_RD, self._block = vectors_RD, block

    def forward(self, step: int, own: OwnDraws) -> Tensor:
        """The vectors of the rows of a step."""
        return self._vectors_RD[self._block.rows(step)].view(int(self._block.active[step]), int(self._block.width[step]), -1)

    def backward(self, step: int, grads_ABD: Tensor, total_AUD: Tensor) -> None:
        """There is nothing to train."""


class WordVectors:
    """Means of words' vectors.

    Args:
        network: With a trained table, a pretrained one, or both.
        encoded: The words.
        fixed: The parameters of the module by name, for a table that is not trained.
        device: Where to.
        whole: Whether all rows of a trained table are to move in any case.
    """

    def __init__(self, network: Network, encoded: Encoded, fixed: Mapping[str, Tensor], device: torch.device, *, whole: bool) -> None:
        self._network, self._encoded, self._fixed, self._device = network, encoded, fixed, device
        self._slots = Slots(max(1, network.known), always=np.array([UNKNOWN]))
        self.most = min(MOST, self._slots.most)
        if network.table is not None and whole:
            table_VD = fixed[network.table]
            self.most = min(self.most, max(1, BYTES // (table_VD.numel() * table_VD.element_size())))

    def of(self, block: Block, weights: Mapping[str, Tensor], *, whole: bool) -> Features:
        """The features of the examples of a block."""
        network, words = self._network, _Words(self._encoded, block)
        tables = []
        active, ways_CUD = None, None
        if network.table is not None:
            name, ids_N = network.table, np.where(words.ids_N >= network.known, UNKNOWN, words.ids_N)
            start_VD = weights.get(name, self._fixed[name]).detach()
            tables.append((start_VD, ids_N))
            if name in weights:
                active = None if whole else self._slots.find(words.clients_N, ids_N, len(block))
                ways_CUD = start_VD.new_zeros(len(block), len(start_VD) if active is None else active.rows_CR.shape[1], start_VD.shape[1])
        if network.pretrained is not None:
            tables.append((network.pretrained, words.ids_N))
        return _Means(words, tables, ways_CUD, active, share=network.word_dropout, device=self._device)


class _Words:
    """The words of the examples of a block, row by row."""

    def __init__(self, encoded: Encoded, block: Block) -> None:
        self.block = block
        filled = np.flatnonzero(block.real)
        tokens = Tokens.of(encoded.pieces, block.examples[filled])
        lengths_R = np.zeros(len(block.real), dtype=np.int64)
        lengths_R[filled] = tokens.lengths
        self.lengths_R, self.ends_R = np.maximum(lengths_R, 1), np.concatenate([[0], np.cumsum(lengths_R)])
        self.ids_N, self.rows_N = tokens.ids, np.repeat(filled, tokens.lengths)
        self.clients_N = block.clients()[self.rows_N]

    def tokens(self, step: int) -> slice:
        """Where the words of a step stand."""
        rows = self.block.rows(step)
        return slice(int(self.ends_R[rows.start]), int(self.ends_R[rows.stop]))

    def dropped(self, step: int, share: float, own: OwnDraws) -> NDArray[np.bool_]:
        """Which words of a step turn into the unknown one, by the draws that `models.layers.WordDropout` would make."""
        rows, tokens = self.block.rows(step), self.tokens(step)
        lengths_R = np.diff(self.ends_R[rows.start : rows.stop + 1])
        drawn_RT = own.rand(len(lengths_R), max(1, int(lengths_R.max()))).numpy()
        columns_N = np.arange(tokens.start, tokens.stop) - np.repeat(self.ends_R[rows], lengths_R)
        return np.asarray(drawn_RT[self.rows_N[tokens] - rows.start, columns_N] < share)


class _Means:
    """Means of rows of tables, of which the first may be trained."""

    def __init__(
        self,
        words: _Words,
        tables: list[tuple[Tensor, Ints]],
        ways_CUD: Tensor | None,
        active: ActiveRows | None,
        *,
        share: float,
        device: torch.device,
    ) -> None:
        self._words, self._tables, self._share, self._device = words, tables, share, device
        self.ways_CUD, self.active = ways_CUD, active
        self._lengths_R1 = torch.from_numpy(words.lengths_R)[:, None].to(device)
        self._rows_N = torch.from_numpy(words.rows_N).to(device)
        self._offsets_R = torch.from_numpy(words.ends_R[:-1]).to(device)
        if not share:
            self._sums_RD = self._sums([ids_N for _, ids_N in tables], self._offsets_R)
            self._places_N = self._places(words.clients_N, tables[0][1])

    def forward(self, step: int, own: OwnDraws) -> Tensor:
        """The means of the rows of a step."""
        rows, tokens = self._words.block.rows(step), self._words.tokens(step)
        offsets_R = self._offsets_R[rows] - tokens.start
        if self._share:
            dropped_N = self._words.dropped(step, self._share, own)
            ids = [np.where(dropped_N, UNKNOWN, ids_N[tokens]) for _, ids_N in self._tables]
            sums_RD, self._now_N = self._sums(ids, offsets_R), self._places(self._words.clients_N[tokens], ids[0])
        else:
            sums_RD, self._now_N = self._sums_RD[rows], self._places_N[tokens]
        if self.ways_CUD is not None:
            width = self.ways_CUD.shape[2]
            sums_RD[:, :width] += F.embedding_bag(self._now_N, self.ways_CUD.flatten(0, 1), offsets_R, mode="sum")
        active, width = int(self._words.block.active[step]), int(self._words.block.width[step])
        return (sums_RD / self._lengths_R1[rows]).view(active, width, -1)

    def backward(self, step: int, grads_ABD: Tensor, total_AUD: Tensor) -> None:
        """Adds the gradients of rows of the trained table to a total."""
        rows, width = self._words.block.rows(step), total_AUD.shape[2]
        shares_RD = grads_ABD[:, :, :width].flatten(0, 1) / self._lengths_R1[rows]
        given_ND = shares_RD.index_select(0, self._rows_N[self._words.tokens(step)] - rows.start)
        total_AUD.view(-1, width).scatter_add_(0, self._now_N[:, None].expand(-1, width), given_ND)

    def _sums(self, ids: list[Ints], offsets_R: Tensor) -> Tensor:
        """The sum over the words of each row, tables side by side."""
        found = [
            F.embedding_bag(torch.from_numpy(ids_N).to(self._device), table_VD, offsets_R, mode="sum")
            for (table_VD, _), ids_N in zip(self._tables, ids, strict=True)
        ]
        return torch.cat(found, -1) if len(found) > 1 else found[0]

    def _places(self, clients_N: Ints, ids_N: Ints) -> Tensor:
        """Where the row of each word stands among the small tables of all clients, end to end."""
        if self.active is not None:
            return torch.from_numpy(self.active.of(clients_N, ids_N)).to(self._device)
        return torch.from_numpy(clients_N * len(self._tables[0][0]) + ids_N).to(self._device)
