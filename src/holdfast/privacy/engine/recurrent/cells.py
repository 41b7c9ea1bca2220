"""The buffers of a recurrent layer's walk over time, and each kind of cell, forwards and backwards.

Shapes: D directions, T steps, B rows, H hidden units, P outputs of a cell (H, or fewer after a projection), G gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.privacy import kernels


@dataclass(frozen=True, eq=False)
class Walk:
    """What a walk over time is made with, and what it leaves behind. Buffers list positions; `kernels.by_step` gives the steps.

    Args:
        weights_GP: Recurrent weights of each direction.
        biases_G: Their biases, of a cell that does not add them to the input's part; none where there are none.
        projections_PH: The projections of an LSTM, likewise.
        turned: Whether the second direction starts at the last position.
        gates_DTBG: The input's part of the pre-activations, then activations, after the walk back gradients.
        hidden_DTBP: States, T + 1 of them: the first is the initial one.
        cells_DTBH: Cells of an LSTM, likewise, but by step instead of position.
        unprojected_DTBH: Outputs of an LSTM before its projection.
        hidden_gates_DTBG: Gradients of the hidden state's part, of a cell where they differ from those of the input's part.
    """

    weights_GP: Sequence[Tensor]
    biases_G: Sequence[Tensor]
    projections_PH: Sequence[Tensor]
    turned: bool
    gates_DTBG: Tensor
    hidden_DTBP: Tensor
    cells_DTBH: Tensor | None
    unprojected_DTBH: Tensor | None
    hidden_gates_DTBG: Tensor | None = None

    @cached_property
    def recurrent_DGP(self) -> Tensor:
        """The recurrent weights side by side."""
        return _side_by_side(self.weights_GP)

    @cached_property
    def bias_D1G(self) -> Tensor | None:
        """Their biases side by side."""
        return _side_by_side(self.biases_G)[:, None] if self.biases_G else None

    @cached_property
    def projection_DPH(self) -> Tensor | None:
        """The projections side by side."""
        return _side_by_side(self.projections_PH) if self.projections_PH else None

    @cached_property
    def gates(self) -> list[Tensor]:
        """Gates of each step, (D, B, G)."""
        return self.by_step(self.gates_DTBG)

    @cached_property
    def hidden(self) -> list[Tensor]:
        """States before each step and after the last, (D, B, P)."""
        return self.by_step(self.hidden_DTBP)

    @cached_property
    def cells(self) -> list[Tensor]:
        """Cells before each step and after the last, (D, B, H)."""
        return [] if self.cells_DTBH is None else list(self.cells_DTBH.unbind(1))

    @cached_property
    def unprojected(self) -> list[Tensor]:
        """Outputs of each step before the projection, (D, B, H)."""
        return [] if self.unprojected_DTBH is None else self.by_step(self.unprojected_DTBH)

    @cached_property
    def hidden_gates(self) -> list[Tensor]:
        """Gradients of the hidden state's part of each step, (D, B, G)."""
        return [] if self.hidden_gates_DTBG is None else self.by_step(self.hidden_gates_DTBG)

    def by_step(self, x_DTBW: Tensor) -> list[Tensor]:
        """What a buffer holds for each step, (D, B, W); of states, before each step and after the last."""
        return kernels.by_step(x_DTBW, turned=self.turned)


def _side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)) if len(tensors) > 1 else tensors[0][None]


@dataclass(frozen=True, eq=False)
class Return:
    """What a walk back starts from and ends with.

    Args:
        grads_DTBP: Gradients of the states after each step, by position; those by way of later steps are added.
        cell_DBH: Of an LSTM: gradient of the cells, becomes that of the first ones.
        late_DBH: Of an LSTM whose rows have lengths: gradient of the last cells, to be added at each row's own end.
        lengths_B: The lengths.
        first_DBP: The gradient of the first states is added here, where it is wanted.
    """

    grads_DTBP: Tensor
    cell_DBH: Tensor | None
    late_DBH: Tensor | None
    lengths_B: Tensor | None
    first_DBP: Tensor | None


