"""Whose examples a loop of your own draws: any data set that is read by position, and nobody else's sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

Collate = Callable[[list[Any]], Any]


@dataclass(frozen=True, eq=False)
class Source:
    """Examples by position, and how a list of them becomes a batch.

    Args:
        dataset: Has a length and gives an example for each position.
        collate_fn: Turns a list of examples into a batch; None for torch's own.
        num_workers: Processes that read ahead, >= 0.
    """

    dataset: Any
    collate_fn: Collate | None
    num_workers: int

    @classmethod
    def of(cls, data: Any, *, examples: int, collate_fn: Collate | None, num_workers: int) -> Source:
        """Takes a data set, or what a plain `DataLoader` says about one, and refuses any sampling that is not the mechanism's.

        Args:
            data: A data set with a length, read by position, or a `DataLoader` over one in its order.
            examples: What the mechanism was made for.
            collate_fn: Turns a list of examples into a batch; None for that of the loader, or torch's own.
            num_workers: Processes that read ahead; a loader's own number counts where this is 0.

        Raises:
            InputError: With the reason.
        """
        if num_workers < 0:
            raise InputError(f"num_workers is {num_workers}; it must be at least 0")
        if isinstance(data, DataLoader):
            _refuse_sampling(data)
            if collate_fn is not None:
                raise InputError("collate_fn is given beside a DataLoader, which has its own; hand over loader.dataset instead")
            data, collate_fn, num_workers = data.dataset, data.collate_fn, num_workers or data.num_workers
        if isinstance(data, IterableDataset) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
            raise InputError(
                f"{type(data).__name__} gives its examples in an order of its own; the mechanism draws them by position, so hand over "
                "a data set with __len__ and __getitem__ (a list will do)"
            )
        if len(data) != examples:
            raise InputError(
                f"the mechanism was made for {examples} examples, the data set has {len(data)}; make it with examples=len(dataset)"
            )
        return cls(data, collate_fn, num_workers)

    def batch(self, indices: Sequence[int]) -> Any:
        """The batch of these positions."""
        return next(self.batches([[int(index) for index in indices]], streams=Streams(0), workers=False))

    def batches(self, lists: Iterable[list[int]], *, streams: Streams, workers: bool = True) -> Iterator[Any]:
        """A batch for each list of positions. Leaves torch's own generator alone."""
        base = torch.Generator().manual_seed(streams.integer("workers"))
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=lists,
            collate_fn=self.collate_fn,
            num_workers=self.num_workers if workers else 0,
            generator=base,
        )
        return iter(loader)


def _refuse_sampling(loader: DataLoader[Any]) -> None:
    """Refuses a loader that draws in any way of its own: what the mechanism accounts for would not be what happens."""
    reason = None
    sampler = type(loader.sampler).__name__
    if isinstance(loader.dataset, IterableDataset):
        reason = "it reads a stream, from which nothing can be drawn by position"
    elif loader.batch_sampler is None:
        reason = "batch_size=None hands over ready batches, so that single examples cannot be drawn"
    elif type(loader.batch_sampler) is not BatchSampler:
        reason = f"{type(loader.batch_sampler).__name__} chooses which examples come together"
    elif loader.drop_last:
        reason = "drop_last=True leaves examples out"
    elif sampler == "RandomSampler":
        reason = "shuffle=True (or a RandomSampler) draws every example once an epoch"
    elif type(loader.sampler) is not SequentialSampler:
        reason = f"{sampler} draws examples with probabilities of its own"
    if reason is not None:
        raise InputError(
            f"this DataLoader cannot be used: {reason}, and the promise is accounted for the mechanism's own sampling; hand over "
            "loader.dataset with collate_fn=loader.collate_fn, and the mechanism draws from it"
        )
