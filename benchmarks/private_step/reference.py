"""The clipped sum by a loop over single examples in float64, and how far an engine's sum is from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from holdfast.privacy import MicroBatchClipping
from private_step.cases import Case, losses
from private_step.comparators import named_trainable

FLOOR = 1e-3  # of the whole norm: a parameter whose gradient is zero but for rounding is compared with this


@dataclass
class Reference:
    """The case in float64.

    Args:
        case: The model and its rows.
        device: Where it runs.
        rows: The batch that is summed.
    """

    case: Case
    device: torch.device
    rows: np.ndarray

    def __post_init__(self) -> None:
        self.model = self.case.model(self.device, torch.float64)
        self.data = self.case.data(self.device)
        self.parameters = named_trainable(self.model)

    def _gradients(self, rows: np.ndarray) -> list[Tensor]:
        return list(torch.autograd.grad(losses(self.model, *self.data.batch(rows)).sum(), list(self.parameters.values())))

    def clip_norm(self) -> float:
        """A clip norm amid the norms of the first rows, so that some are clipped and some are not."""
        norms = [
            math.sqrt(sum(float(g.square().sum()) for g in self._gradients(self.rows[i : i + 1]))) for i in range(min(3, len(self.rows)))
        ]
        return float(np.median(norms)) * 1.0001  # not on an example's own norm, where rounding decides

    def per_example(self, clip_norm: float) -> dict[str, Tensor]:
        """Each example's gradient scaled to at most C, summed."""
        total = self._zeros()
        for row in self.rows:
            gradients = self._gradients(np.array([row]))
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            torch._foreach_add_(list(total.values()), gradients, alpha=min(1.0, clip_norm / norm))
        return total

    def by_micro_batch(self, clipper: MicroBatchClipping, assignment: np.ndarray) -> dict[str, Tensor]:
        """Each micro-batch's mean gradient clipped layer by layer, summed."""
        layers = {name: name.rpartition(".")[0] or name for name in self.parameters}
        sizes: dict[str, int] = {}
        for name, parameter in self.parameters.items():
            sizes[layers[name]] = sizes.get(layers[name], 0) + parameter.numel()
        bounds = clipper.thresholds(sizes)
        total = self._zeros()
        for slot in set(assignment.tolist()):
            mean = dict(zip(self.parameters, self._gradients(self.rows[assignment == slot]), strict=True))
            torch._foreach_div_(list(mean.values()), clipper.micro_batch_size)
            squared = dict.fromkeys(sizes, 0.0)
            for name, gradient in mean.items():
                squared[layers[name]] += float(gradient.square().sum())
            for name, gradient in mean.items():
                norm = math.sqrt(squared[layers[name]])
                total[name] += gradient * (min(1.0, bounds[layers[name]] / norm) if norm else 0.0)
        return total

    def _zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(parameter, requires_grad=False) for name, parameter in self.parameters.items()}


def relative_error(found: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    """Worst over parameters: norm of the difference over the norm of the right one, but at least a thousandth of the whole."""
    whole = math.sqrt(sum(float(tensor.square().sum()) for tensor in right.values()))
    worst = 0.0
    for name, tensor in right.items():
        given = found.get(name)
        difference = tensor if given is None else tensor - given.detach().to(tensor)
        worst = max(worst, float(difference.norm()) / max(float(tensor.norm()), FLOOR * whole))
    return worst
