"""Layers whose parameters belong to many models: what each does with a batch whose rows are those of one model after the other.

A layer keeps its place, its name and its class; only its parameters gain a first axis, and its forward is one of these.

Shapes: M models, R rows of one model, X = M * R rows of all, T positions, E inputs, O outputs, V rows of a table, D their width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.privacy.kernels.rows import Missed, Rows
from holdfast.training.ensembles.randomness import CannotStackError


@dataclass(eq=False)
class Fold:
    """What the layers of a stack share.

    Args:
        models: How many models the batch holds rows of.
        anchor: A number that wants a gradient, so that autograd comes by where a table does not want one.
        tables: The tables of which a step moves only some rows, by layer.
        missed: What rows of tables have missed, by layer; empty while nothing is trained.
    """

    models: int
    anchor: Tensor
    tables: dict[nn.Module, Rows] = field(default_factory=dict)
    missed: dict[nn.Module, Missed] = field(default_factory=dict)

    def by_model(self, x: Tensor) -> Tensor:
        """The rows of each model, (M, R, ...)."""
        if x.dim() == 0 or x.shape[0] % self.models:
            raise CannotStackError(f"a layer gets {tuple(x.shape)}, which are not rows of {self.models} models")
        return x.unflatten(0, (self.models, -1)) if x.shape[0] else x.view(self.models, 0, *x.shape[1:])


Forward = Callable[..., Tensor]


def linear(layer: nn.Linear, fold: Fold, x: Tensor) -> Tensor:
    """``x W' + b`` for each model."""
    grouped = fold.by_model(x)
    rows_MNE = grouped.reshape(fold.models, -1, grouped.shape[-1])
    found = torch.bmm(rows_MNE, layer.weight.mT) if layer.bias is None else torch.baddbmm(layer.bias[:, None], rows_MNE, layer.weight.mT)
    return found.view(*x.shape[:-1], layer.weight.shape[1])


def layer_norm(layer: nn.LayerNorm, fold: Fold, x: Tensor) -> Tensor:
    """Normalises each row, then scales and shifts it as its model does."""
    found = fold.by_model(F.layer_norm(x, layer.normalized_shape, None, None, layer.eps))
    shape = (fold.models, *[1] * (found.dim() - 1 - len(layer.normalized_shape)), *layer.normalized_shape)
    if layer.weight is not None:
        found = found * layer.weight.view(shape)
    if layer.bias is not None:
        found = found + layer.bias.view(shape)
    return found.flatten(0, 1)


def convolution(layer: nn.Conv1d, fold: Fold, x_XET: Tensor) -> Tensor:
    """Each filter sees windows of the rows of its model."""
    windows_XETK = F.pad(x_XET, (int(layer.padding[0]),) * 2).unfold(2, layer.kernel_size[0], layer.stride[0])
    rows, _, steps, _ = windows_XETK.shape
    windows = windows_XETK.permute(0, 2, 1, 3).reshape(fold.models, -1, layer.in_channels * layer.kernel_size[0])
    weights_MOE = layer.weight.flatten(2)
    found = torch.bmm(windows, weights_MOE.mT) if layer.bias is None else torch.baddbmm(layer.bias[:, None], windows, weights_MOE.mT)
    return found.view(rows, steps, layer.out_channels).mT


def embedding(layer: nn.Embedding, fold: Fold, ids: Tensor) -> Tensor:
    """Rows of the table of each model."""
    rows_MX = fold.by_model(ids)
    numbered = rows_MX + torch.arange(fold.models, device=ids.device).view(-1, *[1] * (ids.dim())) * layer.weight.shape[1]
    table = fold.tables.get(layer)
    if table is None or layer not in fold.missed:
        return F.embedding(numbered.flatten(0, 1), layer.weight.flatten(0, 1))
    looked_up: Tensor = _LookUp.apply(table, fold.missed[layer], rows_MX.flatten(1), numbered.flatten(0, 1), fold.anchor)  # type: ignore[no-untyped-call]
    return looked_up


def mean_of_rows(layer: nn.Embedding, fold: Fold, ids_XT: Tensor, mask_XT: Tensor) -> Tensor | None:
    """The mean over the marked rows of each list, (X, D), without the single rows; None for a table that is moved as a whole."""
    table = fold.tables.get(layer)
    if table is None:
        return None
    ids_MRT, mask_MRT = fold.by_model(ids_XT), fold.by_model(mask_XT)
    if layer not in fold.missed:
        return table.mean(ids_MRT, mask_MRT).flatten(0, 1)
    means: Tensor = _Mean.apply(table, fold.missed[layer], ids_MRT, mask_MRT, fold.anchor)  # type: ignore[no-untyped-call]
    return means


class _LookUp(torch.autograd.Function):
    """Brings rows up to date and gives them; backwards, hands their gradients to the table."""

    @staticmethod
    def forward(ctx: Any, table: Rows, missed: Missed, ids_MN: Tensor, numbered: Tensor, anchor: Tensor) -> Tensor:
        """Looks up."""
        table.meet(ids_MN, missed)
        ctx.table, ctx.ids_MN = table, ids_MN
        return F.embedding(numbered, table.values_MVD.flatten(0, 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Hands gradients over."""
        ctx.table.add(ctx.ids_MN, grads[0].reshape(*ctx.ids_MN.shape, grads[0].shape[-1]))
        return None, None, None, None, None


class _Mean(torch.autograd.Function):
    """The same for means over lists of rows."""

    @staticmethod
    def forward(ctx: Any, table: Rows, missed: Missed, ids_MRT: Tensor, mask_MRT: Tensor, anchor: Tensor) -> Tensor:
        """Takes means."""
        table.meet(ids_MRT.flatten(1), missed)
        ctx.table, ctx.ids_MRT, ctx.mask_MRT = table, ids_MRT, mask_MRT
        return table.mean(ids_MRT, mask_MRT).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Hands gradients over."""
        ctx.table.add_mean(ctx.ids_MRT, ctx.mask_MRT, grads[0].view(*ctx.ids_MRT.shape[:2], -1))
        return None, None, None, None, None
