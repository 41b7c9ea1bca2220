"""The mechanisms that come ready made: ordinary training, DP-SGD, eDP-SGD, with their noise found for a target promise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from holdfast.core.claim import Unit
from holdfast.core.errors import InputError
from holdfast.privacy.accounting import Budget, calibrate, check_delta
from holdfast.privacy.clipping import (
    AdaptiveClipping,
    ClippingStyle,
    LayerScaling,
    MicroBatchClipping,
    NoClipping,
    clipper_of,
    with_cheap_count,
)
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
    batch_size: int,
    examples: int | None = None,
    clip_norm: float | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    target: Budget | None = None,
    noise_multiplier: float | None = None,
    delta: float | None = None,
    sampler: SamplerName = "truncated-poisson",
    clipping: ClippingStyle = "flat",
    layer_scaling: LayerScaling | Mapping[str, float] | None = None,
    gamma: float | None = None,
    quantile: float | None = None,
    clip_learning_rate: float | None = None,
    count_noise: float | None = None,
    unit: Unit = "example",
    users: int | None = None,
    examples_per_user: int | None = None,
    noise_decay: Decay = "constant",
    noise_decay_rate: float = 0.0,
    noise_hardening: Hardening = "none",
) -> Mechanism:
    """DP-SGD with exact per-example clipping, or per user.

    Args:
        batch_size: Expected size of a batch, in examples, or in users for unit "user".
        examples: Number of training examples, counted as public; for unit "example".
        clip_norm: Bound on the gradient norm of one example, > 0; of "adaptive" clipping, that of the first step. Needed by every
            style but "automatic", whose bound is 1.
        epochs: Expected passes over the data, > 0; or give `steps`.
        steps: Updates in all.
        target: The promise to keep; the noise is found for it.
        noise_multiplier: Ratio of the noise's standard deviation to `clip_norm`; instead of `target`, with `delta`.
        delta: Delta of the promise, with `noise_multiplier`.
        sampler: "truncated-poisson" (Poisson batches with a public cap from `sampling.free_cap`; zero-out neighbouring),
            "poisson" (without a cap; add/remove) or "shuffled" (ordinary epochs, accounted without amplification; zero-out).
        clipping: "flat" (`PerExampleClipping`), "per-layer" (`PerLayerClipping`), "automatic" (`AutomaticClipping`) or "adaptive"
            (`AdaptiveClipping`). An option that the style has no use for is refused.
        layer_scaling: Of "per-layer": how the threshold is shared among layers; "uniform" if not given.
        gamma: Of "automatic"; 0.01 if not given.
        quantile: Of "adaptive": share of the norms that the threshold is to reach; 0.5 if not given.
        clip_learning_rate: Of "adaptive": how fast the threshold moves; 0.2 if not given.
        count_noise: Of "adaptive": noise of the count that steers the threshold, in examples. A twentieth of the batch size if not
            given, or twice the noise multiplier where that is more.
        unit: Whose data the promise protects: one "example", or one "user" with everything that is theirs. For "user" the batches are
            drawn over users, and the gradient of a user's mean loss is clipped as one.
        users: Number of users in the training data, counted as public; for unit "user", in place of `examples`.
        examples_per_user: For unit "user": how many examples of one user take part in a step at most, drawn anew each step.
        noise_decay: Form of the noise schedule over epochs.
        noise_decay_rate: Its rate.
        noise_hardening: "sum-of-four" against attacks on the last bits of the noise; see `NoiseSchedule`.

    Returns:
        A mechanism whose claim is proved: Gaussian mechanism on a sum whose sensitivity its clipper states.

    Raises:
        InputError: For a value outside its range, an option that does not belong to the clipping style, or unless exactly one of
            `target` and `noise_multiplier` is given.

    References:
        Abadi et al. 2016 (arXiv 1607.00133); the clipping styles name their own.
    """
    units = _units(unit, examples, users, examples_per_user)
    check_sizes(units, batch_size)
    promised = _delta(target, noise_multiplier, delta)
    drawn, taken = _drawn(sampler, units, batch_size, epochs, steps, promised)
    clipper = clipper_of(
        clipping,
        batch_size=batch_size,
        clip_norm=clip_norm,
        layer_scaling=layer_scaling,
        gamma=gamma,
        quantile=quantile,
        clip_learning_rate=clip_learning_rate,
        count_noise=count_noise,
    )
    mechanism = Mechanism(
        name="dp-sgd",
        sampler=drawn,
        clipper=clipper,
        noise=None,
        steps=taken,
        delta=promised,
        unit=unit,
        examples_per_user=examples_per_user,
    )
    noisy = _with_noise(mechanism, target, noise_multiplier, noise_decay, noise_decay_rate, noise_hardening)
    return _with_fitting_count(noisy, chosen=count_noise is not None)


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


def _units(unit: Unit, examples: int | None, users: int | None, examples_per_user: int | None) -> int:
    """What the sampler draws from: that many examples, or that many users."""
    if unit not in get_args(Unit):
        raise InputError(f"unit is {unit!r}; choose one of {get_args(Unit)}")
    if unit == "example":
        if users is not None or examples_per_user is not None:
            raise InputError("users and examples_per_user belong to unit 'user'; leave them out, or give unit='user'")
        if examples is None:
            raise InputError("unit 'example' needs examples, the number of training examples")
        return examples
    if examples is not None:
        raise InputError("unit 'user' draws users: give users, their number, in place of examples")
    if users is None or examples_per_user is None:
        raise InputError(
            "unit 'user' needs users, the number of users, and examples_per_user, how many examples of one user take part in a step at most"
        )
    return users


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


def _with_fitting_count(mechanism: Mechanism, *, chosen: bool) -> Mechanism:
    """The mechanism, if its clipper releases a count, with noise on the count that its multiplier can pay for."""
    clipper, noise = mechanism.clipper, mechanism.noise
    if not isinstance(clipper, AdaptiveClipping) or noise is None:
        return mechanism
    fitting = clipper if chosen else with_cheap_count(clipper, noise_multiplier=noise.noise_multiplier)
    fitting.noise_deviation(noise.noise_multiplier)  # refuses a count that spends more than there is
    return replace(mechanism, clipper=fitting)


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
