"""How intervals and tests are made, and which rows hang together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How much work intervals and tests may cost, and what counts as fair enough.

    Args:
        level: Coverage of intervals, in (0, 1); tests are at 1 - level.
        replicates: Bootstrap replicates, at least 100.
        permutations: Random permutations where there are too many to go through, at least 100.
        exact_up_to: Permutations that are gone through one by one at most; above, they are drawn.
        margin: Differences up to this count as fair enough, in the unit of the metric; None for no verdict.
        power: Chance with which the smallest detectable gap is to be found, in (0, 1).
        seed: Of replicates and permutations, integer >= 0.

    Raises:
        InputError: For a value out of its bounds.
    """

    level: float = 0.95
    replicates: int = 1000
    permutations: int = 10_000
    exact_up_to: int = 200_000
    margin: float | None = None
    power: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, share in (("level", self.level), ("power", self.power)):
            if not 0 < share < 1:
                raise InputError(f"fairness: {name} {share} is outside (0, 1); .95 is usual for the level and .8 for the power")
        for name, count, least in (("replicates", self.replicates, 100), ("permutations", self.permutations, 100)):
            if not isinstance(count, int) or count < least:
                raise InputError(f"fairness: {name} {count} is below {least}; give a whole number of at least {least}")
        if self.exact_up_to < 0 or self.seed < 0:
            raise InputError(f"fairness: exact_up_to {self.exact_up_to} and seed {self.seed} must not be below 0")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise InputError(f"fairness: margin {self.margin} is not above 0 and finite; say which differences are fair enough")

    def streams(self, metric: str) -> Streams:
        """The random streams of one metric, so that adding a metric does not move the numbers of another."""
        return Streams.from_seed(self.seed).child(f"fairness {metric}")


@dataclass(frozen=True, eq=False)
class Units:
    """Which rows hang together: intervals and tests resample whole units.

    Args:
        of: The unit of each row, (n,), int64 in [0, count).
        count: How many there are.
        what: What a unit is, in the plural: "examples", "users", "templates", "target terms", "prompts".
    """

    of: NDArray[np.int64]
    count: int
    what: str

    @classmethod
    def rows(cls, count: int, *, what: str = "examples") -> Self:
        """Each row by itself."""
        return cls(np.arange(count), count, what)

    @classmethod
    def named(cls, names: Sequence[str], *, what: str) -> Self:
        """Rows with the same name hang together."""
        found, of = np.unique(np.asarray(names, dtype=object), return_inverse=True)
        return cls(of.astype(np.int64), len(found), what)

    @property
    def single(self) -> bool:
        """Whether each row stands alone."""
        return self.count == len(self.of)

    def __len__(self) -> int:
        return len(self.of)
