"""Losses and scores of the server's model: on the test set, on single clients, on the events of a period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Estimate
from holdfast.core.randomness import Streams
from holdfast.federated.findings.scores import ExampleScores, example_scores
from holdfast.federated.local import Workload
from holdfast.federated.population import Clients
from holdfast.federated.simulation.population import Population
from holdfast.tasks import EncodedDataset, Prediction, Task
from holdfast.training import evaluation


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Evaluates the weights that are in the module.

    Args:
        population: What is there to evaluate on.
        workload: The module.
        most: Examples that a curve's point rests on at most, drawn once; None for all. The final scores take all.
        streams: Of that draw.
    """

    population: Population
    workload: Workload
    most: int | None
    streams: Streams

    def test(self) -> tuple[float, float | None]:
        """Mean loss in nats and score on the test set, or on those of it that were drawn."""
        at = self._drawn("test", np.arange(len(self.population.test)))
        found = evaluation.losses(self._task, self.workload.module, self.population.test, device=self.workload.device, at=at)
        predictions = evaluation.predictions(self._task, self.workload.module, self.population.test, device=self.workload.device, at=at)
        return float(found.mean()), example_scores(self.population.data.test.take(at), predictions).of()

    @property
    def measured(self) -> ExampleScores:
        """Scores of a single example, which tell what is measured, in what unit, and which way is better."""
        predictions = evaluation.predictions(
            self._task, self.workload.module, self.population.test, device=self.workload.device, at=np.arange(1)
        )
        return example_scores(self.population.data.test.take([0]), predictions)

    def final(self, subject: str) -> tuple[tuple[Estimate, ...], ExampleScores | None]:
        """The task's own scores on the whole test set, with intervals; and those of what single clients are tested on."""
        tested, own = self.population.test, self.population.own
        predictions = self._predictions(tested)
        scores = self._task.score(self.population.data.test, predictions, subject=subject)
        if not len(own.data):
            return scores, None
        return scores, example_scores(own.data, predictions if own.encoded is tested else self._predictions(own.encoded))

    def events(self, positions: NDArray[np.int64]) -> float | None:
        """The score on some training examples, or on those of them that were drawn; None without any, or where their text is not known."""
        train = self.population.train
        if train is None or not len(positions):
            return None
        at = self._drawn("events", positions)
        encoded = self.population.encoded
        predictions = evaluation.predictions(self._task, self.workload.module, encoded, device=self.workload.device, at=at)
        return example_scores(train.take(at), predictions).of()

    def losses_of(self, clients: Clients, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean loss of each of some clients on its own examples, (k,), in nats."""
        own = [clients.of(int(client)) for client in chosen]
        if not own:
            return np.empty(0)
        at = np.concatenate(own)
        found = evaluation.losses(self._task, self.workload.module, self.population.encoded, device=self.workload.device, at=at)
        owners = np.repeat(np.arange(len(own)), [len(one) for one in own])
        sums = np.bincount(owners, weights=found, minlength=len(own))
        means: NDArray[np.float64] = sums / np.maximum(1, np.bincount(owners, minlength=len(own)))
        return means

    def _predictions(self, encoded: EncodedDataset) -> list[Prediction]:
        return evaluation.predictions(self._task, self.workload.module, encoded, device=self.workload.device)

    @property
    def _task(self) -> Task:
        return self.workload.task

    def _drawn(self, name: str, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.most is None or len(positions) <= self.most:
            return positions
        chosen = self.streams.generator(f"evaluated/{name}", len(positions)).choice(len(positions), size=self.most, replace=False)
        return positions[np.sort(chosen)]
