"""Who has which examples: three flat arrays for a whole population, of which a client is a slice and never an object."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data import Dataset
from holdfast.data.columns import USER_ID

DEFERRED = 1_000_000
"""Clients of a memory-mapped population above which its offsets are looked at where they are read, and not when it is opened."""


@dataclass(frozen=True, eq=False)
class Clients:
    """A population. N clients, n examples.

    Args:
        offsets: Where the examples of each client begin and, last, where those of the last one end, int64, (N + 1,), ascending from 0.
        examples: Positions in the data set, client by client, int64 (int32 on disk), (n,); None where position and place are the
            same, so that the examples of a client stand next to each other in the data set.
        names: User ids as the data set has them (`load_data` hashes them) or other names, one for each client; None for numbers.

    Raises:
        InputError: If the offsets do not ascend from 0 to the number of examples, or the names are not as many as the clients.

    Guarantee:
        The arrays may be memory-mapped: `of` and `counts_of` read what they are asked for and nothing else.

    Edge cases:
        A client may have no example. It counts as a client, with a count of 0, and no selection ever takes it.

    >>> clients = Clients.of_users(["ann", "bob", "ann"])
    >>> len(clients), clients.counts.tolist(), clients.of(0).tolist()
    (2, [2, 1], [0, 2])
    """

    offsets: NDArray[np.int64]
    examples: NDArray[np.integer[Any]] | None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) == 0 or not np.issubdtype(offsets.dtype, np.integer) or offsets[0] != 0:
            raise InputError(f"clients: offsets are {offsets.dtype} of shape {offsets.shape}; give (N + 1,) integers that ascend from 0")
        if not (isinstance(offsets, np.memmap) and len(offsets) > DEFERRED):
            check_ascending(offsets)
        if self.examples is not None and (self.examples.ndim != 1 or len(self.examples) != offsets[-1]):
            raise InputError(
                f"clients: offsets end at {int(offsets[-1])}, but there are {self.examples.shape} examples; give one position for each"
            )
        if self.names is not None and len(self.names) != len(self):
            raise InputError(f"clients: {len(self.names)} names for {len(self)} clients; give one for each, or None")

    @classmethod
    def of_users(cls, user_ids: Sequence[str]) -> Self:
        """Makes each user a client.

        Args:
            user_ids: Who said each example, (n,). Strings; numbers of any integer type do as well.

        Returns:
            Clients in the order in which they first appear, the examples of each in their order; no names, since these ids are
            not hashed.
        """
        column = pa.array(user_ids).dictionary_encode()
        codes_n = np.asarray(column.indices, dtype=np.int64)  # Arrow numbers the values in the order of first appearance
        return cls.of_assignment(codes_n, len(column.dictionary))

    @classmethod
    def of_column(cls, dataset: Dataset, column: str = USER_ID) -> Self:
        """Makes each value of a column a client, without a Python string for each example.

        Args:
            dataset: The data.
            column: "user_id", "label" or "group:NAME".

        Returns:
            Clients in the order in which they first appear, named by their value. `load_data` has hashed user ids by then; ids of
            data made in other ways stay as they are in memory, and are hashed when a store is written.

        Raises:
            InputError: If there is no such column.
        """
        values = column_of(dataset, column)
        codes_n = np.asarray(values.indices, dtype=np.int64)
        order, assignment_n = first_appearance(codes_n, len(values.dictionary))
        made = cls.of_assignment(assignment_n, len(order))
        return cls(made.offsets, made.examples, values.dictionary.take(pa.array(order)).to_pylist())

    @classmethod
    def of_assignment(cls, assignment_n: NDArray[np.integer[Any]], clients: int) -> Self:
        """Gives each example to the client of that number.

        Args:
            assignment_n: The client of each example, (n,), in [0, clients).
            clients: N >= 0; a client that no example names is there, with none.

        Raises:
            InputError: For a number outside.
        """
        assignment_n = np.asarray(assignment_n)
        if assignment_n.ndim != 1 or (assignment_n.size and not np.issubdtype(assignment_n.dtype, np.integer)):
            raise InputError(f"assignment is {assignment_n.dtype} of shape {assignment_n.shape}; give one integer for each example")
        if assignment_n.size and not 0 <= assignment_n.min() <= assignment_n.max() < clients:
            raise InputError(
                f"assignment goes from {assignment_n.min()} to {assignment_n.max()} for {clients} clients; give integers in [0, {clients})"
            )
        offsets = np.zeros(clients + 1, dtype=np.int64)
        np.cumsum(np.bincount(assignment_n.astype(np.int64, copy=False), minlength=clients), out=offsets[1:])
        return cls(offsets, grouped(assignment_n, clients) if (assignment_n[1:] < assignment_n[:-1]).any() else None)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Clients({len(self):,} clients, {self.total:,} examples)"

    @property
    def total(self) -> int:
        """n, the examples of all clients."""
        return int(self.offsets[-1])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of examples of each client, (N,); read once, and then kept."""
        check_ascending(self.offsets)
        return np.diff(self.offsets).astype(np.int64, copy=False)

    def of(self, client: int) -> NDArray[np.int64]:
        """The positions of one client's examples in the data set, (n_i,); perhaps a view, so do not write to it.

        Raises:
            InputError: For a client outside [0, N).
        """
        place = operator.index(client)
        if not 0 <= place < len(self):
            raise InputError(f"client is {place}; give a whole number in [0, {len(self)})")
        start, end = int(self.offsets[place]), int(self.offsets[place + 1])
        if not 0 <= start <= end <= self.total:
            raise InputError(f"clients: the offsets of client {place} do not ascend ({start}, {end}); write the population again")
        return np.arange(start, end, dtype=np.int64) if self.examples is None else np.asarray(self.examples[start:end], np.int64)

    def counts_of(self, clients: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of examples of some clients, (m,), without a look at the others.

        Args:
            clients: Which, (m,), in [0, N); they may repeat.
        """
        return np.asarray(self.offsets[clients + 1] - self.offsets[clients])

    def assignment(self) -> NDArray[np.int64]:
        """The client of each example, (n,): the inverse of `of_assignment`.

        Raises:
            InputError: If the clients do not share out the positions from 0 to n - 1 among them, as after a window of time.
        """
        owners_n = np.repeat(np.arange(len(self), dtype=np.int64), self.counts)
        if self.examples is None:
            return owners_n
        found = np.full(self.total, -1, dtype=np.int64)
        inside = (self.examples >= 0) & (self.examples < self.total)
        found[self.examples[inside]] = owners_n[inside]
        if (found < 0).any():
            raise InputError("clients: an example belongs to no client or to two; give a population that holds each example once")
        return found

    def owners_of(self, dataset: Dataset, column: str = USER_ID) -> NDArray[np.int64]:
        """The client of each example of another data set, such as a test set, by the names of both, (n,); -1 where none has that name.

        Args:
            dataset: Another part of the same data.
            column: "user_id", "label" or "group:NAME", the one that the clients were made of.

        Raises:
            InputError: If the clients have no names, or the data set no such column.
        """
        if self.names is None:
            raise InputError("clients: they have numbers and no names; make them of a column, such as Clients.of_column(data.train)")
        values = column_of(dataset, column)
        place_of = pc.index_in(values.dictionary, value_set=pa.array(list(self.names), pa.string()))
        places = np.asarray(pc.fill_null(place_of, -1), dtype=np.int64)
        return places[np.asarray(values.indices, dtype=np.int64)]

    def take(self, clients: NDArray[np.int64]) -> Clients:
        """A population of some of these clients, in this order, with the same positions.

        Args:
            clients: Which, in [0, N).
        """
        counts = self.counts_of(clients)
        offsets = np.zeros(len(clients) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[clients] - offsets[:-1], counts)
        names = None if self.names is None else [self.names[client] for client in clients]
        return Clients(offsets, places if self.examples is None else np.asarray(self.examples[places]), names)


def column_of(dataset: Dataset, column: str) -> pa.DictionaryArray:
    """A column of names, in one piece.

    Args:
        dataset: The data.
        column: "user_id", "label" or "group:NAME".

    Raises:
        InputError: If there is no such column, with the cure.
    """
    if not dataset.has(column):
        raise InputError(
            f"data set {dataset.name!r} ({dataset.split}) has no column {column!r}, only {', '.join(dataset.table.column_names)}; "
            "name that column when loading, or give a partition, such as 'iid' or 'label_dirichlet'"
        )
    values = dataset.table.column(column).combine_chunks()
    if not pa.types.is_dictionary(values.type):
        raise InputError(f"column {column!r} holds no names; give 'user_id', 'label' or 'group:NAME'")
    return values


def check_ascending(offsets: NDArray[np.int64]) -> None:
    """Refuses offsets of which one is smaller than the one before.

    Raises:
        InputError: Naming the first such client.
    """
    if (offsets[1:] < offsets[:-1]).any():
        client = int(np.flatnonzero(offsets[1:] < offsets[:-1])[0])
        raise InputError(
            f"clients: offsets do not ascend, client {client} goes from {int(offsets[client])} to {int(offsets[client + 1])}; "
            "give the running sum of the counts"
        )


def grouped(assignment_n: NDArray[np.integer[Any]], clients: int) -> NDArray[np.int64]:
    """Positions sorted by client and then by position: a stable argsort by way of a plain sort, which is several times faster.

    >>> grouped(np.array([1, 0, 1, 0]), 2).tolist()
    [1, 3, 0, 2]
    """
    size = len(assignment_n)
    if clients * size >= 2**63:
        return np.argsort(assignment_n, kind="stable").astype(np.int64, copy=False)
    keys = assignment_n.astype(np.int64) * size + np.arange(size)
    keys.sort()
    return keys % size


def first_appearance(codes_n: NDArray[np.int64], values: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers codes anew, in the order in which they first appear.

    Args:
        codes_n: Codes in [0, values), (n,).
        values: How many codes there may be.

    Returns:
        The codes that appear, in that order; and the new number of each of the n.

    >>> order, renumbered = first_appearance(np.array([2, 0, 2]), 3)
    >>> order.tolist(), renumbered.tolist()
    ([2, 0], [0, 1, 0])
    """
    first = np.full(values, len(codes_n), dtype=np.int64)
    first[codes_n[::-1]] = np.arange(len(codes_n) - 1, -1, -1)  # the last to write is the first to appear
    order = np.argsort(first, kind="stable")[: int((first < len(codes_n)).sum())]
    renumbered = np.empty(values, dtype=np.int64)
    renumbered[order] = np.arange(len(order))
    return order, renumbered[codes_n]
