"""One recurrent layer, all directions: the walk over time, and the walk back, which records instead of forming weight gradients.

Shapes: D directions, T steps, B rows (the examples, or several rows of each), E inputs, H hidden units, P outputs, G gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from holdfast.privacy import kernels
from holdfast.privacy.engine.occurrences import aligned, flat_rows
from holdfast.privacy.engine.recurrent.cells import Cell, Return, Walk
from holdfast.privacy.engine.tape import Tape


class Weights(NamedTuple):
    """The parameters of one direction, in torch's order; what the layer does not have is None."""

    input_GE: Tensor
    hidden_GP: Tensor
    input_bias_G: Tensor | None = None
    hidden_bias_G: Tensor | None = None
    projection_PH: Tensor | None = None


class Plan(NamedTuple):
    """What a layer is besides its tensors.

    Args:
        tape: Where it records.
        cell: The kind of cell.
        lengths_B: Lengths of padded rows; each direction then has an input of its own, and walks forwards. None where every
            row has all steps; the second direction then walks backwards over the one input.
    """

    tape: Tape
    cell: Cell
    lengths_B: Tensor | None


class Layer(torch.autograd.Function):
    """Gives outputs at all positions (B, T, D * P), last states (D, B, P) and, of an LSTM, last cells (D, B, H)."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, x_BTE: Tensor, second_BTE: Tensor | None, hidden_DBP: Tensor, cells_DBH: Tensor | None, *flat: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Walks forwards.

        Args:
            ctx: Autograd's store.
            plan: Tape, kind of cell, lengths.
            x_BTE: The input.
            second_BTE: Where rows have lengths, the input of the second direction: each row turned round at its own end.
            hidden_DBP: Initial states.
            cells_DBH: Initial cells of an LSTM.
            *flat: The five `Weights` of one direction after the other.
        """
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.flat, parameters = plan, flat, _by_direction(flat)
        dtype = torch.promote_types(x_BTE.dtype, parameters[0].input_GE.dtype)
        inputs = [_dense(x, of_one_order=second_BTE is None).to(dtype) for x in (x_BTE, second_BTE) if x is not None]
        with torch.autocast(x_BTE.device.type, enabled=False):
            buffers = _buffers(plan.cell, inputs, parameters)
            walk = _walk(plan.cell, inputs, parameters, buffers)
            for direction, weights in enumerate(parameters):
                _enter(walk, plan.cell, direction, inputs[direction % len(inputs)], weights)
            walk.hidden[0].copy_(hidden_DBP)
            if cells_DBH is not None:
                walk.cells[0].copy_(cells_DBH)
            plan.cell.forward(walk)
        ctx.save_for_backward(inputs[0], inputs[1] if len(inputs) == 2 else None, *buffers, *flat)
        hidden = _last(walk.hidden, walk.hidden_DTBP, plan.lengths_B)
        cells = None if walk.cells_DTBH is None else _last(walk.cells, walk.cells_DTBH, plan.lengths_B)
        return _outputs(walk), hidden, cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *output_grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Walks back, records, and returns the gradients of inputs and initial states."""
        plan: Plan = ctx.plan
        first, second, gates_DTBG, hidden_DTBP, cells_DTBH, unprojected_DTBH, *_ = ctx.saved_tensors
        inputs, parameters = [x for x in (first, second) if x is not None], _by_direction(ctx.flat)
        with torch.autocast(first.device.type, enabled=False):
            if _graph_is_kept():  # the walk back overwrites the gates
                gates_DTBG = gates_DTBG.clone()
            apart = _buffer(first, len(parameters), first.shape[1], len(parameters[0].hidden_GP)) if plan.cell.apart else None
            walk = _walk(plan.cell, inputs, parameters, (gates_DTBG, hidden_DTBP, cells_DTBH, unprojected_DTBH, apart))
            grads_DTBP = _grads(walk, plan, output_grads[0], output_grads[1])
            way = _return(walk, plan, grads_DTBP, output_grads[2], wanted=ctx.needs_input_grad[3])
            plan.cell.backward(walk, way)
            for direction, weights in enumerate(parameters):
                _record(walk, plan, direction, inputs[direction % len(inputs)].detach(), weights, grads_DTBP)
            x_grads = _input_grads(walk, inputs, parameters) if ctx.needs_input_grad[1] else (None, None)
        return None, *x_grads, way.first_DBP, way.cell_DBH, *(None for _ in ctx.flat)


def _by_direction(flat: Sequence[Tensor | None]) -> list[Weights]:
    return [Weights(*flat[at : at + 5]) for at in range(0, len(flat), 5)]  # type: ignore[arg-type]  # the first two are there


def _graph_is_kept() -> bool:
    """Whether another backward pass over the same graph may follow this one."""
    known = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return known is None or bool(known())


def _dense(x_BTE: Tensor, *, of_one_order: bool) -> Tensor:
    """The input without gaps, in its own order in memory, which all buffers share: examples first or positions first."""
    return x_BTE if of_one_order and x_BTE.transpose(0, 1).is_contiguous() else x_BTE.contiguous()


def _buffer(like_BTE: Tensor, directions: int, length: int, width: int) -> Tensor:
    """An empty (D, length, B, width) in the order in memory of another tensor."""
    rows = like_BTE.shape[0]
    if like_BTE.is_contiguous():
        return like_BTE.new_empty(directions, rows, length, width).transpose(1, 2)
    return like_BTE.new_empty(directions, length, rows, width)


def _buffers(cell: Cell, inputs: Sequence[Tensor], parameters: Sequence[Weights]) -> tuple[Tensor | None, ...]:
    """Gates, states, cells and unprojected outputs of a walk, empty."""
    x_BTE, (height, outputs) = inputs[0], parameters[0].hidden_GP.shape
    hidden, directions, steps = height // cell.rows, len(parameters), x_BTE.shape[1]
    return (
        _buffer(x_BTE, directions, steps, cell.gates * hidden),
        _buffer(x_BTE, directions, steps + 1, outputs),
        x_BTE.new_empty(directions, steps + 1, len(x_BTE), hidden) if cell.remembers else None,
        None if parameters[0].projection_PH is None else _buffer(x_BTE, directions, steps, hidden),
    )


def _walk(cell: Cell, inputs: Sequence[Tensor], parameters: Sequence[Weights], buffers: Sequence[Tensor | None]) -> Walk:
    """A walk over these buffers."""
    dtype = inputs[0].dtype
    return Walk(
        [weights.hidden_GP.detach().to(dtype) for weights in parameters],
        [weights.hidden_bias_G.detach().to(dtype) for weights in parameters if cell.apart and weights.hidden_bias_G is not None],
        [weights.projection_PH.detach().to(dtype) for weights in parameters if weights.projection_PH is not None],
        len(inputs) == 1,
        *buffers,  # type: ignore[arg-type]  # so are gates and states
    )


def _enter(walk: Walk, cell: Cell, direction: int, x_BTE: Tensor, weights: Weights) -> None:
    """Writes the input's part of the pre-activations of all steps of one direction."""
    height = len(weights.input_GE)
    x_XE, gates_XG = flat_rows(x_BTE), flat_rows(walk.gates_DTBG[direction].transpose(0, 1))
    matrix_EG = weights.input_GE.detach().to(x_BTE.dtype).mT
    biases = [weights.input_bias_G] if cell.apart else [weights.input_bias_G, weights.hidden_bias_G]
    present = [bias.detach().to(x_BTE.dtype) for bias in biases if bias is not None]
    product_XG = kernels.product(x_XE, matrix_EG)
    if product_XG is not None:
        torch.add(product_XG, sum(present), out=gates_XG[:, :height])
    elif present:
        torch.addmm(sum(present[1:], present[0]), x_XE, matrix_EG, out=gates_XG[:, :height])
    else:
        torch.mm(x_XE, matrix_EG, out=gates_XG[:, :height])


