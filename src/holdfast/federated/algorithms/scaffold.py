"""SCAFFOLD: every client's gradient is corrected by how its own direction differs from that of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from holdfast.core.errors import InputError
from holdfast.federated.algorithms.contract import CONTROL, CohortTraining, ServerState, Weights
from holdfast.federated.algorithms.server import ServerOptimiser
from holdfast.federated.local import LocalSolver


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """SCAFFOLD with the second option for the control variates (the one that needs no further pass over the data).

    It keeps a tensor of the size of the weights for every client that ever took part, sends twice as much, and helps where clients
    come back often.

    Args:
        local: What every client does: plain gradient steps, since the control variates are means of such steps.
        server: What the server does.

    Raises:
        InputError: For a local optimiser with memory, or a proximal term.

    References:
        Karimireddy et al. 2020, "SCAFFOLD", arXiv 1910.06378, algorithm 1, option II.
    """

    name: ClassVar[str] = "scaffold"
    messages: ClassVar[int] = 2

    local: LocalSolver
    server: ServerOptimiser = field(default_factory=ServerOptimiser)

    def __post_init__(self) -> None:
        if self.local.optimizer != "sgd" or self.local.proximal or self.local.weight_decay:
            raise InputError(
                f"scaffold: local optimizer {self.local.optimizer!r} with proximal {self.local.proximal:g} and weight_decay "
                f"{self.local.weight_decay:g}; give optimizer 'sgd' without either"
            )

    def init(self, weights: Weights) -> ServerState:
        """The state before the first round: all control variates are 0."""
        return ServerState(weights, memory={CONTROL: _zeros(weights)})

    def round(self, state: ServerState, cohort: CohortTraining) -> ServerState:
        """One round."""
        control = state.memory.setdefault(CONTROL, _zeros(state.weights))
        zeros = _zeros(state.weights)
        owns = [state.clients.get(int(client), zeros) for client in cohort.clients]
        corrections = {name: torch.stack([control[name] - own[name] for own in owns]) for name in control} if owns else None
        moved, seen = _zeros(control), set[int]()

        def each(client: int, update: Weights, steps: int) -> None:
            if client in seen:  # drawn twice, it did the same thing twice
                return
            seen.add(client)
            own = state.clients.get(client, zeros)
            change = {name: -control[name] - update[name] / (steps * self.local.learning_rate) for name in control}
            state.clients[client] = {name: own[name] + change[name] for name in control}
            for name, value in change.items():
                moved[name] += value / cohort.population

        trained = cohort.train(state.weights, corrections=corrections, each=each)
        if trained.update is None:
            return state
        for name, value in moved.items():
            control[name] += value
        return self.server.step(state, trained.update)

    def describe(self) -> dict[str, Any]:
        """Says in plain JSON what the algorithm is."""
        return {"algorithm": self.name, "local": self.local.describe(), "server": self.server.describe()}


def _zeros(weights: Weights) -> Weights:
    return {name: torch.zeros_like(value) for name, value in weights.items()}
