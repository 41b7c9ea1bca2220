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
Hardening = Literal["none", "sum-of-four"]


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
        hardening: "sum-of-four" makes each value of four draws, so that its last bits no longer give away the draw; the noise
            then takes four times as long.

    References:
        After Dupuy et al. 2022 (arXiv 2107.14586), "epoch-wise noise decay"; its formula is not known, so it is a parameter.
        Mironov 2012, "On significance of the least significant bits for differential privacy"; Holohan and Braghin 2021
        (arXiv 2107.10138), section 4, for the sum.
    """

    noise_multiplier: float
    decay: Decay = "constant"
    rate: float = 0.0
    hardening: Hardening = "none"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier > 0):
            raise InputError(
                f"noise_multiplier is {self.noise_multiplier}; it must be a finite number > 0, or leave noise out with non_private"
            )
        check_decay(self.decay, self.rate)
        if self.hardening not in get_args(Hardening):
            raise InputError(f"noise hardening is {self.hardening!r}; choose one of {get_args(Hardening)}")

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
        course = "constant" if self.decay == "constant" else f"{self.decay} decay by epoch, rate {self.rate:g}"
        return course if self.hardening == "none" else f"{course}, sum of four draws"


def check_decay(decay: str, rate: float) -> None:
    """Refuses a decay that is unknown or a rate that does not fit it.

    Raises:
        InputError: If so.
    """
    if decay not in get_args(Decay):
        raise InputError(f"noise decay is {decay!r}; choose one of {get_args(Decay)}")
    if not 0 <= rate < 1 or (decay == "constant") != (rate == 0):
        raise InputError(f"noise decay rate is {rate} with decay {decay!r}; 'constant' has rate 0, every other form a rate in (0, 1)")


def add_noise(
    total: Gradients, standard_deviation: float, *, streams: Streams, step: int, scale: float = 1.0, hardening: Hardening = "none"
) -> None:
    """Adds independent Gaussian noise to every coordinate and then scales, in place and in one pass over memory.

    The noise is computed from the ChaCha20 key stream (RFC 8439) under a key that belongs to the step, with the position of
    a parameter among the sorted names as the nonce. So replaying a step after a resume adds the same noise, no two steps or
    parameters share any, and neither machine nor number of threads changes a bit of it.

    Args:
        total: The clipped sum, by parameter name.
        standard_deviation: Of the noise in each coordinate, >= 0; zero adds none.
        streams: The randomness of the run.
        step: The step.
        scale: What the noisy sum is multiplied by.
        hardening: As in `NoiseSchedule`.
    """
    from holdfast.privacy import kernels  # here, so that plans can be accounted for without torch

    names = sorted(total)
    kernels.add_noise_to_all(
        [total[name] for name in names],
        standard_deviation,
        key=streams.words("noise", step),
        nonces=range(len(names)),
        scale=scale,
        draws=1 if hardening == "none" else 4,
    )
