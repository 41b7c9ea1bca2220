"""The row space of a gradient: what a linear layer read, up to as many vectors as it is wide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from holdfast.audit.gradients.rounds import Round
from holdfast.core.errors import InputError

REACHED = 3e-3
"""In a trained model a vector of a word and a place is nearly a sum of others; what is left over by less than this is no dimension."""


@dataclass(frozen=True, eq=False)
class Span:
    """An orthonormal basis of the rows of some gradients, in 64 bits.

    Args:
        basis_RD: One row for each dimension, of length 1.
    """

    basis_RD: Tensor

    @classmethod
    def of(cls, round_: Round, names: tuple[str, ...], *, rank_tolerance: float) -> Self:
        """Takes the rows of some matrices together: those of query, key and value read the same vectors.

        Directions that noise alone would give are left out: the largest singular value of Gaussian noise lies at about
        (square root of the rows + square root of D) times its standard deviation.

        Args:
            round_: What was seen.
            names: Of matrices (outputs, D) that read the same input.
            rank_tolerance: Singular values count from this share of the largest one on, in (0, 1). Rounding of 32-bit numbers makes
                some of about 3e-8.

        Raises:
            InputError: If the round lacks one of them.
        """
        missing = [name for name in names if name not in round_.update]
        if missing:
            raise InputError(f"the round has no {missing[0]!r}, which the model trains; give a round of this model")
        if not 0 < rank_tolerance < 1:
            raise InputError(f"rank_tolerance is {rank_tolerance}; give a share in (0, 1), such as 2e-7")
        stacked_ND = torch.cat([round_.update[name].double() for name in names])
        _, values, directions = torch.linalg.svd(stacked_ND, full_matrices=False)
        by_noise = round_.noise_std * (math.sqrt(stacked_ND.shape[0]) + math.sqrt(stacked_ND.shape[1]))
        rank = int((values > max(float(values[0]) * rank_tolerance, by_noise)).sum()) if values[0] > 0 else 0
        return cls(directions[:rank])

    @property
    def rank(self) -> int:
        """Its dimensions."""
        return len(self.basis_RD)

    def distances(self, vectors: Tensor) -> Tensor:
        """How far vectors (..., D) lie outside, as a share of their length, (...)."""
        wide = vectors.double()
        outside = wide - (wide @ self.basis_RD.mT) @ self.basis_RD
        shares: Tensor = outside.norm(dim=-1) / wide.norm(dim=-1).clamp(min=torch.finfo(torch.float64).tiny)
        return shares

    def explained_by(self, vectors_ND: Tensor) -> int:
        """How many of its dimensions some vectors span; one that they reach by less than `REACHED` of their spread does not count."""
        if not len(vectors_ND):
            return 0
        values = torch.linalg.svdvals(vectors_ND.double() @ self.basis_RD.mT)
        return int((values > values[0] * REACHED).sum())
