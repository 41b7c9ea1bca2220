"""Numbers from counters: what a client draws is computed from its number, whoever else is asked about, millions at a time.

It is no cipher, and nothing that a claim of privacy rests on may be drawn from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mixes 64 bits so that each depends on all (the finaliser of SplitMix64; Steele, Lea and Flood 2014).

    >>> hex(mixed(np.array([0x9E3779B97F4A7C15], dtype=np.uint64))[0])
    '0xe220a8397b1dcdaf'
    """
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return np.asarray(words ^ (words >> np.uint64(31)))


def spaced(counters: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """What the counters 0, 1, ... add to a key: multiples of an odd number, modulo 2^64."""
    return np.asarray((counters.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
