"""The same rounds by `federated.simulate`: selection, bookkeeping and counting of bytes included, as a study runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from federation.jobs import Job, Shape
from federation.line import Line
from federation.ours import SEED, featuriser_of, fill, module_of, solver_of
from holdfast import federated
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.federated.selection import Cohort, View
from holdfast.models import Labels
from holdfast.models.words import WordFeaturiser
from holdfast.tasks import Classification


@dataclass(frozen=True, eq=False)
class Given:
    """Settings of a model whose words, weights and frozen part are those of a job."""

    kind: ClassVar[str] = "given"

    job: Job

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> WordFeaturiser:
        """Words by number."""
        return featuriser_of(self.job.shape)

    def build(self, featuriser: WordFeaturiser, labels: Labels, streams: Streams) -> nn.Module:
        """The model with the weights of the job."""
        return fill(module_of(self.job.shape), self.job)

    def skeleton(self, featuriser: WordFeaturiser, labels: Labels) -> nn.Module:
        """The model with any weights."""
        return module_of(self.job.shape)

    def load_featuriser(self, folder: Path) -> WordFeaturiser:
        """Words by number."""
        return featuriser_of(self.job.shape)

    def describe(self) -> Mapping[str, object]:
        """Says that it is none of the models of a study."""
        return {"model": self.kind}


class InTurn:
    """Takes all clients, in the moment in which the engine has its turn.

    Args:
        line: To the benchmark.
    """

    def __init__(self, line: Line) -> None:
        self.line, self._uniform = line, federated.selector("uniform")
        self.name = self._uniform.name

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Ends the last round, waits, and selects."""
        if not self.line.next_round():
            raise SystemExit
        return self._uniform.select(view, size=size, round=round, rounds=rounds, streams=streams)

    def describe(self) -> dict[str, Any]:
        """As uniform selection says."""
        return self._uniform.describe()


def dataset_of(shape: Shape, words_NT: NDArray[np.int64], labels_N: NDArray[np.int64]) -> Dataset:
    """The texts with a user for each client."""
    names = [f"w{number}" for number in range(shape.vocabulary)]
    examples = [
        Example(tokens=tuple(names[word] for word in words), label=f"{label:03}", user_id=str(place // shape.examples))
        for place, (words, label) in enumerate(zip(words_NT, labels_N, strict=True))
    ]
    return Dataset.from_examples(examples, name="benchmark", split="train")


def simulate(job: Job, line: Line) -> tuple[list[NDArray[Any]], str]:
    """All rounds of a job.

    Returns:
        The trained weights, in the order of the parameters; and the kernel.
    """
    train = dataset_of(job.shape, job.words_NT, job.labels_N)
    few = train.take(np.arange(1))  # a curve of the test set is no part of what is compared
    population = federated.Population.of(Classification(), DataSplits("benchmark", train, few, few), model=Given(job))
    found = federated.simulate(
        federated.algorithm("fedavg", local=solver_of(job.shape)),
        population,
        cohort=job.shape.clients,
        rounds=job.rounds,
        select=InTurn(line),
        weights="uniform",
        evaluate_every=job.rounds,
        seed=SEED,
    )
    line.next_round()
    return [value.detach().numpy() for value in found.module.parameters() if value.requires_grad], found.kernel
