"""Labels, encoding, losses and predictions of the tasks that choose labels."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example
from holdfast.tasks import Classification, IntentSlot, Prediction, Tagging, Task
from holdfast.tasks.task import IGNORED

ALL = pytest.mark.parametrize("task", [IntentSlot(), Classification(), Tagging()], ids=lambda task: task.name)
Prepare = Callable[..., tuple[torch.nn.Module, object]]


@ALL
def test_a_task_is_one_by_the_contract(task: Task):
    assert isinstance(task, Task)
    assert task.describe()["task"] == task.name


def test_labels_are_in_alphabetical_order_with_outside_first(train: Dataset):
    assert IntentSlot().labels(train) == models.Labels(("ask", "play"), ("O", "B-genre", "B-place", "I-genre", "I-place"))
    assert Classification().labels(train) == models.Labels(("ask", "play"))
    assert Tagging().labels(train).sentence == ()


def test_a_chunk_of_one_word_may_be_longer_elsewhere():
    rows = [Example(tokens=("Ann",), tags=("B-person",)), Example(tokens=("a", "b"), tags=("I-loose", "DET"))]
    labels = Tagging().labels(Dataset.from_examples(rows, name="tiny", split="train"))
    assert labels.tokens == ("B-person", "DET", "I-loose", "I-person")  # no B-loose: where none begins, I-loose may stand anywhere


def test_data_without_what_a_task_needs_are_refused(train: Dataset):
    bare = Dataset.from_examples([Example(tokens=("stop",))], name="bare", split="train")
    with pytest.raises(InputError, match="no column 'label'"):
        Classification().labels(bare)
    with pytest.raises(InputError, match="no column 'tags'"):
        Tagging().labels(bare)
    with pytest.raises(InputError, match="the training data 'tiny' hold no examples"):
        IntentSlot().labels(train.take([]))


def test_a_batch_holds_the_targets_of_its_examples(train: Dataset, prepared: Prepare):
    _, encoded = prepared(IntentSlot())
    batch = IntentSlot().collate(encoded, np.array([2, 0]))
    assert batch.sentence_B.tolist() == [1, 1]
    assert batch.tokens_BW.tolist() == [[0, IGNORED, IGNORED], [0, 1, 3]]
    assert (len(batch), batch.words.tolist()) == (2, [1, 3])
    moved = batch.to("meta")
    assert moved.features.ids_BT.device.type == moved.sentence_B.device.type == moved.tokens_BW.device.type == "meta"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            Classification(),
            r"classification: 'tiny' \(test\) has a label that the training data do not have: 'call' \(1 times\); add examples",
        ),
        (Tagging(), r"has a tag .* 'B-person' \(2 times\); .* or set unseen_labels to 'count as wrong'"),
        (IntentSlot(), "'call'"),
    ],
)
def test_unseen_labels_are_named_with_the_cure(task: Task, message: str, other: Dataset, prepared: Prepare):
    with pytest.raises(InputError, match=message):
        prepared(task, other)


def test_many_unseen_labels_are_named_in_part(prepared: Prepare):
    rows = [Example(tokens=("x",), label=f"label {number}") for number in range(8)]
    with pytest.raises(InputError, match=r"'label 4' .1 times. and 3 more; add"):
        prepared(Classification(), Dataset.from_examples(rows, name="odd", split="test"))


def test_an_unseen_intent_costs_a_uniform_guess_and_moves_nothing(other: Dataset, prepared: Prepare):
    task = Classification(unseen_labels="count as wrong")
    module, encoded = prepared(task, other)
    losses = task.per_example_loss(module, task.collate(encoded, np.arange(3)))
    assert losses[1].item() == pytest.approx(math.log(2))
    gradients = torch.autograd.grad(losses[1], list(module.parameters()), allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in gradients)


def test_unseen_tags_are_left_out_of_the_mean(other: Dataset, prepared: Prepare):
    task = Tagging(unseen_labels="count as wrong")
    module, encoded = prepared(task, other)
    batch = task.collate(encoded, np.arange(3))
    logits = module(batch.features).tokens_BWS
    losses = task.per_example_loss(module, batch)
    by_hand = F.cross_entropy(logits[1, [0, 2]], torch.tensor([0, 0]))
    assert losses[1].item() == pytest.approx(by_hand.item(), abs=1e-6)
    assert losses[2].item() == 0  # its only tag is unseen


def test_unseen_labels_that_count_as_wrong_are_wrong(other: Dataset, prepared: Prepare):
    task = IntentSlot(unseen_labels="count as wrong")
    module, encoded = prepared(task, other)
    predictions = task.predict(module, task.collate(encoded, np.arange(3)))
    assert predictions[1].label != "call"
    accuracy, slots = task.score(other, [Prediction("play", tuple(row)) for row in other.tags()], subject="run")
    assert accuracy.value == pytest.approx(2 / 3)
    assert slots.value == 1.0


def test_a_loss_is_the_mean_over_the_words_of_its_own_example(train: Dataset, prepared: Prepare):
    task = IntentSlot(intent_weight=2.0, slot_weight=0.5)
    module, encoded = prepared(task)
    losses = task.per_example_loss(module, task.collate(encoded, np.arange(4)))
    for row, (label, tags) in enumerate(zip(train.labels(), train.tags(), strict=True)):
        logits = module(task.collate(encoded, np.array([row])).features)
        intent = F.cross_entropy(logits.sentence_BK[0], torch.tensor(encoded.labels.sentence.index(label)))
        slots = [
            F.cross_entropy(logits.tokens_BWS[0, word], torch.tensor(encoded.labels.tokens.index(tag))) for word, tag in enumerate(tags)
        ]
        assert losses[row].item() == pytest.approx((2 * intent + 0.5 * sum(slots) / len(slots)).item(), abs=1e-5)


@ALL
def test_no_examples_have_no_losses_and_no_predictions(task: Task, prepared: Prepare):
    module, encoded = prepared(task)
    batch = task.collate(encoded, np.array([], dtype=np.int64))
    assert task.per_example_loss(module, batch).shape == (0,)
    assert task.predict(module, batch) == []


@ALL
def test_text_without_labels_can_be_predicted_but_has_no_loss(task: Task, prepared: Prepare):
    bare = Dataset.from_examples([Example(tokens=("rain", "tomorrow"))], name="bare", split="test")
    module, encoded = prepared(task, bare)
    batch = task.collate(encoded, np.array([0]))
    (prediction,) = task.predict(module, batch)
    assert (prediction.label is None) == (task.name == "tagging")
    assert (prediction.tags is None) == (task.name == "classification")
    with pytest.raises(InputError, match="the loss needs"):
        task.per_example_loss(module, batch)


def test_words_that_the_model_does_not_read_are_outside_and_cost_nothing(train: Dataset, prepared: Prepare):
    task = IntentSlot()
    small = models.Transformer(width=8, layers=1, heads=2, feedforward=8, max_length=2)
    module, encoded = prepared(task, settings=small)
    batch = task.collate(encoded, np.arange(4))
    assert batch.tokens_BW.shape == (4, 2)
    predictions = task.predict(module, batch)
    assert [len(prediction.tags) for prediction in predictions] == [3, 6, 1, 4]
    assert all(tag == "O" for prediction in predictions for tag in prediction.tags[2:])
    assert torch.isfinite(task.per_example_loss(module, batch)).all()
    assert task.score(train, predictions, subject="run")[1].n == 4


def test_predictions_are_the_likeliest_labels(prepared: Prepare):
    task = Classification()
    module, encoded = prepared(task)
    batch = task.collate(encoded, np.arange(4))
    best = module(batch.features).sentence_BK.argmax(1)
    assert [prediction.label for prediction in task.predict(module, batch)] == [encoded.labels.sentence[place] for place in best]


def test_scores_carry_the_names_of_the_evidence(train: Dataset):
    perfect = [Prediction(label, tuple(tags)) for label, tags in zip(train.labels(), train.tags(), strict=True)]
    names = {
        task.name: [(found.name, found.subject, found.value, found.n) for found in task.score(train, perfect, subject="dp-sgd")]
        for task in (IntentSlot(), Classification(), Tagging())
    }
    assert names == {
        "intent-slot": [("intent_accuracy", "dp-sgd", 1.0, 4), ("slot_f1", "dp-sgd", 1.0, 4)],
        "classification": [("accuracy", "dp-sgd", 1.0, 4), ("macro_f1", "dp-sgd", 1.0, 4)],
        "tagging": [("slot_f1", "dp-sgd", 1.0, 4)],
    }


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (IntentSlot, {"intent_weight": -1}, "intent_weight is -1"),
        (IntentSlot, {"slot_weight": math.nan}, "slot_weight is nan"),
        (IntentSlot, {"intent_weight": 0, "slot_weight": 0}, "both 0"),
        (IntentSlot, {"unseen_labels": "eror"}, "did you mean 'error'"),
        (Classification, {"unseen_labels": "ignore"}, "unseen_labels is 'ignore'"),
        (Tagging, {"unseen_labels": None}, "unseen_labels is None"),
    ],
)
def test_settings_out_of_bounds_are_refused(kind: type, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        kind(**options)
