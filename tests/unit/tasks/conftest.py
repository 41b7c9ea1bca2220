"""Tiny data and small models for the tasks."""

from collections.abc import Callable

import pytest
from torch import nn

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.tasks import EncodedDataset, Task

TINY = models.BiLSTM(embedding=6, hidden=5, characters=3, character_width=2)


def example(text: str, label: str, tags: str) -> Example:
    return Example(tokens=tuple(text.split()), label=label, tags=tuple(tags.split()))


@pytest.fixture
def train() -> Dataset:
    rows = [
        example("play smooth jazz", "play", "O B-genre I-genre"),
        example("what is the weather in Cork", "ask", "O O O O O B-place"),
        example("stop", "play", "O"),
        example("rain in New York", "ask", "O O B-place I-place"),
    ]
    return Dataset.from_examples(rows, name="tiny", split="train")


@pytest.fixture
def other() -> Dataset:
    """Data with an intent and a tag that the training data do not have."""
    rows = [example("play jazz", "play", "O B-genre"), example("call Ann now", "call", "O B-person O"), example("Ann", "play", "B-person")]
    return Dataset.from_examples(rows, name="tiny", split="test")


@pytest.fixture
def prepared(train: Dataset) -> Callable[..., tuple[nn.Module, EncodedDataset]]:
    """A small model for a task, and some data as that model sees them."""

    def prepare(task: Task, data: Dataset = train, settings: models.ModelSettings = TINY) -> tuple[nn.Module, EncodedDataset]:
        labels = task.labels(train)
        featuriser = settings.featuriser(train.tokens())
        return settings.build(featuriser, labels, Streams(3)).eval(), task.encode(data, featuriser, labels)

    return prepare
