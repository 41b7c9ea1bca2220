"""Random numbers by client: the draw of a client in a round is computed from their numbers, whoever else is asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.federated.hashing import mixed, spaced

_CHUNK = 2**15  # clients whose numbers stay in the cache of a core


def uniforms(streams: Streams, name: str, clients: NDArray[np.int64], *counters: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each client.

    Args:
        streams: Where the draws come from.
        name: Of the draw.
        clients: Their numbers, (m,), >= 0; they may repeat, and then so does the draw.
        counters: What else addresses it, such as the round.

    Returns:
        (m,), multiples of 2 ** -53.

    Guarantee:
        The draw depends on the streams, the name, the counters and the client alone: never on the size of the population, on who
        else is asked about, or on how often.

    References:
        Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators": the finaliser of SplitMix64, here of a counter
        that begins at a place of its own (63 bits of SHA-256) for each name and counters. It is no cipher, and nothing that a claim of
        privacy rests on may be drawn from it.
    """
    words = mixed(np.uint64(streams.integer(name, *counters)) + spaced(clients))
    return np.asarray((words >> np.uint64(11)) * 2.0**-53)


def by_client(clients: int, answer: Callable[[NDArray[np.int64]], NDArray[Any]]) -> NDArray[np.bool_]:
    """Asks a question about every client, some thousands at a time, so that ten million need no memory but the answer.

    Args:
        clients: N.
        answer: From numbers of clients, (m,), to yes or no for each.

    Returns:
        (N,)
    """
    found = np.empty(clients, dtype=np.bool_)
    for start in range(0, clients, _CHUNK):
        end = min(start + _CHUNK, clients)
        found[start:end] = answer(np.arange(start, end))
    return found
