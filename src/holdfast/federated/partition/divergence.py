"""How unlike clients are: shares of labels, Jensen-Shannon distances between them, their mean, and a picture's worth of clients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.partition.plain import codes_of_values
from holdfast.federated.population import Clients
from holdfast.models import checks

EXACT = 2000
"""Clients up to which the mean distance is that of all pairs."""
PAIRS = 20_000
"""Pairs that are drawn above that."""
_CELLS = 2**22  # numbers that are worked on at a time, 32 MiB
_Z = 1.959963984540054  # two-sided 95% of the normal distribution


@dataclass(frozen=True)
class MeanDistance:
    """The mean Jensen-Shannon distance between two clients.

    Args:
        value: The mean, in [0, sqrt(log 2)] for base e.
        low: Lower end of a 95% interval; the mean itself where it is that of all pairs.
        high: Upper end.
        pairs: How many pairs it is the mean of.
        clients: Clients with examples, those that pairs are made of.
        exact: Whether all pairs were taken.
    """

    value: float
    low: float
    high: float
    pairs: int
    clients: int
    exact: bool


@dataclass(frozen=True, eq=False)
class JsMap:
    """Distances between some clients, in an order that shows structure.

    Args:
        clients: Which, (k,), sorted by their commonest label.
        distances: (k, k), symmetric, zero on the diagonal.
        shown_of: How many clients with examples there are.
    """

    clients: NDArray[np.int64]
    distances: NDArray[np.float64]
    shown_of: int


def label_shares(labels_n: Sequence[str] | NDArray[np.integer[Any]], clients: Clients, *, labels: int | None = None) -> NDArray[np.float64]:
    """The share of each label among the examples of each client.

    Args:
        labels_n: The label, or cluster, of each example of the data set: strings, or integers in [0, K); a negative one stands
            for none and does not count.
        clients: Who has which example.
        labels: K; None for one more than the largest number, or the number of distinct strings.

    Returns:
        (N, K); rows sum to 1, or are all 0 for a client without labelled examples.

    Raises:
        InputError: For a label of K or above, or a client's example that has no label.
    """
    if isinstance(labels_n, np.ndarray) and np.issubdtype(labels_n.dtype, np.integer):
        codes_n, found = labels_n.astype(np.int64, copy=False), int(labels_n.max(initial=-1)) + 1
    else:
        codes_n, found = codes_of_values(list(labels_n))
    width = found if labels is None else labels
    if found > width:
        raise InputError(f"label shares: a label is {found - 1}, but labels is {width}; give at least {found}")
    if clients.examples is None and clients.total > len(codes_n):
        raise InputError(f"label shares: {len(codes_n)} labels, but clients with {clients.total} examples; give a label for each")
    codes_n = codes_n[: clients.total] if clients.examples is None else codes_n[clients.examples]
    owners_n = np.repeat(np.arange(len(clients), dtype=np.int64), clients.counts)
    seen = codes_n >= 0
    counts = np.bincount(owners_n[seen] * width + codes_n[seen], minlength=len(clients) * width).reshape(len(clients), width)
    totals = counts.sum(1, keepdims=True)
    return np.asarray(counts / np.maximum(totals, 1), dtype=np.float64)


def js_distances(shares_NK: NDArray[np.float64], *, base: float = math.e) -> NDArray[np.float64]:
    """The Jensen-Shannon distance between every two rows: the square root of the divergence, as `scipy.spatial.distance.jensenshannon`.

    Args:
        shares_NK: Rows of sum 1, (N, K).
        base: Of the logarithm; e for nats (at most sqrt(log 2) = 0.8326), 2 for bits (at most 1).

    Returns:
        (N, N), symmetric, zero on the diagonal; NaN beside a row of zeros, as in scipy.

    Edge cases:
        Between rows that are nearly but not quite the same, the distance is right to 1e-7: it is the root of a small difference.
    """
    count = len(shares_NK)
    found = np.zeros((count, count))
    entropies_N = _entropies(shares_NK)
    rows = max(1, _CELLS // max(1, count * shares_NK.shape[1]))
    for start in range(0, count, rows):
        part_BK = shares_NK[start : start + rows]
        mixed = _entropies((part_BK[:, None] + shares_NK[None, start:]) / 2)
        block = mixed - (entropies_N[start : start + rows, None] + entropies_N[None, start:]) / 2
        found[start : start + rows, start:] = _rooted(block, base)
        found[start:, start : start + rows] = found[start : start + rows, start:].T
    empty = shares_NK.sum(1) == 0
    found[empty], found[:, empty] = np.nan, np.nan
    return found


def js_of_pairs(p_PK: NDArray[np.float64], q_PK: NDArray[np.float64], *, base: float = math.e) -> NDArray[np.float64]:
    """The Jensen-Shannon distance between rows that stand at the same place, (P,); see `js_distances`."""
    return _rooted(_entropies((p_PK + q_PK) / 2) - (_entropies(p_PK) + _entropies(q_PK)) / 2, base)


def mean_pairwise(shares_NK: NDArray[np.float64], *, seed: int = 0, exact: int = EXACT, pairs: int = PAIRS) -> MeanDistance:
    """The mean distance between two different clients, over all pairs or over a sample of them.

    Args:
        shares_NK: Shares of labels; clients whose row is 0 are left out.
        seed: Of the pairs that are drawn.
        exact: Clients up to which all pairs are taken.
        pairs: How many are drawn above that, with replacement.

    Raises:
        InputError: If fewer than two clients have labelled examples.

    Guarantee:
        The interval is about this population of clients, and comes from the drawing of pairs alone; it says nothing of other
        clients or of another draw of the partition.
    """
    checks.integer("mean_pairwise", least=100, pairs=pairs)
    kept_NK = shares_NK[shares_NK.sum(1) > 0]
    count = len(kept_NK)
    if count < 2:
        raise InputError(f"mean distance: {count} clients have labelled examples; give at least 2")
    if count <= exact:
        total = count * (count - 1) // 2
        value = min(float(js_distances(kept_NK).sum()) / (2 * total), math.sqrt(math.log(2)))
        return MeanDistance(value, value, value, total, count, exact=True)
    generator = Streams.from_seed(seed).generator("pairs of clients")
    first = generator.integers(0, count, pairs)
    second = (first + generator.integers(1, count, pairs)) % count  # any other client, each as likely
    step = max(1, _CELLS // max(1, kept_NK.shape[1]))
    parts = [js_of_pairs(kept_NK[first[i : i + step]], kept_NK[second[i : i + step]]) for i in range(0, pairs, step)]
    distances = np.concatenate(parts)
    value, error = float(distances.mean()), _Z * float(distances.std(ddof=1)) / math.sqrt(pairs)
    return MeanDistance(value, max(0.0, value - error), min(math.sqrt(math.log(2)), value + error), pairs, count, exact=False)


def js_map(shares_NK: NDArray[np.float64], *, most: int = 40) -> JsMap:
    """Chooses clients for a picture of distances and puts alike ones side by side.

    Clients are sorted by their commonest label, and then by how common it is; of that order, `most` evenly spaced ones are taken. So
    a label that is the commonest one of many clients has many in the picture.

    Args:
        shares_NK: Shares of labels, (N, K); clients whose row is 0 are left out.
        most: How many to show at most, at least 1.

    Raises:
        InputError: If no client has labelled examples.
    """
    if most < 1:
        raise InputError(f"js_map: most is {most}; give at least 1")
    there = np.flatnonzero(shares_NK.sum(1) > 0)
    if not len(there):
        raise InputError("js_map: no client has labelled examples; give at least one")
    rows = shares_NK[there]
    order = there[np.lexsort((there, -rows.max(1), rows.argmax(1)))]
    shown = min(most, len(order))
    chosen = order[(np.arange(shown) * 2 + 1) * len(order) // (2 * shown)]
    return JsMap(chosen, js_distances(shares_NK[chosen]), len(there))


def _entropies(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon entropy along the last axis, in nats."""
    from scipy import special

    found: NDArray[np.float64] = special.entr(shares).sum(-1)
    return found


def _rooted(divergences: NDArray[np.float64], base: float) -> NDArray[np.float64]:
    """Roots of divergences in another base, of which rounding may have made some a hair below 0."""
    return np.asarray(np.sqrt(np.maximum(divergences, 0.0) / math.log(base)))
