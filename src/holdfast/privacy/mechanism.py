"""The mechanism: sampler, clipper and noise in one frozen object, from which the promise is derived and never typed in."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, get_args

from holdfast.core.claim import Kind, PrivacyClaim, Unit
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.accounting import accountant_name, epsilon
from holdfast.privacy.clipping import (
    AdaptiveClipping,
    AutomaticClipping,
    Clipper,
    ClippingState,
    MicroBatchClipping,
    PerExampleClipping,
    PerLayerClipping,
)
from holdfast.privacy.events import Ledger
from holdfast.privacy.noise import NoiseSchedule, add_noise
from holdfast.privacy.sampling import PoissonSampler, Sampler, ShuffledSampler, TruncatedPoissonSampler

if TYPE_CHECKING:
    from holdfast.privacy.engine import Gradients

NAIVE = "naive: takes micro-batch clipping for per-example clipping (sensitivity C instead of 2C), so it is no promise"
SECOND_OPINION = "second opinion"
SAMPLERS = (PoissonSampler, TruncatedPoissonSampler, ShuffledSampler)
CLIPPERS = (PerExampleClipping, PerLayerClipping, AutomaticClipping, AdaptiveClipping, MicroBatchClipping)


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
        unit: Whose data one summand holds: one "example", or one "user". What the sampler draws are such units.
        examples_per_user: Of unit "user", how many examples of a user take part in a step at most; None for unit "example".
    """

    name: str
    sampler: Sampler
    clipper: Clipper
    noise: NoiseSchedule | None
    steps: int
    delta: float | None
    unit: Unit = "example"
    examples_per_user: int | None = None

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise InputError(f"unit is {self.unit!r}; choose one of {get_args(Unit)}")
        if (self.unit == "user") != (self.examples_per_user is not None):
            raise InputError(
                f"examples_per_user is {self.examples_per_user} for unit {self.unit!r}; it belongs to unit 'user', which needs it"
            )
        if self.examples_per_user is not None and self.examples_per_user < 1:
            raise InputError(f"examples_per_user is {self.examples_per_user}; it must be at least 1")
        if self.unit == "user" and isinstance(self.clipper, MicroBatchClipping):
            raise InputError("micro-batches of users are not offered; clip each user's gradient, as dp_sgd does")
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; it must be at least 1")
        if self.noise is not None and self.delta is None:
            raise InputError("a mechanism with noise needs a delta, such as 1e-5")
        if self.noise is not None and not math.isfinite(self.clipper.sensitivity(self.sampler.neighbouring)):
            raise InputError("noise without clipping promises nothing: the sensitivity is unbounded; choose a clipper")

    @property
    def kind(self) -> Kind:
        """Standing of the promise: "proved" for samplers and clippers of this package, "unproved" for anybody else's."""
        return "proved" if type(self.sampler) in SAMPLERS and type(self.clipper) in CLIPPERS else "unproved"

    @property
    def private(self) -> bool:
        """True where noise is added."""
        return self.noise is not None

    def epoch(self, step: int) -> int:
        """Epoch of a step, counted from 0: one epoch draws every example once in expectation."""
        return math.floor(step / self.sampler.steps_per_epoch + 1e-9)

    def clipping_state(self) -> ClippingState:
        """What the clipper carries from step to step, before the first of them."""
        return ClippingState(clip_norm=self.clipper.clip_norm if isinstance(self.clipper, AdaptiveClipping) else None)

    def noise_multiplier(self, step: int) -> float:
        """Ratio of the noise to the clip norm at this step; 0 without noise."""
        return 0.0 if self.noise is None or self.clipper.clip_norm is None else self.noise.at(self.epoch(step))

    def standard_deviation(self, step: int, state: ClippingState | None = None) -> float:
        """Standard deviation of the noise in each coordinate of the clipped sum, at this step.

        Args:
            step: The step.
            state: What the clipper carries, where its threshold moves; None for the threshold of the first step.
        """
        multiplier = self.noise_multiplier(step)
        return self.clipper.noise_deviation(multiplier, state) if multiplier else 0.0

    def add_noise(self, total: Gradients, *, streams: Streams, step: int, scale: float = 1.0, state: ClippingState | None = None) -> None:
        """Adds the noise of this step to the clipped sum and then multiplies it by `scale`, in place and in one pass."""
        hardening = "none" if self.noise is None else self.noise.hardening
        add_noise(total, self.standard_deviation(step, state), streams=streams, step=step, scale=scale, hardening=hardening)

    def finish(self, total: Gradients, *, streams: Streams, step: int, state: ClippingState) -> None:
        """Turns the clipped sum into the update, in place: noise, division by the divisor, and what the clipper learns from the step.

        Args:
            total: The clipped sum, by parameter name.
            streams: The randomness of the run.
            step: The step.
            state: What the clipper carries.
        """
        self.add_noise(total, streams=streams, step=step, scale=1 / self.divisor, state=state)
        if isinstance(self.clipper, AdaptiveClipping):
            hardening = "none" if self.noise is None else self.noise.hardening
            self.clipper.adapt(state, expected=self.divisor, noise=self.private, streams=streams, step=step, hardening=hardening)

    @property
    def divisor(self) -> float:
        """What the noisy sum is divided by: the expected number of summands, public."""
        return self.clipper.summands(self.sampler.batch_size)

    def ledger(self, steps: int | None = None) -> Ledger:
        """What the first `steps` steps release; all of them by default. Empty without noise."""
        return self._ledger(self.steps if steps is None else steps, self.clipper.sensitivity(self.sampler.neighbouring))

    def _ledger(self, steps: int, sensitivity: float) -> Ledger:
        counts: dict[float, int] = {}
        for step in filter(self.sampler.begins_event, range(steps)):
            multiplier = self.noise_multiplier(step)
            counts[multiplier] = counts.get(multiplier, 0) + 1
        unit = self.clipper.clip_norm or 0.0
        pairs = [(self.sampler.event(multiplier * unit / sensitivity), count) for multiplier, count in counts.items() if multiplier > 0]
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
            unit=self.unit,
            neighbouring=sampler.neighbouring,
            sampler=str(sampler),
            accountant=accountant_name(),
            kind=self.kind,
            steps=taken,
            conditions=(*self._conditions(), *conditions),
            other_accounts=self._other_accounts(ledger, taken),
        )

    def _conditions(self) -> tuple[str, ...]:
        counted = "training examples" if self.unit == "example" else "users"
        found = [f"the number of {counted} ({self.sampler.examples}), the batch size and the number of steps are public"]
        if (weak := self.weak_delta()) is not None:
            found.append(weak)
        hardened = self.noise is not None and self.noise.hardening != "none"
        rounding = "hardened by sums of four draws" if hardened else "not hardened against attacks on its last bits"
        return (*found, f"noise from ChaCha20 is rounded to floating point, {rounding}; sampling uses Philox, which is not cryptographic")

    def weak_delta(self) -> str | None:
        """Why this delta promises next to nothing, if so."""
        share = 1 / self.sampler.examples
        if self.delta is None or self.delta < share:
            return None
        return f"delta {self.delta:g} is not below 1/n = {share:.2g}: publishing one {self.unit} whole would keep such a promise"

    def _other_accounts(self, ledger: Ledger, steps: int) -> dict[str, float]:
        assert self.delta is not None
        accounts = {}
        with suppress(InputError):  # no second opinion where the second accountant has no proof
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
            "clipper": asdict(clipper) if is_dataclass(clipper) else {},
            "sensitivity": clipper.sensitivity(neighbouring) if self.private else None,
            "noise_multiplier": None if self.noise is None else self.noise.noise_multiplier,
            "noise_schedule": None if self.noise is None else str(self.noise),
            "delta": self.delta,
            "unit": self.unit,
            "examples_per_user": self.examples_per_user,
            "micro_batches": clipper.micro_batches if isinstance(clipper, MicroBatchClipping) else None,
            "kind": self.kind if self.private else None,
        }
