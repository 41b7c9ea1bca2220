"""SNIPS, the real thing: the task reads it, a small model learns it, and scores are those of the published tools."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score
from torch import nn

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, load_data
from holdfast.tasks import EncodedDataset, IntentSlot, Prediction, Task

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def snips(shared_data: Path) -> DataSplits:
    return load_data(f"snips:{shared_data / 'snips'}")


def fit(task: Task, module: nn.Module, encoded: EncodedDataset, *, steps: int, learning_rate: float) -> None:
    """A plain loop without privacy: enough to see that losses lead somewhere."""
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=learning_rate)
    draws = Streams(1).generator("batches")
    module.train()
    torch.manual_seed(1)
    for _ in range(steps):
        loss = task.per_example_loss(module, task.collate(encoded, draws.integers(0, len(encoded), 64))).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    module.eval()


def predictions(task: Task, module: nn.Module, encoded: EncodedDataset) -> list[Prediction]:
    batches = np.array_split(np.arange(len(encoded)), 4)
    return [prediction for rows in batches for prediction in task.predict(module, task.collate(encoded, rows))]


def prepared(task: Task, data: Dataset, settings: models.ModelSettings, *, vocabulary: Dataset) -> tuple[nn.Module, EncodedDataset]:
    featuriser, labels = settings.featuriser(vocabulary.tokens()), task.labels(vocabulary)
    return settings.build(featuriser, labels, Streams(1)), task.encode(data, featuriser, labels)


def test_labels_of_snips(snips: DataSplits):
    labels = IntentSlot().labels(snips.train)
    assert (len(labels.sentence), len(labels.tokens)) == (7, 79)  # 72 of them stand in the data; seven kinds of slot have one word only
    assert labels.tokens[0] == "O"


def test_a_bilstm_learns_snips_in_a_hundred_steps_and_scores_as_published_tools_do(snips: DataSplits):
    task, settings = IntentSlot(), models.BiLSTM(vocabulary="hashed")
    module, encoded = prepared(task, snips.train, settings, vocabulary=snips.train)
    fit(task, module, encoded, steps=100, learning_rate=0.004)
    test = task.encode(snips.test, encoded.featuriser, encoded.labels)
    found = predictions(task, module, test)
    intents, slots = task.score(snips.test, found, subject="run")
    assert intents.value == pytest.approx(accuracy_score(snips.test.labels(), [one.label for one in found]))
    assert slots.value == pytest.approx(f1_score(snips.test.tags(), [list(one.tags) for one in found]))
    assert (intents.n, slots.n, slots.conditions) == (700, 700, {"chunks": 1790})
    assert intents.value > 0.88
    assert slots.value > 0.25
    for estimate in (intents, slots):
        assert estimate.interval.low < estimate.value < estimate.interval.high
        assert estimate.interval.high - estimate.interval.low < 0.06


def test_predicted_tags_of_an_untrained_model_are_well_formed(snips: DataSplits):
    task = IntentSlot()
    module, encoded = prepared(task, snips.test, models.BiLSTM(characters=0, hidden=8), vocabulary=snips.train)
    for prediction in predictions(task, module.eval(), encoded):
        before = ("O", *prediction.tags)
        assert all(tag[0] != "I" or last[1:] == tag[1:] for last, tag in zip(before, prediction.tags, strict=False))


def test_minilm_learns_snips_with_a_frozen_encoder(snips: DataSplits):
    task, settings = IntentSlot(slot_weight=0.5), models.settings("hub:minilm", {"freeze": "encoder", "max_length": 32})
    few = snips.train.take(np.arange(0, len(snips.train), 20))
    module, encoded = prepared(task, few, settings, vocabulary=snips.train)
    before = {name: tensor.clone() for name, tensor in module.encoder.state_dict().items()}
    fit(task, module, encoded, steps=12, learning_rate=0.05)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.encoder.state_dict().items())
    test = snips.test.take(np.arange(0, 700, 7))
    intents, _ = task.score(test, predictions(task, module, task.encode(test, encoded.featuriser, encoded.labels)), subject="run")
    assert intents.value > 0.85
