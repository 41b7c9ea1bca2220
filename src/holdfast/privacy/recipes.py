"""The mechanisms that come ready made: ordinary training, DP-SGD, eDP-SGD, with their noise found for a target promise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from holdfast.core.errors import InputError
from holdfast.privacy.accounting import Budget, calibrate, check_delta
from holdfast.privacy.clipping import LayerScaling, MicroBatchClipping, NoClipping, PerExampleClipping
from holdfast.privacy.mechanism import Mechanism
from holdfast.privacy.noise import Decay, Hardening, NoiseSchedule, check_decay
from holdfast.privacy.sampling import PoissonSampler, Sampler, ShuffledSampler, TruncatedPoissonSampler, check_sizes, free_cap

SamplerName = Literal["truncated-poisson", "poisson", "shuffled"]


def non_private(*, examples: int, batch_size: int, epochs: float) -> Mechanism:
    """Ordinary training: shuffled epochs, no clipping, no noise, no promise.

    Args:
        examples: Number of training examples.
        batch_size: Size of a batch.
        epochs: Passes over the data, > 0.
    """
    sampler = ShuffledSampler(examples, batch_size)
    steps = _steps(sampler.steps_per_epoch, epochs, None)
    return Mechanism(name="none", sampler=sampler, clipper=NoClipping(), noise=None, steps=steps, delta=None)


def dp_sgd(
    *,
    examples: int,
    batch_size: int,
    clip_norm: float,
    epochs: float | None = None,
    steps: int | None = None,
    target: Budget | None = None,
    noise_multiplier: float | None = None,
    delta: float | None = None,
    sampler: SamplerName = "truncated-poisson",
    noise_decay: Decay = "constant",
    noise_decay_rate: float = 0.0,
    noise_hardening: Hardening = "none",
) -> Mechanism:
    """DP-SGD with exact per-example clipping.

    Args:
        examples: Number of training examples, counted as public.
        batch_size: Expected size of a batch.
        clip_norm: Bound on the gradient norm of one example, > 0.
        epochs: Expected passes over the data, > 0; or give `steps`.
        steps: Updates in all.
        target: The promise to keep; the noise is found for it.
        noise_multiplier: Ratio of the noise's standard deviation to `clip_norm`; instead of `target`, with `delta`.
        delta: Delta of the promise, with `noise_multiplier`.
        sampler: "truncated-poisson" (Poisson batches with a public cap from `sampling.free_cap`; zero-out neighbouring),
            "poisson" (without a cap; add/remove) or "shuffled" (ordinary epochs, accounted without amplification; zero-out).
        noise_decay: Form of the noise schedule over epochs.
        noise_decay_rate: Its rate.
        noise_hardening: "sum-of-four" against attacks on the last bits of the noise; see `NoiseSchedule`.

    Returns:
        A mechanism whose claim is proved: Gaussian mechanism on a sum of sensitivity `clip_norm`.

    Raises:
        InputError: For a value outside its range, or unless exactly one of `target` and `noise_multiplier` is given.

    References:
        Abadi et al. 2016 (arXiv 1607.00133).
    """
    check_sizes(examples, batch_size)
    promised = _delta(target, noise_multiplier, delta)
    drawn, taken = _drawn(sampler, examples, batch_size, epochs, steps, promised)
    clipper = PerExampleClipping(clip_norm=clip_norm)
    mechanism = Mechanism(name="dp-sgd", sampler=drawn, clipper=clipper, noise=None, steps=taken, delta=promised)
    return _with_noise(mechanism, target, noise_multiplier, noise_decay, noise_decay_rate, noise_hardening)


def edp_sgd(
    *,
    examples: int,
    batch_size: int,
    clip_norm: float,
    micro_batch_size: int,
    epochs: float | None = None,
    steps: int | None = None,
    target: Budget | None = None,
    noise_multiplier: float | None = None,
    delta: float | None = None,
    sampler: SamplerName = "truncated-poisson",
    layer_scaling: LayerScaling | Mapping[str, float] = "uniform",
    noise_decay: Decay = "constant",
    noise_decay_rate: float = 0.0,
    noise_hardening: Hardening = "none",
) -> Mechanism:
    """eDP-SGD after Dupuy et al.: micro-batch clipping, layer-wise thresholds, epoch-wise noise decay.

    Args:
        examples: Number of training examples, counted as public.
        batch_size: Expected size of a batch.
        clip_norm: Bound on the norm of one micro-batch's mean gradient, > 0.
        micro_batch_size: Examples in a micro-batch, in expectation.
        epochs: Expected passes over the data, > 0; or give `steps`.
        steps: Updates in all.
        target: The promise to keep at the proved sensitivity of 2 `clip_norm`; the noise is found for it.
        noise_multiplier: Ratio of the noise's standard deviation to `clip_norm`; instead of `target`, with `delta`.
        delta: Delta of the promise, with `noise_multiplier`.
        sampler: "truncated-poisson" (zero-out neighbouring), "poisson" (add/remove) or "shuffled" (zero-out); see `dp_sgd`.
        layer_scaling: How the threshold is shared among layers.
        noise_decay: Form of the noise schedule over epochs.
        noise_decay_rate: Its rate.
        noise_hardening: "sum-of-four" against attacks on the last bits of the noise; see `NoiseSchedule`.

    Returns:
        A mechanism whose claim is proved at sensitivity 2 `clip_norm`, and which carries the naive account beside it.

    Raises:
        InputError: For a value outside its range, or unless exactly one of `target` and `noise_multiplier` is given.

    References:
        After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586).
    """
    check_sizes(examples, batch_size)
    promised = _delta(target, noise_multiplier, delta)
    drawn, taken = _drawn(sampler, examples, batch_size, epochs, steps, promised)
    if not 1 <= micro_batch_size <= batch_size:
        raise InputError(f"micro_batch_size is {micro_batch_size}; it must lie between 1 and the batch size, {batch_size}")
    clipper = MicroBatchClipping(
        clip_norm=clip_norm,
        micro_batches=max(1, round(batch_size / micro_batch_size)),
        micro_batch_size=micro_batch_size,
        layer_scaling=layer_scaling,
    )
    mechanism = Mechanism(name="edp-sgd", sampler=drawn, clipper=clipper, noise=None, steps=taken, delta=promised)
    return _with_noise(mechanism, target, noise_multiplier, noise_decay, noise_decay_rate, noise_hardening)


def _delta(target: Budget | None, noise_multiplier: float | None, delta: float | None) -> float:
    """The delta of the promise, wherever it was given."""
    if (target is None) == (noise_multiplier is None):
        raise InputError("give either target=Budget(epsilon, delta) or noise_multiplier with delta, not both and not neither")
    if target is not None:
        if delta is not None:
            raise InputError("delta is part of the target; leave it out")
        return target.delta
    if delta is None:
        raise InputError("noise_multiplier needs a delta beside it, such as 1e-5")
    check_delta(delta)
    return delta


def _drawn(
    sampler: SamplerName, examples: int, batch_size: int, epochs: float | None, steps: int | None, delta: float
) -> tuple[Sampler, int]:
    """The sampler of that name, and the number of steps."""
    if sampler not in get_args(SamplerName):
        raise InputError(f"sampler is {sampler!r}; choose one of {get_args(SamplerName)}")
    if sampler == "shuffled":
        shuffled = ShuffledSampler(examples, batch_size)
        return shuffled, _steps(shuffled.steps_per_epoch, epochs, steps)
    taken = _steps(examples / batch_size, epochs, steps)
    if sampler == "poisson":
        return PoissonSampler(examples, batch_size), taken
    return TruncatedPoissonSampler(examples, batch_size, cap=free_cap(examples, batch_size, steps=taken, delta=delta)), taken


def _with_noise(
    mechanism: Mechanism, target: Budget | None, noise_multiplier: float | None, decay: Decay, rate: float, hardening: Hardening
) -> Mechanism:
    """The mechanism with its noise, after a warning where its delta is too large to promise anything."""
    check_decay(decay, rate)

    def at(multiplier: float) -> Mechanism:
        return replace(mechanism, noise=NoiseSchedule(noise_multiplier=multiplier, decay=decay, rate=rate, hardening=hardening))

    if noise_multiplier is None:
        assert target is not None
        noise_multiplier = calibrate(lambda multiplier: at(multiplier).ledger(), target)
    noisy = at(noise_multiplier)
    if (weak := noisy.weak_delta()) is not None:
        warnings.warn(weak, stacklevel=3)
    return noisy


def _steps(per_epoch: float, epochs: float | None, steps: int | None) -> int:
    if (epochs is None) == (steps is None):
        raise InputError("give either epochs or steps, not both and not neither")
    if steps is not None:
        if steps < 1:
            raise InputError(f"steps is {steps}; it must be at least 1")
        return steps
    assert epochs is not None
    if not (math.isfinite(epochs) and epochs > 0):
        raise InputError(f"epochs is {epochs}; it must be a finite number > 0")
    return math.ceil(epochs * per_epoch - 1e-9)