def _last(states: Sequence[Tensor], states_DTBW: Tensor, lengths_B: Tensor | None) -> Tensor:
    """The states after the last step of each row, given by step and as the buffer, (D, B, W)."""
    if lengths_B is None:
        return states[-1].clone()
    return states_DTBW[:, lengths_B, torch.arange(len(lengths_B), device=lengths_B.device)]


def _outputs(walk: Walk) -> Tensor:
    """The states after each step, at their positions, (B, T, D * P)."""
    parts = [_after(walk, direction).transpose(0, 1) for direction in range(len(walk.hidden_DTBP))]
    if len(parts) == 1:
        return parts[0]
    if walk.hidden_DTBP[0].is_contiguous():  # positions first in memory
        return torch.cat([part.transpose(0, 1) for part in parts], 2).transpose(0, 1)
    return torch.cat(parts, 2)


def _after(walk: Walk, direction: int) -> Tensor:
    return walk.hidden_DTBP[direction, :-1] if walk.turned and direction else walk.hidden_DTBP[direction, 1:]


def _before(walk: Walk, direction: int) -> Tensor:
    return walk.hidden_DTBP[direction, 1:] if walk.turned and direction else walk.hidden_DTBP[direction, :-1]


def _grads(walk: Walk, plan: Plan, output_BTP: Tensor | None, last_DBP: Tensor | None) -> Tensor:
    """The gradients of all states, without what comes by way of later ones, in a new buffer (D, T, B, P)."""
    directions, _, _, width = walk.hidden_DTBP.shape
    like_BTG = walk.gates_DTBG[0].transpose(0, 1)
    grads_DTBP = _buffer(like_BTG, directions, like_BTG.shape[1], width)
    if output_BTP is None:
        grads_DTBP.zero_()
    else:
        grads_DTBP.copy_(output_BTP.unflatten(2, (directions, width)).permute(2, 1, 0, 3))
    if last_DBP is not None and plan.lengths_B is None:
        walk.by_step(grads_DTBP)[-1].add_(last_DBP)
    elif last_DBP is not None and plan.lengths_B is not None:
        grads_DTBP[:, plan.lengths_B - 1, torch.arange(len(plan.lengths_B), device=plan.lengths_B.device)] += last_DBP
    return grads_DTBP


