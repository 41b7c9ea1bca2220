"""What the tasks tell of a model's confidences: held to plain loops, example by example, and to the losses."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example
from holdfast.tasks import Classification, IntentSlot, Tagging, Task, TaskWithConfidences
from holdfast.tasks.confidences import MOST_POSTERIORS, sentence_confidences, word_confidences
from holdfast.tasks.task import IGNORED, EncodedDataset

WEIGHTED = IntentSlot(intent_weight=2.0, slot_weight=0.5)
ALL = pytest.mark.parametrize("task", [WEIGHTED, Classification(), Tagging()], ids=lambda task: task.name)
Prepare = Callable[..., tuple[torch.nn.Module, EncodedDataset]]


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]


def entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def slow(task: Task, module: torch.nn.Module, encoded: EncodedDataset, row: int) -> dict[str, float]:
    """One example alone, in plain Python."""
    batch = task.collate(encoded, np.array([row]))
    logits = module(batch.features)
    found: dict[str, float] = {}
    if logits.sentence_BK is not None:
        posterior = softmax(logits.sentence_BK[0].tolist())
        found |= {f"posterior {rank + 1}": value for rank, value in enumerate(sorted(posterior, reverse=True)[:MOST_POSTERIORS])}
        found |= {"label entropy": entropy(posterior), "label loss": -math.log(posterior[int(batch.sentence_B[0])])}
    if logits.tokens_BWS is not None:
        words = [softmax(scores) for scores in logits.tokens_BWS[0].tolist()]
        entropies, tags = [entropy(word) for word in words], batch.tokens_BW[0].tolist()
        found |= {"mean tag entropy": sum(entropies) / len(entropies), "largest tag entropy": max(entropies)}
        found["tag loss"] = sum(-math.log(word[tag]) for word, tag in zip(words, tags, strict=True)) / len(tags)
    weights = {"label loss": 2.0, "tag loss": 0.5} if task is WEIGHTED else {"label loss": 1.0, "tag loss": 1.0}
    return found | {"loss": sum(weight * found[name] for name, weight in weights.items() if name in found)}


@ALL
def test_agree_with_plain_loops_whatever_the_padding(task: Task, prepared: Prepare):
    """The examples have 3, 6, 1 and 4 words."""
    module, encoded = prepared(task)
    names = task.confidence_names(encoded.labels)
    together = task.confidences(module, task.collate(encoded, np.arange(4)))
    assert (together.shape, together.dtype, together.requires_grad) == ((4, len(names)), torch.float64, False)
    for row in range(4):
        expected = slow(task, module, encoded, row)
        assert dict(zip(names, together[row].tolist(), strict=True)) == pytest.approx({name: expected[name] for name in names}, abs=1e-5)


@ALL
def test_the_loss_is_first_and_the_very_loss_of_the_task(task: Task, prepared: Prepare):
    module, encoded = prepared(task)
    batch = task.collate(encoded, np.arange(4))
    assert task.confidence_names(encoded.labels)[0] == "loss"
    assert torch.equal(task.confidences(module, batch)[:, 0], task.per_example_loss(module, batch).double())


def test_names_depend_on_the_labels_alone():
    sentence = tuple("abcdefg")
    tags = ("mean tag entropy", "largest tag entropy")
    ranks = tuple(f"posterior {rank}" for rank in range(1, 6))
    assert Classification().confidence_names(models.Labels(sentence)) == ("loss", *ranks, "label entropy")
    assert Classification().confidence_names(models.Labels(sentence[:2])) == ("loss", *ranks[:2], "label entropy")
    assert Tagging().confidence_names(models.Labels((), ("O",))) == ("loss", *tags)
    joint = ("loss", *ranks, "label entropy", *tags, "label loss", "tag loss")
    assert IntentSlot().confidence_names(models.Labels(sentence, ("O",))) == joint


def test_posteriors_are_sorted_and_only_the_largest_are_told():
    chances = torch.tensor([[0.05, 0.4, 0.1, 0.2, 0.04, 0.15, 0.06], [1 / 7] * 7], dtype=torch.float64)
    found = sentence_confidences(chances.log())
    assert found[0, :5].tolist() == pytest.approx([0.4, 0.2, 0.15, 0.1, 0.06])
    assert found[1].tolist() == pytest.approx([1 / 7] * 5 + [math.log(7)])


def test_a_sure_model_has_no_entropy_and_no_nan():
    sure = torch.tensor([[[0.0, -math.inf], [0.0, -2000.0]]])
    assert word_confidences(sure, torch.tensor([[True, True]])).tolist() == [[0.0, 0.0]]
    assert sentence_confidences(sure[0]).tolist() == [[1.0, 0.0, 0.0]] * 2


def test_padding_counts_for_nothing_not_even_where_it_is_no_number():
    logits, mask = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [math.nan, 0.0]]]), torch.tensor([[True, True, False]])
    mean, largest = word_confidences(logits, mask)[0].tolist()
    assert mean == pytest.approx((math.log(2) + entropy(softmax([3.0, 0.0]))) / 2)
    assert largest == pytest.approx(math.log(2))
    assert word_confidences(logits, torch.zeros_like(mask)).tolist() == [[0.0, 0.0]]


@ALL
def test_no_examples_have_no_confidences(task: Task, prepared: Prepare):
    module, encoded = prepared(task)
    batch = task.collate(encoded, np.array([], dtype=np.int64))
    assert task.confidences(module, batch).shape == (0, len(task.confidence_names(encoded.labels)))


@ALL
def test_text_without_labels_has_none(task: Task, prepared: Prepare):
    module, encoded = prepared(task, Dataset.from_examples([Example(tokens=("rain",))], name="bare", split="test"))
    with pytest.raises(InputError, match="the loss needs"):
        task.confidences(module, task.collate(encoded, np.array([0])))


def test_unseen_labels_cost_what_the_loss_says(other: Dataset, prepared: Prepare):
    task = IntentSlot(unseen_labels="count as wrong")
    module, encoded = prepared(task, other)
    batch = task.collate(encoded, np.arange(3))
    found = dict(zip(task.confidence_names(encoded.labels), task.confidences(module, batch).T.tolist(), strict=True))
    assert int(batch.sentence_B[1]) == IGNORED
    assert found["label loss"][1] == pytest.approx(math.log(2))
    assert found["tag loss"][2] == 0  # its only tag is unseen
    assert found["mean tag entropy"][2] > 0  # the model says something of the word all the same


@ALL
def test_words_that_are_not_read_are_left_out(task: Task, prepared: Prepare):
    module, encoded = prepared(task, settings=models.Transformer(width=8, layers=1, heads=2, feedforward=8, max_length=2))
    assert torch.isfinite(task.confidences(module, task.collate(encoded, np.arange(4)))).all()


@ALL
def test_the_tasks_offer_what_is_optional(task: Task):
    assert isinstance(task, TaskWithConfidences)
