"""The layers above the features: perhaps one hidden layer, and a linear head with a cross-entropy; gradients by hand.

Shapes: C clients of a block, A of them that take a step: the first ones. B rows of each, D width of their features, H hidden units,
K labels, O outputs and I inputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.federated.local.closed.network import Network
from holdfast.tasks.task import IGNORED
from holdfast.training.ensembles.randomness import OwnDraws


@dataclass(frozen=True, eq=False)
class Layer:
    """What a linear layer has seen in a step: the gradient of its weights is ``grads' inputs`` and that of its shifts the sum of ``grads``.

    Args:
        name: Beginning of the names of its parameters.
        grads_ABO: Gradient of its outputs.
        inputs_ABI: Its inputs.
    """

    name: str
    grads_ABO: Tensor
    inputs_ABI: Tensor


@dataclass(frozen=True, eq=False)
class Passed:
    """What a step has found.

    Args:
        losses_AB: Loss of each row, in nats, at the weights before the step.
        layers: The layers, the head first.
        grads_ABD: Gradient of the features; None where it was not asked for.
    """

    losses_AB: Tensor
    layers: tuple[Layer, ...]
    grads_ABD: Tensor | None


def passed(
    network: Network,
    values: Mapping[str, Tensor],
    x_ABD: Tensor,
    targets_AB: Tensor,
    shares_AB: Tensor,
    *,
    own: OwnDraws,
    deepest: int,
) -> Passed:
    """One pass forth and back.

    Args:
        network: The layers.
        values: Their parameters by name, (C, ...) each.
        x_ABD: The features.
        targets_AB: The label of each row, or `IGNORED`, which costs log K whatever the model says.
        shares_AB: Share of each row in the mean loss of its client; 0 for a row that is not real.
        own: Draws the dropout.
        deepest: How far down gradients are wanted: 0 the head alone, 1 the hidden layer, 2 the features.
    """
    A = len(x_ABD)
    hidden_ABH = x_ABD
    if network.hidden is not None:
        hidden_ABH = _linear(network.hidden, values, x_ABD).relu_()
    scale_ABH = _kept(hidden_ABH, network.dropout, own) if network.dropout else None
    dropped_ABH = hidden_ABH if scale_ABH is None else torch.where(scale_ABH > 0, hidden_ABH * scale_ABH, 0.0)
    logs_ABK = _linear(network.head, values, dropped_ABH).log_softmax(-1)
    unseen_AB = targets_AB == IGNORED
    places_AB1 = targets_AB.clamp(min=0)[:, :, None]
    losses_AB = logs_ABK.gather(2, places_AB1)[:, :, 0].neg().masked_fill(unseen_AB, math.log(logs_ABK.shape[2]))
    grads_ABK = logs_ABK.exp_().scatter_add_(2, places_AB1, torch.full_like(losses_AB, -1.0)[:, :, None])
    grads_ABK *= shares_AB.masked_fill(unseen_AB, 0.0)[:, :, None]
    layers = [Layer(network.head, grads_ABK, dropped_ABH)]
    found_ABD = None
    if deepest > 0:
        found_ABD = torch.bmm(grads_ABK, values[f"{network.head}.weight"][:A])
        if scale_ABH is not None:
            found_ABD = torch.where(scale_ABH > 0, found_ABD * scale_ABH, 0.0)
        if network.hidden is not None:
            found_ABD = torch.ops.aten.threshold_backward(found_ABD, hidden_ABH, 0)
            layers.append(Layer(network.hidden, found_ABD, x_ABD))
            found_ABD = torch.bmm(found_ABD, values[f"{network.hidden}.weight"][:A]) if deepest > 1 else None
    return Passed(losses_AB, tuple(layers), found_ABD)


def _linear(name: str, values: Mapping[str, Tensor], x_ABI: Tensor) -> Tensor:
    """``x W' + b`` for each client."""
    return torch.baddbmm(values[f"{name}.bias"][: len(x_ABI), None], x_ABI, values[f"{name}.weight"][: len(x_ABI)].mT)


def _kept(x_ABH: Tensor, share: float, own: OwnDraws) -> Tensor:
    """What dropout multiplies each number by, as `nn.Dropout` would draw it for the rows of one client after the other."""
    return own.dropout(torch.ones_like(x_ABH).flatten(0, 1), share).view_as(x_ABH)
