"""Gaussian noise addressed by step, and schedules of its scale that never look at the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

if TYPE_CHECKING:
    from holdfast.privacy.engine import Gradients

Decay = Literal["constant", "exponential", "hyperbolic", "linear", "step"]


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """The noise multiplier of each epoch, fixed before training.

    With ``s`` the starting multiplier, ``e`` the epoch counted from 0 and ``k`` the rate: "constant" s;
    "exponential" ``s (1 - k)^e``; "hyperbolic" ``s / (1 + k e)``; "linear" ``s (1 - k e)``, never below a tenth of s;
    "step" halves s every ``1/k`` epochs.

    Args:
        noise_multiplier: Starting ratio of the noise's standard deviation to `clip_norm`, > 0.
        decay: The form.
        rate: k in [0, 1); 0 for "constant".

    References:
        After Dupuy et al. 2022 (arXiv 2107.14586), "epoch-wise noise decay"; its formula is not known, so it is a parameter.
    """

    noise_multiplier: float
    decay: Decay = "constant"
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier > 0):
            raise InputError(
                f"noise_multiplier is {self.noise_multiplier}; it must be a finite number > 0, or leave noise out with non_private"
            )
        check_decay(self.decay, self.rate)

    def at(self, epoch: int) -> float:
        """The multiplier in this epoch, counted from 0."""
        start, k = self.noise_multiplier, self.rate
        if self.decay == "exponential":
            return start * (1 - k) ** epoch
        if self.decay == "hyperbolic":
            return start / (1 + k * epoch)
        if self.decay == "linear":
            return start * max(0.1, 1 - k * epoch)
        if self.decay == "step":
            return start * 0.5 ** math.floor(epoch * k + 1e-9)
        return start

    def __str__(self) -> str:
        return "constant" if self.decay == "constant" else f"{self.decay} decay by epoch, rate {self.rate:g}"


def check_decay(decay: str, rate: float) -> None:
    """Refuses a decay that is unknown or a rate that does not fit it.

    Raises:
        InputError: If so.
    """
    if decay not in get_args(Decay):
        raise InputError(f"noise decay is {decay!r}; choose one of {get_args(Decay)}")
    if not 0 <= rate < 1 or (decay == "constant") != (rate == 0):
        raise InputError(f"noise decay rate is {rate} with decay {decay!r}; 'constant' has rate 0, every other form a rate in (0, 1)")


def add_noise(total: Gradients, standard_deviation: float, *, streams: Streams, step: int) -> None:
    """Adds independent Gaussian noise to every coordinate, in place.

    The draw belongs to the step: replaying a step after a resume adds the same noise, and no two steps share one.

    Args:
        total: The clipped sum, by parameter name.
        standard_deviation: Of the noise in each coordinate, >= 0; zero adds none.
        streams: The randomness of the run.
        step: The step.
    """
    import torch  # here, so that plans can be accounted for without it

    if standard_deviation == 0:
        return
    for position, name in enumerate(sorted(total)):
        generator = torch.Generator().manual_seed(streams.integer("noise", step, position))
        gradient = total[name]
        noise = torch.randn(gradient.shape, generator=generator, dtype=torch.float32)
        gradient.add_(noise.to(gradient.device, gradient.dtype), alpha=standard_deviation)
