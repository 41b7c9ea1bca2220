"""Rules of norms and of what else has one number for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.privacy.engine import functions
from holdfast.privacy.engine.meeting import Meeting


def layer_norm(
    meeting: Meeting,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """Layer norm."""
    if not meeting.fits(input) or not meeting.owns(weight, bias):
        return NotImplemented
    affine = next(tensor for tensor in (weight, bias) if tensor is not None)
    x = input.to(torch.promote_types(input.dtype, affine.dtype))
    return functions.LayerNorm.apply(meeting.tape, x, list(normalized_shape), weight, bias, eps)


def rms_norm(
    meeting: Meeting,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """Norm by the root mean square."""
    if weight is None or not meeting.fits(input):
        return NotImplemented
    return F.rms_norm(input, list(normalized_shape), None, eps) * meeting.copies(weight, input)


def group_norm(
    meeting: Meeting, input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Any:
    """Group norm."""
    return by_channel(meeting, F.group_norm(input, num_groups, None, None, eps), weight, bias) if meeting.fits(input) else NotImplemented


def instance_norm(
    meeting: Meeting,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Instance norm without running statistics."""
    if running_mean is not None or not meeting.fits(input):
        return NotImplemented
    return by_channel(meeting, F.instance_norm(input, eps=eps), weight, bias)


def prelu(meeting: Meeting, input: Tensor, weight: Tensor) -> Any:
    """A rectifier with learned slopes."""
    if not meeting.fits(input):
        return NotImplemented
    slopes = weight if len(weight) > 1 else weight.expand(input.shape[1])
    return torch.where(input > 0, input, by_channel(meeting, input, meeting.derive(slopes, Tensor.expand, (weight,)), None))


def by_channel(meeting: Meeting, normal: Tensor, weight: Tensor | None, bias: Tensor | None) -> Any:
    """Scale and shift of a normalised (N, C, ...)."""
    if not meeting.fits(normal) or not meeting.owns(weight, bias):
        return NotImplemented
    rows, channels = normal.shape[:2]
    for tensor, func in ((weight, torch.mul), (bias, torch.add)):
        if tensor is not None:
            normal = func(normal, meeting.expanded(tensor, (rows, channels)).reshape(rows, channels, *[1] * (normal.dim() - 2)))
    return normal
