"""The kernels once more in torch operations: for any device and dtype, where nothing was compiled, and to check what was.

Shapes: B examples, T rows of one example, D and P widths; in an LSTM D directions and H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class GramNorms(NamedTuple):
    """What `holdfast.privacy.kernels.gram_norms` gives.

    Args:
        squared_B: The squared norms.
        diagonal_B: Those parts of them where t = s: what the squared norms were, if the products of single rows stood at
            right angles. Far above the squared norm, it says that large parts cancel, and that rounding weighs.
        sums: For each output gradient its sum over T, (B, P), or None.
    """

    squared_B: Tensor
    diagonal_B: Tensor
    sums: list[Tensor | None]


def gram_norms(inputs: Sequence[Tensor], output_grads: Sequence[Tensor], ids: Sequence[Tensor], column_sums: Sequence[bool]) -> GramNorms:
    """As `holdfast.privacy.kernels.gram_norms`."""
    output_grads = [at_least_float32(g_BTP) for g_BTP in output_grads]
    grads_BTT = _gram(output_grads)
    matches_BTT: Tensor | float = sum((ids_BT[:, :, None] == ids_BT[:, None, :]).to(grads_BTT.dtype) for ids_BT in ids)
    if inputs:
        matches_BTT = matches_BTT + _gram([at_least_float32(a_BTD) for a_BTD in inputs])
    products_BTT = grads_BTT * matches_BTT
    sums = [g_BTP.sum(1) if wanted else None for g_BTP, wanted in zip(output_grads, column_sums, strict=True)]
    return GramNorms(products_BTT.sum((1, 2)), products_BTT.diagonal(dim1=1, dim2=2).sum(1), sums)


def _gram(matrices: Sequence[Tensor]) -> Tensor:
    """Sum of the matrices' Grams, (B, T, T)."""
    gram_BTT = torch.bmm(matrices[0], matrices[0].mT)
    for x_BTD in matrices[1:]:
        gram_BTT = gram_BTT + torch.bmm(x_BTD, x_BTD.mT)
    return gram_BTT


def layer_norm_backward(
    x: Tensor, grad: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, examples: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As `holdfast.privacy.kernels.layer_norm_backward`."""
    mean, rstd = (at_least_float32(statistic).reshape(*x.shape[:-1], 1) for statistic in (mean, rstd))
    wide, wide_x = at_least_float32(grad), at_least_float32(x)
    x_grad = torch.ops.aten.native_layer_norm_backward(
        wide.contiguous(), wide_x, weight.shape, mean, rstd, weight.to(wide.dtype), None, [True, False, False]
    )[0]
    products = torch.addcmul(-mean * rstd, wide_x, rstd).mul_(wide)  # of the gradient with the normalised input
    rows = (examples, x.shape[:-1].numel() // max(examples, 1), x.shape[-1])
    return x_grad.to(x.dtype), products.reshape(rows).sum(1), wide.reshape(rows).sum(1)


def lstm_forward_step(gates: Tensor, cell: Tensor, next_cell: Tensor, next_hidden: Tensor) -> None:
    """As `holdfast.privacy.kernels.lstm_forward_step`."""
    hidden = cell.shape[-1]
    gates[..., : 2 * hidden].sigmoid_()
    gates[..., 2 * hidden : 3 * hidden].tanh_()
    gates[..., 3 * hidden :].sigmoid_()
    i, f, g, o = gates.chunk(4, -1)
    new = torch.addcmul(f * cell, i, g)
    next_cell.copy_(new)
    next_hidden.copy_(new.tanh_().mul_(o))


def lstm_backward_step(gates: Tensor, cell: Tensor, next_cell: Tensor, hidden_grad: Tensor, cell_grad: Tensor) -> None:
    """As `holdfast.privacy.kernels.lstm_backward_step`."""
    i, f, g, o = gates.chunk(4, -1)
    squashed = next_cell.tanh()
    grad = torch.addcmul(cell_grad, hidden_grad * o, 1 - squashed.square())
    deltas = (grad * g * i * (1 - i), grad * cell * f * (1 - f), grad * i * (1 - g.square()), hidden_grad * squashed * o * (1 - o))
    cell_grad.copy_(grad.mul_(f))
    gates.copy_(torch.cat(deltas, -1))


def by_step(x_DTBW: Tensor, *, turned: bool) -> list[Tensor]:
    """As `holdfast.privacy.kernels.by_step`."""
    if len(x_DTBW) == 1 or not turned:
        return list(x_DTBW.unbind(1))
    (directions, length, *size), (direction, position, *strides), start = x_DTBW.shape, x_DTBW.stride(), x_DTBW.storage_offset()
    apart = [direction + (length - 1 - 2 * step) * position for step in range(length)]  # between the two positions; never negative
    return [x_DTBW.as_strided((directions, *size), (apart[step], *strides), start + step * position) for step in range(length)]


def lstm_walk(gates: Tensor, hidden: Tensor, cells: Tensor, weights: Sequence[Tensor], turned: bool) -> None:
    """As `holdfast.privacy.kernels.lstm_walk`."""
    stacked_DHG = torch.stack(list(weights)).mT
    gates_T, hidden_T, cells_T = by_step(gates, turned=turned), by_step(hidden, turned=turned), cells.unbind(1)
    for step, gates_DBG in enumerate(gates_T):
        gates_DBG.baddbmm_(hidden_T[step], stacked_DHG)
        lstm_forward_step(gates_DBG, cells_T[step], cells_T[step + 1], hidden_T[step + 1])


def lstm_walk_back(
    gates: Tensor,
    cells: Tensor,
    hidden_grads: Tensor,
    cell_grads: Tensor,
    weights: Sequence[Tensor],
    turned: bool,
    first_grads: Tensor | None,
) -> None:
    """As `holdfast.privacy.kernels.lstm_walk_back`."""
    stacked_DGH = torch.stack(list(weights))
    gates_T, grads_T, cells_T = by_step(gates, turned=turned), by_step(hidden_grads, turned=turned), cells.unbind(1)
    for step in reversed(range(len(gates_T))):
        lstm_backward_step(gates_T[step], cells_T[step], cells_T[step + 1], grads_T[step], cell_grads)
        before = grads_T[step - 1] if step else first_grads
        if before is not None:
            before.baddbmm_(gates_T[step], stacked_DGH)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor, widened if it has fewer than 32 bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
