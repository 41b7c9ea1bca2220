"""Norms of gradients in which large parts cancel: there single precision would lose the small rest, and with it the bound.

A gradient that is a sum over positions has its squared norm formed from pairs of positions. Rounding leaves an error of
about ``eps * S`` on it, where S adds up the squared norms of what the single positions contribute. Mostly the squared norm
is about S or more. Where a loss compares near copies through one network it may be a millionth of S, and then the error is
larger than what is measured.

Shapes: B examples, T positions, L groups of parameters that are clipped together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.privacy.engine.occurrences import Occurrence, inner_product, inner_product_with_dense

SHARE = 1e-2
"""Squared norms below this share of S are formed again, in double precision. Above it, errors in float32 are about .002 %."""

ROUNDINGS = 4.0
"""By how many times ``eps * sqrt(T * S)`` the norm of what is *added* may exceed the exact one: the sum itself is rounded too."""

_NUMBERS = 2**23  # how many are held in double precision at a time


@dataclass(frozen=True, eq=False)
class Use:
    """All that one parameter met in a pass.

    Args:
        group: The group that the parameter is clipped with.
        occurrences: Its products and lookups.
        dense_B: What else its gradient is made of, for each example outright; None where there is nothing.
    """

    group: int
    occurrences: Sequence[Occurrence]
    dense_B: Tensor | None

    def pieces(self, examples_N: Tensor) -> Iterator[tuple[slice, Use]]:
        """The use by some of the examples, in double precision, a few examples at a time."""
        numbers = sum(one.numbers for one in self.occurrences) + (0 if self.dense_B is None else self.dense_B[0].numel())
        step = max(1, _NUMBERS // max(1, numbers))
        for start in range(0, len(examples_N), step):
            chosen = examples_N[start : start + step]
            dense_B = None if self.dense_B is None else self.dense_B[chosen].double()
            yield slice(start, start + step), Use(self.group, [one.widened(chosen) for one in self.occurrences], dense_B)

    def squares(self) -> tuple[Tensor, Tensor]:
        """Squared norm (B,), and the sum of T times S over all occurrences (B,), which bounds what rounding does to a sum."""
        lost = [one.positions * one.apart() for one in self.occurrences]
        parts = [inner_product(one, other) for one in self.occurrences for other in self.occurrences]
        if self.dense_B is not None:
            parts.append(self.dense_B.flatten(1).square().sum(1))
            parts += [2 * inner_product_with_dense(one, self.dense_B) for one in self.occurrences]
        return sum(parts[1:], parts[0]), sum(lost, torch.zeros_like(parts[0]))


def doubtful(squares_LB: Tensor, apart_LB: Tensor) -> Tensor:
    """Where the squared norm is so small a share of S that rounding weighs on it, (L, B)."""
    return squares_LB < SHARE * apart_LB


class Bounded(NamedTuple):
    """Norms that what an example adds to a sum does not exceed, however much of it cancels.

    Args:
        squares_LB: Their squares.
        margins_LB: How far above the exact norm they lie: ``ROUNDINGS * eps * sqrt(T * S)`` where that was in doubt, else zero.
    """

    squares_LB: Tensor
    margins_LB: Tensor


def bounded(squares_LB: Tensor, doubtful_LB: Tensor, uses: Iterable[Use]) -> Bounded:
    """Forms squared norms that are in doubt again, in double precision, and leaves room for the rounding of the sum.

    Args:
        squares_LB: As measured.
        doubtful_LB: Which of them are in doubt.
        uses: What each parameter of the groups in doubt met.
    """
    examples_N = doubtful_LB.any(0).nonzero().flatten()
    exact_LN = squares_LB.new_zeros(len(squares_LB), len(examples_N), dtype=torch.float64)
    lost_LN = torch.zeros_like(exact_LN)
    for use in uses:
        for where, piece in use.pieces(examples_N):
            squares_N, lost_N = piece.squares()
            exact_LN[use.group, where] += squares_N
            lost_LN[use.group, where] += lost_N
    margins_LN = ROUNDINGS * torch.finfo(squares_LB.dtype).eps * lost_LN.sqrt()  # eps of the precision in which sums are formed
    bound_LN = (exact_LN.clamp_min(0).sqrt() + margins_LN).square()
    found_LB, margins_LB, chosen_LN = squares_LB.clone(), torch.zeros_like(squares_LB), doubtful_LB[:, examples_N]
    found_LB[:, examples_N] = torch.where(chosen_LN, bound_LN.to(squares_LB.dtype), squares_LB[:, examples_N])
    margins_LB[:, examples_N] = torch.where(chosen_LN, margins_LN, 0).to(squares_LB.dtype)
    return Bounded(found_LB, margins_LB)
