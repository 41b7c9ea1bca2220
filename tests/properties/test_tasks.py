"""The one property that private training stands on: no row of a batch meets another, in any task and any model."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.tasks import Batch, Classification, EncodedDataset, IntentSlot, LanguageModel, Prediction, ReplyPrediction, Tagging, Task
from holdfast.tasks.labelling import sentence_loss
from holdfast.tasks.reply_prediction import SEPARATOR
from holdfast.testing import check_task

TASKS = {task.name: task for task in (IntentSlot(), Classification(), Tagging())}
MODELS = {
    "bag": models.Bag(embedding=5, hidden=4),
    "bilstm": models.BiLSTM(embedding=5, hidden=4, layers=2, characters=3, character_width=2),
    "transformer": models.Transformer(width=8, layers=1, heads=2, feedforward=8),
    "bilstm, crf": models.BiLSTM(embedding=5, hidden=4, characters=3, character_width=2, tag_head="crf"),
}
ROWS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["play", "Jazz", "in", "Llanfairpwllgwyngyll", "a", "é"]), st.sampled_from(["O", "B-x", "I-x"])),
        min_size=1,
        max_size=7,
    ),
    min_size=2,
    max_size=5,
)


def dataset(rows: list[list[tuple[str, str]]]) -> Dataset:
    """Every label and word stands in the first example, so that all draws share one model."""
    first = [("play", "O"), ("Jazz", "B-x"), ("a", "I-x")]
    made = [(first, "two"), *((row, ("one", "two")[len(row) % 2]) for row in rows)]
    return Dataset.from_examples(
        [Example(tokens=tuple(word for word, _ in row), tags=tuple(tag for _, tag in row), label=label) for row, label in made],
        name="drawn",
        split="train",
    )


@cache
def model(name: str, task: str) -> tuple[models.Featuriser, models.Labels, nn.Module]:
    data = dataset([[("in", "O"), ("é", "O")]])
    labels, featuriser = TASKS[task].labels(data), MODELS[name].featuriser(data.tokens())
    return featuriser, labels, MODELS[name].build(featuriser, labels, Streams(5)).eval()


EVERYWHERE = (pytest.mark.parametrize("name", MODELS), pytest.mark.parametrize("task", TASKS))


def everywhere(test):
    for mark in EVERYWHERE:
        test = mark(test)
    return settings(deadline=None, max_examples=12)(test)


@everywhere
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_a_loss_is_the_same_alone_in_any_batch_and_in_any_order(name: str, task: str, rows: list, order):
    featuriser, labels, module = model(name, task)
    encoded = TASKS[task].encode(dataset(rows), featuriser, labels)
    shuffled = list(range(len(encoded)))
    order.shuffle(shuffled)
    with torch.no_grad():
        together = TASKS[task].per_example_loss(module, TASKS[task].collate(encoded, np.arange(len(encoded))))
        permuted = TASKS[task].per_example_loss(module, TASKS[task].collate(encoded, np.array(shuffled)))
        alone = torch.cat(
            [TASKS[task].per_example_loss(module, TASKS[task].collate(encoded, np.array([row]))) for row in range(len(encoded))]
        )
    torch.testing.assert_close(permuted, together[shuffled], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@everywhere
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_confidences_are_the_same_alone_in_any_batch_and_in_any_order(name: str, task: str, rows: list, order):
    featuriser, labels, module = model(name, task)
    encoded = TASKS[task].encode(dataset(rows), featuriser, labels)
    shuffled = list(range(len(encoded)))
    order.shuffle(shuffled)
    together, permuted, *alone = (
        TASKS[task].confidences(module, TASKS[task].collate(encoded, np.array(chosen)))
        for chosen in (range(len(encoded)), shuffled, *([row] for row in range(len(encoded))))
    )
    assert together.shape == (len(encoded), len(TASKS[task].confidence_names(labels)))
    torch.testing.assert_close(permuted, together[shuffled], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)


@everywhere
@given(rows=ROWS)
def test_no_loss_moves_with_the_words_of_another_row(name: str, task: str, rows: list):
    featuriser, labels, module = model(name, task)
    encoded = TASKS[task].encode(dataset(rows), featuriser, labels)
    seen: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda _, __, output: seen.append(output)) for m in module.modules() if isinstance(m, nn.Embedding)]
    losses = TASKS[task].per_example_loss(module, TASKS[task].collate(encoded, np.arange(len(encoded))))
    for hook in hooks:
        hook.remove()
    for row in range(len(encoded)):
        gradients = torch.autograd.grad(losses[row], seen, retain_graph=True)
        for gradient in gradients:
            others = torch.arange(len(encoded)) != row
            assert not gradient[others].any()
        assert gradients[0][row].any()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_our_tasks_pass_the_check_for_third_parties(name: str, task: str):
    check_task(TASKS[task], dataset([[("in", "O")], [("Llanfairpwllgwyngyll", "B-x"), ("a", "O")] * 3]), model=MODELS[name])


CAUSAL = {
    "lstm-lm": models.LSTMLanguageModel(embedding=5, hidden=4, layers=2, min_count=1),
    "lstm-lm, tied": models.LSTMLanguageModel(embedding=5, hidden=4, tied=True, min_count=1),
    "lstm-lm, bytes": models.LSTMLanguageModel(embedding=5, hidden=4, vocabulary="bytes"),
    "decoder": models.Decoder(width=8, layers=2, heads=2, feedforward=8, min_count=1, max_length=5),
    "decoder, bytes": models.Decoder(width=8, layers=1, heads=2, feedforward=8, vocabulary="bytes", max_length=16),
}


@pytest.mark.parametrize("name", CAUSAL)
@settings(deadline=None, max_examples=12)
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_a_loss_of_next_words_is_the_same_alone_in_any_batch_and_in_any_order(name: str, rows: list, order):
    task, data = LanguageModel(), dataset(rows)
    featuriser, labels = CAUSAL[name].featuriser(dataset([[("in", "O"), ("é", "O")]]).tokens()), task.labels(data)
    module, encoded = CAUSAL[name].build(featuriser, labels, Streams(5)).eval(), task.encode(data, featuriser, labels)
    shuffled = list(range(len(encoded)))
    order.shuffle(shuffled)
    with torch.no_grad():
        together, permuted, *alone = (
            task.per_example_loss(module, task.collate(encoded, np.array(chosen)))
            for chosen in (range(len(encoded)), shuffled, *([row] for row in range(len(encoded))))
        )
    torch.testing.assert_close(permuted, together[shuffled], atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("name", CAUSAL)
def test_next_words_pass_the_check_for_third_parties(name: str):
    check_task(LanguageModel(), dataset([[("in", "O")], [("Llanfairpwllgwyngyll", "B-x"), ("a", "O")] * 3]), model=CAUSAL[name])


@pytest.mark.parametrize("name", MODELS)
def test_replies_pass_the_check_for_third_parties(name: str):
    pairs = [("play what", "Jazz", "reply"), ("", "in a a a", "other"), ("é", "stop", "reply"), ("a a a a a a", "in", "other")]
    rows = [Example(tokens=tuple(reply.split()), context=tuple(asked.split()), label=label) for asked, reply, label in pairs]
    check_task(ReplyPrediction(context_words=3), Dataset.from_examples(rows, name="drawn", split="train"), model=MODELS[name])


def test_the_check_makes_its_vocabulary_of_what_the_task_lets_a_model_read(monkeypatch: pytest.MonkeyPatch):
    seen, make = [], models.Bag.featuriser
    monkeypatch.setattr(models.Bag, "featuriser", lambda self, tokens: seen.append(tokens) or make(self, tokens))
    rows = [Example(tokens=(word,), context=("who", "asks"), label="reply") for word in ("me", "you")]
    check_task(ReplyPrediction(), Dataset.from_examples(rows, name="drawn", split="train"), model=MODELS["bag"])
    assert seen == [[["who", "asks", SEPARATOR, "me"], ["who", "asks", SEPARATOR, "you"]]]


@dataclass(frozen=True, kw_only=True)
class MeanOverTheWordsOfTheBatch(LanguageModel):
    """A planted fault: the usual loss of a language model, a mean over all words of the batch."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        counts = batch.features.word_mask_BW.sum(1)
        return super().per_example_loss(model, batch) * counts * len(batch) / counts.sum()


