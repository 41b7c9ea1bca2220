"""How large a gap must be before such data would show it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from holdfast.core.errors import InputError


def minimum_detectable_difference(
    rate: float, sizes_G: ArrayLike, *, level: float = 0.95, power: float = 0.8, design_effect: float = 1.0
) -> float:
    """The smallest difference of shares that such groups would show, whichever two of them differ.

    Args:
        rate: The share around which the groups lie, in [0, 1].
        sizes_G: Independent rows of each group, (G,).
        level: One minus the chance of a false alarm for all pairs of groups together.
        power: Chance with which the difference is to be found, in (0, 1).
        design_effect: By how much rows that hang together blow up the variance, at least 1.

    Returns:
        A difference, at most 1; NaN where a group has no row or there is one group only. It is that of the two smallest groups, in
        which a difference hides best.

    Raises:
        InputError: For numbers outside their ranges.

    Guarantee:
        An approximation by the normal law, all pairs sharing the chance of a false alarm (Bonferroni). In simulations a difference of
        this size was found with chance .75 to .9 where .8 was asked for, in groups of 50 rows and more.

    References:
        Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 6; Ethayarajh 2020, "Is your classifier actually
        biased?", for how large a test set must be.

    >>> round(minimum_detectable_difference(0.5, [100, 100]), 3)
    0.198
    """
    if not 0 <= rate <= 1 or not 0 < level < 1 or not 0 < power < 1 or design_effect < 1:
        raise InputError(f"rate {rate}, level {level}, power {power}, design effect {design_effect}: shares in [0, 1], effect at least 1")
    sizes = np.sort(np.asarray(sizes_G, dtype=np.float64))
    if len(sizes) < 2 or sizes[0] <= 0:
        return math.nan
    shares = (rate * sizes[:2] + 2) / (sizes[:2] + 4)
    error = math.sqrt(float((shares * (1 - shares) / sizes[:2]).sum()) * design_effect)
    pairs = len(sizes) * (len(sizes) - 1) / 2
    return min(1.0, float(special.ndtri(1 - (1 - level) / (2 * pairs)) + special.ndtri(power)) * error)


def detectable(error: float, *, critical: float, power: float) -> float:
    """The smallest gap that is found with the power asked for by a test that rejects above `critical` standard errors.

    Args:
        error: The standard error of the difference.
        critical: The critical value.
        power: In (0, 1).
    """
    return (critical + float(special.ndtri(power))) * error
