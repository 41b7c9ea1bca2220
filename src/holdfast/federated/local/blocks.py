"""Which examples the clients of a block see at each step: orders from a hash of round, client, epoch and place, all at once.

Shapes: m clients of a cohort, C of a block, S steps, R rows of all batches of a block, B examples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.hashing import mixed, spaced
from holdfast.federated.local.solver import LocalSolver

Ints = NDArray[np.int64]

_SHIFT = np.uint64(40)
"""Bits of the hash that decide an order; those above number the lists that are ordered. Ties go by place."""

WASTE = 2
"""Examples that a block has room for, at most, for each that it holds: clients of 2,000 examples and of one are no neighbours."""
FREE = 2048
"""Room that a block may have in any case."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some clients that are trained together, and all their batches as rectangles, one step after the other.

    Args:
        places: Which clients of the cohort these are, (C,); none takes more steps than the one before it.
        keys: A 64-bit key for each client in this round, uint64, (C,), from which its dropout is drawn.
        steps: Steps of each, (C,).
        active: How many clients take each step, (S,); these are the first ones.
        width: Rows of each client at each step, (S,): those of the largest batch.
        examples: The example in each row, (R,), rectangle by rectangle; a row too many repeats the client's first one.
        real: Where rows hold an example of their own, (R,).
        sizes: Examples of each batch, (S, C); 0 where a client takes no step.
        corrections: By name, what is added to the gradient of each client at every step, (C, ...).
    """

    places: Ints
    keys: NDArray[np.uint64]
    steps: Ints
    active: Ints
    width: Ints
    examples: Ints
    real: NDArray[np.bool_]
    sizes: Ints
    corrections: Mapping[str, Tensor] = field(default_factory=dict)
    offsets: Ints = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", np.concatenate([[0], np.cumsum(self.active * self.width)]))

    def __len__(self) -> int:
        return len(self.places)

    def rows(self, step: int) -> slice:
        """Where the rows of a step stand."""
        return slice(int(self.offsets[step]), int(self.offsets[step + 1]))

    def clients(self) -> Ints:
        """The client of each row, counted within the block, (R,)."""
        firsts = np.repeat(self.offsets[:-1], np.diff(self.offsets))
        return np.asarray((np.arange(len(self.examples)) - firsts) // np.repeat(self.width, np.diff(self.offsets)))

    def mean_losses(self, totals_C: Tensor) -> NDArray[np.float64]:
        """The mean over the examples of all steps, from their sum, (C,); not a number for a client without examples."""
        seen = self.sizes.sum(0)
        found: NDArray[np.float64] = np.divide(totals_C.cpu().numpy(), seen, out=np.full(len(self), np.nan), where=seen > 0)
        return found

    def shares(self) -> NDArray[np.float64]:
        """The share of each row in the mean loss of its batch, (R,); 0 where it is not real."""
        each = [np.repeat(self.sizes[step, :active], self.width[step]) for step, active in enumerate(self.active)]
        found: NDArray[np.float64] = np.divide(self.real, np.concatenate([np.ones(0), *each]))
        return found

    def head(self, clients: int, steps: int) -> Block:
        """The first steps of the first clients alone, to try a kernel by."""
        steps, few = min(steps, len(self.active)), np.arange(len(self.examples))[: self.offsets[min(steps, len(self.active))]]
        kept = few[self.clients()[: len(few)] < clients]
        return replace(
            self,
            places=self.places[:clients],
            keys=self.keys[:clients],
            steps=np.minimum(self.steps[:clients], steps),
            active=np.minimum(self.active[:steps], clients),
            width=self.width[:steps],
            examples=self.examples[kept],
            real=self.real[kept],
            sizes=self.sizes[:steps, :clients],
            corrections={name: value[:clients] for name, value in self.corrections.items()},
        )


@dataclass(frozen=True, eq=False)
class Cohort:
    """The clients of a round with their examples end to end.

    Args:
        flat: The examples of all clients, (n,).
        counts: How many each has, (m,).
        steps: Steps of each, (m,); none for a client without examples.
        keys: A 64-bit key for each client in this round, uint64, (m,).
    """

    flat: Ints
    counts: Ints
    steps: Ints
    keys: NDArray[np.uint64]

    @classmethod
    def of(cls, solver: LocalSolver, examples: Sequence[Ints], clients: Ints, *, streams: Streams, round: int) -> Cohort:
        """Lays out a cohort.

        Raises:
            InputError: If there is not one list of examples for each client.
        """
        if len(examples) != len(clients):
            raise InputError(f"examples are {len(examples)} lists for {len(clients)} clients; give one for each")
        counts = np.fromiter(map(len, examples), dtype=np.int64, count=len(examples))
        flat = np.concatenate([np.empty(0, dtype=np.int64), *examples])
        steps = np.where(counts > 0, solver.steps_of(counts), 0)
        return cls(flat, counts, steps, keys_of(clients, streams=streams, round=round))

    def blocks(self, solver: LocalSolver, *, most: int) -> Iterator[Block]:
        """Cuts the cohort into blocks of clients that take about as many steps, at most `most` of them each."""
        order = np.lexsort((-self.counts, -self.steps))
        starts = np.cumsum(self.counts) - self.counts
        sizes = self.counts if solver.batch_size is None else np.minimum(self.counts, solver.batch_size)
        seen = np.minimum(self.counts, self.steps * sizes)
        first = 0
        while first < len(order):
            some = order[first : first + most]
            padded = np.arange(1, len(some) + 1) * seen[some].max(initial=0)
            fitting = padded <= np.maximum(FREE, WASTE * np.cumsum(seen[some]))
            taken = len(some) if fitting.all() else max(1, int(fitting.argmin()))
            yield self._block(solver, some[:taken], starts)
            first += taken

    def _block(self, solver: LocalSolver, places: Ints, starts: Ints) -> Block:
        counts, steps, keys, C = self.counts[places], self.steps[places], self.keys[places], len(places)
        batch = np.maximum(counts, 1) if solver.batch_size is None else np.full(C, solver.batch_size)
        each = np.maximum(-(-counts // batch), 1)
        epochs = -(-steps // each)  # those that are begun
        listed = np.repeat(np.arange(C), epochs)  # one list for each epoch of each client
        epoch = _places(epochs)
        lengths = counts[listed]
        place = _places(lengths)
        which = np.repeat(np.arange(len(listed)), lengths)
        if solver.batch_size is not None:
            drawn = mixed(np.repeat(mixed(keys[listed] + spaced(epoch)), lengths) + spaced(place))
            chosen = place[np.argsort(which.astype(np.uint64) << _SHIFT | drawn >> (np.uint64(64) - _SHIFT), kind="stable")]
        else:
            chosen = place  # all at once: there is no order
        client, of_epoch = listed[which], place // batch[listed[which]]
        step = epoch[which] * each[client] + of_epoch
        kept = step < steps[client]
        if not kept.all():
            chosen, client, of_epoch, step, place = (one[kept] for one in (chosen, client, of_epoch, step, place))
        return _laid_out(self, places, starts, chosen=chosen, client=client, step=step, slot=place - of_epoch * batch[client])


def _laid_out(cohort: Cohort, places: Ints, starts: Ints, *, chosen: Ints, client: Ints, step: Ints, slot: Ints) -> Block:
    """Puts the examples of all batches into one rectangle for each step."""
    C, steps = len(places), cohort.steps[places]
    S = int(steps.max(initial=0))
    sizes_SC = np.bincount(step * C + client, minlength=S * C).reshape(S, C)
    active, width = (sizes_SC > 0).sum(1), sizes_SC.max(1, initial=0)
    offsets = np.concatenate([[0], np.cumsum(active * width)])
    target = offsets[step] + client * width[step] + slot
    if len(target) == offsets[-1]:
        examples, real = np.empty(len(target), dtype=np.int64), np.ones(len(target), dtype=bool)
    else:
        real = np.zeros(offsets[-1], dtype=bool)
        real[target] = True
        first = slot == 0
        at, filler = target[first], cohort.flat[starts[places[client[first]]] + chosen[first]]
        order = np.argsort(at)
        examples = np.repeat(filler[order], np.diff(np.append(at[order], offsets[-1])))
    examples[target] = cohort.flat[starts[places[client]] + chosen]
    return Block(places, cohort.keys[places], steps, active, width, examples, real, sizes_SC)


def keys_of(clients: Ints, *, streams: Streams, round: int) -> NDArray[np.uint64]:
    """A 64-bit key for each client in a round, (m,), from which its order and its dropout are drawn."""
    return mixed(np.uint64(streams.integer("local", round)) + spaced(np.asarray(clients, dtype=np.int64)))


def _places(lengths: Ints) -> Ints:
    """0, 1, ... within each of some lists that lie end to end.

    >>> _places(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
