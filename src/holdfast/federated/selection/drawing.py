"""Draws clients by weight, block by block and without sorting them, each cohort with the inclusion probabilities of its clients.

Shapes: N clients, L levels of activity, b clients of a block, m clients of a cohort.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.federated.selection import inclusion
from holdfast.federated.selection.contract import Cohort
from holdfast.federated.selection.levels import Levels

BLOCK = 2**16
NO_CHANCE = 1e-15
"""A client that is drawn less often than this is counted among those that have no chance."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Random = Callable[[], np.random.Generator]
"""Makes the same fresh generator at every call."""


@dataclass(frozen=True, eq=False)
class Stratum:
    """Clients that share a number of places in the cohort.

    Args:
        log_weights: Log of the weight of a client of each level, (L,); -inf for no chance. Strata must not overlap.
        size: Places, or their expected number; whole numbers but for Poisson sampling.
    """

    log_weights: Floats
    size: float


def addressed(streams: Streams, name: str, *counters: int) -> Random:
    """The generator of a name and counters, anew at every call."""
    return lambda: streams.generator(name, *counters)


def chances(levels: Levels, strata: Sequence[Stratum], *, sampling: str) -> inclusion.Chances:
    """Inclusion probabilities of a client of each level, (L,).

    Args:
        levels: The clients.
        strata: Who shares which places.
        sampling: "without replacement", "with replacement" (expected number of draws) or "poisson".
    """
    values, exactness = np.zeros(len(levels.counts)), "exact"
    for stratum in strata:
        if stratum.size <= 0 or not np.isfinite(stratum.log_weights).any():
            continue
        if sampling == "with replacement":
            values += inclusion.with_replacement(levels.clients, stratum.log_weights, stratum.size)
        elif sampling == "poisson":
            values += inclusion.poisson(levels.clients, stratum.log_weights, stratum.size)
        else:
            found = inclusion.successive(levels.clients, stratum.log_weights, int(stratum.size))
            values += found.values
            exactness = "approximate" if found.exactness == "approximate" else exactness
    return inclusion.Chances(values, exactness)


def draw(counts_N: Numbers, levels: Levels, strata: Sequence[Stratum], *, sampling: str, random: Random) -> Cohort:
    """Draws a cohort.

    Args:
        counts_N: Examples of each client, (N,), from which the levels were made.
        levels: The clients by their number of examples.
        strata: Who shares which places.
        sampling: "without replacement" (successive draws, by Gumbel top-k), "with replacement" or "poisson".
        random: The randomness.

    Returns:
        The cohort, ascending; without replacement a stratum with fewer clients than places gives all of them.

    Guarantee:
        The draw does not depend on the size of the blocks. Without replacement, the clock of a client depends on the random
        stream and on its place alone: whoever else is there or is favoured changes who rings first, never the clocks.
    """
    stated = chances(levels, strata, sampling=sampling)
    if sampling == "with replacement":
        clients = _multinomial(counts_N, levels, strata, random())
    elif sampling == "poisson":
        clients = _poisson(counts_N, levels.lookup(stated.values), random())
    else:
        clients = _successive(counts_N, levels, strata, random)
    clients = np.sort(clients)
    return Cohort(
        clients=clients,
        inclusion=levels.lookup(stated.values)(counts_N[clients]),
        sampling=sampling,
        exactness=stated.exactness,
        never=int(levels.clients[stated.values < NO_CHANCE].sum()),
    )


def every(counts_N: Numbers, levels: Levels, strata: Sequence[Stratum], *, sampling: str) -> Cohort:
    """All clients with their chances, as a selector states them before a draw."""
    stated = chances(levels, strata, sampling=sampling)
    return Cohort(
        clients=np.arange(len(counts_N)),
        inclusion=levels.lookup(stated.values)(counts_N),
        sampling=sampling,
        exactness=stated.exactness,
        never=int(levels.clients[stated.values < NO_CHANCE].sum()),
    )


def _blocks(counts_N: Numbers) -> Iterator[tuple[int, Numbers]]:
    for start in range(0, len(counts_N), BLOCK):
        yield start, counts_N[start : start + BLOCK]


def _poisson(counts_N: Numbers, chance_of: Callable[[Numbers], Floats], generator: np.random.Generator) -> Numbers:
    drawn = [start + np.flatnonzero(generator.random(len(counts_b)) < chance_of(counts_b)) for start, counts_b in _blocks(counts_N)]
    return np.concatenate(drawn).astype(np.int64) if drawn else np.zeros(0, dtype=np.int64)


