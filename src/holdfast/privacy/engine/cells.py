"""The buffers of a recurrent layer's walk over time, and one step of each kind of cell, forwards and backwards.

Nothing is ever turned round or copied for the second direction: buffers list positions, and its step s stands at position
T - 1 - s. One batched product and one pass over the gates serve both directions.

Shapes: D directions, T steps, B rows, H hidden units, P outputs of a cell (H, or fewer after a projection), G gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.privacy import kernels


@dataclass(frozen=True, eq=False)
class Walk:
    """What a walk over time is made with, and what it leaves behind.

    Args:
        recurrent_DGP: Recurrent weights.
        bias_D1G: Their biases, of a cell that does not add them to the input's part.
        projection_DPH: The projection of an LSTM.
        turned: Whether the second direction starts at the last position.
        gates_DTBG: The input's part of the pre-activations, then activations, after the walk back gradients.
        hidden_DTBP: States, T + 1 of them: the first is the initial one.
        cells_DTBH: Cells of an LSTM, likewise, but by step instead of position.
        unprojected_DTBH: Outputs of an LSTM before its projection.
        hidden_gates_DTBG: Gradients of the hidden state's part, of a cell where they differ from those of the input's part.
    """

    recurrent_DGP: Tensor
    bias_D1G: Tensor | None
    projection_DPH: Tensor | None
    turned: bool
    gates_DTBG: Tensor
    hidden_DTBP: Tensor
    cells_DTBH: Tensor | None
    unprojected_DTBH: Tensor | None
    hidden_gates_DTBG: Tensor | None = None

    def by_step(self, x_DTBW: Tensor) -> list[Tensor]:
        """Views (D, B, W) of what a buffer holds for each step; of a buffer of states, before each step and after the last."""
        if len(x_DTBW) == 1 or not self.turned:
            return list(x_DTBW.unbind(1))
        (directions, length, *size), (direction, position, *strides), start = x_DTBW.shape, x_DTBW.stride(), x_DTBW.storage_offset()
        apart = [direction + (length - 1 - 2 * step) * position for step in range(length)]  # between the two positions; never negative
        return [x_DTBW.as_strided((directions, *size), (apart[step], *strides), start + step * position) for step in range(length)]

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
        """What the hidden state's gates of each step get as gradients, (D, B, G)."""
        return [] if self.hidden_gates_DTBG is None else self.by_step(self.hidden_gates_DTBG)


class Cell(ABC):
    """One kind of recurrent cell; the walk calls its steps in order, and in reverse order for the gradients.

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

    @abstractmethod
    def forward(self, walk: Walk, step: int) -> None:
        """Takes one step: gates hold the input's part of the pre-activations, the next state is written."""

    @abstractmethod
    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
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

    def forward(self, walk: Walk, step: int) -> None:
        """As `Cell.forward`."""
        gates_DBG = walk.gates[step].baddbmm_(walk.hidden[step], walk.recurrent_DGP.mT)
        output_DBH = walk.hidden[step + 1] if walk.projection_DPH is None else walk.unprojected[step]
        kernels.lstm_forward_step(gates_DBG, walk.cells[step], walk.cells[step + 1], output_DBH)
        if walk.projection_DPH is not None:
            walk.hidden[step + 1].copy_(torch.bmm(output_DBH, walk.projection_DPH.mT))

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
        assert cell_grad_DBH is not None
        grad_DBH = grad_DBP if walk.projection_DPH is None else torch.bmm(grad_DBP, walk.projection_DPH)
        kernels.lstm_backward_step(walk.gates[step], walk.cells[step], walk.cells[step + 1], grad_DBH, cell_grad_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(walk.gates[step], walk.recurrent_DGP)


class GRUCell(Cell):
    """A GRU. Its buffer holds r, z, n and the hidden state's part of n, which r multiplies."""

    rows, gates, apart = 3, 4, True

    def forward(self, walk: Walk, step: int) -> None:
        """As `Cell.forward`."""
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

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
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

    def forward(self, walk: Walk, step: int) -> None:
        """As `Cell.forward`."""
        gates_DBH = walk.gates[step].baddbmm_(walk.hidden[step], walk.recurrent_DGP.mT)
        walk.hidden[step + 1].copy_(gates_DBH.relu_() if self.rectified else gates_DBH.tanh_())

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
        gates_DBH = walk.gates[step]
        slope_DBH = (gates_DBH > 0).to(gates_DBH.dtype) if self.rectified else 1 - gates_DBH.square()
        torch.mul(grad_DBP, slope_DBH, out=gates_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(gates_DBH, walk.recurrent_DGP)
