"""Algorithms that hand the weighted mean of the updates to a server optimiser: FedSGD, FedAvg, FedProx and the FedOpt family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from holdfast.federated.algorithms.contract import CohortTraining, ServerState, Weights
from holdfast.federated.algorithms.server import ServerOptimiser
from holdfast.federated.local import LocalSolver


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """Clients train, the server steps along the weighted mean of their updates.

    With plain steps on both sides this is FedAvg; a proximal term in `local` makes it FedProx, one step over all examples FedSGD, and
    another `server` FedAvgM, FedAdam, FedYogi or FedAdagrad. What the clients do and what the server does are two choices.

    Args:
        local: What every client does.
        server: What the server does.
        name: What to call it.

    References:
        McMahan et al. 2017, arXiv 1602.05629; Li et al. 2020, arXiv 1812.06127; Reddi et al. 2021, arXiv 2003.00295.
    """

    messages: ClassVar[int] = 1

    local: LocalSolver
    server: ServerOptimiser = field(default_factory=ServerOptimiser)
    name: str = "fedavg"

    def init(self, weights: Weights) -> ServerState:
        """The state before the first round."""
        return ServerState(weights)

    def round(self, state: ServerState, cohort: CohortTraining) -> ServerState:
        """One round."""
        trained = cohort.train(state.weights)
        return state if trained.update is None else self.server.step(state, trained.update)

    def describe(self) -> dict[str, Any]:
        """Says in plain JSON what the algorithm is."""
        return {"algorithm": self.name, "local": self.local.describe(), "server": self.server.describe()}
