"""What happens where a torch function meets a trainable parameter: one short rule for each kind of function.

A rule gets the `Meeting` and the function's own arguments, and returns the function's result with the parameter's part
recorded, or `NotImplemented` where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine import functions
from holdfast.privacy.engine.recurrent import RECURRENT_RULES
from holdfast.privacy.engine.tape import Tape

_TRANSPOSES = {torch.t, Tensor.t, *(getattr(Tensor, name).__get__ for name in ("T", "mT"))}


class Meeting:
    """What is known of the tensors of the pass: parameters, what was computed from them alone, and constants.

    Args:
        tape: Where meetings are recorded.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._constants: dict[int, Tensor] = {}
        self._transposed: dict[int, tuple[Tensor, Tensor]] = {}
        self._looked_up: dict[int, tuple[Tensor, Tensor, Tensor, int | None]] = {}

    def count_as_constant(self, tensor: Tensor) -> None:
        """Counts a tensor as independent of the data."""
        self._constants[id(tensor)] = tensor

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether the tensor is known to be independent of the data."""
        return id(tensor) in self._constants

    def meets_parameter(self, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether a trainable parameter is among the arguments."""
        return any(self.knows(tensor) for tensor in _tensors(args, options))

    def knows(self, tensor: Any) -> bool:
        """Whether this is a trainable parameter or derived from such alone."""
        return isinstance(tensor, Tensor) and (self.tape.wants(tensor) or id(tensor) in self._transposed)

    def all_known(self, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether every tensor argument is a parameter, derived from parameters, frozen or constant."""
        return all(self.knows(tensor) or self.is_constant(tensor) for tensor in _tensors(args, options))

    def follow_constants(self, func: Any, args: Sequence[Any], result: Any) -> None:
        """Keeps track of tensors that depend on no data: ranges, and what is computed from them and the model's buffers."""
        if func is torch.arange:
            self.count_as_constant(result)
            return
        given = list(_tensors(args, {}))
        if not given or not self._constants:
            return
        known = [id(tensor) in self._constants for tensor in given]
        if all(known) and isinstance(result, Tensor):
            self.count_as_constant(result)
        elif any(known) and id(given[0]) in self._constants and (result is given[0] or func is Tensor.__setitem__):
            del self._constants[id(given[0])]  # data were written into it

    def derive(self, result: Tensor, func: Any, args: Sequence[Any]) -> Tensor:
        """Notes what was computed from parameters alone, and returns what stands in for it; a transposed matrix stays its parameter."""
        if self.knows(result):
            return result
        source = args[0] if args else None
        matrix = isinstance(source, Tensor) and source.dim() == 2 and self.tape.is_parameter(source)
        if isinstance(source, Tensor) and matrix and (func in _TRANSPOSES or _swaps_two(func, args)):
            self._transposed[id(result)] = (result, source)
            return result
        return self.tape.derive(result, names=[self.name(one) for one in _tensors(args, {}) if self.knows(one)])

    def name(self, tensor: Tensor) -> str:
        """Name of the parameter behind a tensor."""
        kept = self._transposed.get(id(tensor))
        return self.tape.name(tensor if kept is None else kept[1])

    def looked_up(self, ids: Tensor, weight: Tensor, padding_idx: int | None) -> Tensor:
        """Rows at ids that depend on no data: what they are to be broadcast against decides which axis lists the examples."""
        result = self.tape.derive(F.embedding(ids, weight, padding_idx), names=[self.tape.name(weight)])
        self._looked_up[id(result)] = (result, ids, weight, padding_idx)
        return result

    def matrix(self, weight: Tensor) -> tuple[Tensor, bool]:
        """The parameter behind a matrix, and whether it was transposed on the way."""
        kept = self._transposed.get(id(weight))
        return (weight, False) if kept is None else (kept[1], True)

    def copies(self, tensor: Tensor, other: Tensor) -> Tensor:
        """One copy of a parameter for each row of the batch operand `other`, to be broadcast against it.

        Raises:
            PreflightError: Where it cannot be told which axis lists the examples.
        """
        rows, axes = other.shape[0] if other.dim() else 0, other.dim() - tensor.dim()
        if other.dim() and rows % self.tape.examples == 0 and rows:
            if axes > 0:
                return self.expanded(tensor, (rows, *[1] * (axes - 1), *tensor.shape))
            if axes == 0 and tensor.shape[0] == 1:
                return self.expanded(tensor, (rows, *tensor.shape[1:]))
            if axes == 0 and tensor.shape[0] == rows and id(tensor) in self._looked_up:  # one range of positions for each row
                _, ids, weight, padding_idx = self._looked_up[id(tensor)]
                return functions.Embedding.apply(self.tape, ids, weight, padding_idx)  # type: ignore[no-any-return]
        return NotImplemented  # type: ignore[no-any-return]

    def expanded(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The parameter expanded to a shape whose first axis lists the rows."""
        return functions.PerExample.apply(self.tape, self.plain(tensor), shape)  # type: ignore[no-any-return]

    def plain(self, tensor: Tensor) -> Tensor:
        """A transposed parameter as a derived tensor; anything else as it is."""
        return self.tape.derive(tensor, names=[self.name(tensor)]) if id(tensor) in self._transposed else tensor

    def refusal(self, function: str, args: Sequence[Any], options: Mapping[str, Any]) -> str:
        """Says which parameter met which function without a rule, and what to do."""
        names = sorted({self.name(tensor) for tensor in _tensors(args, options) if self.knows(tensor)})
        return (
            f"{' and '.join(names)} meets {function}, for which there is no clipping rule; freeze it, use a supported layer, "
            "or set engine='loop' (exact for any model, one example at a time)"
        )


def _tensors(args: Sequence[Any], options: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in (*args, *options.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, Tensor))


def _swaps_two(func: Any, args: Sequence[Any]) -> bool:
    return func in (torch.transpose, Tensor.transpose) and {axis % 2 for axis in args[1:3]} == {0, 1}


def _is_data(meeting: Meeting, x: Any) -> bool:
    """Whether this is a tensor that may depend on the data."""
    return isinstance(x, Tensor) and not meeting.knows(x) and not meeting.is_constant(x)


def _fits(meeting: Meeting, x: Any) -> bool:
    """Whether this is an operand that lists the examples on its first axis."""
    return _is_data(meeting, x) and x.dim() > 1 and x.shape[0] % meeting.tape.rows == 0


def _linear(meeting: Meeting, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if not _fits(meeting, input):
        return NotImplemented
    parameter, transposed = meeting.matrix(weight)
    return functions.Linear.apply(meeting.tape, input, parameter, bias, transposed)


def _addmm(meeting: Meeting, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    if beta != 1 or alpha != 1 or not _fits(meeting, mat1) or input.dim() != 1:
        return NotImplemented
    parameter, transposed = meeting.matrix(mat2)
    return functions.Linear.apply(meeting.tape, mat1, parameter, input, not transposed)


def _matmul(meeting: Meeting, input: Tensor, other: Tensor) -> Any:
    if _fits(meeting, input) and meeting.knows(other):
        if other.dim() == 1:
            return (input * meeting.copies(other, input)).sum(-1)
        parameter, transposed = meeting.matrix(other)
        return functions.Linear.apply(meeting.tape, input, parameter, None, not transposed) if other.dim() == 2 else NotImplemented
    if _fits(meeting, other) and other.dim() == 3 and meeting.knows(input) and input.dim() == 2:
        parameter, transposed = meeting.matrix(input)
        return functions.Linear.apply(meeting.tape, other.mT, parameter, None, transposed).mT
    return NotImplemented


def _matmul_reversed(meeting: Meeting, other: Tensor, input: Tensor) -> Any:
    return _matmul(meeting, input, other)


def _embedding(
    meeting: Meeting,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    tape = meeting.tape
    if max_norm is not None or scale_grad_by_freq:
        raise PreflightError([f"{tape.name(weight)} is used with max_norm or scale_grad_by_freq, which let examples meet; leave them out"])
    if not tape.is_parameter(weight):
        return NotImplemented
    ids = input
    if ids.dim() > 1 and ids.shape[0] == 1:
        ids = ids.expand(tape.rows, *ids.shape[1:])
    elif not ids.dim() or (ids.shape[0] % tape.rows and not meeting.is_constant(ids)):
        return NotImplemented
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    if meeting.is_constant(ids):
        return meeting.looked_up(ids, weight, padding_idx)
    return functions.Embedding.apply(tape, ids, weight, padding_idx)


def _layer_norm(
    meeting: Meeting,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    if not _fits(meeting, input):
        return NotImplemented
    affine = next(tensor for tensor in (weight, bias) if tensor is not None)
    x = input.to(torch.promote_types(input.dtype, affine.dtype))
    return functions.LayerNorm.apply(meeting.tape, x, list(normalized_shape), weight, bias, eps)


def _rms_norm(
    meeting: Meeting,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    if weight is None or not _fits(meeting, input):
        return NotImplemented
    return F.rms_norm(input, list(normalized_shape), None, eps) * meeting.copies(weight, input)


def _group_norm(
    meeting: Meeting,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    if not _fits(meeting, input):
        return NotImplemented
    result = F.group_norm(input, num_groups, None, None, eps)
    channels = (input.shape[0], -1, *[1] * (input.dim() - 2))
    if weight is not None:
        result = result * meeting.copies(weight, input[..., 0] if input.dim() == 2 else input.flatten(2).mT).reshape(channels)
    return result if bias is None else result + meeting.copies(bias, input.flatten(2).mT).reshape(channels)


def _conv1d(
    meeting: Meeting,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    one = [value[0] if isinstance(value, list | tuple) else value for value in (stride, padding, dilation)]
    if one[1] == "valid":
        one[1] = 0
    if one[1] == "same" and one[2] * (weight.shape[2] - 1) % 2 == 0:
        one[1] = one[2] * (weight.shape[2] - 1) // 2
    if groups != 1 or isinstance(one[1], str) or not _fits(meeting, input) or input.dim() != 3 or not meeting.tape.is_parameter(weight):
        return NotImplemented
    return functions.Convolution.apply(meeting.tape, input, weight, bias, *([value] for value in one))


def _elementwise(func: Any) -> Callable[..., Any]:
    def rule(meeting: Meeting, input: Any, other: Any, **options: Any) -> Any:
        if meeting.knows(other) and _is_data(meeting, input):
            copies = meeting.copies(other, input)
            return NotImplemented if copies is NotImplemented else func(input, copies, **options)
        if meeting.knows(input) and _is_data(meeting, other):
            copies = meeting.copies(input, other)
            return NotImplemented if copies is NotImplemented else func(copies, other, **options)
        return NotImplemented

    return rule


def _where(meeting: Meeting, condition: Any, input: Any, other: Any) -> Any:
    data = [tensor for tensor in (condition, input, other) if _is_data(meeting, tensor)]
    if not data:
        return NotImplemented
    widest = max(data, key=lambda tensor: tensor.dim())
    operands = [meeting.copies(tensor, widest) if meeting.knows(tensor) else tensor for tensor in (input, other)]
    return NotImplemented if NotImplemented in operands else torch.where(condition, *operands)


def _masked_fill(meeting: Meeting, input: Tensor, mask: Tensor, value: Any) -> Any:
    if not _is_data(meeting, mask) or not meeting.knows(input):
        return NotImplemented
    copies = meeting.copies(input, mask)
    return NotImplemented if copies is NotImplemented else copies.masked_fill(mask, value)


def _expand(meeting: Meeting, input: Tensor, *sizes: Any) -> Any:
    shape = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    new = len(shape) - input.dim()
    if shape[0] != meeting.tape.rows or (new == 0 and input.shape[0] != 1):
        return NotImplemented
    full = tuple(input.shape[axis - new] if size == -1 else size for axis, size in enumerate(shape))
    return meeting.expanded(input, full)


def _repeat(meeting: Meeting, input: Tensor, *repeats: Any) -> Any:
    counts = tuple(repeats[0]) if len(repeats) == 1 and isinstance(repeats[0], list | tuple) else repeats
    new = len(counts) - input.dim()
    if counts[0] != meeting.tape.rows or (new == 0 and input.shape[0] != 1) or any(count != 1 for count in counts[1:]):
        return NotImplemented
    return meeting.expanded(input, (counts[0], *[1] * max(0, new - 1), *input.shape[0 if new else 1 :]))


def _attention(
    meeting: Meeting,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *rest: Any,
    **options: Any,
) -> Any:
    if attn_mask is None or meeting.knows(query) or meeting.knows(key) or meeting.knows(value):
        return NotImplemented
    copies = meeting.copies(attn_mask, query)
    return NotImplemented if copies is NotImplemented else F.scaled_dot_product_attention(query, key, value, copies, *rest, **options)


def _named(*names: str) -> list[Any]:
    """The functions of these names, as functions and as methods."""
    return [getattr(place, name) for place in (torch, Tensor) for name in names if hasattr(place, name)]


_IN_PLACE = ("add_", "sub_", "mul_", "div_", "__iadd__", "__isub__", "__imul__", "__itruediv__")
_BROADCASTING = ("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "maximum", "minimum")
_OPERATORS = ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__rdiv__", "rsub")

RULES: dict[Any, Callable[..., Any]] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    Tensor.addmm: _addmm,
    **dict.fromkeys(_named("matmul", "mm", "__matmul__"), _matmul),
    Tensor.__rmatmul__: _matmul_reversed,
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.conv1d: _conv1d,
    **{func: _elementwise(func) for func in _named(*_IN_PLACE, *_BROADCASTING, *_OPERATORS)},
    Tensor.expand: _expand,
    torch.broadcast_to: _expand,
    Tensor.broadcast_to: _expand,
    Tensor.repeat: _repeat,
    torch.where: _where,
    torch.masked_fill: _masked_fill,
    Tensor.masked_fill: _masked_fill,
    F.scaled_dot_product_attention: _attention,
    **RECURRENT_RULES,
}
"""Torch function to its rule. Functions of parameters and constants alone need none."""
