"""LSTMs of many models in one walk: rows that have ended are left out, and weight gradients come from one product each.

Shapes: M models, R rows of one model, X = M * R, T steps, E inputs, H hidden units, G = 4H gates, W ways (directions), N packed rows
of one model at most, D = W * M.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from holdfast.models.bilstm import BothWays
from holdfast.privacy import kernels
from holdfast.privacy.kernels import packed
from holdfast.training.ensembles.leaves import Fold
from holdfast.training.ensembles.randomness import CannotStackError


class Packing(NamedTuple):
    """Where packed rows come from.

    Args:
        counts_MT: Rows that each step of each model has, int32 on the CPU.
        places_WMN: For each way the place of each packed row in the rectangle, flat; X * T where there is none.
        before_MN: The packed row one step before, for all but those of step 0.
    """

    counts_MT: Tensor
    places_WMN: Tensor
    before_MN: Tensor


def both_ways(layer: BothWays, fold: Fold, x_XTE: Tensor, turned_XT: Tensor) -> Tensor:
    """Two LSTMs, one of which reads each row from its own last word."""
    lengths_X = turned_XT[:, 0] + 1
    packing = _packed(fold, lengths_X, x_XTE.shape[1], ways=2)
    return _walked([layer.forth, layer.back], x_XTE, packing)


def lstm(layer: nn.LSTM, fold: Fold, x: Tensor, states: object = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """An LSTM of one layer and one direction; its last states are those of the last step."""
    if states is not None or not isinstance(x, Tensor) or x.dim() != 3 or not layer.batch_first:
        raise CannotStackError("an LSTM with given states, packed rows or steps first is not known model by model")
    lengths_X = torch.full(x.shape[:1], x.shape[1], device=x.device)
    found = _walked([layer], x, _packed(fold, lengths_X, x.shape[1], ways=1))
    return found, (found[:, -1][None], _Unknown())  # type: ignore[return-value]


class _Unknown:
    """Stands for the last cells, which the walk does not give: using it in any way is an error."""

    def __getattr__(self, name: str) -> Any:
        raise CannotStackError("the last cells of an LSTM are not known model by model; use its states")

    def __getitem__(self, place: object) -> Any:
        raise CannotStackError("the last cells of an LSTM are not known model by model; use its states")


def _packed(fold: Fold, lengths_X: Tensor, steps: int, *, ways: int) -> Packing:
    """Packs rows of these lengths, the longest of each model first."""
    lengths_MR = fold.by_model(lengths_X)
    models, rows = lengths_MR.shape
    lengths_MR, order_MR = torch.sort(lengths_MR, stable=True, dim=1, descending=True)
    steps_T = torch.arange(steps, device=lengths_X.device)
    real_MTR = steps_T[:, None] < lengths_MR[:, None, :]
    counts_MT = real_MTR.sum(2)
    longest = int(counts_MT.sum(1).max())
    model, step, rank = real_MTR.nonzero(as_tuple=True)
    firsts_MT = counts_MT.cumsum(1) - counts_MT
    place = firsts_MT[model, step] + rank
    row = model * rows + order_MR[model, rank]
    places_WMN = torch.full((ways, models, longest), models * rows * steps, device=lengths_X.device)
    places_WMN[0, model, place] = row * steps + step
    if ways == 2:
        places_WMN[1, model, place] = row * steps + lengths_MR[model, rank] - 1 - step
    before_MN = torch.zeros(models, longest, dtype=torch.int64, device=lengths_X.device)
    before_MN[model, place] = place - counts_MT[model, (step - 1).clamp(min=0)] * (step > 0)
    return Packing(counts_MT.to("cpu", torch.int32), places_WMN, before_MN[:, rows:])


def _walked(layers: list[nn.LSTM], x_XTE: Tensor, packing: Packing) -> Tensor:
    parameters = [getattr(layer, name) for layer in layers for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]
    states: Tensor = _Walk.apply(packing, x_XTE, *parameters)  # type: ignore[no-untyped-call]
    return states


class _Walk(torch.autograd.Function):
    """Gives the states of all ways at their positions, (X, T, W * H), zeros where a row has ended."""

    @staticmethod
    def forward(ctx: Any, packing: Packing, x_XTE: Tensor, *parameters: Tensor) -> Tensor:
        """Walks."""
        ways, models, capacity = packing.places_WMN.shape
        rows, steps, width = x_XTE.shape
        input_DGE, hidden_DGH, bias_DG, other_DG = (torch.cat(parameters[kind::4]) for kind in range(4))
        padded = torch.cat([x_XTE.reshape(-1, width), x_XTE.new_zeros(1, width)])
        x_DNE = padded[packing.places_WMN.view(-1)].view(ways * models, capacity, width)
        gates_DNG = _products(x_DNE, input_DGE.mT).add_((bias_DG + other_DG)[:, None])
        counts_DT = packing.counts_MT.repeat(ways, 1)
        states = packed.walk(gates_DNG, hidden_DGH, counts_DT)
        hidden = states.hidden_DNH.shape[2]
        found = x_XTE.new_zeros(rows * steps + 1, ways, hidden)
        for way in range(ways):
            found[:, way].index_copy_(0, packing.places_WMN[way].view(-1), states.hidden_DNH[way * models :][:models].reshape(-1, hidden))
        ctx.packing, ctx.size = packing, (rows, steps)
        ctx.save_for_backward(x_DNE, gates_DNG, *states, input_DGE, hidden_DGH, counts_DT)
        return found[:-1].view(rows, steps, ways * hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Walks back."""
        x_DNE, gates_DNG, hidden_DNH, cells_DNH, input_DGE, hidden_DGH, counts_DT = ctx.saved_tensors
        packing, (rows, steps) = ctx.packing, ctx.size
        ways, hidden = len(packing.places_WMN), hidden_DNH.shape[2]
        flat = torch.cat([grads[0].reshape(rows * steps, -1), grads[0].new_zeros(1, ways * hidden)]).view(-1, ways, hidden)
        grads_DNH = torch.cat([flat[packing.places_WMN[way], way] for way in range(ways)])
        packed.walk_back(gates_DNG, cells_DNH, grads_DNH, hidden_DGH, counts_DT)
        before = packing.before_MN.repeat(ways, 1)
        first = gates_DNG.shape[1] - before.shape[1]
        before_DNH = hidden_DNH.gather(1, before[:, :, None].expand(-1, -1, hidden))
        input_grads = _products(gates_DNG.mT, x_DNE).chunk(ways)
        hidden_grads = _products(gates_DNG[:, first:].mT, before_DNH).chunk(ways)
        bias_grads = gates_DNG.sum(1).chunk(ways)
        x_grad = None
        if ctx.needs_input_grad[1]:
            x_grads = _products(gates_DNG, input_DGE).view(ways, -1, input_DGE.shape[2])
            x_grad = x_DNE.new_zeros(rows * steps + 1, input_DGE.shape[2])
            for way in range(ways):
                x_grad.index_add_(0, packing.places_WMN[way].view(-1), x_grads[way])
            x_grad = x_grad[:-1].view(rows, steps, -1)
        found = [part[way] for way in range(ways) for part in (input_grads, hidden_grads, bias_grads, bias_grads)]
        return None, x_grad, *found


def _products(left_DXK: Tensor, right_DKY: Tensor) -> Tensor:
    """``left @ right`` of each direction, one by one where a library is known that is faster than `torch.bmm`."""
    first = kernels.product(left_DXK[0], right_DKY[0]) if len(left_DXK) else None
    if first is None:
        return torch.bmm(left_DXK, right_DKY)
    found = left_DXK.new_empty(len(left_DXK), *first.shape)
    found[0] = first
    for direction in range(1, len(left_DXK)):
        product = kernels.product(left_DXK[direction], right_DKY[direction])
        assert product is not None  # it decides by the sizes alone
        found[direction] = product
    return found
