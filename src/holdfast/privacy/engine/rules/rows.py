"""Rules of looking up, reading and writing rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine import functions
from holdfast.privacy.engine.derived import lasting_graph
from holdfast.privacy.engine.meeting import Meeting


def embedding(
    meeting: Meeting,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table at ids."""
    tape = meeting.tape
    if max_norm is not None or scale_grad_by_freq:
        name = meeting.name(weight)
        raise PreflightError([f"{name} is used with max_norm or scale_grad_by_freq, which let examples meet; leave them out"])
    table, transposed = meeting.matrix(weight)
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    if transposed:  # a low-rank part: gradients of the whole table for each example are small
        rows = getitem(meeting, weight, input)
        if rows is NotImplemented or padding_idx is None:
            return rows
        return torch.where(input.eq(padding_idx)[..., None], rows.detach(), rows)
    if not tape.is_parameter(table):
        return NotImplemented
    ids, open_ended = input, input.dim() < 2 or input.shape[0] == 1
    if meeting.is_constant(ids) or (open_ended and tape.rows > 1) or not ids.dim():
        with lasting_graph():
            return meeting.looked_up(F.embedding(ids, weight, padding_idx), ids, weight, padding_idx)
    return NotImplemented if ids.shape[0] % tape.rows else functions.Embedding.apply(tape, ids, weight, padding_idx)


def getitem(meeting: Meeting, input: Tensor, index: Any) -> Any:
    """Parts of a parameter at indices that come from the data, or another axis for looked-up rows."""
    indices = index if isinstance(index, tuple) else (index,)
    found, data = meeting.rows_of(input), [one for one in indices if meeting.is_data(one)]
    if not meeting.knows(input) or (found is None and not data):
        return NotImplemented
    if found is not None and not data and found.ids.dim() == 1 and list(indices) in ([None], [None, slice(None)], [slice(None), None]):
        return meeting.looked_up(input[index], found.ids[index], found.weight, found.padding_idx)
    if not data or any(not isinstance(one, Tensor) or one.is_floating_point() or one.dtype == torch.bool for one in indices):
        return NotImplemented
    if len(indices) == 1 and meeting.tape.is_parameter(input) and input.dim() == 2:
        return embedding(meeting, torch.where(index < 0, index + len(input), index), input)
    widest = max(data, key=lambda one: (one.dim(), *one.shape[:1]))
    if widest.shape[0] % meeting.tape.rows or any(one.dim() not in (0, widest.dim()) for one in indices):
        return NotImplemented
    rows = torch.arange(len(widest), device=widest.device).reshape(-1, *[1] * (widest.dim() - 1))
    return meeting.expanded(input, (len(widest), *input.shape))[(rows, *indices)]


def setitem(meeting: Meeting, input: Tensor, index: Any, value: Tensor) -> Any:
    """A parameter written into a tensor of the data."""
    first = index[0] if isinstance(index, tuple) else index
    if not meeting.fits(input) or not meeting.knows(value):
        return NotImplemented
    if isinstance(index, Tensor) and index.dtype == torch.bool:
        mask = index.reshape(*index.shape, *[1] * (input.dim() - index.dim()))
        copies = meeting.copies(value, input)
        return NotImplemented if copies is NotImplemented else (input.copy_(torch.where(mask, copies, input)), None)[1]
    whole = first is Ellipsis or (isinstance(first, slice) and first == slice(None))
    copies = meeting.copies(value, input[index]) if whole else NotImplemented
    return NotImplemented if copies is NotImplemented else Tensor.__setitem__(input, index, copies)


def index_select(meeting: Meeting, input: Tensor, dim: int, index: Tensor) -> Any:
    """Rows of a table."""
    return getitem(meeting, input, index) if dim == 0 and meeting.is_data(index) else NotImplemented


def unsqueeze(meeting: Meeting, input: Tensor, dim: int) -> Any:
    """Another axis for looked-up rows."""
    found = meeting.rows_of(input)
    dim = dim % (input.dim() + 1)
    if found is None or dim == input.dim():
        return NotImplemented
    return meeting.looked_up(input.unsqueeze(dim), found.ids.unsqueeze(dim), found.weight, found.padding_idx)


def iterate(meeting: Meeting, input: Tensor) -> Any:
    """The rows of a parameter one by one."""
    return iter([meeting.derive(one, torch.unbind, (input,)) for one in input.unbind()]) if meeting.knows(input) else NotImplemented
