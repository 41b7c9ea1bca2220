"""Rules of functions that broadcast or join their operands: each row of the data sees its own copy of a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.privacy.engine.meeting import Meeting, replaced, tensors_of


def broadcasting(func: Any) -> Callable[..., Any]:
    """The rule of a function that broadcasts its operands: each row sees its own copy of a parameter."""
    in_place = (func.__name__.endswith("_") and not func.__name__.endswith("__")) or func.__name__.startswith("__i")

    def _rule(meeting: Meeting, *args: Any, **options: Any) -> Any:
        data = [tensor for tensor in tensors_of(args, options) if meeting.is_data(tensor)]
        if not data or (in_place and meeting.knows(args[0])):
            return NotImplemented
        widest = max(data, key=lambda tensor: (tensor.dim(), *tensor.shape[:1]))

        def copied(value: Any) -> Any:
            return meeting.copies(value, widest) if meeting.knows(value) else value

        operands, named = replaced(copied, args, options)
        unclear = any(value is NotImplemented for value in (*operands, *named.values()))
        return NotImplemented if unclear else func(*operands, **named)

    return _rule


def masked_fill(meeting: Meeting, input: Tensor, mask: Tensor, value: Any) -> Any:
    """`masked_fill` as the choice that it is."""
    return broadcasting(torch.where)(meeting, mask, value, input)


def joined(func: Any) -> Callable[..., Any]:
    """The rule of `cat` and `stack`, along any axis but the first."""

    def rule(meeting: Meeting, tensors: Sequence[Tensor], dim: int = 0) -> Any:
        data = [tensor for tensor in tensors if meeting.is_data(tensor)]
        if not data or dim % (data[0].dim() + (func is torch.stack)) == 0 or any(t.shape[:1] != data[0].shape[:1] for t in tensors):
            return NotImplemented
        copies = [meeting.copies(tensor, data[0]) if meeting.knows(tensor) else tensor for tensor in tensors]
        return NotImplemented if any(copy is NotImplemented for copy in copies) else func(copies, dim)

    return rule


def attention(
    meeting: Meeting,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Attention with a learned mask, or learned queries, keys or values."""
    data = [tensor for tensor in (query, key, value) if meeting.fits(tensor)]
    if not data:
        return NotImplemented
    given: list[Any] = [query, key, value, attn_mask]
    operands = [meeting.copies(x, data[0]) if meeting.knows(x) else x for x in given]
    unclear = any(tensor is NotImplemented for tensor in operands)
    if unclear:
        return NotImplemented
    q, k, v, mask = operands
    return F.scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)


def expand(meeting: Meeting, input: Tensor, *sizes: Any) -> Any:
    """An expanded parameter: what it meets decides whether the first axis lists the examples."""
    if len(sizes) == 1 and isinstance(sizes[0], Tensor):  # expand_as
        sizes = tuple(sizes[0].shape)
    shape = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    if not meeting.knows(input):
        return input.expand(shape)
    return meeting.derive(meeting.plain(input).expand(shape), Tensor.expand, (input,))


def repeat(meeting: Meeting, input: Tensor, *repeats: Any) -> Any:
    """A parameter repeated along the first axis."""
    counts = tuple(repeats[0]) if len(repeats) == 1 and isinstance(repeats[0], list | tuple) else repeats
    of_one = len(counts) > input.dim() or input.shape[0] == 1
    if not of_one or not meeting.knows(input) or any(count != 1 for count in counts[1:]):
        return NotImplemented
    return meeting.repeat(meeting.plain(input).repeat(counts), input)


def cast(func: Any) -> Callable[..., Any]:
    """The rule of a cast: another tensor gives its type, and nothing else."""

    def _rule(meeting: Meeting, input: Tensor, other: Any = None, *rest: Any, **options: Any) -> Any:
        if not isinstance(other, Tensor):
            return NotImplemented
        result = input.to(other.device, other.dtype)
        return meeting.derive(result, func, (input,)) if meeting.knows(input) else result

    return _rule
