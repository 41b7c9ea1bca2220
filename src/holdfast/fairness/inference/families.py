"""Many p-values at once: adjusted so that the chance of a false alarm is that of the whole family."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.errors import InputError

Floats = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Floats:
    """Adjusts p-values so that the chance of even one false rejection is kept, however the tests depend on each other.

    Args:
        p_values: Of a family, (m,), in [0, 1]; NaN for a test that could not be made, which stays NaN and counts in no number.

    Returns:
        Adjusted p-values, (m,), in the order given, at least the raw ones and at most 1.

    Raises:
        InputError: For a p-value outside [0, 1].

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(p_values, rising=True)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjusts p-values so that among those rejected the expected share of false ones is kept.

    Arguments, returns and errors as in `holm`.

    Guarantee:
        For independent tests, and for those that depend positively (Benjamini and Yekutieli 2001).

    References:
        Benjamini and Hochberg 1995, "Controlling the false discovery rate".

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjusted(p_values, rising=False)


def _adjusted(p_values: ArrayLike, *, rising: bool) -> Floats:
    given = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    if np.any((given[known] < 0) | (given[known] > 1)):
        raise InputError(f"p-values {given[known].min()} to {given[known].max()} leave [0, 1]")
    order = known[np.argsort(given[known], kind="stable")]
    ranked, count = given[order], len(order)
    if rising:
        steps = np.maximum.accumulate(ranked * np.arange(count, 0, -1))
    else:
        steps = np.minimum.accumulate((ranked * count / np.arange(1, count + 1))[::-1])[::-1]
    adjusted = np.full(len(given), np.nan)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
