"""One round: the cohort trains, what cannot count is left out, the rest is summed, and every byte is counted.

Shapes: m clients of the cohort, C clients of a block, P numbers of an update.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.randomness import Streams
from holdfast.federated.algorithms.contract import Each, Scale, Trained, Weights
from holdfast.federated.local import Updates
from holdfast.federated.local.training import LocalTraining
from holdfast.federated.robust import Rule
from holdfast.federated.simulation.replicas import Replicas
from holdfast.federated.simulation.sending import Sending
from holdfast.federated.updates import Layout


@dataclass(eq=False)
class Round:
    """What an algorithm sees of a round.

    Args:
        number: Of the round, from 0.
        clients: Who trains, (m,); a client that was drawn twice stands twice.
        examples: The training examples of each.
        multipliers: Aggregation weight of each, (m,).
        normalised: Whether the weights of those that count are scaled so that they sum to 1.
        population: How many clients there are.
        training: Trains them.
        sending: What travels, and how.
        rule: Combines single updates in place of the weighted sum; None for the sum.
        streams: The randomness of the run.
        replicas: The processes that share the work.
    """

    number: int
    clients: NDArray[np.int64]
    examples: Sequence[NDArray[np.int64]]
    multipliers: NDArray[np.float64]
    normalised: bool
    population: int
    training: LocalTraining
    sending: Sending
    rule: Rule | None
    streams: Streams
    replicas: Replicas
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        size = len(self.clients)
        self.losses, self.norms = np.full(size, np.nan), np.zeros(size)
        self.counted = np.zeros(size, dtype=bool)
        self.steps = np.zeros(size, dtype=np.int64)

    def train(
        self, weights: Weights, *, scale: Scale | None = None, corrections: Mapping[str, Tensor] | None = None, each: Each | None = None
    ) -> Trained:
        """See `algorithms.CohortTraining`."""
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        singles: dict[int, Tensor] = {}
        self.sending.down(len(self.clients))
        for updates in self._updates(weights, corrections):
            places, good = updates.positions, self._looked_at(updates)
            scales = np.ones(len(updates)) if scale is None else scale(updates.steps)
            there = self.sending.up(updates, clients=self.clients[places], round=self.number, streams=self.streams)
            if self.rule is None:
                there.add_to(total, self.multipliers[places] * scales * good)
            else:
                rows_CP = Layout.of(weights).block(there)
                singles |= {int(places[row]): rows_CP[row] * float(scales[row]) for row in np.flatnonzero(good)}
            for row in np.flatnonzero(good) if each is not None else ():
                assert each is not None
                each(int(self.clients[places[row]]), there.whole(int(row), weights), int(updates.steps[row]))
        return self._summed(total, singles, weights)

    def _updates(self, weights: Weights, corrections: Mapping[str, Tensor] | None) -> Iterator[Updates]:
        mine = self.replicas.share([len(own) for own in self.examples])
        if not len(mine):
            return
        chosen = None if corrections is None else {name: value[torch.from_numpy(mine)] for name, value in corrections.items()}
        trained = self.training.train(
            weights,
            [self.examples[place] for place in mine],
            self.clients[mine],
            streams=self.streams,
            round=self.number,
            corrections=chosen,
        )
        for updates in trained:
            yield Updates(mine[updates.positions], updates.dense, updates.tables, updates.steps, updates.losses)

    def _looked_at(self, updates: Updates) -> NDArray[np.bool_]:
        """Notes what each client did, and which of them can count."""
        places, norms = updates.positions, updates.norms()
        good: NDArray[np.bool_] = np.isfinite(norms) & np.isfinite(updates.losses)
        self.steps[places] = updates.steps
        self.losses[places[good]], self.norms[places[good]] = updates.losses[good], norms[good]
        self.counted[places] = good
        return good

    def _summed(self, total: Weights, singles: Mapping[int, Tensor], weights: Weights) -> Trained:
        arrays = [self.losses, self.norms, self.counted, self.steps, np.array([self.sending.own()])]
        total, (self.losses, self.norms, counted, steps, sent) = self.replicas.add_up(total, [np.nan_to_num(one) for one in arrays])
        self.counted, self.steps = counted > 0, steps.astype(np.int64)
        self.losses[~self.counted] = np.nan
        self.sending.settle(int(sent[0]))
        self.left_out["not finite"] += int((~self.counted).sum())
        kept = np.flatnonzero(self.counted)
        multipliers = self.multipliers[kept]
        if self.normalised and multipliers.sum() > 0:
            factor = 1 / float(multipliers.sum())
            total, multipliers = {name: value * factor for name, value in total.items()}, multipliers * factor
        update: Weights | None = total
        if not len(kept) or not multipliers.any():
            update = None
        elif self.rule is not None:
            deltas_mP = torch.stack([singles[int(place)] for place in kept])
            update = Layout.of(weights).unflatten(self.rule(deltas_mP, multipliers))
        return Trained(update, self.clients[kept], self.steps[kept], multipliers)