def _return(walk: Walk, plan: Plan, grads_DTBP: Tensor, last_cell_DBH: Tensor | None, *, wanted: bool) -> Return:
    """What the walk back starts from; the gradient of the initial states may be wanted."""
    lengths_B, (directions, _, rows, width) = plan.lengths_B, grads_DTBP.shape
    cell_DBH = None
    if last_cell_DBH is not None and lengths_B is None:
        cell_DBH = last_cell_DBH.clone(memory_format=torch.contiguous_format)
    elif walk.cells_DTBH is not None:
        cell_DBH = torch.zeros_like(walk.cells[0], memory_format=torch.contiguous_format)
    first_DBP = grads_DTBP.new_zeros(directions, rows, width) if wanted else None
    return Return(grads_DTBP, cell_DBH, None if lengths_B is None else last_cell_DBH, lengths_B, first_DBP)


def _record(walk: Walk, plan: Plan, direction: int, x_BTE: Tensor, weights: Weights, grads_DTBP: Tensor) -> None:
    """Notes what the parameters of one direction met; both matrices of most cells share the very same output gradient."""
    tape = plan.tape
    delta_BTG = _single(walk.gates_DTBG[direction].transpose(0, 1)[..., : len(weights.input_GE)])
    apart = None if walk.hidden_gates_DTBG is None else walk.hidden_gates_DTBG[direction].transpose(0, 1)
    tape.product(weights.input_GE, x_BTE, delta_BTG, bias=weights.input_bias_G)
    before_BTP = _before(walk, direction).transpose(0, 1)
    tape.product(weights.hidden_GP, before_BTP, delta_BTG if apart is None else apart, bias=weights.hidden_bias_G)
    if weights.projection_PH is not None and walk.unprojected_DTBH is not None:
        tape.product(weights.projection_PH, walk.unprojected_DTBH[direction].transpose(0, 1), grads_DTBP[direction].transpose(0, 1))


def _single(x: Tensor) -> Tensor:
    """At least single precision: widened once, it stays one tensor for all records that share it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _input_grads(walk: Walk, inputs: Sequence[Tensor], parameters: Sequence[Weights]) -> tuple[Tensor, Tensor | None]:
    """The gradients of one input that all directions share, or of one for each."""
    found: list[Tensor] = []
    for direction, weights in enumerate(parameters):
        delta_XG = flat_rows(walk.gates_DTBG[direction].transpose(0, 1)[..., : len(weights.input_GE)])
        matrix_GE = weights.input_GE.detach().to(delta_XG.dtype)
        product_XE = kernels.product(delta_XG, matrix_GE)
        if direction >= len(inputs):
            found[0].addmm_(delta_XG, matrix_GE) if product_XE is None else found[0].add_(product_XE)
        elif product_XE is None:
            found.append(torch.mm(delta_XG, matrix_GE, out=aligned(matrix_GE, len(delta_XG))))
        else:
            found.append(product_XE)
    first_BTE, *second_BTE = (_unflat(grad_XE, x_BTE) for grad_XE, x_BTE in zip(found, inputs, strict=True))
    return first_BTE, second_BTE[0] if second_BTE else None


def _unflat(x_XE: Tensor, like_BTE: Tensor) -> Tensor:
    """(B, T, E) of rows that are in the order in memory of another tensor's."""
    rows, steps, width = like_BTE.shape
    return x_XE.view(rows, steps, width) if like_BTE.is_contiguous() else x_XE.view(steps, rows, width).transpose(0, 1)
