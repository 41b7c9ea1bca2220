"""Clippers: each turns a batch into a sum whose change by one example is bounded by its own stated sensitivity.

The objects stand here, without torch, so that a plan can be accounted for in no time; `sums` does their arithmetic.
"""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is done; nothing here can change the result or the guarantee.

    Args:
        physical_batch_size: Examples that go through the model together, at least 1.
        engine: Of per-example clipping: "book-keeping" (one backward pass for many examples; every layer needs a rule)
            or "loop" (one example at a time: slow, and right for any model).
    """

    physical_batch_size: int = 128
    engine: Engine = "book-keeping"

    def __post_init__(self) -> None:
        if self.physical_batch_size < 1:
            raise InputError(f"physical_batch_size is {self.physical_batch_size}; it must be at least 1")
        if self.engine not in get_args(Engine):
            raise InputError(f"engine is {self.engine!r}; choose one of {get_args(Engine)}")

    def parts(self, indices: Indices) -> Iterator[Indices]:
        """Cuts a batch into parts that fit."""
        for start in range(0, len(indices), self.physical_batch_size):
            yield indices[start : start + self.physical_batch_size]


@dataclass(frozen=True)
class ExampleRule:
    """What a clipper of single examples does in one step: the part that a loop of your own needs, which runs the model itself.

    Args:
        weigh: Squared norms by group of parameters and example, (L, B), to weights of the same shape.
        groups: Parameter name to group in ``0..L-1``, whose parameters are clipped together; None for one group.
    """

    weigh: Callable[[Tensor], Tensor]
    groups: Mapping[str, int] | None = None


class Clipper(Protocol):
    """Turns a batch into one bounded sum."""

    @property
    def clip_norm(self) -> float | None:
        """The bound; None where nothing is clipped."""
        ...

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """Largest change of the sum, in L2 norm, between neighbouring data sets."""
        ...

    def summands(self, batch_size: int) -> float:
        """Expected number of summands: the public divisor that turns the sum into an update."""
        ...

    def clipped_sum(
        self, model: nn.Module, losses_of: LossesOf, indices: Indices, *, streams: Streams, step: int, execution: Execution
    ) -> Gradients:
        """The sum over the batch, for every trainable parameter by name."""
        ...


def _check_clip_norm(clip_norm: float) -> None:
    if not (math.isfinite(clip_norm) and clip_norm > 0):
        raise InputError(f"clip_norm is {clip_norm}; it must be a finite number > 0 (1.0 is a common start)")


@dataclass(frozen=True, kw_only=True)
class PerExampleClipping:
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
        _check_clip_norm(self.clip_norm)

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """C, or 2C where one example may be replaced by another."""
        return 2 * self.clip_norm if neighbouring == "replace-one" else self.clip_norm

    def summands(self, batch_size: int) -> float:
        """One summand for each example."""
        return float(batch_size)

    def clipped_sum(
        self, model: nn.Module, losses_of: LossesOf, indices: Indices, *, streams: Streams, step: int, execution: Execution
    ) -> Gradients:
        """The sum of the clipped gradients of the examples at `indices`."""
        from holdfast.privacy import sums

        return sums.per_example(model, losses_of, indices, weigh=self.rule(model, streams=streams, step=step).weigh, execution=execution)

    def rule(self, model: nn.Module, *, streams: Streams, step: int) -> ExampleRule:
        """What this step does with the norms; the same in every step."""
        from holdfast.privacy import sums

        def weigh(squared_LB: Tensor) -> Tensor:
            return sums.clip_weights(squared_LB, self.clip_norm)

        return ExampleRule(weigh)


LayerScaling = Literal["uniform", "dimension"]


@dataclass(frozen=True, kw_only=True)
class MicroBatchClipping:
    """The mean gradient of each micro-batch is clipped layer by layer, then they are summed: the clipping of eDP-SGD.

    Within a micro-batch nothing is done for single examples, so a step costs what an ordinary one does. The price is
    paid in the guarantee: one example can turn the clipped mean of its micro-batch from one end of the ball to the other.

    Args:
        clip_norm: C > 0, over all layers together.
        micro_batches: m, how many micro-batches a batch is split into, at least 1; public.
        micro_batch_size: b, the fixed divisor of each mean, at least 1; public, usually the expected batch size over m.
        layer_scaling: Thresholds ``C_l = C s_l`` with ``sum s_l^2 = 1``: "uniform" (``s_l = 1/sqrt(L)``), "dimension"
            (``s_l = sqrt(d_l / d)``), or positive weights by the layer's name, scaled to that sum.

    Guarantee:
        For b > 1 adding, removing, zeroing out or replacing one example changes the sum by at most 2C, whatever b is;
        for b = 1 as per-example clipping. Every example's micro-batch is drawn from its index alone, so no other example moves.

    References:
        After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586); that micro-batches double the sensitivity is stated in
        TensorFlow Privacy's statement of guarantees and in Ponomareva et al. 2023 (arXiv 2303.00654), section 5.6.
    """

    clip_norm: float
    micro_batches: int
    micro_batch_size: int
    layer_scaling: LayerScaling | Mapping[str, float] = "uniform"

    def __post_init__(self) -> None:
        _check_clip_norm(self.clip_norm)
        for name in ("micro_batches", "micro_batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if isinstance(self.layer_scaling, str) and self.layer_scaling not in get_args(LayerScaling):
            raise InputError(
                f"layer_scaling is {self.layer_scaling!r}; choose one of {get_args(LayerScaling)} or give a weight for each layer"
            )

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """2C; for micro-batches of one example, that of per-example clipping."""
        if self.micro_batch_size == 1:
            return PerExampleClipping(clip_norm=self.clip_norm).sensitivity(neighbouring)
        return 2 * self.clip_norm

    def summands(self, batch_size: int) -> float:
        """One summand for each micro-batch."""
        return float(self.micro_batches)

    def thresholds(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Threshold of each layer; their squares add up to C squared.

        Args:
            sizes: Number of trainable parameters of each layer, by the layer's name.

        Raises:
            InputError: If given weights do not name exactly these layers, or are not positive.
        """
        if self.layer_scaling == "uniform":
            squares = dict.fromkeys(sizes, 1.0)
        elif self.layer_scaling == "dimension":
            squares = {layer: float(size) for layer, size in sizes.items()}
        else:
            given = dict(self.layer_scaling)
            if given.keys() != sizes.keys() or min(given.values()) <= 0:
                raise InputError(f"layer_scaling must give a weight > 0 for each of {sorted(sizes)}, got {given}")
            squares = {layer: weight * weight for layer, weight in given.items()}
        whole = sum(squares.values())
        return {layer: self.clip_norm * math.sqrt(square / whole) for layer, square in squares.items()}

    def assignment(self, indices: Indices, *, streams: Streams, step: int) -> Indices:
        """Micro-batch of each example in [0, m), a hash of its own index under a key of the step."""
        key = np.uint64(streams.integer("micro-batches", step))
        return (_mixed(_mixed(indices.astype(np.uint64)) ^ key) % np.uint64(self.micro_batches)).astype(np.int64)

    def clipped_sum(
        self, model: nn.Module, losses_of: LossesOf, indices: Indices, *, streams: Streams, step: int, execution: Execution
    ) -> Gradients:
        """The sum of the clipped means of the micro-batches at `indices`."""
        from holdfast.privacy import sums

        assigned = self.assignment(indices, streams=streams, step=step)
        micro_batches = [indices[assigned == slot] for slot in range(self.micro_batches)]
        return sums.micro_batch(
            model, losses_of, micro_batches, divisor=self.micro_batch_size, thresholds=self.thresholds, execution=execution
        )


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the value."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


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

    def clipped_sum(
        self, model: nn.Module, losses_of: LossesOf, indices: Indices, *, streams: Streams, step: int, execution: Execution
    ) -> Gradients:
        """The sum of the gradients of the examples at `indices`."""
        from holdfast.privacy import sums

        return sums.plain(model, losses_of, indices, execution=execution)
