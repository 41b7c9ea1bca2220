"""Rules of matrix products and convolutions."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.privacy.engine import functions
from holdfast.privacy.engine.meeting import Meeting, replaced, tensors_of


def linear(meeting: Meeting, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """A product with a matrix, and a bias."""
    if not meeting.fits(input) or not meeting.owns(weight, bias):
        return NotImplemented
    parameter, transposed = meeting.matrix(weight)
    return functions.Linear.apply(meeting.tape, input, parameter, bias, transposed)


def addmm(meeting: Meeting, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    """`addmm` as a linear layer."""
    if beta != 1 or alpha != 1 or not meeting.fits(mat1) or not meeting.owns(input, mat2) or input.dim() != 1:
        return NotImplemented
    parameter, transposed = meeting.matrix(mat2)
    return functions.Linear.apply(meeting.tape, mat1, parameter, input, not transposed)


def matmul(meeting: Meeting, input: Tensor, other: Tensor) -> Any:
    """A matrix product, with the parameter on either side."""
    if meeting.fits(input) and meeting.knows(other):
        if other.dim() == 1:
            return (input * meeting.copies(other, input)).sum(-1)
        if other.dim() > 2:
            copies = meeting.copies(other, input)
            return NotImplemented if copies is NotImplemented else input @ copies
        parameter, transposed = meeting.matrix(other)
        return functions.Linear.apply(meeting.tape, input, parameter, None, not transposed)
    if meeting.fits(other) and other.dim() > 2 and meeting.knows(input) and input.dim() > 1:
        if input.dim() == 2 and other.dim() == 3:
            parameter, transposed = meeting.matrix(input)
            return functions.Linear.apply(meeting.tape, other.mT, parameter, None, transposed).mT
        copies = meeting.copies(input, other)
        return NotImplemented if copies is NotImplemented else copies @ other
    return NotImplemented


def matmul_reversed(meeting: Meeting, other: Tensor, input: Tensor) -> Any:
    """`other @ input`, called from the right operand."""
    return matmul(meeting, input, other)


def einsum(meeting: Meeting, equation: str, *operands: Any) -> Any:
    """A sum over subscripts, each example with its own copy of the parameters unless it is a linear layer."""
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else list(operands)
    data = [meeting.is_data(tensor) for tensor in tensors]
    terms = _terms(equation, tensors, data)
    if terms is None:
        return NotImplemented
    *inputs, output = terms
    letter = output[:1]
    for term, tensor, is_data in zip(inputs, tensors, data, strict=True):
        if is_data != term.startswith(letter) or (letter in term) != is_data or (is_data and not meeting.fits(tensor)):
            return NotImplemented
    last, new = inputs[0][-1], output[-1]
    if data == [True, False] and inputs[0][:-1] == output[:-1] and last != new and inputs[1] in (last + new, new + last):
        weight, transposed = meeting.matrix(tensors[1])
        return functions.Linear.apply(meeting.tape, tensors[0], weight, None, transposed ^ (inputs[1] == last + new))
    rows = tensors[data.index(True)].shape[0]
    own = [x if is_data else meeting.expanded(x, (rows, *x.shape)) for x, is_data in zip(tensors, data, strict=True)]
    own_terms = [term if is_data else letter + term for term, is_data in zip(inputs, data, strict=True)]
    return torch.einsum(",".join(own_terms) + "->" + output, *own)


def _terms(equation: str, tensors: Sequence[Tensor], data: Sequence[bool]) -> list[str] | None:
    """The subscripts of operands and result, with letters for an ellipsis over data; None where they are not spelt out."""
    if not isinstance(equation, str) or "->" not in equation or not any(data) or all(data):
        return None
    inputs, output = equation.replace(" ", "").split("->")
    terms = inputs.split(",")
    hidden = {tensor.dim() - len(term) + 3 for term, tensor in zip(terms, tensors, strict=True) if "..." in term}
    if len(hidden) > 1:
        return None
    free = [letter for letter in string.ascii_letters if letter not in equation]
    return [term.replace("...", "".join(free[: max(hidden, default=0)])) for term in (*terms, output)]


def conv1d(
    meeting: Meeting,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """A convolution over one axis; with groups, or padding that differs at both ends, example by example."""
    one = [value[0] if isinstance(value, list | tuple) else value for value in (stride, padding, dilation)]
    if one[1] == "valid":
        one[1] = 0
    if one[1] == "same" and one[2] * (weight.shape[2] - 1) % 2 == 0:
        one[1] = one[2] * (weight.shape[2] - 1) // 2
    plain = groups == 1 and not isinstance(one[1], str) and meeting.tape.is_parameter(weight)
    if not plain or not meeting.fits(input) or input.dim() != 3 or not meeting.owns(bias):
        return convolution(F.conv1d)(meeting, input, weight, bias, stride, padding, dilation, groups)
    return functions.Convolution.apply(meeting.tape, input, weight, bias, *([value] for value in one))


def convolution(func: Any) -> Callable[..., Any]:
    """The rule of any other convolution."""

    def _rule(meeting: Meeting, input: Tensor, weight: Tensor, *args: Any, **options: Any) -> Any:
        return NotImplemented if input.dim() != weight.dim() else example_by_example(func)(meeting, input, weight, *args, **options)

    return _rule


def example_by_example(func: Any) -> Callable[..., Any]:
    """A slow rule that is right for any function of rows: each example sees its own copy of the parameters."""

    def _rule(meeting: Meeting, input: Tensor, *args: Any, **options: Any) -> Any:
        data = [tensor for tensor in tensors_of((input, *args), options) if meeting.is_data(tensor)]
        if not data or any(not meeting.fits(tensor) for tensor in data):
            return NotImplemented
        count = meeting.tape.examples

        def split(value: Any) -> Sequence[Any]:
            if not isinstance(value, Tensor) or meeting.is_constant(value):
                return [value] * count
            own = meeting.expanded(value, (count, *value.shape)) if meeting.knows(value) else value.unflatten(0, (count, -1))
            return own.unbind()

        parts, named = replaced(split, (input, *args), options)
        return torch.cat([func(*(part[i] for part in parts), **{name: part[i] for name, part in named.items()}) for i in range(count)])

    return _rule


def embedding_bag(
    meeting: Meeting,
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums of rows of a table, for ids that list the examples."""
    if offsets is not None or input.dim() != 2 or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    by_example = example_by_example(F.embedding_bag)
    return by_example(meeting, input, weight, mode=mode, per_sample_weights=per_sample_weights, padding_idx=padding_idx)