@dataclass(frozen=True, kw_only=True)
class RepliesOfOthers(ReplyPrediction):
    """A planted fault: other rows of the batch stand in for wrong replies."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        scores_B = model(batch.features).sentence_BK[:, 1]
        return torch.logsumexp(scores_B, 0) - scores_B


def test_the_customary_losses_of_both_are_caught():
    pairs = [("play", "Jazz", "reply"), ("what is", "in a", "other"), ("é", "stop now a", "reply")]
    rows = [Example(tokens=tuple(reply.split()), context=tuple(asked.split()), label=label) for asked, reply, label in pairs]
    data = Dataset.from_examples(rows, name="drawn", split="train")
    with pytest.raises(AssertionError, match="rows meet"):
        check_task(MeanOverTheWordsOfTheBatch(), data, model=CAUSAL["lstm-lm"])
    with pytest.raises(AssertionError, match="rows meet"):
        check_task(RepliesOfOthers(), data, model=MODELS["bag"])


@dataclass(frozen=True, kw_only=True)
class MeanOverTheBatch(Tagging):
    """A planted fault: words are averaged over the batch, as an ordinary cross-entropy does."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        losses = super().per_example_loss(model, batch) * torch.from_numpy(batch.words)
        return losses * len(batch) / batch.words.sum()


