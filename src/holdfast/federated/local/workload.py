"""What is learned in a federation: a task, a module, the examples of all clients, and which parameters travel."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.tasks import EncodedDataset, Task


@dataclass(frozen=True, eq=False)
class Workload:
    """What clients train.

    Args:
        task: What is learned.
        module: The module; its frozen parameters are those of all clients, its trainable ones only say shapes and first values.
        encoded: The examples of all clients, perhaps memory-mapped; a client is a few positions in it.
        trainable: Names of the parameters that are trained and travel; by default all that require a gradient.
        device: Where to train.

    Raises:
        InputError: If nothing is trainable, or a name is no parameter.
    """

    task: Task
    module: nn.Module
    encoded: EncodedDataset
    trainable: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        parameters = dict(self.module.named_parameters())
        names = self.trainable or tuple(name for name, value in parameters.items() if value.requires_grad)
        unknown = [name for name in names if name not in parameters]
        if unknown:
            raise InputError(f"workload: {unknown[0]!r} is no parameter of the model; it has: {', '.join(parameters)}")
        if not names:
            raise InputError("workload: no parameter of the model is trainable; unfreeze at least one")
        object.__setattr__(self, "trainable", names)
        for name, value in parameters.items():
            value.requires_grad_(name in names)
        self.module.to(self.device)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the trainable parameters as they are now."""
        parameters = dict(self.module.named_parameters())
        return {name: parameters[name].detach().clone() for name in self.trainable}

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Puts weights into the module, as for an evaluation."""
        parameters = dict(self.module.named_parameters())
        for name in self.trainable:
            parameters[name].copy_(weights[name])
