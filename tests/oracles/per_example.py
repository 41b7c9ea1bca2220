"""Per-example gradients by running one example at a time through ordinary autograd, in float64."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def gradients(model: nn.Module, loss_of: Callable[[int], Tensor], examples: int) -> list[dict[str, Tensor]]:
    """The gradient of each example by parameter name; zero where the loss does not depend on a parameter."""
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = []
    for example in range(examples):
        parts = torch.autograd.grad(loss_of(example), list(named.values()), allow_unused=True)
        found.append({n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named.items(), parts, strict=True)})
    return found


def norm(gradient: dict[str, Tensor]) -> float:
    """L2 norm over all parameters together."""
    return float(torch.stack([part.double().square().sum() for part in gradient.values()]).sum().sqrt())


def clipped_sum(per_example: list[dict[str, Tensor]], clip_norm: float) -> dict[str, Tensor]:
    """Each gradient scaled down to the norm, then summed."""
    scaled = [{n: g * min(1.0, clip_norm / max(norm(one), 1e-300)) for n, g in one.items()} for one in per_example]
    return {name: torch.stack([one[name] for one in scaled]).sum(0) for name in per_example[0]}
