"""What a simulation runs on: clients with their examples, and the examples that they are tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits
from holdfast.data.columns import USER_ID
from holdfast.federated.partition import Partition
from holdfast.federated.population import Clients, Store
from holdfast.models import Precomputing
from holdfast.tasks import EncodedDataset, Task, words_of


@dataclass(frozen=True, eq=False)
class OwnTest:
    """Examples that clients are tested on one by one.

    Args:
        data: The examples.
        encoded: The same as numbers.
        owners: Client of each, (n,); -1 for one of no client that trains.
        held_out: In words, where they come from.
    """

    data: Dataset
    encoded: EncodedDataset
    owners: NDArray[np.int64]
    held_out: str


@dataclass(frozen=True, eq=False)
class Population:
    """Clients, their examples, and a model that is to learn from them.

    Args:
        task: What is learned.
        settings: Of the model.
        featuriser: Turns words into its input.
        labels: What it chooses from.
        data: The data; `data.train` is what clients hold.
        clients: Who holds which training examples.
        encoded: The training examples as numbers.
        test: The test set as numbers.
        own: What single clients are tested on.
        described: In plain JSON, who the clients are.
        store: Where the clients' examples lie if not in `data.train`; they are then known as numbers alone.
    """

    task: Task
    settings: models.ModelSettings
    featuriser: models.Featuriser
    labels: models.Labels
    data: DataSplits
    clients: Clients
    encoded: EncodedDataset
    test: EncodedDataset
    own: OwnTest
    described: Mapping[str, Any] = field(default_factory=dict)
    store: Store | None = None

    @classmethod
    def of(
        cls,
        task: Task,
        data: DataSplits,
        *,
        model: str | models.ModelSettings = "bag",
        partition: Partition | None = None,
        holdout: float = 0.1,
        seed: int = 0,
    ) -> Population:
        """Makes a population of a data set.

        The vocabulary and the labels are those of all training examples together, as if a server knew them; a model with a public
        vocabulary does not lean on that.

        Args:
            task: What is learned.
            data: Train, validation and test.
            model: Name or settings of the model.
            partition: Who holds what; None takes the users of the data for clients.
            holdout: Share of each client's examples that it is tested on and does not train on, in [0, 1), where the clients come from a
                partition; users are tested on what the test set has of them.
            seed: Of that choice.

        Raises:
            InputError: If there is no partition and the data have no column of users, or for a share out of its bounds.
            DataError: If the partition was made for other data.
        """
        if not 0 <= holdout < 1:
            raise InputError(f"holdout is {holdout}; give a share in [0, 1)")
        settings = models.settings(model)
        featuriser, labels = settings.featuriser(words_of(task, data.train)), task.labels(data.train)
        encoded, test = (task.encode(part, featuriser, labels) for part in (data.train, data.test))
        if partition is None:
            clients = Clients.of_column(data.train)
            own = OwnTest(data.test, test, clients.owners_of(data.test), "the test set's examples of the same users")
        else:
            partition.check(data.train)
            clients, held, owners = _held_out(partition.clients_of(), holdout, Streams.from_seed(seed))
            kept = data.train.take(held)
            own = OwnTest(kept, task.encode(kept, featuriser, labels), owners, f"{holdout:.0%} of each client's examples, held out")
        described: dict[str, Any] = {"clients": "users"}
        if partition is not None:
            described = {"clients": partition.scheme, "partition": partition.describe(), "holdout": holdout}
        return cls(task, settings, featuriser, labels, data, clients, encoded, test, own, described)

    @classmethod
    def of_store(cls, task: Task, store: Store, data: DataSplits, *, model: str | models.ModelSettings = "bag") -> Population:
        """Makes a population of one that lies on disk: millions of clients open in milliseconds, and a round reads its cohort alone.

        Args:
            task: What is learned.
            store: From `open_store`, with the featuriser and the labels that its examples were encoded with.
            data: Whose test set the model is tested on; its other parts are not looked at.
            model: Name or settings of the model.

        Edge cases:
            The clients' examples are there as numbers, not as text: on a clock nothing is scored on the events of a period.
        """
        featuriser, labels = store.encoded.featuriser, store.encoded.labels
        test = task.encode(data.test, featuriser, labels)
        owners = store.clients.owners_of(data.test) if data.test.has(USER_ID) else np.full(len(test), -1)
        own = OwnTest(data.test, test, owners, "the test set's examples of the same users")
        described = {"clients": "users", "store": store.data_hash}
        return cls(task, models.settings(model), featuriser, labels, data, store.clients, store.encoded, test, own, described, store)

    @property
    def train(self) -> Dataset | None:
        """The clients' examples as text; None where they are known as numbers alone."""
        return self.data.train if self.store is None else None

    @property
    def content_hash(self) -> str:
        """Tells data apart: those that are trained and those that are tested on."""
        return self.data.content_hash if self.store is None else f"{self.store.data_hash}, tested on {self.data.test.content_hash}"

    @cached_property
    def moments(self) -> NDArray[np.int64]:
        """When each training example was said, (n,), in seconds since 1970; InputError where the data do not say."""
        if self.store is None:
            return self.data.train.timestamps().astype(np.int64)
        if self.store.moments is None:
            raise InputError(f"the population in {self.store.folder} has no times; give `moments` to write_store")
        return np.asarray(self.store.moments).astype("datetime64[s]").astype(np.int64)

    def module(self, streams: Streams) -> nn.Module:
        """A model with its first weights."""
        return self.settings.build(self.featuriser, self.labels, streams.child("initialisation"))

    def seen_by(self, module: nn.Module) -> Population:
        """The same population with what the frozen part of a model makes of every example, taken once."""
        if not isinstance(module, Precomputing):
            return self

        def seen(part: EncodedDataset) -> EncodedDataset:
            return replace(part, encoded=module.precompute(part.encoded))

        test = seen(self.test)
        own = replace(self.own, encoded=test if self.own.encoded is self.test else seen(self.own.encoded))
        return replace(self, encoded=seen(self.encoded), test=test, own=own)


def _held_out(clients: Clients, share: float, streams: Streams) -> tuple[Clients, NDArray[np.int64], NDArray[np.int64]]:
    """Takes a share of each client's examples out, at least none and never all; gives the rest, the examples, and whose they are."""
    owners = np.repeat(np.arange(len(clients)), clients.counts)
    examples = np.arange(len(owners), dtype=np.int64) if clients.examples is None else np.asarray(clients.examples, dtype=np.int64)
    order = np.lexsort((streams.generator("held out").random(len(owners)), owners))  # shuffled inside each client
    rank = np.arange(len(owners)) - np.repeat(clients.offsets[:-1], clients.counts)
    out = np.zeros(len(owners), dtype=bool)
    out[order] = rank < np.floor(share * np.repeat(clients.counts, clients.counts))
    counts = np.bincount(owners[~out], minlength=len(clients))
    rest = Clients(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), examples[~out], clients.names)
    return rest, examples[out], owners[out]
