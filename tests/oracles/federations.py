"""A federation in slow, plain terms: cohorts trained one by one by autograd, and server steps written out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

import holdfast
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.federated import Population
from holdfast.federated.algorithms import Trained
from holdfast.tasks import Classification

WORDS = [f"w{place}" for place in range(12)]


def tiny_data(sizes: list[int], *, seed: int = 0, test: int = 12) -> DataSplits:
    """Users with so many examples each; the label follows the first word, so there is something to learn."""
    draw = np.random.default_rng(seed)

    def example(user: str, moment: int) -> Example:
        words = [WORDS[place] for place in draw.integers(len(WORDS), size=draw.integers(1, 6))]
        label = "even" if int(words[0][1:]) % 2 == 0 else "odd"
        return Example(tokens=tuple(words), label=label, user_id=user, timestamp=np.datetime64(moment * 3600, "s").astype(object))

    users = [f"u{client}" for client, size in enumerate(sizes) for _ in range(size)]
    order = draw.permutation(len(users))
    train = [example(users[place], moment) for moment, place in enumerate(order)]
    held = [example(f"u{place % len(sizes)}", place) for place in range(test)]
    rows_of = {"train": train, "validation": held, "test": held}
    parts = {name: Dataset.from_examples(rows, name="tiny", split=name) for name, rows in rows_of.items()}
    return DataSplits("tiny", **parts)


def tiny_population(sizes: list[int], **options: object) -> Population:
    """A population of these users with a bag of words without dropout."""
    model = holdfast.models.settings("bag", {"embedding": 4, "hidden": 5, "dropout": 0.0, "word_dropout": 0.0})
    return Population.of(Classification(), tiny_data(sizes), model=model, **options)


class OneByOne:
    """A cohort whose clients move by functions of the weights: what an algorithm asks of a round, without any data."""

    def __init__(self, moves: Mapping[int, Callable[[dict[str, Tensor]], dict[str, Tensor]]], steps: int | list[int], population: int):
        self.clients = np.array(list(moves), dtype=np.int64)
        self.population = population
        self._moves = list(moves.values())
        self._steps = np.broadcast_to(np.array(steps), len(moves)).astype(np.int64)
        self.corrections: dict[str, Tensor] | None = None

    def train(self, weights, *, scale=None, corrections=None, each=None) -> Trained:
        self.corrections = corrections
        scales = np.ones(len(self.clients)) if scale is None else scale(self._steps)
        shares = np.full(len(self.clients), 1 / len(self.clients))
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        for place, move in enumerate(self._moves):
            update = move(weights)
            if each is not None:
                each(int(self.clients[place]), update, int(self._steps[place]))
            for name, value in update.items():
                total[name] += value * float(shares[place] * scales[place])
        return Trained(total, self.clients, self._steps, shares)


def streams(seed: int = 0) -> Streams:
    """Of a seed."""
    return Streams.from_seed(seed)
