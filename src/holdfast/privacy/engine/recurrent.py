"""An LSTM's walk over time with its own backward pass, which gives the gradient of the gates and forms no weight gradient.

Shapes: B examples, T steps, H hidden units; gates stand in torch's order: input, forget, cell, output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine.tape import Tape


class LSTMWalk(torch.autograd.Function):
    """From the gates' pre-activations without the recurrent part, (B, T, 4H), to the outputs (B, T, H) and last cell (B, H).

    The gradient with respect to the pre-activations is what per-example norms and weighted sums are made of; that of the
    recurrent weight, which the library's own backward pass computes whether asked for or not, is never formed.
    """

    @staticmethod
    def forward(ctx: Any, gates_BTG: Tensor, weight_GH: Tensor) -> tuple[Tensor, Tensor]:
        """Walks forwards from zero states.

        Args:
            ctx: Autograd's store.
            gates_BTG: x W' + b of every step.
            weight_GH: The recurrent weight, detached.
        """
        examples, steps, width = gates_BTG.shape
        hidden = width // 4
        gates_TBG = gates_BTG.transpose(0, 1).clone(memory_format=torch.contiguous_format)  # becomes the activations in place
        h_TBH = gates_TBG.new_zeros(steps + 1, examples, hidden)
        c_TBH, squashed_TBH = torch.zeros_like(h_TBH), gates_TBG.new_empty(steps, examples, hidden)
        recurrent_HG = weight_GH.mT.contiguous()
        for t in range(steps):
            z = gates_TBG[t].addmm_(h_TBH[t], recurrent_HG)
            z[:, : 2 * hidden].sigmoid_()
            z[:, 2 * hidden : 3 * hidden].tanh_()
            z[:, 3 * hidden :].sigmoid_()
            i, f, g, o = z.chunk(4, 1)
            torch.addcmul(f * c_TBH[t], i, g, out=c_TBH[t + 1])
            torch.tanh(c_TBH[t + 1], out=squashed_TBH[t])
            torch.mul(o, squashed_TBH[t], out=h_TBH[t + 1])
        ctx.save_for_backward(weight_GH, gates_TBG, c_TBH, squashed_TBH)
        return h_TBH[1:].transpose(0, 1), c_TBH[-1].clone()

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[Tensor, None]:
        """Walks back and returns the gradient of the pre-activations."""
        grad_BTH, dc = output_grads
        weight_GH, gates_TBG, c_TBH, squashed_TBH = ctx.saved_tensors
        steps, hidden = gates_TBG.shape[0], weight_GH.shape[1]
        grad_TBH = grad_BTH.transpose(0, 1)
        delta_TBG = torch.empty_like(gates_TBG)
        dh = torch.zeros_like(dc)
        for t in reversed(range(steps)):
            i, f, g, o = gates_TBG[t].chunk(4, 1)
            delta = delta_TBG[t]
            dh = dh + grad_TBH[t]
            dc = torch.addcmul(dc, dh * o, 1 - squashed_TBH[t].square())
            torch.mul(dc * g, i * (1 - i), out=delta[:, :hidden])
            torch.mul(dc * c_TBH[t], f * (1 - f), out=delta[:, hidden : 2 * hidden])
            torch.mul(dc * i, 1 - g.square(), out=delta[:, 2 * hidden : 3 * hidden])
            torch.mul(dh * squashed_TBH[t], o * (1 - o), out=delta[:, 3 * hidden :])
            dc = dc * f
            dh = delta @ weight_GH
        return delta_TBG.transpose(0, 1), None


def lstm_forward(module: nn.LSTM, tape: Tape, input: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Computes what `nn.LSTM` computes for one layer, one direction, a padded batch-first input and zero initial states."""
    if module.num_layers != 1 or module.bidirectional or not module.batch_first or module.proj_size or hx is not None:
        raise PreflightError([f"{module} has no clipping rule; set engine='loop'"])
    weights = [module.weight_ih_l0, module.weight_hh_l0]
    biases = [module.bias_ih_l0, module.bias_hh_l0] if module.bias else [None, None]
    output, cell = LSTMLayer.apply(tape, input, *weights, *biases)
    return output, (output[:, -1][None], cell[None])


class LSTMLayer(torch.autograd.Function):
    """Placeholder shape of the layer: gates, walk, records."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, x_BTD: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None) -> Any:
        """Walks forwards."""
        bias = None if b_ih is None or b_hh is None else b_ih + b_hh
        gates_BTG = F.linear(x_BTD, w_ih, bias)
        output, cell = LSTMWalk.forward(ctx, gates_BTG, w_hh)
        ctx.tape, ctx.parameters, ctx.inputs, ctx.output = tape, (w_ih, w_hh, b_ih, b_hh), x_BTD.detach(), output
        return output, cell

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> Any:
        """Walks back, records, returns the input gradient."""
        delta_BTG, _ = LSTMWalk.backward(ctx, *output_grads)
        w_ih, w_hh, b_ih, b_hh = ctx.parameters
        output = ctx.output.detach()
        previous = torch.cat([torch.zeros_like(output[:, :1]), output[:, :-1]], 1)
        delta_BTG = delta_BTG.contiguous()
        ctx.tape.product(w_ih, ctx.inputs, delta_BTG, bias=b_ih)
        ctx.tape.product(w_hh, previous, delta_BTG, bias=b_hh)
        gx = delta_BTG @ w_ih.detach() if ctx.needs_input_grad[1] else None
        return None, gx, None, None, None, None
