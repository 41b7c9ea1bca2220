"""One occurrence of a parameter in a pass: a sum over positions of outer products, or of looked-up rows.

Shapes: B examples, T (or S) positions, M rows and N columns of the parameter, V rows and D columns of a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast.privacy import kernels

Gradients = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Product:
    """The gradient of an example is ``sum_t left_t right_t'``, (M, N), seen in the shape of the parameter."""

    parameter: Tensor
    left_BTM: Tensor
    right_BTN: Tensor

    @property
    def positions(self) -> int:
        """T."""
        return self.left_BTM.shape[1]

    @property
    def numbers(self) -> int:
        """How many numbers one example has here."""
        return self.left_BTM[0].numel() + self.right_BTN[0].numel()

    def apart(self) -> Tensor:
        """The squared norms of what the single positions contribute, added up, (B,)."""
        return (self.left_BTM.square().sum(2) * self.right_BTN.square().sum(2)).sum(1)

    def widened(self, examples_N: Tensor) -> Product:
        """Some of the examples, in double precision."""
        return replace(self, left_BTM=self.left_BTM[examples_N].double(), right_BTN=self.right_BTN[examples_N].double())

    @property
    def narrower(self) -> Tensor:
        """The cheaper factor to scale."""
        return self.left_BTM if self.left_BTM.shape[2] < self.right_BTN.shape[2] else self.right_BTN

    def add_to(self, total: Gradients, name: str, scaled: Tensor) -> None:
        """Adds the sum over examples, one factor given scaled."""
        left, right = (scaled, self.right_BTN) if self.narrower is self.left_BTM else (self.left_BTM, scaled)
        left_XM, right_XN = flat_rows(left), flat_rows(right, like=left)
        product_MN = kernels.product(left_XM.mT, right_XN)
        if name in total:
            sum_MN = total[name].view(left_XM.shape[1], -1)
            sum_MN.addmm_(left_XM.mT, right_XN) if product_MN is None else sum_MN.add_(product_MN)
        else:
            if product_MN is None:
                product_MN = torch.mm(left_XM.mT, right_XN, out=aligned(right_XN, left_XM.shape[1])).contiguous()
            total[name] = product_MN.view(self.parameter.shape)

    def without(self, examples_B: Tensor) -> Product:
        """The same with some examples zeroed."""
        gone = examples_B[:, None, None]
        return replace(self, left_BTM=self.left_BTM.masked_fill(gone, 0), right_BTN=self.right_BTN.masked_fill(gone, 0))


@dataclass(frozen=True, eq=False)
class Lookup:
    """The gradient of an example is a table with ``grads_t`` added to row ``ids_t``, (V, D)."""

    parameter: Tensor
    ids_BT: Tensor
    grads_BTD: Tensor

    @property
    def positions(self) -> int:
        """T."""
        return self.grads_BTD.shape[1]

    @property
    def numbers(self) -> int:
        """How many numbers one example has here."""
        return self.grads_BTD[0].numel()

    def apart(self) -> Tensor:
        """The squared norms of what the single positions contribute, added up, (B,)."""
        return self.grads_BTD.square().sum((1, 2))

    def widened(self, examples_N: Tensor) -> Lookup:
        """Some of the examples, in double precision."""
        return replace(self, ids_BT=self.ids_BT[examples_N], grads_BTD=self.grads_BTD[examples_N].double())

    @property
    def narrower(self) -> Tensor:
        """What is scaled."""
        return self.grads_BTD

    def add_to(self, total: Gradients, name: str, scaled: Tensor) -> None:
        """Adds the sum over examples, the gradients given scaled."""
        if name in total:
            total[name].index_add_(0, self.ids_BT.flatten(), scaled.flatten(0, 1))
        else:
            rows = self.parameter.shape[0]
            total[name] = torch.ops.aten.embedding_dense_backward(scaled.contiguous(), self.ids_BT.contiguous(), rows, -1, False)

    def without(self, examples_B: Tensor) -> Lookup:
        """The same with some examples zeroed."""
        return replace(self, grads_BTD=self.grads_BTD.masked_fill(examples_B[:, None, None], 0))


def flat_rows(x_BTD: Tensor, *, like: Tensor | None = None) -> Tensor:
    """Views all rows, (B * T, D), in the order in which they lie in memory, or another tensor's do."""
    model = x_BTD if like is None else like
    return (x_BTD.transpose(0, 1) if model.stride(1) > model.stride(0) else x_BTD).flatten(0, 1)


def aligned(like_XD: Tensor, rows: int) -> Tensor:
    """An empty (rows, D) whose rows start at multiples of 64 bytes: matrix products are written a fifth faster into such."""
    width, step = like_XD.shape[1], 64 // like_XD.element_size()
    return like_XD.new_empty(rows, -(-width // step) * step)[:, :width]


Occurrence = Product | Lookup


def inner_product(one: Occurrence, other: Occurrence) -> Tensor:
    """Inner product of the two gradients of each example, (B,), without forming either."""
    if isinstance(one, Lookup):
        one, other = other, one
    if isinstance(one, Lookup) and isinstance(other, Lookup):
        same_BTS = one.ids_BT[:, :, None] == other.ids_BT[:, None, :]
        return (torch.bmm(one.grads_BTD, other.grads_BTD.mT) * same_BTS).sum((1, 2))
    assert isinstance(one, Product)
    if isinstance(other, Lookup):
        index_BTS = other.ids_BT[:, None, :].expand(-1, one.left_BTM.shape[1], -1)
        return (torch.bmm(one.right_BTN, other.grads_BTD.mT) * one.left_BTM.gather(2, index_BTS)).sum((1, 2))
    return (torch.bmm(one.left_BTM, other.left_BTM.mT) * torch.bmm(one.right_BTN, other.right_BTN.mT)).sum((1, 2))


def inner_product_with_dense(one: Occurrence, dense_BMN: Tensor) -> Tensor:
    """Inner product of an occurrence's gradient with one given outright, (B,)."""
    if isinstance(one, Lookup):
        rows_BTD = dense_BMN.gather(1, one.ids_BT[..., None].expand(-1, -1, dense_BMN.shape[2]))
        return (rows_BTD * one.grads_BTD).sum((1, 2))
    matrix_BMN = dense_BMN.reshape(len(dense_BMN), one.left_BTM.shape[2], -1)
    return (torch.bmm(one.left_BTM, matrix_BMN) * one.right_BTN).sum((1, 2))
