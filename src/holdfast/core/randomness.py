"""Named, independent random streams from one seed, addressed by counters so that any step can be replayed."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast.core.errors import InputError


@dataclass(frozen=True)
class Streams:
    """Random streams that depend on nothing but the key, a name and counters.

    Because a stream is addressed (``streams.generator("noise", step)``) instead of advanced, a resumed run draws at
    step k exactly what an uninterrupted run draws there, and no two steps ever share a draw.

    Args:
        key: A secret or public integer >= 0. Whoever knows it can replay every draw.
        secret: True where the key came from the operating system and is not published.
    """

    key: int
    secret: bool = False

    @classmethod
    def from_seed(cls, seed: int | None) -> Self:
        """Reproducible streams from a seed, or secret ones from the operating system where the seed is None."""
        if seed is None:
            return cls(secrets.randbits(128), secret=True)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}; give an integer >= 0, or none for secret randomness")
        return cls(seed)

    def words(self, name: str, *counters: int) -> tuple[int, ...]:
        """Eight 32-bit words that belong to this name and these counters alone.

        Raises:
            InputError: For a name that ends in a slash and a number, because it would share the draws of the name before the slash.
        """
        if re.search(r"/-?\d+$", name):
            raise InputError(f"stream name {name!r} ends in a slash and a number; give the number as a counter")
        text = "/".join(["holdfast", str(self.key), name, *map(str, counters)])
        digest = hashlib.sha256(text.encode()).digest()
        return tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4))

    def integer(self, name: str, *counters: int) -> int:
        """A 63-bit integer, fit for `torch.Generator.manual_seed`."""
        low, high, *_ = self.words(name, *counters)
        return (high << 32 | low) & (2**63 - 1)

    def generator(self, name: str, *counters: int) -> np.random.Generator:
        """A fresh numpy generator (Philox, counter-based) for this name and these counters."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.words(name, *counters))))

    def child(self, name: str, *counters: int) -> Streams:
        """Streams of a part that must not share draws with its siblings."""
        return Streams(int.from_bytes(b"".join(w.to_bytes(4, "little") for w in self.words(name, *counters)), "little"), secret=self.secret)
