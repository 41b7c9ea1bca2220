"""What it takes to select a cohort from millions: every strategy by its defaults, and what is at hand without a library."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from federation.alone import COHORT, Answer, measured
from holdfast.core.randomness import Streams
from holdfast.federated.selection import SELECTORS, Signals, View, selector

LIST, CHOICE = "random.sample of a list", "numpy choice by counts"
"""Flower draws by `random.sample` from a list of its nodes; `Generator.choice` draws in proportion to counts, as "activity" does."""
STRATEGIES = (*SELECTORS, LIST, CHOICE)
OPTIONS = {"threshold": {"least": 2}}
"""Of strategies that can do nothing without one."""
ROUNDS = 1_000


def view_of(clients: int) -> View:
    """A population of which a few clients have most examples; half of them have been seen, with a loss that anybody may ask for."""
    generator = np.random.default_rng(0)
    counts = np.minimum(generator.zipf(1.8, clients), 2_854).astype(np.int64)
    signals = Signals.nothing(clients)
    seen = np.flatnonzero(generator.random(clients) < 0.5)
    losses = generator.random(len(seen)).astype(np.float32)
    signals.note(seen, round=0, loss=losses, rms_loss=losses, seconds=losses)
    return View(counts, signals=signals, losses_of=lambda asked: np.full(len(asked), 1.0))


def call_of(name: str, view: View) -> Callable[[int], object]:
    """Selects the cohort of a round."""
    if name == LIST:
        nodes = list(range(len(view.counts)))  # a simulation holds its nodes so
        return lambda round: random.Random(round).sample(nodes, COHORT)
    if name == CHOICE:
        return lambda round: _choice(view.counts, round)
    strategy, streams = selector(name, OPTIONS.get(name)), Streams.from_seed(0)
    return lambda round: strategy.select(view, size=COHORT, round=round + 1, rounds=ROUNDS, streams=streams)


def _choice(counts: NDArray[np.int64], round: int) -> NDArray[np.int64]:
    shares = counts / counts.sum()
    return np.random.default_rng(round).choice(len(counts), COHORT, replace=False, p=shares)


def answers(name: str, clients: int, rounds: int) -> Iterator[Answer]:
    """The seconds and the memory of one strategy."""
    view = view_of(clients)
    yield measured(name, call_of(name, view), rounds, note=f"{COHORT:,} of {clients:,} clients")
