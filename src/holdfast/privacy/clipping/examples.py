"""Clippers of whole example gradients: by a threshold, by the norm itself, or not at all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping.contract import (
    ClippingState,
    ExampleRule,
    Execution,
    Indices,
    LossesOf,
    check_clip_norm,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from holdfast.privacy.engine import Gradients


class ExampleClipper(ABC):
    """What clippers of single examples have in common: they differ in the rule of a step, and in what bounds a summand."""

    if TYPE_CHECKING:  # a field of most, and a property where it is fixed

        @property
        def clip_norm(self) -> float:
            """C, which no summand is longer than."""
            ...

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """C, or 2C where one example may be replaced by another."""
        return 2 * self.clip_norm if neighbouring == "replace-one" else self.clip_norm

    def summands(self, batch_size: int) -> float:
        """One summand for each example."""
        return float(batch_size)

    def noise_deviation(self, noise_multiplier: float, state: ClippingState | None = None) -> float:
        """The noise multiplier times C."""
        return noise_multiplier * self.clip_norm

    def clipped_sum(
        self,
        model: nn.Module,
        losses_of: LossesOf,
        indices: Indices,
        *,
        streams: Streams,
        step: int,
        execution: Execution,
        state: ClippingState | None = None,
    ) -> Gradients:
        """The sum of the gradients of the examples at `indices`, each weighed by the rule of the step."""
        from holdfast.privacy import sums

        rule = self.rule(model, streams=streams, step=step, state=state)
        return sums.per_example(model, losses_of, indices, weigh=rule.weigh, groups=rule.groups, execution=execution)

    @abstractmethod
    def rule(self, model: nn.Module, *, streams: Streams, step: int, state: ClippingState | None = None) -> ExampleRule:
        """What this step does with the norms."""
        ...


@dataclass(frozen=True, kw_only=True)
class PerExampleClipping(ExampleClipper):
    """Every example's whole gradient is scaled down to norm `clip_norm`, then they are summed.

    Args:
        clip_norm: C > 0.

    Guarantee:
        Adding, removing or zeroing out one example changes the sum by at most C; replacing one by at most 2C.

    Edge cases:
        | gradient norm of an example | its part of the sum |
        |---|---|
        | zero | zero |
        | at most C | the gradient itself |
        | above C, finite | the gradient scaled to norm C |
        | infinite or NaN | zero |

        An empty batch gives zeros. A loss that is not finite raises `TrainingStopped`.

    References:
        Abadi et al. 2016 (arXiv 1607.00133), algorithm 1; single-pass form after Bu et al. 2022 (arXiv 2210.00038).
    """

    clip_norm: float

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)

    def rule(self, model: nn.Module, *, streams: Streams, step: int, state: ClippingState | None = None) -> ExampleRule:
        """What this step does with the norms; the same in every step."""
        from holdfast.privacy import sums

        return counting(lambda squared_LB: sums.clip_weights(squared_LB, self.clip_norm), state)


@dataclass(frozen=True, kw_only=True)
class AutomaticClipping(ExampleClipper):
    """Every example's whole gradient is divided by its norm plus a constant, then they are summed: AUTO-S, without a threshold.

    Args:
        gamma: Added to the norm, > 0; it keeps short gradients short. 0.01 is the paper's.

    Guarantee:
        Each summand is shorter than 1, so adding, removing or zeroing out one example changes the sum by less than 1;
        replacing one by less than 2. The noise multiplier is the ratio of the noise to 1.

    Edge cases:
        A zero gradient adds zero, and so does one whose norm is infinite or NaN.

    References:
        Bu, Wang, Zha, Karypis 2022, "Automatic clipping" (arXiv 2206.07136), section 4.
    """

    gamma: float = 0.01

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and self.gamma > 0):
            raise InputError(f"gamma is {self.gamma}; it must be a finite number > 0 (0.01 is the paper's)")

    @property
    def clip_norm(self) -> float:
        """1, whatever gamma is: no summand is longer."""
        return 1.0

    def rule(self, model: nn.Module, *, streams: Streams, step: int, state: ClippingState | None = None) -> ExampleRule:
        """What this step does with the norms; the same in every step."""
        import torch

        def weigh(squared_LB: Tensor) -> Tensor:
            norms_LB = squared_LB.clamp_min(0).sqrt()
            return torch.where(torch.isfinite(norms_LB), 1 / (norms_LB + self.gamma), 0.0)

        return counting(weigh, state)


@dataclass(frozen=True, kw_only=True)
class NoClipping:
    """The plain sum of gradients: non-private training as one more mechanism. Without a `clip_norm` its sensitivity is unbounded."""

    clip_norm: None = None

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """Infinite."""
        return math.inf

    def summands(self, batch_size: int) -> float:
        """One summand for each example."""
        return float(batch_size)

    def noise_deviation(self, noise_multiplier: float, state: ClippingState | None = None) -> float:
        """None at all: there is nothing that it could be a multiple of."""
        return 0.0

    def clipped_sum(
        self,
        model: nn.Module,
        losses_of: LossesOf,
        indices: Indices,
        *,
        streams: Streams,
        step: int,
        execution: Execution,
        state: ClippingState | None = None,
    ) -> Gradients:
        """The sum of the gradients of the examples at `indices`."""
        from holdfast.privacy import sums

        return sums.plain(model, losses_of, indices, execution=execution)


def counting(weigh: Callable[[Tensor], Tensor], state: ClippingState | None, groups: Mapping[str, int] | None = None) -> ExampleRule:
    """A rule that also counts the examples whose norm is not finite.

    Args:
        weigh: Squared norms to weights, (L, B) both; zero where a norm is not finite.
        state: Where to count; None counts nowhere.
        groups: Of the rule.
    """
    import torch

    def weigh_and_count(squared_LB: Tensor) -> Tensor:
        if state is not None:
            state.leave_out(int((~torch.isfinite(squared_LB)).any(0).sum()))
        return weigh(squared_LB)

    return ExampleRule(weigh_and_count, groups)
