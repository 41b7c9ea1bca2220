"""The mechanism: sampler, clipper and noise in one frozen object, from which the promise is derived and never typed in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from holdfast.core.claim import Kind, PrivacyClaim
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.accounting import Budget, accountant_name, calibrate, check_delta, epsilon
from holdfast.privacy.clipping import Clipper, LayerScaling, MicroBatchClipping, NoClipping, PerExampleClipping
from holdfast.privacy.events import Ledger
from holdfast.privacy.noise import Decay, NoiseSchedule, add_noise, check_decay
from holdfast.privacy.sampling import PoissonSampler, Sampler, ShuffledSampler, TruncatedPoissonSampler, check_sizes

if TYPE_CHECKING:
    from holdfast.privacy.engine import Gradients

SamplerName = Literal["poisson", "truncated-poisson"]

NAIVE = "naive: takes micro-batch clipping for per-example clipping (sensitivity C instead of 2C), so it is no promise"
SECOND_OPINION = "second opinion"


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """How a training run draws, clips and blurs. `dp_sgd`, `edp_sgd` and `non_private` make one.

    Event, sensitivity and standing of the promise follow from the parts; none of them can be typed in.

    Args:
        name: "dp-sgd", "edp-sgd", "none" or your own.
        sampler: Draws the batches.
        clipper: Bounds them.
        noise: Schedule of the noise multiplier by epoch; None without noise.
        steps: Updates in all.
        delta: The delta of the promise; None without noise.
    """

    name: str
    sampler: Sampler
    clipper: Clipper
    noise: NoiseSchedule | None
    steps: int
    delta: float | None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; it must be at least 1")
        if self.noise is not None and self.delta is None:
            raise InputError("a mechanism with noise needs a delta, such as 1e-5")
        if self.noise is not None and not math.isfinite(self.clipper.sensitivity(self.sampler.neighbouring)):
            raise InputError("noise without clipping promises nothing: the sensitivity is unbounded; choose a clipper")

    @property
    def kind(self) -> Kind:
        """Standing of the promise: "proved" for samplers and clippers of this package, "unproved" for anybody else's."""
        ours = type(self.sampler) in (PoissonSampler, TruncatedPoissonSampler) and type(self.clipper) in (
            PerExampleClipping,
            MicroBatchClipping,
        )
        return "proved" if ours else "unproved"

    @property
    def private(self) -> bool:
        """True where noise is added."""
        return self.noise is not None

    def epoch(self, step: int) -> int:
        """Epoch of a step, counted from 0: one epoch draws every example once in expectation."""
        return math.floor(step / self.sampler.steps_per_epoch + 1e-9)

    def standard_deviation(self, step: int) -> float:
        """Standard deviation of the noise in each coordinate of the clipped sum, at this step."""
        if self.noise is None or self.clipper.clip_norm is None:
            return 0.0
        return self.noise.at(self.epoch(step)) * self.clipper.clip_norm

    def add_noise(self, total: Gradients, *, streams: Streams, step: int) -> None:
        """Adds the noise of this step to the clipped sum, in place."""
        add_noise(total, self.standard_deviation(step), streams=streams, step=step)

    @property
    def divisor(self) -> float:
        """What the noisy sum is divided by: the expected number of summands, public."""
        return self.clipper.summands(self.sampler.batch_size)

    def ledger(self, steps: int | None = None) -> Ledger:
        """What the first `steps` steps release; all of them by default. Empty without noise."""
        return self._ledger(self.steps if steps is None else steps, self.clipper.sensitivity(self.sampler.neighbouring))

    def _ledger(self, steps: int, sensitivity: float) -> Ledger:
        counts: dict[float, int] = {}
        for step in range(steps):
            deviation = self.standard_deviation(step)
            counts[deviation] = counts.get(deviation, 0) + 1
        pairs = [(self.sampler.event(deviation / sensitivity), count) for deviation, count in counts.items() if deviation > 0]
        return Ledger.of([(event, count) for event, count in pairs if event is not None])

    def epsilon(self, steps: int | None = None) -> float | None:
        """Epsilon of the first `steps` steps at the mechanism's delta, or None where there is no promise."""
        return None if self.delta is None else epsilon(self.ledger(steps), self.delta)

    def claim(self, subject: str, *, steps: int | None = None, conditions: tuple[str, ...] = ()) -> PrivacyClaim | None:
        """The promise after the first `steps` steps, all of them by default; None without noise.

        Args:
            subject: The run that the claim speaks of.
            steps: Steps taken, or reserved.
            conditions: Sentences that must hold beside those that follow from the mechanism.
        """
        if self.noise is None or self.delta is None:
            return None
        taken = self.steps if steps is None else steps
        ledger = self.ledger(taken)
        sampler = self.sampler
        return PrivacyClaim(
            subject=subject,
            epsilon=epsilon(ledger, self.delta),
            delta=self.delta,
            unit="example",
            neighbouring=sampler.neighbouring,
            sampler=str(sampler),
            accountant=accountant_name(),
            kind=self.kind,
            steps=taken,
            conditions=(*self._conditions(), *conditions),
            other_accounts=self._other_accounts(ledger, taken),
        )

    def _conditions(self) -> tuple[str, ...]:
        found = [f"the number of training examples ({self.sampler.examples}), the batch size and the number of steps are public"]
        if (weak := self._weak_delta()) is not None:
            found.append(weak)
        return (*found, "noise and sampling are computed in floating point by a generator that is not cryptographic")

    def _weak_delta(self) -> str | None:
        """Why this delta promises next to nothing, if so."""
        share = 1 / self.sampler.examples
        if self.delta is None or self.delta < share:
            return None
        return f"delta {self.delta:g} is not below 1/n = {share:.2g}: publishing one example whole would keep such a promise"

    def _other_accounts(self, ledger: Ledger, steps: int) -> dict[str, float]:
        assert self.delta is not None
        accounts = {}
        if all(event.sampler == "poisson" for event, _ in ledger.entries):
            accounts[f"{SECOND_OPINION}: {accountant_name('rdp')}"] = epsilon(ledger, self.delta, accountant="rdp")
        naive = self.naive_epsilon(steps)
        if naive is not None:
            accounts[NAIVE] = naive
        return accounts

    def naive_epsilon(self, steps: int | None = None) -> float | None:
        """What accounting micro-batches as if they were examples would claim; None where the two agree or nothing is claimed."""
        if self.delta is None or self.clipper.clip_norm is None:
            return None
        single = PerExampleClipping(clip_norm=self.clipper.clip_norm).sensitivity(self.sampler.neighbouring)
        if single == self.clipper.sensitivity(self.sampler.neighbouring):
            return None
        return epsilon(self._ledger(self.steps if steps is None else steps, single), self.delta)

    def describe(self) -> dict[str, Any]:
        """The mechanism as plain data, for records and reports."""
        clipper = self.clipper
        neighbouring = self.sampler.neighbouring
        return {
            "name": self.name,
            "sampler": str(self.sampler),
            "neighbouring": neighbouring,
            "examples": self.sampler.examples,
            "batch_size": self.sampler.batch_size,
            "steps": self.steps,
            "clipping": type(clipper).__name__,
            "clip_norm": clipper.clip_norm,
            "sensitivity": clipper.sensitivity(neighbouring) if self.private else None,
            "noise_multiplier": None if self.noise is None else self.noise.noise_multiplier,
            "noise_schedule": None if self.noise is None else str(self.noise),
            "delta": self.delta,
            "micro_batches": clipper.micro_batches if isinstance(clipper, MicroBatchClipping) else None,
            "kind": self.kind if self.private else None,
        }


