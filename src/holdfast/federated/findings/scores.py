"""Scores that can be put together: each example gives a sum and a count, and any set of examples a score from their totals.

Averaging scores of clients by their numbers of examples is right for accuracy alone; a perplexity has to be taken of the totals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Direction
from holdfast.data import Dataset
from holdfast.tasks import Prediction


@dataclass(frozen=True, eq=False)
class ExampleScores:
    """What each of n examples adds to a score.

    Args:
        measure: "accuracy" (of labels of sentences), "tag_accuracy" (share of words whose tag is right) or "perplexity" (per word).
        unit: Of the score.
        direction: Which way is better.
        sums: (n,), such as 1 for a right label.
        counts: (n,), such as 1 for an example or its number of words.
    """

    measure: str
    unit: str
    direction: Direction
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    def of(self, examples: NDArray[np.int64] | None = None) -> float | None:
        """The score of some examples, or of all; None where there is nothing to count or the score is not finite."""
        sums, counts = (self.sums, self.counts) if examples is None else (self.sums[examples], self.counts[examples])
        return self._score(float(sums.sum()), float(counts.sum()))

    def by_client(self, owners: NDArray[np.int64], clients: int) -> NDArray[np.float64]:
        """The score of each client, (clients,), nan where it has no examples.

        Args:
            owners: Client of each example, (n,); -1 for one of no known client.
            clients: How many there are.
        """
        known = owners >= 0
        totals = [np.bincount(owners[known], weights=values[known], minlength=clients) for values in (self.sums, self.counts)]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            means = totals[0] / totals[1]
            return np.exp(means) if self.measure == "perplexity" else means

    def _score(self, total: float, count: float) -> float | None:
        if count == 0:
            return None
        mean = total / count
        if self.measure == "perplexity":
            mean = math.exp(mean) if mean < 700 else math.inf
        return mean if math.isfinite(mean) else None


def example_scores(dataset: Dataset, predictions: Sequence[Prediction]) -> ExampleScores:
    """What each example of a data set adds to the main score of its task.

    Args:
        dataset: With labels or tags, or text alone for a language model.
        predictions: One for each example.

    Raises:
        InputError: If the predictions hold nothing that the data could be compared with.
    """
    first = predictions[0] if len(predictions) else Prediction()
    if dataset.has("label") and (first.label is not None or not len(predictions)):
        right = [float(true == found.label) for true, found in zip(dataset.labels(), predictions, strict=True)]
        return ExampleScores("accuracy", "share", "higher is better", np.array(right), np.ones(len(right)))
    if first.next_words is not None:
        told = [() if found.next_words is None else found.next_words.losses for found in predictions]
        nats, words = (np.array([float(part(losses)) for losses in told]) for part in (sum, len))
        return ExampleScores("perplexity", "words", "lower is better", nats, words)
    if dataset.has("tags") and first.tags is not None:
        pairs = list(zip(dataset.tags(), (found.tags or () for found in predictions), strict=True))
        right = [float(sum(a == b for a, b in zip(true, found, strict=True))) for true, found in pairs]
        return ExampleScores("tag_accuracy", "share", "higher is better", np.array(right), np.array([float(len(t)) for t, _ in pairs]))
    raise InputError(f"the predictions for {dataset.name!r} hold neither a label nor tags nor losses of words that the data could score")
