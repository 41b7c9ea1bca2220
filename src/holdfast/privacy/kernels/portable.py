"""The kernels once more in torch operations: for any device and dtype, where nothing was compiled, and to check what was.

Shapes: B examples, T rows of one example, D and P widths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gram_norms(
    inputs: Sequence[Tensor], output_grads: Sequence[Tensor], ids: Sequence[Tensor], column_sums: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """As `holdfast.privacy.kernels.gram_norms`."""
    output_grads = [at_least_float32(g_BTP) for g_BTP in output_grads]
    grads_BTT = _gram(output_grads)
    matches_BTT: Tensor | float = sum((ids_BT[:, :, None] == ids_BT[:, None, :]).to(grads_BTT.dtype) for ids_BT in ids)
    if inputs:
        matches_BTT = matches_BTT + _gram([at_least_float32(a_BTD) for a_BTD in inputs])
    norms = (grads_BTT * matches_BTT).sum((1, 2))
    return norms, [g_BTP.sum(1) if wanted else None for g_BTP, wanted in zip(output_grads, column_sums, strict=True)]


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
    mean, rstd = (statistic.reshape(*x.shape[:-1], 1) for statistic in (mean, rstd))
    wide = at_least_float32(grad)
    normal = (at_least_float32(x) - mean) * rstd
    scaled = wide * weight
    x_grad = rstd * (scaled - scaled.mean(-1, keepdim=True) - normal * (scaled * normal).mean(-1, keepdim=True))
    rows = (examples, x.shape[:-1].numel() // max(examples, 1), x.shape[-1])
    return x_grad.to(x.dtype), (wide * normal).reshape(rows).sum(1), wide.reshape(rows).sum(1)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor, widened if it has fewer than 32 bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
