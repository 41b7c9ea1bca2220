"""Error feedback: what a client could not send in one round it adds to the next.

Shapes: C clients of a block, P numbers of an update.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError, RunError
from holdfast.core.randomness import Streams
from holdfast.federated.updates.compression import Compressor, Numbers
from holdfast.federated.updates.layout import Layout
from holdfast.models import checks


class ErrorFeedback:
    """A compressor with a memory for each client: e becomes e + update - what was sent of e + update.

    Clients must keep what they could not send, and it only helps those that come back; where clients rarely do, old errors of old weights
    arrive late. What was sent counts as arrived: if the server then leaves a client out, that part is lost.

    Args:
        compressor: What makes bytes of an update.
        capacity: Clients that are remembered at most from one round to the next, those that came last, of these the highest numbers; None
            for all. Each takes P numbers.

    Guarantee:
        All that arrived of a client, and what is remembered of it, add up to all of its updates (up to rounding), as long as it was not
        forgotten. A client that stands twice in a cohort sends twice, the second time with what the first has left; the result does not
        depend on how a cohort is cut into blocks.

    Edge cases:
        An update that is not finite arrives as such and leaves the memory as it was.

    References:
        Seide et al. 2014; Karimireddy et al. 2019, arXiv 1901.09847.
    """

    def __init__(self, compressor: Compressor, *, capacity: int | None = None) -> None:
        if capacity is not None:
            checks.integer("error feedback", least=1, capacity=capacity)
        self.compressor = compressor
        self.capacity = capacity
        self.forgotten = 0
        """How often a client was forgotten to make room."""
        self._kept: dict[int, Tensor] = {}
        self._last: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def name(self) -> str:
        """That of the compressor."""
        return self.compressor.name

    def residual(self, client: int) -> Tensor | None:
        """What a client has not sent yet, (P,); None if nothing is remembered."""
        return self._kept.get(int(client))

    def compress(self, update: Mapping[str, Tensor], *, streams: Streams, round: int, client: int) -> bytes:
        """One client's update and what it had not sent, as bytes."""
        layout = Layout.of(update)
        self._make_room(round)
        wanted_P = self._with_memory(layout.flatten(update)[None], [int(client)])[0]
        data = self.compressor.compress(layout.unflatten(wanted_P), streams=streams, round=round, client=client)
        self._remember(wanted_P[None], layout.flatten(self.compressor.decompress(data, update))[None], [int(client)], round)
        return data

    def decompress(self, data: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `compress` wrote, as an update."""
        return self.compressor.decompress(data, like)

    def transmit(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Numbers) -> Tensor:
        """What arrives of the updates of a block, (C, P), and keeps the rest in mind."""
        self._make_room(round)
        numbers = np.asarray(clients, dtype=np.int64)
        sent_CP = torch.empty_like(rows_CP)
        for places in _passes(numbers):
            those = numbers[places].tolist()
            at = torch.from_numpy(places).to(rows_CP.device)
            wanted_CP = self._with_memory(rows_CP[at], those)
            arrived_CP = self.compressor.transmit(wanted_CP, layout, streams=streams, round=round, clients=those)
            self._remember(wanted_CP, arrived_CP, those, round)
            sent_CP[at] = arrived_CP
        return sent_CP

    def length(self, layout: Layout) -> int:
        """How many bytes one client sends."""
        return self.compressor.length(layout)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {**self.compressor.describe(), "error_feedback": True, "capacity": self.capacity}

    def state_dict(self) -> dict[str, Tensor]:
        """The memory as tensors: "clients" (k,), "rounds" (k,) in which they came last, "residuals" (k, P), "forgotten"."""
        rows = list(self._kept.values())
        return {
            "clients": torch.tensor(list(self._kept), dtype=torch.int64),
            "rounds": torch.tensor([self._last[client] for client in self._kept], dtype=torch.int64),
            "residuals": torch.stack(rows) if rows else torch.zeros(0, 0),
            "forgotten": torch.tensor(self.forgotten),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state_dict` gave.

        Raises:
            RunError: If it is something else.
        """
        wanted = ("clients", "rounds", "residuals")
        if set(state) != {*wanted, "forgotten"} or len({len(state[name]) for name in wanted}) > 1:
            raise RunError(f"error feedback: a memory has {', '.join(wanted)}, of one length, and forgotten; this has {sorted(state)}")
        clients = state["clients"].tolist()
        self._kept = {client: row_P.clone() for client, row_P in zip(clients, state["residuals"], strict=True)}
        self._last = dict(zip(clients, state["rounds"].tolist(), strict=True))
        self.forgotten = int(state["forgotten"])

    def _with_memory(self, rows_CP: Tensor, clients: list[int]) -> Tensor:
        known = [row for row, client in enumerate(clients) if client in self._kept]
        wanted_CP = rows_CP.detach().clone()
        if known:
            kept = torch.stack([self._kept[clients[row]] for row in known])
            if kept.shape[1] != rows_CP.shape[1]:
                raise InputError(f"error feedback: {rows_CP.shape[1]:,} numbers, where {kept.shape[1]:,} are remembered; start anew")
            wanted_CP[known] += kept.to(wanted_CP)
        return wanted_CP

    def _remember(self, wanted_CP: Tensor, sent_CP: Tensor, clients: list[int], round: int) -> None:
        left_CP = (wanted_CP - sent_CP).cpu()
        for client, left_P, finite in zip(clients, left_CP, left_CP.isfinite().all(1).tolist(), strict=True):
            if finite:
                self._kept[client] = left_P.clone()  # not a view that would keep the whole block
                self._last[client] = round

    def _make_room(self, round: int) -> None:
        """Forgets between rounds alone: within one, it would depend on the blocks who finds its memory."""
        if self.capacity is None or len(self._kept) <= self.capacity or round in self._last.values():
            return
        oldest = sorted(self._kept, key=lambda client: (self._last[client], client))[: len(self._kept) - self.capacity]
        for client in oldest:
            del self._kept[client], self._last[client]
        self.forgotten += len(oldest)


def _passes(clients: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of the clients, in passes in which nobody stands twice: all first appearances, then all second ones.

    >>> [places.tolist() for places in _passes(np.array([4, 7, 4, 4]))]
    [[0, 1], [2], [3]]
    """
    seen: Counter[int] = Counter()
    turns = np.zeros(len(clients), dtype=np.int64)
    for place, client in enumerate(clients.tolist()):
        turns[place] = seen[client]
        seen[client] += 1
    return [np.flatnonzero(turns == turn) for turn in range(turns.max(initial=-1) + 1)]
