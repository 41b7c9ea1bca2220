"""Claims, scores and data sets that the tests of the audit share."""

from collections.abc import Callable

import numpy as np
import pytest

from holdfast.audit import Scores
from holdfast.core.claim import PrivacyClaim
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example

WORDS = np.array(["play", "stop", "call", "book", "rain", "song", "light", "table", "train", "alarm", "five", "six", "seven"])


@pytest.fixture
def claim() -> Callable[..., PrivacyClaim]:
    def make(epsilon: float, *, delta: float = 1e-5, subject: str = "dp-sgd", unit: str = "example") -> PrivacyClaim:
        return PrivacyClaim(
            subject=subject,
            epsilon=epsilon,
            delta=delta,
            unit=unit,
            neighbouring="add/remove",
            sampler="Poisson, probability .01",
            accountant="by hand",
            kind="proved",
            steps=100,
        )

    return make


@pytest.fixture
def scores() -> Callable[..., Scores]:
    def make(members: object, nonmembers: object, game: object = None) -> Scores:
        return Scores(members=members, nonmembers=nonmembers, attack="toy", access="none", reference="made up", game=game)

    return make


@pytest.fixture
def utterances() -> Callable[..., Dataset]:
    def make(n: int, *, seed: int, words: np.ndarray = WORDS, tagged: bool = True) -> Dataset:
        """Random utterances, each ending in a number of its own so that none is a copy of another."""
        rng = np.random.default_rng(seed)
        rows = [[*rng.choice(words, size=rng.integers(3, 9)), f"n{seed}-{row}"] for row in range(n)]
        labels = rng.choice(["music", "lights", "travel"], size=n)
        return Dataset.from_examples(
            [Example(tokens=row, label=label, tags=["O"] * len(row) if tagged else None) for row, label in zip(rows, labels, strict=True)],
            name="random",
            split="train",
        )

    return make