def non_private(*, examples: int, batch_size: int, epochs: float) -> Mechanism:
    """Ordinary training: shuffled epochs, no clipping, no noise, no promise.

    Args:
        examples: Number of training examples.
        batch_size: Size of a batch.
        epochs: Passes over the data, > 0.
    """
    sampler = ShuffledSampler(examples, batch_size)
    return Mechanism(name="none", sampler=sampler, clipper=NoClipping(), noise=None, steps=_steps(sampler, epochs, None), delta=None)


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
    sampler: SamplerName = "poisson",
    noise_decay: Decay = "constant",
    noise_decay_rate: float = 0.0,
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
        sampler: "poisson" (add/remove) or "truncated-poisson" (a public cap of 1.2 times the batch size, zero-out).
        noise_decay: Form of the noise schedule over epochs.
        noise_decay_rate: Its rate.

    Returns:
        A mechanism whose claim is proved: Gaussian mechanism on a sum of sensitivity `clip_norm`.

    Raises:
        InputError: For a value outside its range, or unless exactly one of `target` and `noise_multiplier` is given.

    References:
        Abadi et al. 2016 (arXiv 1607.00133).
    """
    mechanism = _unset("dp-sgd", examples, batch_size, epochs, steps, sampler, PerExampleClipping(clip_norm=clip_norm))
    return _with_noise(mechanism, target, noise_multiplier, delta, noise_decay, noise_decay_rate)


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
    sampler: SamplerName = "poisson",
    layer_scaling: LayerScaling | Mapping[str, float] = "uniform",
    noise_decay: Decay = "constant",
    noise_decay_rate: float = 0.0,
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
        sampler: "poisson" (add/remove) or "truncated-poisson" (zero-out).
        layer_scaling: How the threshold is shared among layers.
        noise_decay: Form of the noise schedule over epochs.
        noise_decay_rate: Its rate.

    Returns:
        A mechanism whose claim is proved at sensitivity 2 `clip_norm`, and which carries the naive account beside it.

    Raises:
        InputError: For a value outside its range, or unless exactly one of `target` and `noise_multiplier` is given.

    References:
        After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586).
    """
    check_sizes(examples, batch_size)
    if not 1 <= micro_batch_size <= batch_size:
        raise InputError(f"micro_batch_size is {micro_batch_size}; it must lie between 1 and the batch size, {batch_size}")
    clipper = MicroBatchClipping(
        clip_norm=clip_norm,
        micro_batches=max(1, round(batch_size / micro_batch_size)),
        micro_batch_size=micro_batch_size,
        layer_scaling=layer_scaling,
    )
    mechanism = _unset("edp-sgd", examples, batch_size, epochs, steps, sampler, clipper)
    return _with_noise(mechanism, target, noise_multiplier, delta, noise_decay, noise_decay_rate)