class Cell(ABC):
    """One kind of recurrent cell.

    Attributes:
        rows: Rows of the weights, in units of H.
        gates: Width of the buffer of gates, in units of H.
        remembers: Whether there are cells beside the hidden states.
        apart: Whether the hidden state's part of the pre-activations has gradients of its own.
    """

    rows: ClassVar[int]
    gates: ClassVar[int]
    remembers: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    def forward(self, walk: Walk) -> None:
        """Takes all steps: gates hold the input's part of the pre-activations, the states are written."""
        for step in range(len(walk.gates)):
            self.step(walk, step)

    def backward(self, walk: Walk, way: Return) -> None:
        """Takes all steps back: gates become gradients."""
        grads = walk.by_step(way.grads_DTBP)
        for step in reversed(range(len(grads))):
            if way.late_DBH is not None and way.cell_DBH is not None and way.lengths_B is not None:
                way.cell_DBH.add_(way.late_DBH * (way.lengths_B == step + 1)[:, None])
            self.step_back(walk, step, grads[step], way.cell_DBH, grads[step - 1] if step else way.first_DBP)

    @abstractmethod
    def step(self, walk: Walk, step: int) -> None:
        """Takes one step."""

    @abstractmethod
    def step_back(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """Takes one step back.

        Args:
            walk: Its gates become gradients.
            step: Which step.
            grad_DBP: Gradient of the state after the step.
            cell_grad_DBH: Of an LSTM: gradient of the cell after the step, becomes that of the cell before it.
            into_DBP: The gradient of the state before the step is added here.
        """


class LSTMCell(Cell):
    """An LSTM, perhaps with a projection."""

    rows, gates, remembers = 4, 4, True

    def forward(self, walk: Walk) -> None:
        """As `Cell.forward`."""
        if walk.projections_PH or walk.cells_DTBH is None:
            super().forward(walk)
        else:
            kernels.lstm_walk(walk.gates_DTBG, walk.hidden_DTBP, walk.cells_DTBH, walk.weights_GP, turned=walk.turned)

    def backward(self, walk: Walk, way: Return) -> None:
        """As `Cell.backward`."""
        if walk.projections_PH or walk.cells_DTBH is None or way.cell_DBH is None or way.late_DBH is not None:
            super().backward(walk, way)
            return
        buffers = (walk.gates_DTBG, walk.cells_DTBH, way.grads_DTBP, way.cell_DBH)
        kernels.lstm_walk_back(*buffers, walk.weights_GP, turned=walk.turned, first_grads_DBH=way.first_DBP)

    def step(self, walk: Walk, step: int) -> None:
        """As `Cell.step`."""
        gates_DBG = walk.gates[step].baddbmm_(walk.hidden[step], walk.recurrent_DGP.mT)
        output_DBH = walk.hidden[step + 1] if walk.projection_DPH is None else walk.unprojected[step]
        kernels.lstm_forward_step(gates_DBG, walk.cells[step], walk.cells[step + 1], output_DBH)
        if walk.projection_DPH is not None:
            walk.hidden[step + 1].copy_(torch.bmm(output_DBH, walk.projection_DPH.mT))

    def step_back(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.step_back`."""
        assert cell_grad_DBH is not None
        grad_DBH = grad_DBP if walk.projection_DPH is None else torch.bmm(grad_DBP, walk.projection_DPH)
        kernels.lstm_backward_step(walk.gates[step], walk.cells[step], walk.cells[step + 1], grad_DBH, cell_grad_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(walk.gates[step], walk.recurrent_DGP)


class GRUCell(Cell):
    """A GRU. Its buffer holds r, z, n and the hidden state's part of n, which r multiplies."""

    rows, gates, apart = 3, 4, True

    def step(self, walk: Walk, step: int) -> None:
        """As `Cell.step`."""
        hidden_DBH, gates_DBG = walk.hidden[step], walk.gates[step]
        width = hidden_DBH.shape[2]
        r, z, n, part = gates_DBG.chunk(4, 2)
        recurrent_DBG = torch.bmm(hidden_DBH, walk.recurrent_DGP.mT)
        if walk.bias_D1G is not None:
            recurrent_DBG += walk.bias_D1G
        gates_DBG[..., : 2 * width].add_(recurrent_DBG[..., : 2 * width]).sigmoid_()
        part.copy_(recurrent_DBG[..., 2 * width :])
        n.addcmul_(r, part).tanh_()
        torch.lerp(n, hidden_DBH, z, out=walk.hidden[step + 1])

    def step_back(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.step_back`."""
        hidden_DBH, gates_DBG, by_hidden_DBG = walk.hidden[step], walk.gates[step], walk.hidden_gates[step]
        width = hidden_DBH.shape[2]
        r, z, n, part = gates_DBG.chunk(4, 2)
        if into_DBP is not None:
            into_DBP.addcmul_(grad_DBP, z)
        z_grad = grad_DBP * (hidden_DBH - n) * z * (1 - z)
        n_grad = grad_DBP * (1 - z) * (1 - n.square())
        torch.mul(n_grad, r, out=by_hidden_DBG[..., 2 * width :])
        torch.mul(n_grad * part, r * (1 - r), out=r)
        z.copy_(z_grad)
        n.copy_(n_grad)
        by_hidden_DBG[..., : 2 * width] = gates_DBG[..., : 2 * width]
        if into_DBP is not None:
            into_DBP.baddbmm_(by_hidden_DBG, walk.recurrent_DGP)


@dataclass(frozen=True)
class PlainCell(Cell):
    """``h' = f(W x + U h + b)``.

    Args:
        rectified: f is the rectifier instead of the hyperbolic tangent.
    """

    rectified: bool
    rows, gates = 1, 1

    def step(self, walk: Walk, step: int) -> None:
        """As `Cell.step`."""
        gates_DBH = walk.gates[step].baddbmm_(walk.hidden[step], walk.recurrent_DGP.mT)
        walk.hidden[step + 1].copy_(gates_DBH.relu_() if self.rectified else gates_DBH.tanh_())

    def step_back(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.step_back`."""
        gates_DBH = walk.gates[step]
        slope_DBH = (gates_DBH > 0).to(gates_DBH.dtype) if self.rectified else 1 - gates_DBH.square()
        torch.mul(grad_DBP, slope_DBH, out=gates_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(gates_DBH, walk.recurrent_DGP)
