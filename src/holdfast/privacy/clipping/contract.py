"""What a clipper is: the contract, how its work is done, and what it carries from step to step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

if TYPE_CHECKING:
    from torch import Tensor, nn

    from holdfast.privacy.engine import Gradients

Indices = NDArray[np.int64]
LossesOf = Callable[[Indices], "Tensor"]
"""Runs the model on the examples with these indices and returns one loss each, (len,), with its graph."""

Engine = Literal["book-keeping", "loop"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is done; nothing here can change the result or the guarantee.

    Args:
        physical_batch_size: Rows that go through the model together, at least 1; more where one example alone has more.
        engine: Of per-example clipping: "book-keeping" (one backward pass for many examples; every layer needs a rule)
            or "loop" (one example at a time: slow, and right for any model).
        rows_per_example: Rows of the model's first axis that belong to one example, at least 1: more than one where whole
            users take the part of examples.
    """

    physical_batch_size: int = 128
    engine: Engine = "book-keeping"
    rows_per_example: int = 1

    def __post_init__(self) -> None:
        for name in ("physical_batch_size", "rows_per_example"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.engine not in get_args(Engine):
            raise InputError(f"engine is {self.engine!r}; choose one of {get_args(Engine)}")

    def parts(self, indices: Indices) -> Iterator[Indices]:
        """Cuts a batch into parts that fit."""
        size = max(1, self.physical_batch_size // self.rows_per_example)
        for start in range(0, len(indices), size):
            yield indices[start : start + size]


@dataclass(frozen=True)
class ExampleRule:
    """What a clipper of single examples does in one step: the part that a loop of your own needs, which runs the model itself.

    Args:
        weigh: Squared norms by group of parameters and example, (L, B), to weights of the same shape.
        groups: Parameter name to group in ``0..L-1``, whose parameters are clipped together; None for one group.
    """

    weigh: Callable[[Tensor], Tensor]
    groups: Mapping[str, int] | None = None


@dataclass
class ClippingState:
    """What a clipper carries from step to step; part of a checkpoint.

    Args:
        clip_norm: Threshold in force, derived from released counts alone; None where the clipper has a fixed one.
        balance: Of the step in progress: examples within the threshold minus half of all. Private until noise is added.
        not_finite: Examples (or users, or micro-batches) that were left out so far because the norm of their gradient was infinite
            or not a number. It is counted without noise, for whoever runs the training: no claim covers it.
    """

    clip_norm: float | None = None
    balance: float = 0.0
    not_finite: int = 0

    def leave_out(self, count: int) -> None:
        """Counts gradients that were left out, and warns at the first of a run."""
        if count and not self.not_finite:
            _LOG.warning(
                "%d gradient(s) had a norm that is not finite; such gradients are left out and counted. Lower the learning rate, or look "
                "for overlong examples. The count is private: the claim does not cover it",
                count,
            )
        self.not_finite += count


class Clipper(Protocol):
    """Turns a batch into one bounded sum."""

    @property
    def clip_norm(self) -> float | None:
        """The bound of one summand, which is the unit of the noise multiplier; None where nothing is clipped."""
        ...

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """Largest change of the sum, in L2 norm, between neighbouring data sets."""
        ...

    def summands(self, batch_size: int) -> float:
        """Expected number of summands: the public divisor that turns the sum into an update."""
        ...

    def noise_deviation(self, noise_multiplier: float, state: ClippingState | None = None) -> float:
        """Standard deviation of the noise in each coordinate of the sum; ``noise_multiplier * clip_norm`` for most."""
        ...

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
        """The sum over the batch, for every trainable parameter by name."""
        ...


def check_clip_norm(clip_norm: float) -> None:
    """Refuses a bound that bounds nothing.

    Raises:
        InputError: If so.
    """
    if not (math.isfinite(clip_norm) and clip_norm > 0):
        raise InputError(f"clip_norm is {clip_norm}; it must be a finite number > 0 (1.0 is a common start)")