@dataclass(frozen=True, kw_only=True)
class Contrast(Classification):
    """A planted fault: a sentence is scored against the mean of the others in its batch."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        logits = model(batch.features).sentence_BK
        return sentence_loss(logits - 1e-7 * logits.mean(0), batch)


@dataclass(frozen=True, kw_only=True)
class OneLoss(Classification):
    """A planted fault: one number for the batch."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return super().per_example_loss(model, batch).mean()


@dataclass(frozen=True, kw_only=True)
class LastWins(Classification):
    """A planted fault: every example gets the prediction of the last."""

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        return [Prediction(str(batch.sentence_B[-1]))] * len(batch)


@dataclass(frozen=True, kw_only=True)
class OtherSubject(Classification):
    """A planted fault: estimates of another run."""

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple:
        return super().score(dataset, predictions, subject="mine")


@dataclass(frozen=True, kw_only=True)
class NotFinite(Classification):
    """A planted fault: a loss that is no number."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return super().per_example_loss(model, batch) / torch.zeros(len(batch))


@dataclass(frozen=True, kw_only=True)
class LosesOne(Classification):
    """A planted fault: an example is left out."""

    def encode(self, dataset: Dataset, featuriser: models.Featuriser, labels: models.Labels) -> EncodedDataset:
        return super().encode(dataset.take(np.arange(1, len(dataset))), featuriser, labels)


@dataclass(frozen=True, kw_only=True)
class Unmeasured(Classification):
    """A planted fault: nothing is measured."""

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple:
        return ()


@pytest.mark.parametrize(
    ("task", "clause"),
    [
        (MeanOverTheBatch(), "alone, but .* in one batch: rows meet"),
        (Contrast(), "moves with the words of examples .*: rows meet"),
        (OneLoss(), "gives the shape"),
        (LastWins(), "other predictions for examples alone"),
        (OtherSubject(), "another subject"),
        (NotFinite(), "not finite"),
        (LosesOne(), "encode gives 3 examples for 4"),
        (Unmeasured(), "no estimate"),
    ],
)
def test_planted_faults_are_caught(task: Task, clause: str):
    data = dataset([[("in", "O")], [("é", "O"), ("a", "O")] * 3, [("a", "O"), ("in", "O")]])
    with pytest.raises(AssertionError, match=clause):
        check_task(task, data, model=MODELS["bilstm"])


def test_one_example_cannot_be_checked():
    with pytest.raises(AssertionError, match="at least two examples"):
        check_task(Tagging(), dataset([]), model=MODELS["bilstm"])
