"""FedNova: updates are divided by how far their client has walked, so that clients of many steps do not pull the mean to themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.federated.algorithms.contract import CohortTraining, ServerState, Weights
from holdfast.federated.algorithms.server import ServerOptimiser
from holdfast.federated.local import LocalSolver


@dataclass(frozen=True, kw_only=True)
class FedNova:
    """FedNova: normalised averaging.

    Args:
        local: What every client does: "sgd" (with or without a proximal term) or "momentum".
        server: What the server does.

    Raises:
        InputError: For a local optimiser whose walk has no length that the paper gives.

    References:
        Wang et al. 2020, "Tackling the objective inconsistency problem", arXiv 2007.07481, section 4 (the vectors a of each solver).
    """

    name: ClassVar[str] = "fednova"
    messages: ClassVar[int] = 1

    local: LocalSolver
    server: ServerOptimiser = field(default_factory=ServerOptimiser)

    def __post_init__(self) -> None:
        if self.local.optimizer not in ("sgd", "momentum") or (self.local.optimizer == "momentum" and self.local.proximal):
            raise InputError(
                f"fednova: local optimizer {self.local.optimizer!r} with proximal {self.local.proximal:g}; "
                "give 'sgd', 'sgd' with a proximal term, or 'momentum' without one"
            )
        if self.local.proximal * self.local.learning_rate >= 1:
            raise InputError(
                f"fednova: proximal {self.local.proximal:g} times learning_rate {self.local.learning_rate:g} is 1 or more; lower one"
            )

    def init(self, weights: Weights) -> ServerState:
        """The state before the first round."""
        return ServerState(weights)

    def round(self, state: ServerState, cohort: CohortTraining) -> ServerState:
        """One round."""
        trained = cohort.train(state.weights, scale=lambda steps: 1 / self.walked(steps))
        if trained.update is None:
            return state
        effective = float(trained.multipliers @ trained.steps)
        return self.server.step(state, {name: value * effective for name, value in trained.update.items()})

    def walked(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The length of each client's walk, the 1-norm of the paper's a, (C,).

        Args:
            steps: Local steps of each, at least 1.

        Edge cases:
            For "momentum" this is the walk of heavy-ball steps, whose velocity is the sum of decayed gradients.
        """
        tau = steps.astype(np.float64)
        if self.local.optimizer == "momentum":
            rho = self.local.momentum
            return (tau - rho * (1 - rho**tau) / (1 - rho)) / (1 - rho)
        pull = self.local.proximal * self.local.learning_rate
        return (1 - (1 - pull) ** tau) / pull if pull else tau

    def describe(self) -> dict[str, Any]:
        """Says in plain JSON what the algorithm is."""
        return {"algorithm": self.name, "local": self.local.describe(), "server": self.server.describe()}