def _unset(
    name: str, examples: int, batch_size: int, epochs: float | None, steps: int | None, sampler: SamplerName, clipper: Clipper
) -> Mechanism:
    """A mechanism that still lacks its noise."""
    if sampler not in get_args(SamplerName):
        raise InputError(f"sampler is {sampler!r}; choose one of {get_args(SamplerName)}")
    check_sizes(examples, batch_size)
    drawn: Sampler = PoissonSampler(examples, batch_size)
    if sampler == "truncated-poisson":
        drawn = TruncatedPoissonSampler(examples, batch_size, cap=math.ceil(1.2 * batch_size))
    return Mechanism(name=name, sampler=drawn, clipper=clipper, noise=None, steps=_steps(drawn, epochs, steps), delta=None)


def _with_noise(
    mechanism: Mechanism, target: Budget | None, noise_multiplier: float | None, delta: float | None, decay: Decay, rate: float
) -> Mechanism:
    check_decay(decay, rate)
    if (target is None) == (noise_multiplier is None):
        raise InputError("give either target=Budget(epsilon, delta) or noise_multiplier with delta, not both and not neither")
    if target is None:
        if delta is None:
            raise InputError("noise_multiplier needs a delta beside it, such as 1e-5")
        check_delta(delta)
        assert noise_multiplier is not None
        return _warned(replace(mechanism, noise=NoiseSchedule(noise_multiplier=noise_multiplier, decay=decay, rate=rate), delta=delta))
    if delta is not None:
        raise InputError("delta is part of the target; leave it out")

    def at(multiplier: float) -> Mechanism:
        return replace(mechanism, noise=NoiseSchedule(noise_multiplier=multiplier, decay=decay, rate=rate), delta=target.delta)

    return _warned(at(calibrate(lambda multiplier: at(multiplier).ledger(), target)))


def _warned(mechanism: Mechanism) -> Mechanism:
    """The mechanism, after a warning where its delta is too large to promise anything."""
    if (weak := mechanism._weak_delta()) is not None:
        warnings.warn(weak, stacklevel=4)
    return mechanism


def _steps(sampler: Sampler, epochs: float | None, steps: int | None) -> int:
    if (epochs is None) == (steps is None):
        raise InputError("give either epochs or steps, not both and not neither")
    if steps is not None:
        if steps < 1:
            raise InputError(f"steps is {steps}; it must be at least 1")
        return steps
    assert epochs is not None
    if not (math.isfinite(epochs) and epochs > 0):
        raise InputError(f"epochs is {epochs}; it must be a finite number > 0")
    return math.ceil(epochs * sampler.steps_per_epoch - 1e-9)
