"""Adaptive clipping: a threshold that follows a quantile of the norms, steered by noisy counts that are accounted for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping.contract import ClippingState, ExampleRule, check_clip_norm
from holdfast.privacy.clipping.examples import ExampleClipper, counting
from holdfast.privacy.noise import Hardening, add_noise

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class AdaptiveClipping(ExampleClipper):
    """Flat clipping whose threshold C moves, step by step, towards a quantile of the gradient norms.

    Beside the sum, each step releases a noisy count of the examples within C:
    ``b = (sum of (b_i - 1/2) + N(0, s^2)) / m + 1/2`` with ``b_i = 1`` where the norm is at most C and m the expected number
    of examples. Then ``C <- C exp(-eta (b - quantile))``. C is a function of such released counts alone.

    Args:
        clip_norm: C of the first step, > 0.
        quantile: Share of the norms that C is to reach, in (0, 1).
        count_noise: s, standard deviation of the noise of the count, in examples, > 0.
        learning_rate: eta > 0.

    Guarantee:
        Adding, removing or zeroing out one example changes the sum by at most the C in force and the centred count by at most
        1/2; replacing one, by twice as much. A noise multiplier z is the ratio for both together: the sum gets noise of
        ``g = C / sqrt(z^-2 - (2 s)^-2)``, a little more than ``z C``, and sum and count together are one Gaussian mechanism with
        multiplier z. So the event of a step is that of flat clipping, and the count is paid for.

        Proof. Divide each release by its noise: the vector (sum / g, centred count / s) is released with unit noise in every
        coordinate. One example adds to it ``(h / g, +-1/2 / s)`` with ``|h| <= C``, or nothing where it is out (zeroed out
        included: then it counts in neither). So it moves the vector by at most ``sqrt(C^2 / g^2 + 1 / (4 s^2)) = 1/z``, twice
        that where it is replaced. Both parts are of one sample, so sampling amplifies the pair as it does a sum; C comes from
        earlier releases, so steps compose as those of a fixed C do; everything after the release is post-processing.

    Edge cases:
        As in flat clipping. An example whose norm is not finite counts as above C. b is held to [0, 1] after the noise, so C
        changes by a factor of at most ``exp(eta)`` a step. Without noise nothing is added to the count either.

    References:
        Andrew, Thakkar, McMahan, Ramaswamy 2021 (arXiv 1905.03871), section 2 and theorem 1.
    """

    clip_norm: float
    quantile: float
    count_noise: float
    learning_rate: float = 0.2

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)
        if not 0 < self.quantile < 1:
            raise InputError(f"quantile is {self.quantile}; it must lie in (0, 1) (0.5 is the median)")
        for name in ("count_noise", "learning_rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name} is {getattr(self, name)}; it must be a finite number > 0")

    def noise_deviation(self, noise_multiplier: float, state: ClippingState | None = None) -> float:
        """That of the sum, for the C in force: a little above the noise multiplier times C, because the count is released too.

        Raises:
            InputError: If the noise of the count alone would spend more than the multiplier allows.
        """
        left = noise_multiplier**-2 - (2 * self.count_noise) ** -2
        if left <= 0:
            raise InputError(
                f"count_noise is {self.count_noise}; with a noise multiplier of {noise_multiplier:.4g} it must be above "
                f"{noise_multiplier / 2:.4g}, or the count alone spends the whole budget"
            )
        return self._in_force(state) / math.sqrt(left)

    def rule(self, model: nn.Module, *, streams: Streams, step: int, state: ClippingState | None = None) -> ExampleRule:
        """What this step does with the norms: clips at the threshold in force, and counts those within it."""
        from holdfast.privacy import sums

        clip_norm = self._in_force(state)
        if state is not None:
            state.balance = 0.0

        def weigh(squared_LB: Tensor) -> Tensor:
            if state is not None:
                within = squared_LB[0].clamp_min(0).sqrt() <= clip_norm  # false where not a number
                state.balance += float(within.sum()) - len(within) / 2
            return sums.clip_weights(squared_LB, clip_norm)

        return counting(weigh, state)

    def adapt(
        self, state: ClippingState, *, expected: float, noise: bool, streams: Streams, step: int, hardening: Hardening = "none"
    ) -> None:
        """Releases the noisy count of the step and moves the threshold by it.

        Args:
            state: Holds the count, and the threshold in force.
            expected: Expected number of examples in a batch, public.
            noise: False only where the sum gets no noise either.
            streams: The randomness of the run.
            step: The step.
            hardening: Of the noise, as for the sum.
        """
        import torch

        counted = torch.tensor([state.balance], dtype=torch.float64)
        add_noise(
            {"count": counted}, self.count_noise if noise else 0.0, streams=streams.child("clip norm"), step=step, hardening=hardening
        )
        share = min(1.0, max(0.0, float(counted) / expected + 0.5))
        state.clip_norm = self._in_force(state) * math.exp(-self.learning_rate * (share - self.quantile))
        state.balance = 0.0

    def _in_force(self, state: ClippingState | None) -> float:
        return self.clip_norm if state is None or state.clip_norm is None else state.clip_norm
