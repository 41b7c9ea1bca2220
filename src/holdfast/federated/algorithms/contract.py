"""What a federated algorithm is: a beginning and a round; who is selected and how updates are summed come from outside.

Shapes: m clients of the cohort, N clients in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from holdfast.federated.local import LocalSolver

Weights = dict[str, Tensor]
CONTROL = "control"
"""The memory that belongs to the clients as much as to the server."""
Scale = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From the local steps of clients, (C,), to a factor for the update of each, (C,)."""
Each = Callable[[int, Weights, int], None]
"""Told of the update of a single client: its number, the update, its local steps."""


@dataclass(eq=False)
class ServerState:
    """What the server carries from round to round.

    Args:
        weights: The trained parameters by name.
        memory: Further tensors of their shapes, such as a momentum, by what they are and then by name.
        clients: What is kept of single clients (SCAFFOLD), by client and then by name.
        rounds: Server steps taken; a round in which no client's update counted takes none.
    """

    weights: Weights
    memory: dict[str, Weights] = field(default_factory=dict)
    clients: dict[int, Weights] = field(default_factory=dict)
    rounds: int = 0

    def forget_memory(self) -> None:
        """Lets the server's optimiser begin anew, as at the start of a period.

        Weights stay, and so do SCAFFOLD's control variates: that of the server is the mean of those of the clients.
        """
        self.memory = {kind: values for kind, values in self.memory.items() if kind == CONTROL}


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of the local training of a cohort.

    Args:
        update: The weighted sum of the updates that counted, each times its scale; None if none did.
        clients: Those that counted, (k,).
        steps: Local steps of each, (k,).
        multipliers: Aggregation weight of each, (k,): what the update was summed with.
    """

    update: Weights | None
    clients: NDArray[np.int64]
    steps: NDArray[np.int64]
    multipliers: NDArray[np.float64]


class CohortTraining(Protocol):
    """What an algorithm may ask of a round; it never sees who was selected how, nor how the sum is taken."""

    @property
    def clients(self) -> NDArray[np.int64]:
        """The clients that will train, (m,)."""
        ...

    @property
    def population(self) -> int:
        """How many clients there are in all, N."""
        ...

    def train(
        self, weights: Weights, *, scale: Scale | None = None, corrections: Mapping[str, Tensor] | None = None, each: Each | None = None
    ) -> Trained:
        """Has every client of the cohort train from these weights, and sums up.

        Args:
            weights: Where all begin.
            scale: A factor for the update of each client beside its aggregation weight; None for 1.
            corrections: Added to the gradient of each client at every step, (m, ...) by name.
            each: Called for every client that counts.
        """
        ...


@runtime_checkable
class FederatedAlgorithm(Protocol):
    """An algorithm as a pair of `init` and `round`.

    Guarantee:
        `round` depends on the state and on what the cohort's training gives back, and on nothing else; a round in which nobody's
        update counted leaves the state as it was.
    """

    @property
    def name(self) -> str:
        """Such as "fedavg"."""
        ...

    @property
    def local(self) -> LocalSolver:
        """What every client does."""
        ...

    @property
    def messages(self) -> int:
        """Tensors of the size of the weights that travel each way for a client: 1, or 2 with control variates."""
        ...

    def init(self, weights: Weights) -> ServerState:
        """The state before the first round."""
        ...

    def round(self, state: ServerState, cohort: CohortTraining) -> ServerState:
        """The state after a round."""
        ...

    def describe(self) -> dict[str, Any]:
        """Says in plain JSON what the algorithm is."""
        ...
