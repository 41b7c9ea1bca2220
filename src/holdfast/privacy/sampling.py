"""How batches are drawn: samplers addressed by step, each bound to the accounting event that is true of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping import Indices
from holdfast.privacy.events import PrivacyEvent


class Sampler(Protocol):
    """Draws the batch of a step. The draw depends on the streams and the step alone, so a resumed run replays it."""

    @property
    def examples(self) -> int:
        """Number of examples drawn from; counted as public."""
        ...

    @property
    def batch_size(self) -> int:
        """Expected number of examples in a batch: the divisor of the update, never the number drawn."""
        ...

    @property
    def neighbouring(self) -> Neighbouring:
        """The relation that the event is stated for."""
        ...

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every example is drawn once in expectation."""
        ...

    def indices(self, step: int, streams: Streams) -> Indices:
        """Returns the drawn indices, ascending or in random order, perhaps empty."""
        ...

    def event(self, noise_multiplier: float) -> PrivacyEvent | None:
        """The event of one step with this ratio of noise to sensitivity; None where there is no promise."""
        ...

    def __str__(self) -> str:
        """The sampler in words, with its probability."""
        ...


def check_sizes(examples: int, batch_size: int) -> None:
    """Refuses sizes that no sampler can serve.

    Raises:
        InputError: For a size below one or a batch larger than the data.
    """
    if examples < 1:
        raise InputError(f"examples is {examples}; give at least 1")
    if not 1 <= batch_size <= examples:
        raise InputError(f"batch_size is {batch_size}; it must lie between 1 and the number of examples, {examples}")


@dataclass(frozen=True)
class PoissonSampler:
    """Every example joins every batch independently with probability ``batch_size / examples``.

    Args:
        examples: Number of examples, counted as public.
        batch_size: Expected batch size.

    Guarantee:
        Accounted as Poisson subsampling under add/remove neighbouring.

    Edge cases:
        A batch may be empty; the step is still taken, with noise alone.

    References:
        Zhu, Dong, Wang 2022, "Optimal accounting of differential privacy via characteristic function", Theorem 11.
    """

    examples: int
    batch_size: int
    neighbouring: Neighbouring = "add/remove"

    def __post_init__(self) -> None:
        check_sizes(self.examples, self.batch_size)
        if self.neighbouring != "add/remove":
            raise InputError(
                f"Poisson sampling is accounted under 'add/remove', not {self.neighbouring!r}; truncated Poisson has 'zero-out'"
            )

    @property
    def sampling_probability(self) -> float:
        """Probability that one example joins one batch."""
        return self.batch_size / self.examples

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every example is drawn once in expectation."""
        return self.examples / self.batch_size

    def indices(self, step: int, streams: Streams) -> Indices:
        """Draws the batch of this step."""
        drawn = streams.generator("sampling", step).random(self.examples) < self.sampling_probability
        return np.flatnonzero(drawn).astype(np.int64)

    def event(self, noise_multiplier: float) -> PrivacyEvent:
        """The Poisson-subsampled Gaussian event of one step."""
        return PrivacyEvent(
            sampler="poisson",
            sampling_probability=self.sampling_probability,
            noise_multiplier=noise_multiplier,
            neighbouring=self.neighbouring,
        )

    def __str__(self) -> str:
        return f"Poisson, probability {self.sampling_probability:.4g}"


@dataclass(frozen=True)
class TruncatedPoissonSampler:
    """Poisson sampling with a public cap: a batch above the cap is thinned to it, uniformly at random.

    Args:
        examples: Number of examples, counted as public.
        batch_size: Expected batch size before truncation.
        cap: Largest batch; 1.2 times the expected size costs next to nothing in epsilon.

    Guarantee:
        Accounted by the exact event for truncated Poisson subsampling under zero-out neighbouring.

    References:
        Chua et al. 2024, "Scalable DP-SGD: shuffling vs. Poisson subsampling" (arXiv 2411.04205); Ganesh et al. 2025 (arXiv 2508.15089).
    """

    examples: int
    batch_size: int
    cap: int
    neighbouring: Neighbouring = "zero-out"

    def __post_init__(self) -> None:
        check_sizes(self.examples, self.batch_size)
        if self.cap < self.batch_size:
            raise InputError(
                f"cap is {self.cap}; it must be at least the expected batch size, {self.batch_size} (1.2 times is a good choice)"
            )
        if self.neighbouring != "zero-out":
            raise InputError(f"truncated Poisson sampling is accounted under 'zero-out', not {self.neighbouring!r}")

    @property
    def sampling_probability(self) -> float:
        """Probability that one example is drawn before truncation."""
        return self.batch_size / self.examples

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every example is drawn once in expectation."""
        return self.examples / self.batch_size

    def indices(self, step: int, streams: Streams) -> Indices:
        """Draws the batch of this step, at most `cap` examples."""
        generator = streams.generator("sampling", step)
        drawn = np.flatnonzero(generator.random(self.examples) < self.sampling_probability)
        if len(drawn) > self.cap:
            drawn = np.sort(generator.choice(drawn, self.cap, replace=False))
        return drawn.astype(np.int64)

    def event(self, noise_multiplier: float) -> PrivacyEvent:
        """The truncated subsampled Gaussian event of one step."""
        return PrivacyEvent(
            sampler="truncated-poisson",
            sampling_probability=self.sampling_probability,
            noise_multiplier=noise_multiplier,
            neighbouring=self.neighbouring,
            examples=self.examples,
            cap=self.cap,
        )

    def __str__(self) -> str:
        return f"truncated Poisson, probability {self.sampling_probability:.4g}, at most {self.cap}"


@dataclass(frozen=True)
class ShuffledSampler:
    """Ordinary epochs: a fresh permutation each, cut into batches. Carries no promise, so it serves non-private training.

    Args:
        examples: Number of examples.
        batch_size: Size of every batch but the last of an epoch.
        neighbouring: The relation that records name; no event is stated for it.
    """

    examples: int
    batch_size: int
    neighbouring: Neighbouring = "add/remove"

    def __post_init__(self) -> None:
        check_sizes(self.examples, self.batch_size)

    @property
    def steps_per_epoch(self) -> float:
        """Batches in one pass over the data."""
        return math.ceil(self.examples / self.batch_size)

    def indices(self, step: int, streams: Streams) -> Indices:
        """Draws the batch of this step."""
        epoch, batch = divmod(step, math.ceil(self.examples / self.batch_size))
        order = streams.generator("sampling", epoch).permutation(self.examples)
        return order[batch * self.batch_size : (batch + 1) * self.batch_size].astype(np.int64)

    def event(self, noise_multiplier: float) -> None:
        """No event: shuffling without noise promises nothing."""
        return

    def __str__(self) -> str:
        return "shuffled epochs"
