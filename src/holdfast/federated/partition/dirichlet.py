"""Label skew by Dirichlet distributions, in the two ways of the literature, whose alphas are not comparable."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.federated.partition.assignment import Partition
from holdfast.federated.partition.plain import label_codes, make, streams_of
from holdfast.federated.partition.sizes import check_clients, check_concentration, check_least, refill


def label_dirichlet(
    dataset: Dataset, *, clients: int | None, seed: int, alpha: float = 1.0, sizes: Sequence[int] | None = None
) -> Partition:
    """Skews labels and leaves quantity alone, after FedNLP: each client draws its mix of labels p ~ Dir(alpha * prior).

    The prior is the share of each label in the data, so the total concentration is alpha. All clients have the same size. Where the
    examples of a label are used up, the shortfall is filled from the other labels in proportion to what is left of them. The
    last client takes what is left over.

    Args:
        dataset: Labelled data.
        clients: C, from 1 to n.
        seed: Of all draws.
        alpha: > 0. FedNLP tries 0.1 to 100; small: a client has nearly one label.
        sizes: Examples of each client, (C,), of sum n; None for floor(n / C) each, and the remainder to the last.

    Raises:
        InputError: For data without labels, or a value out of its bounds.

    Edge cases:
        The last clients get what the others have left and are less skewed than they for a small alpha; that is so in FedNLP too.

    References:
        Lin et al. 2022 (FedNLP, arXiv 2104.08815), section 3.2, and its code. That code rounds size * p and gives what rounding
        leaves to the last label; here the counts are a multinomial draw, which favours no label.
    """
    count = check_clients("label_dirichlet", len(dataset), clients)
    check_concentration("label_dirichlet", "alpha", alpha)
    codes_n, labels = label_codes(dataset, "label_dirichlet")
    sizes_C = given_sizes(len(dataset), count, sizes)
    assignment_n = skewed(codes_n, labels, sizes_C, alpha=alpha, streams=streams_of("label_dirichlet", seed))
    parameters = {"alpha": alpha} if sizes is None else {"alpha": alpha, "sizes": sizes_C.tolist()}
    return make("label_dirichlet", dataset, assignment_n, count, seed, parameters)


def label_dirichlet_by_label(dataset: Dataset, *, clients: int | None, seed: int, alpha: float = 1.0, least: int = 0) -> Partition:
    """Skews labels and quantity at once: each *label* draws its shares over the clients, q ~ Dir(alpha * 1).

    Args:
        dataset: Labelled data.
        clients: C.
        seed: Of all draws.
        alpha: Concentration of each client, > 0.
        least: Examples that every client gets; a client below that is given examples of the largest ones, at random.

    Raises:
        InputError: For data without labels, or a value out of its bounds.

    Edge cases:
        A client may have no example where `least` is 0.

    References:
        Hsu, Qi and Brown 2019 (arXiv 1909.06335); Li et al. 2022 (NIID-Bench, arXiv 2102.02079), who draw again until every client has
        ten examples, which may not end.
    """
    count = check_clients("label_dirichlet_by_label", len(dataset), clients)
    check_concentration("label_dirichlet_by_label", "alpha", alpha)
    check_least("label_dirichlet_by_label", least, len(dataset), count)
    codes_n, labels = label_codes(dataset, "label_dirichlet_by_label")
    streams = streams_of("label_dirichlet_by_label", seed)
    order, starts = shuffled_by_label(codes_n, labels, streams.generator("shuffle"))
    generator = streams.generator("shares")
    assignment_n = np.empty(len(dataset), dtype=np.int32)
    for label in range(labels):
        rows = order[starts[label] : starts[label + 1]]
        ends = np.cumsum(generator.dirichlet(np.full(count, alpha))) * len(rows)
        assignment_n[rows] = np.searchsorted(ends[:-1], np.arange(len(rows)) + 0.5, side="right")
    lifted(assignment_n, count, least=least, generator=streams.generator("least"))
    return make("label_dirichlet_by_label", dataset, assignment_n, count, seed, {"alpha": alpha, "least": least})


def skewed(codes_n: NDArray[np.int64], labels: int, sizes_C: NDArray[np.int64], *, alpha: float, streams: Streams) -> NDArray[np.int32]:
    """Deals examples to clients of given sizes by FedNLP's procedure; see `label_dirichlet`.

    Args:
        codes_n: The label (or cluster) of each example, in [0, labels).
        labels: K; each has an example.
        sizes_C: Of sum n.
        alpha: Total concentration.
        streams: Where the draws come from: for each client one of its own, so a client's mix depends on its number alone.

    Returns:
        The client of each example.
    """
    order, starts = shuffled_by_label(codes_n, labels, streams.generator("shuffle"))
    next_K, left_K = starts[:-1].copy(), np.diff(starts)
    prior_K = left_K / len(codes_n)
    generator = streams.generator("mixes")
    assignment_n = np.empty(len(codes_n), dtype=np.int32)
    for client, size in enumerate(sizes_C.tolist()):
        mix_K = generator.dirichlet(alpha * prior_K)
        taken_K = np.minimum(generator.multinomial(size, mix_K), left_K)
        taken_K += refill(size - int(taken_K.sum()), left_K - taken_K)
        chosen = np.flatnonzero(taken_K)
        for label, first, many in zip(chosen.tolist(), next_K[chosen].tolist(), taken_K[chosen].tolist(), strict=True):
            assignment_n[order[first : first + many]] = client
            next_K[label] += many
        left_K = left_K - taken_K
    return assignment_n


def given_sizes(examples: int, clients: int, sizes: Sequence[int] | None) -> NDArray[np.int64]:
    """FedNLP's sizes, floor(n / C) with the remainder to the last, or those that the caller gives.

    Raises:
        InputError: If the sizes are not as many as the clients, or their sum is not n.

    >>> given_sizes(11, 3, None).tolist()
    [3, 3, 5]
    """
    if sizes is None:
        found = np.full(clients, examples // clients, dtype=np.int64)
        found[-1] += examples % clients
        return found
    found = np.asarray(sizes)
    if found.shape != (clients,) or not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.sum() != examples:
        raise InputError(
            f"label_dirichlet: sizes of shape {found.shape} and sum {found.sum()}; give {clients} whole numbers >= 0 of sum {examples}"
        )
    return found.astype(np.int64)


def shuffled_by_label(
    codes_n: NDArray[np.int64], labels: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions sorted by label, at random inside each, and where each label begins, (K + 1,)."""
    shuffle = generator.permutation(len(codes_n))
    order = shuffle[np.argsort(codes_n[shuffle], kind="stable")]
    return order, np.concatenate([[0], np.cumsum(np.bincount(codes_n, minlength=labels))])


def lifted(assignment_n: NDArray[np.int32], clients: int, *, least: int, generator: np.random.Generator) -> None:
    """Gives clients below a least examples of the largest clients, one at a time, at random among those of the giver. Changes the array.

    Args:
        assignment_n: The client of each example.
        clients: C, with C * least <= n.
        least: Examples that every client has in the end.
        generator: Where the draws come from.
    """
    counts = np.bincount(assignment_n, minlength=clients)
    poor = np.flatnonzero(counts < least)
    if not len(poor):
        return
    shuffle = generator.permutation(len(assignment_n))
    order = shuffle[np.argsort(assignment_n[shuffle], kind="stable")]
    ends = np.cumsum(counts)
    heap = [(-count, client) for client, count in enumerate(counts.tolist()) if count > least]
    heapq.heapify(heap)
    for client in np.repeat(poor, least - counts[poor]).tolist():
        negative, giver = heapq.heappop(heap)
        ends[giver] -= 1
        assignment_n[order[ends[giver]]] = client
        if -negative - 1 > least:
            heapq.heappush(heap, (negative + 1, giver))
