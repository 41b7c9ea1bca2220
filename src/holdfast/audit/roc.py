"""Operating points of an attack: counts at every threshold, the corners to draw, and the largest advantage with its null law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast.audit.intervals import Floats, Integers
from holdfast.core.evidence import Interval


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatingPoints:
    """What an attack reaches at each threshold: "accuse whoever scores at least t", for every t that a score takes.

    Args:
        positives: Members accused, ascending from 0 to n1, (thresholds + 1,).
        negatives: Non-members accused, ascending from 0 to n0, as many.
    """

    positives: Integers
    negatives: Integers

    @classmethod
    def of(cls, members: Floats, nonmembers: Floats) -> Self:
        """Counts at every threshold, in O(n log n); equal scores are accused together."""
        thresholds = np.unique(np.concatenate([members, nonmembers]))[::-1]
        positives, negatives = (side.size - np.searchsorted(np.sort(side), thresholds, "left") for side in (members, nonmembers))
        return cls(positives=np.concatenate([[0], positives]), negatives=np.concatenate([[0], negatives]))

    @property
    def tprs(self) -> Floats:
        """Share of members accused at each threshold."""
        return np.asarray(self.positives / self.positives[-1])

    @property
    def fprs(self) -> Floats:
        """Share of non-members accused at each threshold."""
        return np.asarray(self.negatives / self.negatives[-1])

    def corners(self) -> Integers:
        """Which points to draw: a curve of at most 400 corners that is true on linear and on logarithmic axes.

        A corner is the highest true positive rate at its false positive rate. All corners of up to a hundred false positives
        are kept; beyond, those at geometric steps of the false positive rate. The ends are always kept.

        Returns:
            Ascending positions in the points.
        """
        total = int(self.negatives[-1])
        corners = np.flatnonzero(np.append(np.diff(self.negatives) > 0, True))
        wanted = np.concatenate([np.arange(101), np.geomspace(100, max(total, 100), 299).round()])
        kept = np.searchsorted(self.negatives[corners], wanted[wanted <= total], "right") - 1
        return np.asarray(corners[np.unique(np.append(kept, corners.size - 1))])


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """The largest TPR - FPR over all thresholds, and what it would be if nothing leaked.

    Args:
        value: In [0, 1].
        members: n1.
        nonmembers: n0.
    """

    value: float
    members: int
    nonmembers: int

    @classmethod
    def of(cls, points: OperatingPoints) -> Self:
        """Takes the best threshold; because it is chosen on the same scores the value is biased upwards."""
        value = float(np.max(points.tprs - points.fprs))
        return cls(value=value, members=int(points.positives[-1]), nonmembers=int(points.negatives[-1]))

    def null(self) -> dict[str, float]:
        """Mean, 95th percentile and p-value where both sides follow one law: `null_mean`, `null_p95`, `p_value`.

        References:
            Smirnov 1939: the limit law of the one-sided two-sample Kolmogorov-Smirnov statistic, ``exp(-2 m d^2)`` with
            ``m = n1 n0 / (n1 + n0)``. Ties make it conservative.
        """
        m = self.members * self.nonmembers / (self.members + self.nonmembers)
        return {
            "null_mean": math.sqrt(math.pi / (8 * m)),
            "null_p95": math.sqrt(math.log(20) / (2 * m)),
            "p_value": math.exp(-2 * m * self.value**2),
        }

    def interval(self, *, level: float = 0.95) -> Interval:
        """Covers the largest TPR - FPR of the two laws with at least this confidence at every n.

        References:
            Massart 1990, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", for each side at half the error.
        """
        reach = sum(math.sqrt(math.log(4 / (1 - level)) / (2 * n)) for n in (self.members, self.nonmembers))
        low, high = max(0.0, self.value - reach), min(1.0, self.value + reach)
        return Interval(low=low, high=high, level=level, method="Dvoretzky-Kiefer-Wolfowitz on both sides")
