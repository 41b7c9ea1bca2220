"""What a client tells of its activity: the count itself, a bucket, or a count with noise, and the words for what that promises."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks

BUCKETS = ("none", "powers of two")
NOISES = ("none", "geometric", "laplace")
BLOCK = 2**18


@dataclass(frozen=True, kw_only=True)
class CountSignal:
    """How counts are made less telling before a selector sees them.

    Args:
        buckets: "powers of two" rounds down to one, so that 1, 2-3, 4-7, ... are told apart and nothing else.
        noise: "geometric" (two-sided, whole numbers) or "laplace" (rounded afterwards).
        epsilon: Of a single telling, > 0; only with noise.
        sensitivity: By how much one user's count may change and still be hidden within epsilon (L1), at least 1; only with noise.
        most: Counts above are told as this; None for no bound.

    Raises:
        InputError: For options that do not fit together.

    Guarantee:
        With noise, each count that is told is epsilon-differentially private for its user, for changes of the count by at most
        `sensitivity`; where ``sensitivity >= most - 1``, for any change of a count that stays above 0. `promise` says it in words.

    Edge cases:
        A client without examples tells 0: that somebody has none, and so cannot take part, is not hidden. Nobody else tells 0.
        Laplace noise in floating point has low bits that can give a value away (Mironov 2012); rounding takes most of
        that, "geometric" has none of it.

    References:
        Ghosh, Roughgarden, Sundararajan 2009 for the geometric mechanism; Mironov 2012, "On significance of the least
        significant bits for differential privacy".

    >>> CountSignal(buckets="powers of two").of(np.array([0, 1, 3, 900]), streams=Streams(0)).tolist()
    [0, 1, 2, 512]
    """

    buckets: str = "none"
    noise: str = "none"
    epsilon: float | None = None
    sensitivity: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        checks.choice("count signal", BUCKETS, buckets=self.buckets)
        checks.choice("count signal", NOISES, noise=self.noise)
        if self.most is not None and (isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1):
            raise InputError(f"count signal: most is {self.most!r}; give a whole number >= 1")
        if self.noise == "none":
            given = [name for name in ("epsilon", "sensitivity") if getattr(self, name) is not None]
            if given:
                raise InputError(f"count signal: {given[0]} without noise; give noise='geometric', or leave it out")
            return
        if self.epsilon is None or self.sensitivity is None:
            raise InputError(f"count signal: noise is {self.noise!r} without epsilon and sensitivity; both have no default, give them")
        checks.number("count signal", least=0, epsilon=self.epsilon)
        checks.integer("count signal", least=1, sensitivity=self.sensitivity)
        if self.epsilon == 0:
            raise InputError("count signal: epsilon is 0; give a number above 0")

    def of(self, counts: NDArray[np.int64], *, streams: Streams) -> NDArray[np.int64]:
        """The counts as told, int64, (N,).

        Args:
            counts: Of each client, (N,), >= 0.
            streams: The noise belongs to these and to the counts: as long as no count changes, every round sees one and the same
                noise, so that it cannot be averaged away; when one changes, all are told anew, with other noise.
        """
        told = counts if self.most is None else np.minimum(counts, self.most)
        if self.noise != "none":
            told = self._noised(np.ascontiguousarray(told, dtype=np.int64), streams)
        if self.buckets == "powers of two":
            told = _power_below(told)
        return np.where(counts > 0, np.maximum(told, 1), 0)

    def _noised(self, counts: NDArray[np.int64], streams: Streams) -> NDArray[np.int64]:
        """Exp(1) x scale rounded down is geometric, and the difference of two such is two-sided geometric (Laplace, unrounded)."""
        assert self.epsilon is not None
        assert self.sensitivity is not None
        scale = self.sensitivity / self.epsilon
        digest = int.from_bytes(hashlib.sha256(counts.data).digest()[:8], "little")
        generator = streams.generator("selection/counts", digest)
        told = np.empty_like(counts)
        for start in range(0, len(counts), BLOCK):
            part = slice(start, start + BLOCK)
            up = generator.standard_exponential(len(counts[part])) * scale
            down = generator.standard_exponential(len(counts[part])) * scale
            noise = np.floor(up) - np.floor(down) if self.noise == "geometric" else np.rint(up - down)
            told[part] = counts[part] + np.clip(noise, -(2**62), 2**62).astype(np.int64)
        return told

    def promise(self) -> str:
        """What this promises to a user, in a sentence or two."""
        if self.noise == "none":
            how = "the number of examples rounded down to a power of two" if self.buckets != "none" else "the exact number of examples"
            return f"The server sees {how}: no privacy promise is made for it."
        reach = f"for changes by at most {self.sensitivity} examples; larger changes are not covered"
        if self.most is not None and self.sensitivity is not None and self.sensitivity >= self.most - 1:
            reach = f"for any change of it (counts above {self.most} are told as {self.most})"
        return (
            f"The number of examples of a user is told with {self.noise} noise, epsilon {self.epsilon:g}, {reach}. "
            "Each time any count changes all are told anew: k tellings cost a user k times epsilon. "
            "That a user has no example at all is not hidden, and the model's updates are not covered by this."
        )

    def describe(self) -> dict[str, Any]:
        """The options that were given, as plain data."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "none")}


def noised_counts(
    counts: NDArray[np.int64],
    *,
    streams: Streams,
    buckets: str = "none",
    noise: str = "none",
    epsilon: float | None = None,
    sensitivity: int | None = None,
    most: int | None = None,
) -> NDArray[np.int64]:
    """The counts of all clients as a server would see them, (N,); see `CountSignal` for the options and what they promise.

    Args:
        counts: Examples of each client, (N,).
        streams: Randomness of the noise.
        buckets: "none" or "powers of two".
        noise: "none", "geometric" or "laplace".
        epsilon: Of one telling.
        sensitivity: Change of a user's count that is hidden (L1).
        most: Largest count that is told.

    Raises:
        InputError: For options that do not fit together.
    """
    signal = CountSignal(buckets=buckets, noise=noise, epsilon=epsilon, sensitivity=sensitivity, most=most)
    return signal.of(counts, streams=streams)


def _power_below(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest power of two not above, 1 for numbers below 1."""
    _, exponents = np.frexp(np.maximum(counts, 1).astype(np.float64))
    return np.left_shift(np.int64(1), exponents.astype(np.int64) - 1)
