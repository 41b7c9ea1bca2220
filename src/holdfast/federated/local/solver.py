"""How a client trains: its optimiser, its batches, and the pull back to the server's weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.models import checks

OPTIMISERS = ("sgd", "momentum", "adam", "adamw")


@dataclass(frozen=True, kw_only=True)
class LocalSolver:
    """What every client does with its examples, whatever the server then does with the updates.

    Algorithms are compared with one and the same local solver: FedNLP's published ranking gave AdamW to the clients of one algorithm
    and plain SGD to those of the others.

    Args:
        learning_rate: > 0.
        optimizer: "sgd", "momentum", "adam" (no decay) or "adamw"; its state begins anew in every round.
        batch_size: Examples of a step, at least 1; None takes all of a client's examples in each step.
        epochs: Passes over a client's examples, at least 1, each in an order of its own.
        steps: At most so many steps, however many examples there are; None for as many as the epochs take.
        momentum: In [0, 1), of "momentum".
        weight_decay: >= 0; decoupled for "adamw", else added to the gradient.
        proximal: mu >= 0 of FedProx: mu times the way from the server's weights is added to the gradient.

    Raises:
        InputError: For a value out of its bounds.

    References:
        McMahan et al. 2017, arXiv 1602.05629 (FedAvg); Li et al. 2020, arXiv 1812.06127 (FedProx).

    >>> LocalSolver(learning_rate=0.5, batch_size=8, epochs=2).steps_of(np.array([1, 8, 9])).tolist()
    [2, 2, 4]
    """

    learning_rate: float
    optimizer: str = "sgd"
    batch_size: int | None = 8
    epochs: int = 1
    steps: int | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        checks.choice("local solver", OPTIMISERS, optimizer=self.optimizer)
        checks.integer("local solver", least=1, epochs=self.epochs)
        for name in ("batch_size", "steps"):
            if getattr(self, name) is not None:
                checks.integer("local solver", least=1, **{name: getattr(self, name)})
        checks.number("local solver", least=0, below=1, momentum=self.momentum)
        checks.number("local solver", least=0, weight_decay=self.weight_decay, proximal=self.proximal)
        checks.number("local solver", least=0, learning_rate=self.learning_rate)
        if self.learning_rate == 0:
            raise InputError("local solver: learning_rate is 0; give a number above 0")

    def steps_of(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many steps clients with so many examples take, (C,)."""
        each = np.ones_like(examples) if self.batch_size is None else -(-examples // self.batch_size)
        wanted = self.epochs * each
        return wanted if self.steps is None else np.minimum(wanted, self.steps)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)
