"""What travels in a round: counts every byte, and lets updates through a compressor where there is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.federated.algorithms.contract import Weights
from holdfast.federated.local import Updates
from holdfast.federated.simulation.state import History
from holdfast.federated.updates import Compressor, Layout, arrived, sent, serialised


class Sending:
    """Messages between the server and its clients.

    Args:
        weights: For names, types and shapes.
        messages: Tensors of the size of the weights that travel each way for a client.
        compressor: Makes updates smaller on their way up; None sends them as they are.
        history: Where bytes are counted.
    """

    def __init__(self, weights: Weights, *, messages: int, compressor: Compressor | None, history: History) -> None:
        self._layout, self._messages, self._compressor, self._history = Layout.of(weights), messages, compressor, history
        self._like, self._sent = weights, 0
        self._down = serialised(weights)

    def down(self, clients: int) -> None:
        """Counts what is sent to so many clients: always the whole of the trained weights."""
        self._history.bytes_down += self._down * self._messages * clients

    def up(self, updates: Updates, *, clients: NDArray[np.int64], round: int, streams: Streams) -> Updates:
        """Counts what the clients of a block send, until `settle` writes it down, and returns what arrives.

        Args:
            updates: Theirs.
            clients: Their numbers, (C,).
            round: The round.
            streams: The randomness of the run.
        """
        if self._compressor is None:
            self._sent += int(sent(updates, self._like).bytes.sum()) * self._messages
            return updates
        self._sent += self._compressor.length(self._layout) * self._messages * len(updates)
        return arrived(updates, self._layout, self._compressor, streams=streams, round=round, clients=clients)

    def own(self) -> int:
        """Bytes that the clients of this process have sent since `settle`."""
        return self._sent

    def settle(self, total: int) -> None:
        """Writes down what the clients of all processes have sent.

        Args:
            total: Bytes of all.
        """
        self._history.bytes_up, self._sent = self._history.bytes_up + total, 0
