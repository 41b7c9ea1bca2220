"""What the equitability ratio min(F/M, M/F) looks like where both genders are written about alike: it is far below 1 for few texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def equitability(female: float, male: float) -> float | None:
    """The smaller of F/M and M/F, in [0, 1]; 0 where one is 0, None where both are.

    >>> equitability(10, 40), equitability(3, 0), equitability(0, 0)
    (0.25, 0.0, None)
    """
    return None if female == male == 0 else min(female, male) / max(female, male)


@dataclass(frozen=True, eq=False)
class ParityNull:
    """The law of the ratio in one group under exact parity.

    Under parity, the two genders of each prompt could be exchanged: of a prompt whose texts are F female and M male, the opposite was as
    likely. So F - M of the group is a sum of the prompts' differences with random signs. Where each prompt has one gendered text, F is
    binomial with one half.

    Args:
        total: Gendered texts of the group, at least 1.
        differences: The values of F - M that can come out, (S,), ascending.
        chances: How likely each is, (S,).
    """

    total: int
    differences: Ints
    chances: Floats

    @classmethod
    def of(cls, female_u: ArrayLike, male_u: ArrayLike) -> ParityNull:
        """From the female and the male texts of each prompt, (U,) each; at least one text in all."""
        female, male = np.asarray(female_u, dtype=np.int64), np.asarray(male_u, dtype=np.int64)
        total = int(female.sum() + male.sum())
        if total < 1:
            raise InputError("parity null: no gendered text, so there is no ratio; leave the group out and say why")
        sizes, counts = np.unique(np.abs(female - male), return_counts=True)
        law = np.ones(1)
        for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
            if size:
                law = np.convolve(law, _spaced(_half(count), size))
        reach = (len(law) - 1) // 2
        kept = law > 0
        return cls(total, np.arange(-reach, reach + 1)[kept], law[kept])

    @cached_property
    def ratios(self) -> Floats:
        """The ratio that each difference gives, (S,)."""
        away = np.abs(self.differences)
        return np.asarray((self.total - away) / (self.total + away))

    @property
    def expected(self) -> float:
        """The mean of the ratio under parity.

        >>> [round(ParityNull.of(np.ones(n), np.zeros(n)).expected, 3) for n in (20, 60, 200, 1000)]
        [0.722, 0.823, 0.896, 0.951]
        """
        return float(self.chances @ self.ratios)

    def at_most(self, ratio: float) -> float:
        """The chance of a ratio as low as this one or lower, in (0, 1]: the p-value against parity, two-sided in the genders."""
        return _chance(self.chances[self.ratios <= ratio + 1e-12].sum())

    def at_least(self, difference: int) -> float:
        """The chance of F - M as large as this one or larger, one-sided."""
        return _chance(self.chances[self.differences >= difference].sum())


@dataclass(frozen=True)
class AcrossGroups:
    """The average and the smallest ratio over groups, beside what parity would give.

    Args:
        average: Of the ratios.
        expected_average: Of the same under parity.
        average_p: Chance of an average as low or lower under parity.
        minimum: The smallest ratio.
        expected_minimum: Of the same under parity.
        minimum_p: Chance of a minimum as low or lower under parity.
        lowest: Place of the group with the smallest ratio.
        draws: How many draws `average_p` rests on.
    """

    average: float
    expected_average: float
    average_p: float
    minimum: float
    expected_minimum: float
    minimum_p: float
    lowest: int
    draws: int


def across_groups(ratios_G: Sequence[float], nulls: Sequence[ParityNull], *, draws: int, generator: np.random.Generator) -> AcrossGroups:
    """Holds the average and the minimum over groups against their own laws under parity.

    The minimum is exact, by the product of the groups' laws; the p-value of the average is drawn, (1 + hits) / (1 + draws).

    Args:
        ratios_G: One ratio for each group that has one, at least one.
        nulls: The law of each under parity.
        draws: At least 1.
        generator: The source of randomness.
    """
    ratios = np.asarray(ratios_G, dtype=np.float64)
    if not len(ratios) or len(ratios) != len(nulls):
        raise InputError(f"{len(ratios)} ratios and {len(nulls)} laws; give as many of each, at least one")
    sums = np.zeros(draws)
    for null in nulls:
        sums += null.ratios[np.searchsorted(np.cumsum(null.chances)[:-1], generator.random(draws), side="right")]
    smallest = float(ratios.min())
    below = np.array([null.at_most(smallest) for null in nulls])
    return AcrossGroups(
        average=float(ratios.mean()),
        expected_average=float(np.mean([null.expected for null in nulls])),
        average_p=float((1 + (sums <= ratios.sum() + 1e-9).sum()) / (1 + draws)),
        minimum=smallest,
        expected_minimum=_expected_minimum(nulls),
        minimum_p=_chance(-np.expm1(np.log1p(-np.minimum(below, 1 - 1e-16)).sum())),
        lowest=int(ratios.argmin()),
        draws=draws,
    )


def _expected_minimum(nulls: Sequence[ParityNull]) -> float:
    points = np.unique(np.concatenate([null.ratios for null in nulls]))
    survive = np.ones(len(points))  # the chance that every group is at this point or above
    for null in nulls:
        order = np.argsort(null.ratios)
        below = np.concatenate([[0.0], np.cumsum(null.chances[order])])
        survive *= 1 - below[np.searchsorted(null.ratios[order], points, side="left")]
    return float(np.clip(survive, 0, 1) @ np.diff(points, prepend=0.0))


def _half(count: int) -> Floats:
    """The law of the sum of `count` random signs on -count, -count + 2, ..., count; (count + 1,)."""
    from scipy import stats

    return np.asarray(stats.binom.pmf(np.arange(count + 1), count, 0.5))


def _spaced(law: Floats, size: int) -> Floats:
    """The same on a grid of step 1 where each step of the law is 2 * size apart."""
    found = np.zeros(2 * size * (len(law) - 1) + 1)
    found[:: 2 * size] = law
    return found


def _chance(value: float) -> float:
    """Within (0, 1]: a chance too small for a float is told as the smallest float."""
    return float(min(1.0, max(value, np.finfo(np.float64).tiny)))
