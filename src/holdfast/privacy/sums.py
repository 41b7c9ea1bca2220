"""The arithmetic of the clippers: sums of gradients over a batch, clipped by example, by micro-batch, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import TrainingStopped
from holdfast.privacy.clipping import Execution, Indices, LossesOf
from holdfast.privacy.interception import add_into, recording, trainable
from holdfast.privacy.layer_rules import Gradients


def plain(model: nn.Module, losses_of: LossesOf, indices: Indices, *, execution: Execution) -> Gradients:
    """The sum of the gradients of single examples, not clipped."""
    total = _zeros(model)
    for part in execution.parts(indices):
        add_into(total, _gradients(model, _finite(losses_of(part)).sum()))
    return total


def per_example(model: nn.Module, losses_of: LossesOf, indices: Indices, *, clip_norm: float, execution: Execution) -> Gradients:
    """The sum of the gradients of single examples, each scaled down to norm `clip_norm`.

    Args:
        model: The model; its parameters are read, their `.grad` is left alone.
        losses_of: Gives one loss for each of the indices it is handed.
        indices: The batch, perhaps empty.
        clip_norm: C.
        execution: How to do the work.

    Raises:
        TrainingStopped: If a loss is not finite.
        PreflightError: If the book-keeping engine meets a layer without a rule.
    """
    total = _zeros(model)
    if execution.engine == "loop":
        for index in indices:
            _add_one(model, losses_of, np.array([index]), clip_norm, total)
        return total
    for part in execution.parts(indices):
        _add_part(model, losses_of, part, clip_norm, total)
    return total


def clip_weights(squared_norms_B: Tensor, clip_norm: float) -> Tensor:
    """Factor of each example, (B,): min(1, C / norm), and zero where the norm is not finite."""
    norms = squared_norms_B.clamp_min(0).sqrt()
    return torch.where(torch.isfinite(norms), clip_norm / norms.clamp_min(clip_norm), 0.0)


def squared_norms(model: nn.Module, losses_of: LossesOf, indices: Indices) -> Tensor:
    """Squared gradient norm of each example, (B,), by the book-keeping engine in one pass.

    Exact norms of single examples are private data: for checks and tests, not for logs.
    """
    with recording(model, len(indices)) as tape:
        _finite(losses_of(indices)).sum().backward()
    tape.finish()
    with torch.no_grad():
        return tape.squared_norms()


def _add_part(model: nn.Module, losses_of: LossesOf, part: Indices, clip_norm: float, total: Gradients) -> None:
    with recording(model, len(part)) as tape:
        _finite(losses_of(part)).sum().backward()
    tape.finish()
    with torch.no_grad():
        squared = tape.squared_norms()
        if not bool(torch.isfinite(squared).all()):
            tape.forget(~torch.isfinite(squared))
        for name, gradient in tape.weighted_sum(clip_weights(squared, clip_norm)):
            total[name] += gradient


def _add_one(model: nn.Module, losses_of: LossesOf, one: Indices, clip_norm: float, total: Gradients) -> None:
    gradients = _gradients(model, _finite(losses_of(one)).sum())
    squared = torch.stack([g.double().square().sum() for g in gradients.values()]).sum()[None]
    weight = float(clip_weights(squared, clip_norm))
    if weight > 0:
        for name, gradient in gradients.items():
            total[name] += weight * gradient


def micro_batch(
    model: nn.Module,
    losses_of: LossesOf,
    micro_batches: Sequence[Indices],
    *,
    divisor: int,
    thresholds: Callable[[Mapping[str, int]], Mapping[str, float]],
    execution: Execution,
) -> Gradients:
    """The sum over micro-batches of their mean gradients, each clipped layer by layer.

    Args:
        model: The model.
        losses_of: Gives one loss for each of the indices it is handed.
        micro_batches: The indices of each micro-batch, perhaps empty.
        divisor: What a micro-batch's sum is divided by, whatever its size.
        thresholds: Gives the threshold of each layer from the layers' sizes.
        execution: How to do the work.
    """
    total = _zeros(model)
    bounds = thresholds(layer_sizes(model))
    for indices in micro_batches:
        mean: Gradients = {}
        for part in execution.parts(indices):
            add_into(mean, _gradients(model, _finite(losses_of(part)).sum() / divisor))
        with torch.no_grad():
            add_into(total, _clipped_by_layer(mean, bounds))
    return total


def layer_sizes(model: nn.Module) -> dict[str, int]:
    """Number of trainable parameters of each layer, by the layer's name."""
    sizes: dict[str, int] = {}
    for name, parameter in trainable(model).items():
        sizes[_layer(name)] = sizes.get(_layer(name), 0) + parameter.numel()
    return sizes


def _clipped_by_layer(gradients: Gradients, thresholds: Mapping[str, float]) -> Gradients:
    squared: dict[str, Tensor] = {}
    for name, gradient in gradients.items():
        part = gradient.float().square().sum()
        squared[_layer(name)] = squared[_layer(name)] + part if _layer(name) in squared else part
    weights = {layer: clip_weights(value[None], thresholds[layer])[0] for layer, value in squared.items()}
    return {name: gradient * weights[_layer(name)] for name, gradient in gradients.items() if bool(weights[_layer(name)] > 0)}


def _layer(parameter_name: str) -> str:
    return parameter_name.rpartition(".")[0] or parameter_name


def _finite(losses_B: Tensor) -> Tensor:
    bad = int((~torch.isfinite(losses_B)).sum())
    if bad:
        raise TrainingStopped(
            f"{bad} of {len(losses_B)} losses are not finite; lower the learning rate, or look for empty or overlong examples; "
            "the last checkpoint and the spent budget are kept"
        )
    return losses_B


def _zeros(model: nn.Module) -> Gradients:
    return {name: torch.zeros_like(parameter) for name, parameter in trainable(model).items()}


def _gradients(model: nn.Module, loss: Tensor) -> Gradients:
    parameters = trainable(model)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(parameters, found, strict=True) if gradient is not None}
