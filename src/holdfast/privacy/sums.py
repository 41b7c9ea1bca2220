"""The arithmetic of the clippers: sums of gradients over a batch, clipped by example, by micro-batch, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import TrainingStopped
from holdfast.privacy.clipping import ClippingState, Execution, Indices, LossesOf
from holdfast.privacy.engine import Gradients, Tape, add_into, recording, trainable

Weigh = Callable[[Tensor], Tensor]


def plain(model: nn.Module, losses_of: LossesOf, indices: Indices, *, execution: Execution) -> Gradients:
    """The sum of the gradients of single examples, not clipped."""
    total: Gradients = {}
    for part in execution.parts(indices):
        add_into(total, gradients_of(model, finite(losses_of(part)).sum()))
    return complete(model, total)


def per_example(
    model: nn.Module,
    losses_of: LossesOf,
    indices: Indices,
    *,
    weigh: Weigh,
    groups: Mapping[str, int] | None = None,
    execution: Execution,
) -> Gradients:
    """The sum of the gradients of single examples, each times the weight that its own norm gives it.

    Args:
        model: The model; its parameters are read, their `.grad` is left alone.
        losses_of: Gives one loss for each of the indices it is handed.
        indices: The batch, perhaps empty.
        weigh: Squared norms by group of parameters and example, (L, B), to weights of the same shape.
        groups: Parameter name to group in ``0..L-1``; None for one group.
        execution: How to do the work.

    Returns:
        A gradient for every trainable parameter by name, zero where no example reached it.

    Raises:
        TrainingStopped: If a loss is not finite.
        PreflightError: If the book-keeping engine meets a use of a parameter without a rule.
    """
    total: Gradients = {}
    if execution.engine == "loop":
        for index in indices:
            _add_one(model, losses_of, np.array([index]), weigh, groups, total)
    else:
        for part in execution.parts(indices):
            _add_part(model, losses_of, part, weigh, groups, execution, total)
    return complete(model, total)


def clip_weights(squared_norms: Tensor, clip_norm: float) -> Tensor:
    """Factor of each example: min(1, C / norm), and zero where the norm is not finite."""
    norms = squared_norms.clamp_min(0).sqrt()
    return torch.where(torch.isfinite(norms), clip_norm / norms.clamp_min(clip_norm), 0.0)


def squared_norms(
    model: nn.Module, losses_of: LossesOf, indices: Indices, *, groups: Mapping[str, int] | None = None, rows_per_example: int = 1
) -> Tensor:
    """Squared gradient norm of each example, (B,), or (L, B) by group, by the book-keeping engine in one pass.

    Exact norms of single examples are private data: for checks and tests, not for logs.
    """
    if not len(indices):
        return torch.zeros(0) if groups is None else torch.zeros(1 + max(groups.values(), default=0), 0)
    with recording(model, len(indices), groups=groups, rows_per_example=rows_per_example) as tape:
        finite(losses_of(indices)).sum().backward()
    with torch.no_grad():
        squared_LB = tape.squared_norms()
    return squared_LB[0] if groups is None else squared_LB


def _add_part(
    model: nn.Module,
    losses_of: LossesOf,
    part: Indices,
    weigh: Weigh,
    groups: Mapping[str, int] | None,
    execution: Execution,
    total: Gradients,
) -> None:
    with recording(model, len(part), groups=groups, rows_per_example=execution.rows_per_example) as tape:
        finite(losses_of(part)).sum().backward()
    add_recorded(tape, weigh, into=total)


@torch.no_grad()
def add_recorded(tape: Tape, weigh: Weigh, *, into: Gradients) -> None:
    """Adds the weighted gradients of what was recorded; an example whose norm is not finite adds nothing.

    Args:
        tape: After the backward pass.
        weigh: Squared norms by group of parameters and example, (L, B), to weights of the same shape.
        into: The running sum, by parameter name.
    """
    with torch.autocast(tape.device.type, enabled=False):  # which would round norms and sums
        _add_recorded(tape, weigh, into)


def _add_recorded(tape: Tape, weigh: Weigh, into: Gradients) -> None:
    squared_LB = tape.squared_norms()
    bad_B = ~torch.isfinite(squared_LB).all(0)
    if bool(bad_B.any()):
        tape.forget(bad_B)
    tape.add_weighted_sum(weigh(squared_LB), into=into)


def _add_one(model: nn.Module, losses_of: LossesOf, one: Indices, weigh: Weigh, groups: Mapping[str, int] | None, total: Gradients) -> None:
    gradients = gradients_of(model, finite(losses_of(one)).sum())
    group_of = dict.fromkeys(gradients, 0) if groups is None else groups
    squared_L = torch.zeros(1 + max(group_of.values(), default=0), dtype=torch.float64)
    for name, gradient in gradients.items():
        squared_L[group_of[name]] += gradient.double().square().sum().cpu()
    weights_L = weigh(squared_L[:, None])[:, 0]
    if not bool(torch.isfinite(squared_L).all()):
        return
    add_into(total, {name: float(weights_L[group_of[name]]) * gradient for name, gradient in gradients.items()})


def micro_batch(
    model: nn.Module,
    losses_of: LossesOf,
    micro_batches: Sequence[Indices],
    *,
    divisor: int,
    thresholds: Callable[[Mapping[str, int]], Mapping[str, float]],
    execution: Execution,
    state: ClippingState | None = None,
) -> Gradients:
    """The sum over micro-batches of their mean gradients, each clipped layer by layer.

    Args:
        model: The model.
        losses_of: Gives one loss for each of the indices it is handed.
        micro_batches: The indices of each micro-batch, perhaps empty.
        divisor: What a micro-batch's sum is divided by, whatever its size.
        thresholds: Gives the threshold of each layer from the layers' sizes.
        execution: How to do the work.
        state: Where to count the micro-batches that were left out, whole or in a layer; None counts nowhere.
    """
    total: Gradients = {}
    bounds = thresholds(layer_sizes(model))
    for indices in micro_batches:
        mean: Gradients = {}
        for part in execution.parts(indices):
            add_into(mean, gradients_of(model, finite(losses_of(part)).sum() / divisor))
        with torch.no_grad():
            add_clipped_by_layer(mean, bounds, into=total, state=state)
    return complete(model, total)


def layer_sizes(model: nn.Module) -> dict[str, int]:
    """Number of trainable parameters of each layer, by the layer's name."""
    sizes: dict[str, int] = {}
    for name, parameter in trainable(model).items():
        sizes[layer_of(name)] = sizes.get(layer_of(name), 0) + parameter.numel()
    return sizes


