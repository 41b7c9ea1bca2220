"""Squared norms by group of parameters, from Gram matrices that are shared where they can be.

Shapes: B examples, T positions of one example, D inputs, P outputs, L groups of parameters that are clipped together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.privacy import kernels

BiasSums = list[tuple[Tensor, Tensor]]
"""Biases, each with the sum over positions of an output gradient, (B, P)."""


@dataclass
class _Pending:
    """Products and lookups whose Gram matrices share a factor, so that one pass serves them all."""

    group: int
    inputs: list[Tensor] = field(default_factory=list)
    ids: list[Tensor] = field(default_factory=list)
    output_grads: list[Tensor] = field(default_factory=list)
    biases: list[list[Tensor]] = field(default_factory=list)


class Grams:
    """Adds up, by group, squared norms and what they would be without cross terms between positions."""

    def __init__(self) -> None:
        self._squares: dict[int, Tensor] = {}
        self._apart: dict[int, Tensor] = {}
        self._pending: _Pending | None = None

    def queue(self, group: int, inputs: Tensor | None, ids: Tensor | None, output_grads: Tensor, biases: list[Tensor]) -> BiasSums:
        """Takes an occurrence, and joins it to the pending ones where input (Q, K, V) or output gradient (summed embeddings) is shared.

        Args:
            group: The group of the parameter.
            inputs: A, (B, T, D), of a product.
            ids: (B, T), of a lookup.
            output_grads: G, (B, T, P).
            biases: Whose gradient is the sum of G over positions.

        Returns:
            Gradients of biases that are known now.
        """
        pending = self._pending
        if pending is not None and pending.group == group:
            if len(pending.output_grads) == 1 and same(pending.output_grads[0], output_grads):
                pending.biases[0] += biases
                if inputs is not None:
                    pending.inputs.append(inputs)
                if ids is not None:
                    pending.ids.append(ids)
                return []
            if inputs is not None and not pending.ids and len(pending.inputs) == 1 and same(pending.inputs[0], inputs):
                pending.output_grads.append(output_grads)
                pending.biases.append(biases)
                return []
        found = self.flush()
        self._pending = _Pending(group, [] if inputs is None else [inputs], [] if ids is None else [ids], [output_grads], [biases])
        return found

    def flush(self) -> BiasSums:
        """Computes what is pending."""
        pending, self._pending = self._pending, None
        if pending is None:
            return []
        wanted = [bool(biases) for biases in pending.biases]
        found = kernels.gram_norms(pending.inputs, pending.output_grads, ids=pending.ids, column_sums=wanted)
        self.add(pending.group, found.squared_B, apart_B=found.diagonal_B)
        sums = zip(pending.biases, found.sums, strict=True)
        return [(bias, sum_BP) for biases, sum_BP in sums if sum_BP is not None for bias in biases]

    def add(self, group: int, squares_B: Tensor, *, apart_B: Tensor | None = None) -> None:
        """Adds to the squared norms of a group, and to what they would be without cross terms."""
        self._squares[group] = self._squares[group] + squares_B if group in self._squares else squares_B
        if apart_B is not None:
            self._apart[group] = self._apart[group] + apart_B if group in self._apart else apart_B

    def totals(self, groups: int) -> tuple[Tensor, Tensor] | None:
        """Squared norms (L, B), and the same without cross terms; None where nothing was added."""
        if not self._squares:
            return None
        nothing = torch.zeros_like(next(iter(self._squares.values())))
        squares, apart = ([parts.get(group, nothing) for group in range(groups)] for parts in (self._squares, self._apart))
        return torch.stack(squares), torch.stack(apart)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same memory, seen in the same way."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.stride() == other.stride()
