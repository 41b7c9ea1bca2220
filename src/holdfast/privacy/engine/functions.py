"""Functions whose backward pass gives the input gradient alone and puts what the weight gradient is made of on the tape.

The ordinary weight gradient is never formed: clipped weight gradients take its place, so a private step costs little
more than an ordinary one. Everything recorded is detached, or it would keep the whole graph alive.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.privacy import kernels
from holdfast.privacy.engine.tape import Tape


class Linear(torch.autograd.Function):
    """``x W' + b``, or ``x W + b`` where the weight is stored transposed."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
        """Computes the product."""
        ctx.save_for_backward(x, weight)  # what comes back may be a copy
        ctx.tape, ctx.weight, ctx.bias, ctx.transposed = tape, weight, bias, transposed
        return F.linear(x, weight.mT if transposed else weight, bias)

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the input gradient; records input and output gradient."""
        (g,) = output_grads
        x, weight = ctx.saved_tensors
        ctx.tape.product(ctx.weight, x.detach(), g.detach(), bias=ctx.bias, transposed=ctx.transposed)
        if not ctx.needs_input_grad[1]:
            return None, None, None, None, None
        matrix = weight.detach().to(g.dtype)
        gx = (g.reshape(-1, g.shape[-1]) @ (matrix.mT if ctx.transposed else matrix)).view(x.shape)
        return None, gx.to(x.dtype), None, None, None


class Embedding(torch.autograd.Function):
    """Rows of a table."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, ids: Tensor, weight: Tensor, padding_idx: int | None) -> Tensor:
        """Looks the rows up."""
        ctx.save_for_backward(ids)
        ctx.tape, ctx.weight, ctx.padding_idx = tape, weight, padding_idx
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[None, ...]:
        """Records ids and output gradient."""
        (ids,) = ctx.saved_tensors
        ctx.tape.lookup(ctx.weight, ids, output_grads[0].detach(), padding_idx=ctx.padding_idx)
        return None, None, None, None


class LayerNorm(torch.autograd.Function):
    """Layer norm with scale and shift; their gradients are as small as one row, so they are formed for each example."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        """Normalises, scales and shifts."""
        x = x.contiguous()
        y, mean, rstd = torch.ops.aten.native_layer_norm(x, shape, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.tape, ctx.weight, ctx.bias = tape, weight, bias
        return y  # type: ignore[no-any-return]  # torch.ops carries no types

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the input gradient; records the gradients of scale and shift."""
        x, weight, mean, rstd = ctx.saved_tensors
        tape: Tape = ctx.tape
        if x.shape[0] % tape.rows:
            tape.by_example(x)  # says what is wrong
        width = x.numel() // max(1, mean.numel())
        x_BTD, g_BTD = (tensor.detach().reshape(tape.examples, -1, width) for tensor in (x, output_grads[0]))
        scale = x.new_ones(width) if weight is None else weight.detach().reshape(width)
        dx, scale_BD, shift_BD = kernels.layer_norm_backward(x_BTD, g_BTD, scale, mean, rstd, examples=tape.examples)
        if tape.wants(ctx.weight):
            tape.dense(ctx.weight, scale_BD)
        if tape.wants(ctx.bias):
            tape.dense(ctx.bias, shift_BD)
        return None, dx.view(x.shape), None, None, None, None


class PerExample(torch.autograd.Function):
    """A parameter (or what a model computed from parameters alone) as one copy for each row: its gradient comes by example."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Expands to `shape`, whose first axis lists the rows; nothing is copied."""
        ctx.tape, ctx.tensor = tape, tensor
        return tensor.detach().expand(shape)

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[None, ...]:
        """Records the gradient of each example."""
        gradients_B = _by_example(output_grads[0].detach(), ctx.tape.examples, ctx.tensor.shape)
        ctx.tape.dense(ctx.tensor, gradients_B)
        return None, None, None


def _by_example(gradient: Tensor, examples: int, shape: torch.Size) -> Tensor:
    """Sums the gradient of an expanded copy, (rows, ..., *shape), over each example's rows and the axes in between."""
    kept = gradient.dim() - len(shape)
    wide = torch.promote_types(gradient.dtype, torch.float32)
    if kept == 0:  # the copy took the place of a first axis of one
        return gradient.reshape(examples, -1, *shape[1:]).sum(1, keepdim=True, dtype=wide)
    return gradient.reshape(examples, -1, *shape).sum(1, dtype=wide)


class ByRow(torch.autograd.Function):
    """A tensor computed from parameters alone, one slice of which belongs to each row: an example has the gradient of its own."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, tensor: Tensor, axis: int) -> Tensor:
        """Returns the tensor, whose `axis` lists the rows."""
        ctx.tape, ctx.tensor, ctx.axis = tape, tensor, axis
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[None, ...]:
        """Records the gradient of each example: that of its own slices, and zero elsewhere."""
        slices = output_grads[0].detach().movedim(ctx.axis, 0).unflatten(0, (ctx.tape.examples, -1))
        whole = slices.new_zeros(ctx.tape.examples, *slices.shape)
        own = torch.arange(ctx.tape.examples, device=slices.device)
        whole[own, own] = slices
        ctx.tape.dense(ctx.tensor, whole.flatten(1, 2).movedim(1, ctx.axis + 1))
        return None, None, None


class Convolution(torch.autograd.Function):
    """A one-dimensional convolution with one group: the windows of the input are the rows of a linear layer."""

    @staticmethod
    def forward(
        ctx: Any, tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], dilation: list[int]
    ) -> Tensor:
        """Convolves (N, D, L) to (N, P, T)."""
        ctx.save_for_backward(x, weight)
        ctx.tape, ctx.weight, ctx.bias, ctx.settings = tape, weight, bias, (stride, padding, dilation)
        return F.conv1d(x, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *output_grads: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the input gradient; records windows and output gradient."""
        g_NPT = output_grads[0].detach()
        x, weight = ctx.saved_tensors
        (stride,), (padding,), (dilation,) = ctx.settings
        padded_NDL = F.pad(x.detach(), (padding, padding))
        windows_NDTK = padded_NDL.unfold(2, dilation * (weight.shape[2] - 1) + 1, stride)[..., ::dilation]
        ctx.tape.product(ctx.weight, windows_NDTK.transpose(1, 2).flatten(2), g_NPT.mT, bias=ctx.bias)
        gx = None
        if ctx.needs_input_grad[1]:
            gx = torch.ops.aten.convolution_backward(
                g_NPT, x, weight.detach(), None, [stride], [padding], [dilation], False, [0], 1, [True, False, False]
            )[0]
        return None, gx, None, None, None, None, None
