"""The clipper of eDP-SGD: means of micro-batches, clipped layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping.contract import ClippingState, Execution, Indices, LossesOf, check_clip_norm
from holdfast.privacy.clipping.layers import LayerScaling, check_scaling, layer_thresholds

if TYPE_CHECKING:
    from torch import nn

    from holdfast.privacy.engine import Gradients


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
        Adding, removing, zeroing out or replacing one example changes the sum by at most 2C, whatever b is; for b = 1 too,
        because two examples may fall into one micro-batch. Every example's micro-batch is drawn from its index alone, so no
        other example moves.

    References:
        After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586); that micro-batches double the sensitivity is stated in
        TensorFlow Privacy's statement of guarantees and in Ponomareva et al. 2023 (arXiv 2303.00654), section 5.6.
    """

    clip_norm: float
    micro_batches: int
    micro_batch_size: int
    layer_scaling: LayerScaling | Mapping[str, float] = "uniform"

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)
        for name in ("micro_batches", "micro_batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        check_scaling(self.layer_scaling)

    def sensitivity(self, neighbouring: Neighbouring) -> float:
        """2C."""
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
        return layer_thresholds(self.clip_norm, self.layer_scaling, sizes)

    def assignment(self, indices: Indices, *, streams: Streams, step: int) -> Indices:
        """Micro-batch of each example in [0, m), a hash of its own index under a key of the step."""
        key = np.uint64(streams.integer("micro-batches", step))
        return (mixed(mixed(indices.astype(np.uint64)) ^ key) % np.uint64(self.micro_batches)).astype(np.int64)

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
        """The sum of the clipped means of the micro-batches at `indices`."""
        from holdfast.privacy import sums

        assigned = self.assignment(indices, streams=streams, step=step)
        micro_batches = [indices[assigned == slot] for slot in range(self.micro_batches)]
        return sums.micro_batch(
            model,
            losses_of,
            micro_batches,
            divisor=self.micro_batch_size,
            thresholds=self.thresholds,
            execution=execution,
            state=state,
        )


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the value."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
