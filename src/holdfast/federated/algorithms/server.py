"""What the server does with the sum of the updates: a step of an optimiser that takes it for a negative gradient."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from holdfast.core.errors import InputError
from holdfast.federated.algorithms.contract import ServerState, Weights
from holdfast.models import checks

SERVERS = ("sgd", "momentum", "adam", "yogi", "adagrad")


@dataclass(frozen=True, kw_only=True)
class ServerOptimiser:
    """The server's step; at its defaults it adds the update, which makes FedAvg.

    Args:
        optimizer: "sgd", "momentum", "adam", "yogi" or "adagrad".
        learning_rate: > 0.
        momentum: beta of "momentum", beta1 of "adam", "yogi" and "adagrad", in [0, 1). The adaptive ones use no bias correction.
        second: beta2 of "adam" and "yogi", in [0, 1).
        floor: tau > 0 of the adaptive ones, added to the root; the second moment begins at its square.

    Raises:
        InputError: For a value out of its bounds.

    References:
        Reddi et al. 2021, "Adaptive federated optimization", arXiv 2003.00295, algorithm 2; Hsu et al. 2019, arXiv 1909.06335 (FedAvgM).
    """

    optimizer: str = "sgd"
    learning_rate: float = 1.0
    momentum: float = 0.9
    second: float = 0.99
    floor: float = 1e-3

    def __post_init__(self) -> None:
        checks.choice("server", SERVERS, optimizer=self.optimizer)
        checks.number("server", least=0, below=1, momentum=self.momentum, second=self.second)
        checks.number("server", least=0, learning_rate=self.learning_rate, floor=self.floor)
        for name in ("learning_rate", "floor"):
            if getattr(self, name) == 0:
                raise InputError(f"server: {name} is 0; give a number above 0")

    @torch.no_grad()
    def step(self, state: ServerState, update: Weights) -> ServerState:
        """Moves the weights by a mean update.

        Args:
            state: Before; its tensors are changed.
            update: By name, of the shapes of the weights.
        """
        for name, weights in state.weights.items():
            weights.add_(self._move(state, name, update[name]), alpha=self.learning_rate)
        state.rounds += 1
        return state

    def _move(self, state: ServerState, name: str, update: torch.Tensor) -> torch.Tensor:
        if self.optimizer == "sgd":
            return update
        first = _memory(state, "momentum", name, torch.zeros_like(update))
        if self.optimizer == "momentum":
            return first.mul_(self.momentum).add_(update)
        first.lerp_(update, 1 - self.momentum)
        second = _memory(state, "second", name, torch.full_like(update, self.floor**2))
        square = update.square()
        if self.optimizer == "adagrad":
            second.add_(square)
        elif self.optimizer == "adam":
            second.lerp_(square, 1 - self.second)
        else:
            second.addcmul_(square, torch.sign(second - square), value=-(1 - self.second))
        return first / (second.sqrt() + self.floor)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)


def _memory(state: ServerState, kind: str, name: str, first: torch.Tensor) -> torch.Tensor:
    return state.memory.setdefault(kind, {}).setdefault(name, first)
