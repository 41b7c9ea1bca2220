"""How far the book-keeping engine is from single examples run alone through ordinary autograd in float64."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.privacy.engine import recording
from tests.oracles import per_example as oracle

Losses = Callable[[nn.Module, np.ndarray], Tensor]
FLOOR = 1e-5  # of the whole gradient: a part smaller than this is held to it, not to itself


class Errors(NamedTuple):
    """Relative errors.

    norms: The worst of any example's gradient norm.
    sums: Of a weighted sum of gradients over all examples, whole.
    parts: The worst of any single parameter's part of that sum.
    """

    norms: float
    sums: float
    parts: float


def errors(
    make: Callable[[], nn.Module], losses: Losses, *, examples: int, dtype: torch.dtype = torch.float64, seed: int = 0, rows: int = 1
) -> Errors:
    """Runs a model once under the engine, and each example alone.

    Weights of the sum differ in size and sign, so that a gradient which went to the wrong example is seen.
    """
    model, reference = made(make, seed).to(dtype), made(make, seed).double()
    reference.load_state_dict(model.state_dict())
    alone = oracle.gradients(reference, lambda i: losses(reference, np.array([i])).sum(), examples)
    with recording(model, examples, rows_per_example=rows) as tape:
        losses(model, np.arange(examples)).sum().backward()
    weights = torch.linspace(-1, 2, examples, dtype=torch.float64)
    got: dict[str, Tensor] = {}
    with torch.no_grad():
        norms = tape.squared_norms()[0].double().sqrt()
        tape.add_weighted_sum(weights.to(torch.promote_types(dtype, torch.float32)), into=got)
    expected = torch.tensor([oracle.norm(one) for one in alone], dtype=torch.float64)
    want = {name: sum(weight * one[name] for weight, one in zip(weights, alone, strict=True)) for name in alone[0]}
    whole = oracle.norm(want)
    off = {name: float((got.get(name, torch.zeros(())).double() - part).norm()) for name, part in want.items()}
    return Errors(
        float(((norms - expected).abs() / expected.clamp_min(1e-9)).max()),
        sum(one**2 for one in off.values()) ** 0.5 / whole,
        max(one / max(float(want[name].norm()), FLOOR * whole) for name, one in off.items()),
    )


def made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The model of a seed, with no weight left at a round number, where a mistake could hide."""
    torch.manual_seed(seed)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model
