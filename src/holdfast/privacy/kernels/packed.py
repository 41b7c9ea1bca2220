"""LSTMs of several models over packed rows, by the compiled core or in torch, so that no step is walked for a row that has ended.

Packed rows of a model: those of step 0, then those of step 1 and so on; the rows of a step are the first ones of the step
before, in their order, so the longest row comes first.

Shapes: D directions (of any models), T steps, B rows at step 0, N packed rows at most, H hidden units, G gates (4H).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.privacy import kernels
from holdfast.privacy.kernels import native, portable


class States(NamedTuple):
    """What a walk leaves for the walk back.

    Args:
        hidden_DNH: The state after each step of each row.
        cells_DNH: The cells, likewise.
    """

    hidden_DNH: Tensor
    cells_DNH: Tensor


def walk(gates_DNG: Tensor, weights_DGH: Tensor, counts_DT: Tensor) -> States:
    """All steps of an LSTM in all its directions, from zero states.

    Args:
        gates_DNG: The input's part of the pre-activations; become the activations in place. Contiguous.
        weights_DGH: The recurrent weights of each direction.
        counts_DT: How many rows each step has, int32 on the CPU, never growing.

    Returns:
        The states; anything behind the last row of a direction.
    """
    (directions, capacity, height), steps = gates_DNG.shape, counts_DT.shape[1]
    core = _core(gates_DNG, weights_DGH)
    if core is None:
        return _portable_walk(gates_DNG, weights_DGH, counts_DT)
    hidden, cells = (gates_DNG.new_zeros(directions, capacity, height // 4) for _ in range(2))
    weights, counts = weights_DGH.contiguous(), counts_DT.contiguous()
    pointers = (x.data_ptr() for x in (gates_DNG, hidden, cells, weights, counts))
    if core.table.packed_walk(*pointers, directions, steps, capacity, height // 4, torch.get_num_threads()):
        raise MemoryError(f"no memory for the recurrent weights of {directions} directions of {height // 4} units")
    return States(hidden, cells)


def walk_back(gates_DNG: Tensor, cells_DNH: Tensor, hidden_grads_DNH: Tensor, weights_DGH: Tensor, counts_DT: Tensor) -> None:
    """The backward pass of `walk`.

    Args:
        gates_DNG: The activations; become the gradients of the pre-activations in place, zeros behind the last row. Contiguous.
        cells_DNH: The cells.
        hidden_grads_DNH: Gradients of the states after each step; those by way of later steps are added in place. Contiguous.
        weights_DGH: The recurrent weights of each direction.
        counts_DT: As in `walk`.
    """
    (directions, capacity, height), steps = gates_DNG.shape, counts_DT.shape[1]
    core = _core(gates_DNG, weights_DGH)
    if core is None:
        _portable_walk_back(gates_DNG, cells_DNH, hidden_grads_DNH, weights_DGH, counts_DT)
        return
    weights, counts = weights_DGH.contiguous(), counts_DT.contiguous()
    pointers = (x.data_ptr() for x in (gates_DNG, cells_DNH.contiguous(), hidden_grads_DNH, weights, counts))
    if core.table.packed_walk_back(*pointers, directions, steps, capacity, height // 4, torch.get_num_threads()):
        raise MemoryError(f"no memory for the recurrent weights of {directions} directions of {height // 4} units")


def _core(gates: Tensor, weights: Tensor) -> native.Core | None:
    core = kernels._core()
    fast = core is not None and core.level != "baseline" and gates.numel() > 0
    return core if fast and native.takes((gates.detach(), weights.detach()), torch.float32) else None


def _places(counts_DT: Tensor, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each step of each row stands among the packed rows, (D, T, B), and which of them there are."""
    firsts_DT = counts_DT.long().cumsum(1) - counts_DT
    ranks_B = torch.arange(rows)
    real_DTB = ranks_B < counts_DT[:, :, None]
    return ((firsts_DT[:, :, None] + ranks_B) * real_DTB).to(device), real_DTB.to(device)


def _spread(x_DNW: Tensor, places_DTB: Tensor, real_DTB: Tensor) -> Tensor:
    """Packed rows as a rectangle, (D, T, B, W), zeros where a row has ended."""
    directions, steps, rows = places_DTB.shape
    flat_DXW = x_DNW.gather(1, places_DTB.flatten(1)[:, :, None].expand(-1, -1, x_DNW.shape[2]))
    return flat_DXW.view(directions, steps, rows, -1) * real_DTB[..., None]


def _pack(x_DTBW: Tensor, places_DTB: Tensor, real_DTB: Tensor, *, into: Tensor) -> None:
    """The other way round; what lies behind the last row becomes zero."""
    direction, step, row = real_DTB.nonzero(as_tuple=True)
    into.zero_()
    into[direction, places_DTB[direction, step, row]] = x_DTBW[direction, step, row]


def _portable_walk(gates_DNG: Tensor, weights_DGH: Tensor, counts_DT: Tensor) -> States:
    rows = int(counts_DT.max()) if counts_DT.numel() else 0
    places, real = _places(counts_DT, rows, gates_DNG.device)
    gates_DTBG = _spread(gates_DNG, places, real)
    directions, steps, _, height = gates_DTBG.shape
    hidden, cells = (gates_DNG.new_zeros(directions, steps + 1, rows, height // 4) for _ in range(2))
    portable.lstm_walk(gates_DTBG, hidden, cells, list(weights_DGH), False)
    states = States(*(gates_DNG.new_empty(directions, gates_DNG.shape[1], height // 4) for _ in range(2)))
    _pack(gates_DTBG, places, real, into=gates_DNG)
    _pack(hidden[:, 1:], places, real, into=states.hidden_DNH)
    _pack(cells[:, 1:], places, real, into=states.cells_DNH)
    return states


def _portable_walk_back(gates_DNG: Tensor, cells_DNH: Tensor, hidden_grads_DNH: Tensor, weights_DGH: Tensor, counts_DT: Tensor) -> None:
    rows = int(counts_DT.max()) if counts_DT.numel() else 0
    places, real = _places(counts_DT, rows, gates_DNG.device)
    gates_DTBG, grads_DTBH = _spread(gates_DNG, places, real), _spread(hidden_grads_DNH, places, real)
    directions, _, _, hidden = grads_DTBH.shape
    cells_DTBH = torch.cat([cells_DNH.new_zeros(directions, 1, rows, hidden), _spread(cells_DNH, places, real)], 1)
    portable.lstm_walk_back(
        gates_DTBG, cells_DTBH, grads_DTBH, cells_DNH.new_zeros(directions, rows, hidden), list(weights_DGH), False, None
    )
    _pack(gates_DTBG, places, real, into=gates_DNG)
    _pack(grads_DTBH, places, real, into=hidden_grads_DNH)
