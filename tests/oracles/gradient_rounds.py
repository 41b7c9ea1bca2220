"""Small open models and text for attacks on federated rounds, with hashed vocabularies in which no two words share a bucket."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, load_data
from holdfast.models.vocabulary import HashedWords

SMALL = {
    "bag": {"embedding": 16, "hidden": 16},
    "bilstm": {"embedding": 16, "hidden": 16, "characters": 8},
    "transformer": {"width": 64, "heads": 2, "feedforward": 64, "max_length": 16},
}


@dataclass(frozen=True, eq=False)
class Opened:
    """A model with all its parts, as a trained one has them."""

    task: Any
    module: nn.Module
    featuriser: Any
    labels: models.Labels
    device: str = "cpu"


def text(train: int = 300, public: int = 300) -> tuple[Dataset, Dataset]:
    """What clients wrote, and public text of the same kind."""
    splits = load_data(f"assistant:train={train},validation=1,test={public}")
    return splits.train, splits.test


def dictionary(*parts: Dataset) -> list[str]:
    return sorted({word for part in parts for row in part.tokens() for word in row})


def enough_buckets(words: list[str], least: int = 20_000) -> int:
    """The first number of buckets from `least` on in which no two words meet."""
    lowered = {word.lower() for word in words}
    return next(size for size in range(least, 100 * least) if len({HashedWords(size).id_of(word) for word in lowered}) == len(lowered))


def opened(kind: str, train: Dataset, *, seed: int = 0, **options: object) -> Opened:
    """A freshly drawn model of one family, left in training mode as training leaves it."""
    settings = models.settings(kind, {"vocabulary": "hashed", "word_dropout": 0.1, **SMALL[kind], **options})
    task = tasks.IntentSlot(unseen_labels="count as wrong")
    featuriser, labels = settings.featuriser(train.tokens()), task.labels(train)
    return Opened(task, settings.build(featuriser, labels, Streams.from_seed(seed)).train(), featuriser, labels)


def words_in(*parts: Dataset) -> set[str]:
    return {word.casefold() for part in parts for row in part.tokens() for word in row}


class TiedLanguageModel(nn.Module):
    """Guesses the next word; its table of words is its output layer too, as a module or by a function."""

    def __init__(self, vocabulary: int, *, by_function: bool, width: int = 8) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.mix = nn.Linear(width, width)
        self.output = None if by_function else nn.Linear(width, vocabulary, bias=False)
        if self.output is not None:
            self.output.weight = self.words.weight

    def forward(self, features: models.Features) -> torch.Tensor:
        states_BTD = torch.tanh(self.mix(self.words(features.ids_BT)))
        return states_BTD @ self.words.weight.T if self.output is None else self.output(states_BTD)


class NextWord:
    """The task of that model, for what an attack asks of a task."""

    def encode(self, dataset: Dataset, featuriser: models.Featuriser, labels: models.Labels) -> tasks.EncodedDataset:
        return tasks.Classification(unseen_labels="count as wrong").encode(dataset, featuriser, labels)

    def per_example_loss(self, module: nn.Module, batch: tasks.Batch) -> torch.Tensor:
        ids_BT, mask_BT = batch.features.ids_BT, batch.features.mask_BT
        losses_BT = nn.functional.cross_entropy(module(batch.features)[:, :-1].mT, ids_BT[:, 1:], reduction="none")
        return (losses_BT * mask_BT[:, 1:]).sum(1)
