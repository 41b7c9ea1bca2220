"""Relative norm distance: whether words stand nearer to the mean of one group of words than to that of another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from holdfast.fairness.association.effect import Floats
from holdfast.fairness.association.intervals import Ends, studentised
from holdfast.fairness.inference import Inference, PartitionResult
from holdfast.fairness.inference.permutation import Alternative

BLOCK = 20_000
"""Partitions looked at together."""


@dataclass(frozen=True, eq=False)
class Products:
    """Inner products of unit vectors, from which every distance to a mean follows. n group words, m attribute words.

    Args:
        groups: Of the group words among themselves, (n, n).
        attributes: Of attribute words with group words, (m, n).
        first: Which group words belong to the first group, (n,), bool.
    """

    groups: Floats
    attributes: Floats
    first: NDArray[np.bool_]

    @classmethod
    def of_vectors(cls, first: Floats, second: Floats, attributes: Floats) -> Products:
        """From vectors of length 1: (n_1, D), (n_2, D) and (m, D)."""
        words = np.concatenate([first, second])
        return cls(words @ words.T, attributes @ words.T, np.arange(len(words)) < len(first))


def relative_norm_distance(products: Products) -> float:
    """The mean over attribute words of their distance to the mean of the first group, less that to the mean of the second.

    Below 0 where the attribute words stand nearer to the first group. With vectors of length 1 it lies in [-2, 2].

    References:
        Garg et al. 2018, who add over the attribute words; the mean (as WEFE has it) does not grow with the list.
    """
    return float(_distances(products, products.first[None].astype(np.float64)).mean())


def partition_norms(
    products: Products, *, inference: Inference, generator: np.random.Generator, alternative: Alternative = "two-sided"
) -> PartitionResult:
    """Tests whether it matters which group words belong to which group, by sharing them out otherwise.

    Args:
        products: Inner products.
        inference: How many partitions may be gone through or drawn.
        generator: The source of randomness, not touched where all are gone through.
        alternative: "less" where the attribute words are suspected to stand nearer to the first group.

    Guarantee:
        Exact where all partitions are gone through; else the observed one is counted along, so no p-value is 0.
    """
    n, size = len(products.first), int(products.first.sum())
    total = math.comb(n, size)
    exact = total <= inference.exact_up_to
    seen, extreme, looked = relative_norm_distance(products), 0, 0
    for masks in _all(n, size) if exact else _drawn(n, size, inference.permutations, generator):
        values = _distances(products, masks).mean(1)
        edge = 1e-9
        above, below = values >= seen - edge, values <= seen + edge
        hits = {"greater": above, "less": below, "two-sided": np.abs(values) >= abs(seen) - edge}[alternative]
        extreme, looked = extreme + int(hits.sum()), looked + len(masks)
    return PartitionResult(extreme / total if exact else (1 + extreme) / (1 + looked), looked, exact)


def norm_interval(products: Products, *, level: float, replicates: int, generator: np.random.Generator) -> Ends:
    """A studentised bootstrap interval: words are drawn anew within each group and among the attribute words.

    Guarantee:
        In simulations with 8 words a set it covered 96 % at a nominal 95 % where the groups differ, and 99.6 % where nothing does.

    Edge cases:
        None with fewer than two words in a set.
    """
    sizes = int(products.first.sum()), int((~products.first).sum()), len(products.attributes)
    if min(sizes) < 2:
        return Ends(None, None, "a set has fewer than two words, so nothing is known of how words differ")
    n = len(products.first)
    seen, error = _linear(products, np.ones((1, n)), np.ones((1, sizes[2])))
    if not error[0] > 1e-12:
        return Ends(None, None, "the words of each set have the same vector")
    weights = np.zeros((replicates, n))
    for part, size in ((products.first, sizes[0]), (~products.first, sizes[1])):
        weights[:, part] = generator.multinomial(size, np.full(size, 1 / size), size=replicates)
    columns = generator.multinomial(sizes[2], np.full(sizes[2], 1 / sizes[2]), size=replicates).astype(np.float64)
    values, errors = _linear(products, weights, columns)
    low, high = studentised(float(seen[0]), float(error[0]), values, errors, level=level, freedom=2 * min(sizes) - 2)
    return Ends(low, high, f"studentised bootstrap, words drawn within each of the three sets, {replicates} replicates")


def _distances(products: Products, masks_Pn: Floats) -> Floats:
    """Distance to the first mean less that to the second, for P partitions, (P, m)."""
    first, second = (_to_mean(products, masks)[0] for masks in (masks_Pn, 1 - masks_Pn))
    return first - second


def _to_mean(products: Products, weights_Pn: Floats) -> tuple[Floats, Floats, Floats]:
    """Distances of attribute words to a weighted mean, (P, m); their products with it, (P, m); those of group words, (P, n)."""
    shares = weights_Pn / weights_Pn.sum(1, keepdims=True)
    attributes, groups = shares @ products.attributes.T, shares @ products.groups
    length = (groups * shares).sum(1, keepdims=True)
    return np.sqrt(np.maximum(1 - 2 * attributes + length, 1e-18)), attributes, groups


def _linear(products: Products, weights_Rn: Floats, columns_Rm: Floats) -> tuple[Floats, Floats]:
    """The distance in R weighted versions, and its standard error by linearisation, each (R,)."""
    shares = columns_Rm / columns_Rm.sum(1, keepdims=True)
    difference, variance = np.zeros_like(columns_Rm), np.zeros(len(columns_Rm))
    for side, part in ((1, products.first), (-1, ~products.first)):
        inside = np.where(part, weights_Rn, 0.0)
        distance, attributes, groups = _to_mean(products, inside)
        difference += side * distance
        length = (groups * inside).sum(1) / inside.sum(1)
        # a word x moves |a - g| by (g - a)(x - g) / |a - g|
        pull = shares / distance
        moves = (groups - length[:, None]) * pull.sum(1, keepdims=True) - pull @ products.attributes
        moves = (moves + (pull * attributes).sum(1, keepdims=True))[:, part]
        size = int(part.sum())
        variance += (weights_Rn[:, part] * moves**2).sum(1) / (size * (size - 1))
    value = (shares * difference).sum(1)
    count = columns_Rm.shape[1]
    variance += (columns_Rm * (difference - value[:, None]) ** 2).sum(1) / (count * (count - 1))
    return value, np.sqrt(variance)


def _all(n: int, size: int) -> Iterator[Floats]:
    places = combinations(range(n), size)
    while chosen := list(islice(places, BLOCK)):
        masks = np.zeros((len(chosen), n))
        np.put_along_axis(masks, np.array(chosen), 1.0, axis=1)
        yield masks


def _drawn(n: int, size: int, draws: int, generator: np.random.Generator) -> Iterator[Floats]:
    for start in range(0, draws, BLOCK):
        ranks = generator.random((min(BLOCK, draws - start), n)).argsort(axis=1).argsort(axis=1)
        yield (ranks < size).astype(np.float64)
