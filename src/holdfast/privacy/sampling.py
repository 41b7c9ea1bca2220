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

    def begins_event(self, step: int) -> bool:
        """True where an event begins; it covers the steps up to the next beginning. Every step of most samplers."""
        ...

    def event(self, noise_multiplier: float) -> PrivacyEvent | None:
        """The event that begins, with this ratio of noise to sensitivity; None where there is no promise."""
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

    def begins_event(self, step: int) -> bool:
        """Every step is an event of its own."""
        return True

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
        cap: Largest batch; `free_cap` gives one that costs nothing to speak of.

    Guarantee:
        Accounted by the exact event for truncated Poisson subsampling under zero-out neighbouring.

    Edge cases:
        A batch may be empty; the step is still taken, with noise alone. A cap that is often reached costs much: an example
        that is drawn then pushes another one out, so the sum moves by two examples.

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

    def begins_event(self, step: int) -> bool:
        """Every step is an event of its own."""
        return True

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


CAP_OVER_MEAN = 1.2
CAP_SHARE_OF_DELTA = 1e-3


def free_cap(examples: int, batch_size: int, *, steps: int, delta: float) -> int:
    """A cap of truncated Poisson sampling that is too rarely reached to cost anything.

    Args:
        examples: Number of examples.
        batch_size: Expected batch size.
        steps: Steps of the whole training.
        delta: Delta of the promise.

    Returns:
        1.2 times the batch size, or the smallest larger number that an example meets in the whole training with probability
        at most a thousandth of delta. At batches of 1,000 and more the first decides; small batches vary more, and there
        1.2 times the mean would cut so often that epsilon doubled.
    """
    from scipy import stats

    rest = stats.binom(examples - 1, batch_size / examples)  # the others that are drawn beside one example
    rare = int(rest.isf(min(1.0, CAP_SHARE_OF_DELTA * delta / steps))) + 1 if examples > 1 else 1
    return min(examples, max(math.ceil(CAP_OVER_MEAN * batch_size), rare))


@dataclass(frozen=True)
class ShuffledSampler:
    """Ordinary epochs: a fresh permutation each, cut into batches. With noise, accounted without amplification.

    Args:
        examples: Number of examples, counted as public.
        batch_size: Size of every batch but the last of an epoch.
        neighbouring: "zero-out", or "replace-one" at twice the sensitivity. Adding an example would move others to other
            batches, so there is no account under "add/remove".

    Guarantee:
        One epoch, with noise of one scale, is one Gaussian mechanism at the full sensitivity: no gain from sampling.

        Proof. The permutation depends on the number of examples alone, so it is drawn alike for two neighbouring data sets;
        fix it. The example in which they differ stands in exactly one batch. All other sums of the epoch are the same
        function of the data that both share and of the sums released before. So the epoch's releases are obtained from one
        Gaussian mechanism on the one sum that differs, and from randomness that does not depend on the example
        (post-processing, given the earlier releases). This holds for every permutation, and a mixture over permutations
        that are drawn alike is no easier to tell apart than the worst of them (joint convexity of the hockey-stick
        divergence). Epochs compose one after the other; an unfinished one counts whole.

    Edge cases:
        The last batch of an epoch may be smaller; the divisor of the update stays the same.

    References:
        What is not claimed, and why: Chua et al. 2024 (arXiv 2403.17673). McSherry 2009, theorem 4, for disjoint batches.
    """

    examples: int
    batch_size: int
    neighbouring: Neighbouring = "zero-out"

    def __post_init__(self) -> None:
        check_sizes(self.examples, self.batch_size)
        if self.neighbouring == "add/remove":
            raise InputError(
                "shuffled batches are accounted under 'zero-out' or 'replace-one', not 'add/remove': one example more would move the others"
            )

    @property
    def steps_per_epoch(self) -> float:
        """Batches in one pass over the data."""
        return math.ceil(self.examples / self.batch_size)

    def indices(self, step: int, streams: Streams) -> Indices:
        """Draws the batch of this step."""
        epoch, batch = divmod(step, math.ceil(self.examples / self.batch_size))
        order = streams.generator("sampling", epoch).permutation(self.examples)
        return order[batch * self.batch_size : (batch + 1) * self.batch_size].astype(np.int64)

    def begins_event(self, step: int) -> bool:
        """An event is a whole epoch, counted from its first step."""
        return step % math.ceil(self.examples / self.batch_size) == 0

    def event(self, noise_multiplier: float) -> PrivacyEvent:
        """The Gaussian event of one epoch, in which everybody takes part once."""
        return PrivacyEvent(sampler="shuffled", sampling_probability=1.0, noise_multiplier=noise_multiplier, neighbouring=self.neighbouring)

    def __str__(self) -> str:
        return "shuffled, accounted without amplification"
