"""What a task is: how examples become batches, losses, predictions and scores, with no row ever meeting another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Encoded, Features, Featuriser, Labels
from holdfast.models.ragged import Ragged

IGNORED = -100
"""The target of a word or sentence that has no label among those of the model; torch's own value for it."""


@dataclass(frozen=True)
class NextWords:
    """What a model says of the words of one example, each given those before it; the end marker, where it is read, is the last.

    Two of these are equal where the same words were right and known. Losses are left out of that: a longer batch adds padding,
    other sums are rounded otherwise, and no rounding to fewer digits makes two close numbers equal for certain.

    Args:
        losses: What each word cost, in nats, 64-bit.
        right: Whether the likeliest word was the word; never so for an unknown one.
        known: Whether the vocabulary has the word.
    """

    losses: tuple[float, ...] = field(compare=False)
    right: tuple[bool, ...]
    known: tuple[bool, ...]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one example.

    Args:
        label: Of the sentence, or None where the task has no such labels.
        tags: One for each word, or None where the task has no such labels.
        probability: Of the label that the task ranks examples by, in [0, 1]; None for tasks that rank none. It takes no part in
            comparisons, for the reason that `NextWords` gives.
        next_words: What the model says of each word, or None where the task predicts no words.
    """

    label: str | None = None
    tags: tuple[str, ...] | None = None
    probability: float | None = field(default=None, compare=False)
    next_words: NextWords | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Some examples, padded to the longest. B examples, W words.

    Args:
        features: The input of the model.
        labels: What its outputs mean.
        words: How many words each example has, (B,); there may be more than the model reads.
        sentence_B: The label of each sentence, int64, `IGNORED` for an unseen one; None without labels.
        tokens_BW: The label of each word that the model reads, int64, `IGNORED` elsewhere; None without labels.
    """

    features: Features
    labels: Labels
    words: NDArray[np.int64]
    sentence_B: Tensor | None
    tokens_BW: Tensor | None

    def __len__(self) -> int:
        return len(self.words)

    def to(self, device: torch.device | str) -> Batch:
        """Returns the same batch on another device."""
        sentence_B, tokens_BW = (
            None if targets is None else targets.to(device, non_blocking=True) for targets in (self.sentence_B, self.tokens_BW)
        )
        return Batch(self.features.to(device), self.labels, self.words, sentence_B, tokens_BW)


@dataclass(frozen=True, eq=False)
class EncodedDataset:
    """A data set as numbers in flat arrays.

    Args:
        encoded: The words, as the featuriser sees them.
        featuriser: What makes batches of them.
        labels: What the model chooses from.
        words: How many words each example has, (n,).
        sentence: The label of each sentence, (n,), `IGNORED` for an unseen one; None without labels.
        tokens: The label of each word, `IGNORED` for an unseen one; None without labels.
    """

    encoded: Encoded
    featuriser: Featuriser
    labels: Labels
    words: NDArray[np.int64]
    sentence: NDArray[np.int64] | None
    tokens: Ragged | None

    def __len__(self) -> int:
        return len(self.words)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Makes a batch of some examples.

        Args:
            indices: Which examples, (B,), in [0, n); they may repeat and may be none.
        """
        features = self.featuriser.collate(self.encoded, indices)
        sentence_B = None if self.sentence is None else torch.from_numpy(self.sentence[indices])
        tokens_BW = None
        if self.tokens is not None:
            padded_BW, _ = self.tokens.padded(indices, fill=IGNORED)
            read_BW = features.word_mask_BW  # a model may read fewer words than there are, never more
            tokens_BW = torch.from_numpy(padded_BW)[:, : read_BW.shape[1]].masked_fill(~read_BW, IGNORED)
        return Batch(features, self.labels, self.words[indices], sentence_B, tokens_BW)


@runtime_checkable
class Task(Protocol):
    """What a model is trained for.

    Guarantee:
        `per_example_loss` never couples rows: the loss of an example depends on that example and the model alone, whatever
        else is in the batch and however long it is. Clipping one example's gradient bounds nothing without this.
    """

    @property
    def name(self) -> str:
        """The name in study files, such as "intent-slot"."""
        ...

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the task is, for the record."""
        ...

    def labels(self, train: Dataset) -> Labels:
        """Reads the labels off the training data; their names count as public."""
        ...

    def encode(self, dataset: Dataset, featuriser: Featuriser, labels: Labels) -> EncodedDataset:
        """Turns a data set into numbers."""
        ...

    def collate(self, encoded: EncodedDataset, indices: NDArray[np.int64]) -> Batch:
        """Makes a batch of some examples."""
        ...

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of each example, (B,), in nats."""
        ...

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        """The prediction for each example; the caller has put the model in evaluation mode."""
        ...

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Measures predictions against the labels of the data."""
        ...


@runtime_checkable
class TaskWithConfidences(Task, Protocol):
    """A task that also tells what a model says of an example by its probabilities; a task need not.

    Without it a model can be trained and audited by its losses. With it, attacks that learn from posteriors can be tried.

    Guarantee:
        `confidences` couples rows no more than `per_example_loss` does.
    """

    def confidence_names(self, labels: Labels) -> tuple[str, ...]:
        """Names of the F columns of `confidences`, which depend on the labels alone; one of them is "loss"."""
        ...

    def confidences(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the model says of each example, (B, F), finite; the caller has put the model in evaluation mode."""
        ...


@runtime_checkable
class TaskWithWords(Task, Protocol):
    """A task whose models read more of an example than its tokens; a task need not."""

    def words(self, dataset: Dataset) -> list[list[str]]:
        """The words that a model reads of each example, in their order: what a vocabulary is made from."""
        ...


def words_of(task: Task, dataset: Dataset) -> list[list[str]]:
    """The words that a model reads of each example: what the task says, or else the tokens.

    Args:
        task: What is learned.
        dataset: The examples.
    """
    return task.words(dataset) if isinstance(task, TaskWithWords) else dataset.tokens()