def add_clipped_by_layer(
    gradients: Gradients, thresholds: Mapping[str, float], *, into: Gradients, state: ClippingState | None = None
) -> None:
    """Adds gradients scaled down layer by layer; a layer whose norm is not finite is left out.

    Args:
        gradients: By parameter name. Used up: where `into` has no such name yet, the tensor becomes the sum.
        thresholds: The bound of each layer, by the layer's name.
        into: The running sum, by parameter name.
        state: Where to count gradients of which a layer was left out; None counts nowhere.
    """
    squared: dict[str, Tensor] = {}
    for name, gradient in gradients.items():
        part = torch.linalg.vector_norm(gradient).square()
        squared[layer_of(name)] = squared[layer_of(name)] + part if layer_of(name) in squared else part
    weights = {layer: float(clip_weights(value, thresholds[layer])) for layer, value in squared.items()}
    if state is not None and not all(weights.values()):
        state.leave_out(1)
    for name, gradient in gradients.items():
        weight = weights[layer_of(name)]
        if weight and name in into:
            into[name].add_(gradient, alpha=weight)
        elif weight:
            into[name] = gradient if weight == 1 else gradient.mul_(weight)


def layer_of(parameter_name: str) -> str:
    """The layer that a parameter belongs to: what comes before the last dot of its name."""
    return parameter_name.rpartition(".")[0] or parameter_name


def finite(losses_B: Tensor) -> Tensor:
    """The losses, if every one is a finite number.

    Raises:
        TrainingStopped: If not.
    """
    bad = int((~torch.isfinite(losses_B)).sum())
    if bad:
        raise TrainingStopped(
            f"{bad} of {len(losses_B)} losses are not finite; lower the learning rate, or look for empty or overlong examples; "
            "the last checkpoint and the spent budget are kept"
        )
    return losses_B


def complete(model: nn.Module, total: Gradients) -> Gradients:
    """Every trainable parameter, in the model's order, with zeros where nothing was added."""
    return {
        name: total[name] if name in total else torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32))
        for name, parameter in trainable(model).items()
    }


def gradients_of(model: nn.Module, loss: Tensor) -> Gradients:
    """The ordinary gradient of one loss, by parameter name, in float32 or better; each a tensor of its own.

    A parameter that the loss does not depend on is absent.
    """
    parameters = trainable(model)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    seen: set[int] = set()  # autograd hands one tensor to two parameters that are merely added up
    gradients = {}
    for name, gradient in zip(parameters, found, strict=True):
        if gradient is not None:
            wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
            gradients[name] = (
                wide.clone() if wide.data_ptr() in seen else wide
            )  # autograd hands one tensor to two parameters that are added up
            seen.add(wide.data_ptr())
    return gradients
