"""Synthetic populations of any size, written straight to disk, for measuring what a round costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.population.columns import narrow
from holdfast.federated.population.store import Column, columns_of, write_folder
from holdfast.models import checks
from holdfast.tasks import EncodedDataset

CHUNK = 2**18
"""Clients that are drawn at a time; part of what a seed stands for, so never change it."""


def write_synthetic(
    folder: Path | str, pool: EncodedDataset, *, clients: int, seed: int, exponent: float = 2.0, most_examples: int = 1000
) -> None:
    """Writes a population whose clients draw their examples from a pool of distinct utterances.

    A client's number of examples follows a Zipf law on 1 .. most_examples, P(k) ~ k ** -exponent; its examples are positions in the
    pool, each drawn at random, so many clients have the same utterance and none has a taste of its own. That is what keeps it small:
    a client costs 8 bytes and each of its examples 4, so ten million clients with the defaults (4.5 examples on average, a median of
    1) take about 0.3 GiB of disk, and some tens of MiB of memory while they are written. It is made for measuring time and memory. How
    well a model learns from it says nothing about people.

    Args:
        folder: As for `write_store`.
        pool: At least one utterance.
        clients: N, at least 1.
        seed: Of counts and examples.
        exponent: Of the law, > 0; larger: fewer heavy clients.
        most_examples: The most examples of a client, at least 1.

    Raises:
        InputError: For a value out of its bounds.
        RunError: As `write_store`.
    """
    checks.integer("synthetic population", least=1, clients=clients, most_examples=most_examples)
    checks.integer("synthetic population", least=0, seed=seed)
    checks.number("synthetic population", least=0, exponent=exponent)
    if not len(pool):
        raise InputError("synthetic population: the pool is empty; give at least one utterance")
    streams = Streams.from_seed(seed).child("synthetic population")
    below_k = np.cumsum(np.arange(1, most_examples + 1, dtype=np.float64) ** -exponent)
    below_k /= below_k[-1]
    total = sum(int(counts.sum()) for counts in _counts(streams, clients, below_k))
    columns: dict[str, Column] = columns_of(pool)
    columns["clients.offsets"] = (_offsets(streams, clients, below_k), np.dtype(np.int64), (clients + 1,))
    columns["clients.examples"] = (_examples(streams, clients, below_k, len(pool)), narrow(len(pool)), (total,))
    write_folder(folder, pool, columns, clients=clients, examples=total, data_hash=None)


def _counts(streams: Streams, clients: int, below_k: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Examples of each client, a chunk of clients at a time; the same each time that it is asked."""
    for chunk, start in enumerate(range(0, clients, CHUNK)):
        uniform = streams.generator("counts", chunk).random(CHUNK)[: clients - start]
        yield 1 + np.searchsorted(below_k, uniform, side="right").clip(max=len(below_k) - 1)


def _offsets(streams: Streams, clients: int, below_k: NDArray[np.float64]) -> Iterator[NDArray[Any]]:
    yield np.zeros(1, dtype=np.int64)
    end = 0
    for counts in _counts(streams, clients, below_k):
        ends = end + np.cumsum(counts)
        end = int(ends[-1])
        yield ends


def _examples(streams: Streams, clients: int, below_k: NDArray[np.float64], pool: int) -> Iterator[NDArray[Any]]:
    kind = narrow(pool).type
    for chunk, counts in enumerate(_counts(streams, clients, below_k)):
        yield streams.generator("examples", chunk).integers(0, pool, int(counts.sum()), dtype=kind)