def _multinomial(counts_N: Numbers, levels: Levels, strata: Sequence[Stratum], generator: np.random.Generator) -> Numbers:
    drawn = [np.zeros(0, dtype=np.int64)]
    for stratum in strata:
        if stratum.size <= 0 or not np.isfinite(stratum.log_weights).any():
            continue
        weight_of = levels.lookup(np.exp(stratum.log_weights - stratum.log_weights.max()))
        running_N = np.empty(len(counts_N))
        for start, counts_b in _blocks(counts_N):
            running_N[start : start + BLOCK] = weight_of(counts_b)
        np.cumsum(running_N, out=running_N)
        below = np.nextafter(running_N[-1], 0)  # a point at the very end would fall past the last client
        drawn.append(np.searchsorted(running_N, np.minimum(generator.random(int(stratum.size)) * running_N[-1], below), side="right"))
    return np.concatenate(drawn)


def _successive(counts_N: Numbers, levels: Levels, strata: Sequence[Stratum], random: Random) -> Numbers:
    """The clients whose exponential clocks of rate w ring first: the m smallest of E / w, which is Gumbel top-k on log w.

    Only clocks that ring before a time by which more than m have surely rung are looked at again; where that time was too
    early, which happens in one of many millions of draws, it is doubled and the same clocks are read once more.
    """
    of_level = np.full(len(levels.counts), -1)
    log_weights = np.full(len(levels.counts), -np.inf)
    for number, stratum in enumerate(strata):
        inside = np.isfinite(stratum.log_weights)
        of_level[inside], log_weights[inside] = number, stratum.log_weights[inside]
    log_weight_of, stratum_of = levels.lookup(log_weights, fill=-np.inf), levels.lookup(of_level.astype(np.float64), fill=-1)
    slack = 1.0
    while True:
        limits = np.zeros(len(levels.counts))
        for stratum in strata:
            limits += _limits(levels, stratum, slack)
        clients, clocks = _early(counts_N, levels.lookup(limits), random())
        counts = counts_N[clients]
        with np.errstate(divide="ignore"):
            keys, owner = np.log(clocks) - log_weight_of(counts), stratum_of(counts)
        chosen = [_smallest(clients[owner == n], keys[owner == n], int(s.size)) for n, s in enumerate(strata)]
        wanted = [min(int(s.size), int(levels.clients[np.isfinite(s.log_weights)].sum())) for s in strata]
        if all(len(found) >= want for found, want in zip(chosen, wanted, strict=True)):
            return np.concatenate([np.zeros(0, dtype=np.int64), *chosen])
        slack *= 2


def _limits(levels: Levels, stratum: Stratum, slack: float) -> Floats:
    """How long the clock of a client of each level may be to be looked at, (L,), at unit rate."""
    reach = np.isfinite(stratum.log_weights)
    expected = stratum.size + slack * (8 * math.sqrt(stratum.size) + 16)
    if stratum.size <= 0 or not reach.any():
        return np.zeros(len(reach))
    if expected >= 0.9 * levels.clients[reach].sum():
        return np.where(reach, np.inf, 0.0)
    time = inclusion.threshold(levels.clients, stratum.log_weights, expected)
    return np.exp(np.minimum(stratum.log_weights + time, 700))


def _early(counts_N: Numbers, limit_of: Callable[[Numbers], Floats], generator: np.random.Generator) -> tuple[Numbers, Floats]:
    """The clients whose unit clocks ring before their limits, and when."""
    clients, clocks = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for start, counts_b in _blocks(counts_N):
        clocks_b = generator.standard_exponential(len(counts_b))
        early = np.flatnonzero(clocks_b < limit_of(counts_b))
        clients.append(start + early)
        clocks.append(clocks_b[early])
    return np.concatenate(clients), np.concatenate(clocks)


def _smallest(clients: Numbers, keys: Floats, size: int) -> Numbers:
    if size <= 0:
        return clients[:0]
    return clients if size >= len(clients) else clients[np.argpartition(keys, size - 1)[:size]]


def smallest_clocks(log_weights: Floats, size: int, generator: np.random.Generator) -> Numbers:
    """Places of `size` successive draws without replacement among single clients with these log weights, (k,); -inf is never drawn."""
    places = np.flatnonzero(np.isfinite(log_weights))
    keys = np.log(generator.standard_exponential(len(places))) - log_weights[places]
    return _smallest(places, keys, size)
