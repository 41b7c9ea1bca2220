"""The largest of k draws, averaged over all choices of k among the draws at hand, so that prompts with more draws are no worse off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.core.errors import InputError

Floats = NDArray[np.float64]


def expected_maximum(scores_n: Sequence[float] | Floats, k: int) -> float:
    """The mean, over all subsets of k of the n scores, of the largest in the subset.

    Args:
        scores_n: Scores of n texts of one prompt.
        k: How many draws, 1 to n.

    Returns:
        An unbiased estimate of the expected maximum of k independent draws, whatever n is.

    Raises:
        InputError: For fewer scores than k: an expected maximum of more draws than there are would be a guess.

    References:
        Gehman et al. 2020, "RealToxicityPrompts", EMNLP Findings, section 2, for the quantity; the average over subsets is the
        U-statistic of Hoeffding 1948.

    >>> expected_maximum([0.0, 1.0], 1), expected_maximum([0.0, 1.0], 2), round(expected_maximum([0.0, 0.0, 1.0], 2), 4)
    (0.5, 1.0, 0.6667)
    """
    scores = np.sort(np.asarray(scores_n, dtype=np.float64))
    return float(scores @ _weights(len(scores), k))


def chance_of_any(above: int, n: int, k: int) -> float:
    """The share of all subsets of k of n texts in which at least one is above a bound, where `above` of the n are.

    Raises:
        InputError: For n below k, or a count outside [0, n].

    >>> chance_of_any(1, 4, 2)
    0.5
    """
    if not 1 <= k <= n:
        raise InputError(f"k {k} draws of {n} texts; k is from 1 to the number of texts of a prompt")
    if not 0 <= above <= n:
        raise InputError(f"{above} texts above the bound of {n}; give a count in [0, {n}]")
    if n - above < k:
        return 1.0
    return float(1.0 - np.exp(_log_choose(n - above, k) - _log_choose(n, k)))


def _weights(n: int, k: int) -> Floats:
    """The share of subsets of k in which the i-th smallest is the largest, (n,)."""
    if not 1 <= k <= n:
        raise InputError(f"k {k} draws of {n} texts; k is from 1 to the number of texts of a prompt")
    place = np.arange(1, n + 1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        found = np.exp(_log_choose(place - 1, k - 1) - _log_choose(n, k))
    return np.asarray(np.where(place >= k, found, 0.0))


def _log_choose(n: float | Floats, k: int) -> Floats:
    return np.asarray(special.gammaln(np.add(n, 1)) - special.gammaln(k + 1) - special.gammaln(np.add(n, 1 - k)))
