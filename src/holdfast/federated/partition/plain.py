"""Partitions without a distribution of labels: even, by quantity, by shards, by a column, and by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.data.columns import LABEL, USER_ID
from holdfast.federated.partition.assignment import Partition
from holdfast.federated.partition.sizes import check_clients, check_concentration, check_least, dirichlet_sizes, equal_sizes
from holdfast.federated.population.clients import column_of, first_appearance
from holdfast.models import checks


def iid(dataset: Dataset, *, clients: int | None, seed: int) -> Partition:
    """Gives examples to clients at random, as many to each as can be (sizes differ by one at most).

    Args:
        dataset: The data.
        clients: C, from 1 to n.
        seed: Of the shuffle.

    Raises:
        InputError: For a number of clients out of its bounds.
    """
    count = check_clients("iid", len(dataset), clients)
    order = streams_of("iid", seed).generator("shuffle").permutation(len(dataset))
    return make("iid", dataset, dealt(order, equal_sizes(len(dataset), count)), count, seed, {})


def quantity_dirichlet(dataset: Dataset, *, clients: int | None, seed: int, beta: float = 5.0, least: int = 1) -> Partition:
    """Gives clients unequal numbers of examples, at random otherwise: sizes ~ Dir(beta * 1).

    Args:
        dataset: The data.
        clients: C, at most n / least.
        seed: Of the sizes and of the shuffle.
        beta: Concentration of each client, > 0; 5 as in FedNLP.
        least: Examples that every client gets, at least 0.

    Raises:
        InputError: For a value out of its bounds, or too few examples.

    References:
        Lin et al. 2022 (FedNLP, arXiv 2104.08815). Their script draws again until every client has enough, and so may not end;
        here every client is given `least` first.
    """
    count = check_clients("quantity_dirichlet", len(dataset), clients)
    check_concentration("quantity_dirichlet", "beta", beta)
    check_least("quantity_dirichlet", least, len(dataset), count)
    streams = streams_of("quantity_dirichlet", seed)
    sizes = dirichlet_sizes(len(dataset), count, beta=beta, least=least, generator=streams.generator("sizes"))
    order = streams.generator("shuffle").permutation(len(dataset))
    return make("quantity_dirichlet", dataset, dealt(order, sizes), count, seed, {"beta": beta, "least": least})


def shards(dataset: Dataset, *, clients: int | None, seed: int, shards_per_client: int = 2) -> Partition:
    """Sorts the examples by label, cuts them into shards of one size, and gives each client some shards at random.

    Args:
        dataset: Labelled data.
        clients: C; C * shards_per_client must be at most n.
        seed: Of the order inside a label, and of who gets which shard.
        shards_per_client: So a client has about as many labels at most.

    Raises:
        InputError: For data without labels, or more shards than examples.

    Edge cases:
        Where n is not a multiple of the number of shards, their sizes differ by one.

    References:
        McMahan et al. 2017 (arXiv 1602.05629), section 3.
    """
    count = check_clients("shards", len(dataset), clients)
    checks.integer("shards", least=1, shards_per_client=shards_per_client)
    codes_n, _ = label_codes(dataset, "shards")
    pieces = count * shards_per_client
    if pieces > len(dataset):
        raise InputError(f"shards: {pieces} shards of {len(dataset)} examples; give at most {len(dataset) // shards_per_client} clients")
    streams = streams_of("shards", seed)
    order = np.lexsort((streams.generator("shuffle").random(len(dataset)), codes_n))
    owner_of_shard = np.repeat(np.arange(count), shards_per_client)[streams.generator("shards").permutation(pieces)]
    assignment_n = np.empty(len(dataset), dtype=np.int32)
    assignment_n[order] = np.repeat(owner_of_shard, equal_sizes(len(dataset), pieces))
    return make("shards", dataset, assignment_n, count, seed, {"shards_per_client": shards_per_client})


def natural(dataset: Dataset, *, clients: int | None = None, seed: int = 0, column: str = USER_ID) -> Partition:
    """Makes each value of a column a client, in the order in which they first appear.

    Args:
        dataset: The data.
        clients: None, or the number of values, to make sure.
        seed: Kept for the record; nothing is drawn.
        column: "user_id", or the name of a group attribute, such as "domain".

    Raises:
        InputError: If there is no such column, or not so many values.
    """
    codes_n, count = codes_of(dataset, column if column in (USER_ID, LABEL) or dataset.has(column) else f"group:{column}")
    if clients is not None and clients != count:
        raise InputError(f"natural: clients is {clients}, but column {column!r} has {count} values; give {count}, or leave it out")
    return make("natural", dataset, codes_n.astype(np.int32), count, seed, {"column": column})


def temporal(dataset: Dataset, *, clients: int | None, seed: int = 0, by: str = "count") -> Partition:
    """Cuts the examples by time: the first client has the oldest.

    Args:
        dataset: Data with timestamps.
        clients: C, from 1 to n.
        seed: Kept for the record; nothing is drawn.
        by: "count" for as many examples in each, or "time" for spans of one length, of which some may be empty.

    Raises:
        InputError: For data without timestamps, or a value out of its bounds.
    """
    count = check_clients("temporal", len(dataset), clients)
    checks.choice("temporal", ("count", "time"), by=by)
    moments = dataset.timestamps().astype(np.int64)
    if by == "count":
        assignment_n = dealt(np.argsort(moments, kind="stable"), equal_sizes(len(dataset), count))
    else:
        since, span = moments - moments.min(), int(moments.max() - moments.min()) + 1
        assignment_n = (since * count // span).astype(np.int32)
    return make("temporal", dataset, assignment_n, count, seed, {"by": by})


def make(
    scheme: str, dataset: Dataset, assignment_n: NDArray[np.int32], clients: int, seed: int, parameters: Mapping[str, Any]
) -> Partition:
    """Puts together a partition of a data set."""
    return Partition(scheme, dict(parameters), seed, dataset.content_hash, assignment_n, clients)


def dealt(order: NDArray[np.int64], sizes_C: NDArray[np.int64]) -> NDArray[np.int32]:
    """Gives the first examples of an order to the first client, the next ones to the second, and so on: the client of each, (n,)."""
    assignment_n = np.empty(len(order), dtype=np.int32)
    assignment_n[order] = np.repeat(np.arange(len(sizes_C), dtype=np.int32), sizes_C)
    return assignment_n


def streams_of(scheme: str, seed: int) -> Streams:
    """The streams of a scheme; a partition is public, so its seed must be known."""
    checks.integer(scheme, least=0, seed=seed)
    return Streams.from_seed(seed).child("partition").child(scheme)


def label_codes(dataset: Dataset, scheme: str) -> tuple[NDArray[np.int64], int]:
    """The labels as numbers in the order of their first appearance, which depends on the content alone, and how many there are.

    Raises:
        InputError: For data without labels, with the cure.
    """
    if not dataset.has(LABEL):
        raise InputError(f"{scheme}: data set {dataset.name!r} has no labels; name that column when loading, or take 'feature_clusters'")
    return codes_of(dataset, LABEL)


def codes_of(dataset: Dataset, column: str) -> tuple[NDArray[np.int64], int]:
    """The values of a column as numbers in the order of their first appearance, (n,), and how many there are."""
    values = column_of(dataset, column)
    order, codes_n = first_appearance(np.asarray(values.indices, dtype=np.int64), len(values.dictionary))
    return codes_n, len(order)


def codes_of_values(values: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """The same for plain strings."""
    column = pa.array(values, pa.string()).dictionary_encode()
    return np.asarray(pc.cast(column.indices, pa.int64())), len(column.dictionary)
