"""The buffers of a recurrent layer's walk over time, and one step of each kind of cell, forwards and backwards.

Nothing is ever turned round or copied for the second direction: buffers list positions, and its step s stands at position
T - 1 - s. One batched product and one pass over the gates serve both directions.

Shapes: D directions, T steps, B rows, H hidden units, P outputs of a cell (H, or fewer after a projection), G gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
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

    def at(self, x_DTBW: Tensor, step: int) -> Tensor:
        """A view (D, B, W) of what a buffer holds for one step; of a buffer of states, the one before that step."""
        if len(x_DTBW) == 1 or not self.turned:
            return x_DTBW[:, step]
        (directions, length, rows, width), strides = x_DTBW.shape, x_DTBW.stride()
        apart = strides[0] + (length - 1 - 2 * step) * strides[1]  # from one direction's position to the other's, never negative
        return x_DTBW.as_strided((directions, rows, width), (apart, strides[2], strides[3]), x_DTBW.storage_offset() + step * strides[1])


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
        gates_DBG, next_DBP = walk.at(walk.gates_DTBG, step), walk.at(walk.hidden_DTBP, step + 1)
        gates_DBG.baddbmm_(walk.at(walk.hidden_DTBP, step), walk.recurrent_DGP.mT)
        assert walk.cells_DTBH is not None
        cells = walk.cells_DTBH[:, step], walk.cells_DTBH[:, step + 1]
        if walk.projection_DPH is None or walk.unprojected_DTBH is None:
            kernels.lstm_forward_step(gates_DBG, *cells, next_DBP)
            return
        output_DBH = walk.at(walk.unprojected_DTBH, step)
        kernels.lstm_forward_step(gates_DBG, *cells, output_DBH)
        next_DBP.copy_(torch.bmm(output_DBH, walk.projection_DPH.mT))

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
        gates_DBG = walk.at(walk.gates_DTBG, step)
        assert walk.cells_DTBH is not None
        assert cell_grad_DBH is not None
        cells = walk.cells_DTBH[:, step], walk.cells_DTBH[:, step + 1]
        grad_DBH = grad_DBP if walk.projection_DPH is None else torch.bmm(grad_DBP, walk.projection_DPH)
        kernels.lstm_backward_step(gates_DBG, *cells, grad_DBH, cell_grad_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(gates_DBG, walk.recurrent_DGP)


class GRUCell(Cell):
    """A GRU. Its buffer holds r, z, n and the hidden state's part of n, which r multiplies."""

    rows, gates, apart = 3, 4, True

    def forward(self, walk: Walk, step: int) -> None:
        """As `Cell.forward`."""
        hidden_DBH, next_DBH = walk.at(walk.hidden_DTBP, step), walk.at(walk.hidden_DTBP, step + 1)
        width = hidden_DBH.shape[2]
        r, z, n, part = (gates_DBG := walk.at(walk.gates_DTBG, step)).chunk(4, 2)
        recurrent_DBG = torch.bmm(hidden_DBH, walk.recurrent_DGP.mT)
        if walk.bias_D1G is not None:
            recurrent_DBG += walk.bias_D1G
        gates_DBG[..., : 2 * width].add_(recurrent_DBG[..., : 2 * width]).sigmoid_()
        part.copy_(recurrent_DBG[..., 2 * width :])
        n.addcmul_(r, part).tanh_()
        torch.lerp(n, hidden_DBH, z, out=next_DBH)

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
        assert walk.hidden_gates_DTBG is not None
        hidden_DBH, by_hidden_DBG = walk.at(walk.hidden_DTBP, step), walk.at(walk.hidden_gates_DTBG, step)
        width = hidden_DBH.shape[2]
        r, z, n, part = (gates_DBG := walk.at(walk.gates_DTBG, step)).chunk(4, 2)
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
        gates_DBH = walk.at(walk.gates_DTBG, step).baddbmm_(walk.at(walk.hidden_DTBP, step), walk.recurrent_DGP.mT)
        walk.at(walk.hidden_DTBP, step + 1).copy_(gates_DBH.relu_() if self.rectified else gates_DBH.tanh_())

    def backward(self, walk: Walk, step: int, grad_DBP: Tensor, cell_grad_DBH: Tensor | None, into_DBP: Tensor | None) -> None:
        """As `Cell.backward`."""
        gates_DBH = walk.at(walk.gates_DTBG, step)
        slope_DBH = (gates_DBH > 0).to(gates_DBH.dtype) if self.rectified else 1 - gates_DBH.square()
        torch.mul(grad_DBP, slope_DBH, out=gates_DBH)
        if into_DBP is not None:
            into_DBP.baddbmm_(gates_DBH, walk.recurrent_DGP)
