"""Tasks with a conditional random field over the tags: losses, confidences and predictions, private training, ensembles."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.oracles import chains as oracle
from tests.oracles.ensembles import losses_alone, trained_alone
from torch import nn

import holdfast
from holdfast import models, privacy, tasks
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.tasks import IntentSlot, Tagging
from holdfast.tasks.labelling import token_loss
from holdfast.tasks.task import EncodedDataset
from holdfast.training import TrainingSettings
from holdfast.training.ensembles import train_ensemble

TINY = models.BiLSTM(embedding=6, hidden=5, characters=3, character_width=2, tag_head="crf")
Prepare = Callable[..., tuple[nn.Module, EncodedDataset]]


@pytest.fixture
def made(prepared: Prepare) -> Callable[..., tuple[nn.Module, EncodedDataset]]:
    """A small model whose transitions are away from 0."""

    def make(task: tasks.Task, *data: Dataset, settings: models.ModelSettings = TINY) -> tuple[nn.Module, EncodedDataset]:
        module, encoded = prepared(task, *data, settings=settings)
        nn.init.normal_(module.heads.transitions.table.weight, generator=torch.Generator().manual_seed(1))
        return module.double(), encoded

    return make


def alone(module: nn.Module, task: tasks.Task, encoded: EncodedDataset, row: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """The scores, the tags and the transitions of one example."""
    batch = task.collate(encoded, np.array([row]))
    table = module.heads.transitions.table.weight.detach().numpy()
    return module(batch.features).tokens_BWS[0].detach().numpy(), batch.tokens_BW[0].tolist(), table


def test_the_loss_of_the_tags_is_that_of_the_row_divided_by_its_words(train: Dataset, made):
    task = IntentSlot(intent_weight=2.0, slot_weight=0.5)
    module, encoded = made(task)
    batch = task.collate(encoded, np.array([0, 2, 3]))
    whole = task.per_example_loss(module, batch)
    intents = IntentSlot(intent_weight=2.0, slot_weight=0.0).per_example_loss(module, batch)
    for place, row in enumerate([0, 2, 3]):
        expected = -oracle.log_likelihood(*alone(module, task, encoded, row)) / len(train.tags()[row])
        assert (whole - intents)[place].item() == pytest.approx(0.5 * expected, abs=1e-9)


def test_a_word_of_an_unseen_tag_may_have_any(other: Dataset, made):
    """The examples have 2, 3 and 1 words; of the second the middle one, and of the third the only one, are unseen."""
    task = Tagging(unseen_labels="count as wrong")
    module, encoded = made(task, other)
    losses = task.per_example_loss(module, task.collate(encoded, np.arange(3)))
    scores, tags, table = alone(module, task, encoded, 1)
    assert losses[1].item() == pytest.approx(-oracle.log_likelihood(scores, tags, table) / 2, abs=1e-9)
    assert losses[2].item() == pytest.approx(0, abs=1e-9)


def test_transitions_of_zero_cost_what_a_softmax_costs(other: Dataset, prepared: Prepare):
    task = IntentSlot(unseen_labels="count as wrong")
    found = []
    for settings in (TINY, replace(TINY, tag_head="softmax")):
        module, encoded = prepared(task, other, settings=settings)
        batch = task.collate(encoded, np.arange(3))
        found.append((task.confidences(module, batch), task.predict(module, batch)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=0)
    assert found[0][1] == found[1][1]


def test_entropies_are_those_of_the_marginals(made):
    task = IntentSlot()
    module, encoded = made(task)
    names = task.confidence_names(encoded.labels)
    found = dict(zip(names, task.confidences(module, task.collate(encoded, np.array([0, 2, 3]))).T.tolist(), strict=True))
    for place, row in enumerate([0, 2, 3]):
        scores, tags, table = alone(module, task, encoded, row)
        entropies = [-sum(p * math.log(p) for p in word) for word in oracle.marginals(scores, table)]
        assert found["mean tag entropy"][place] == pytest.approx(sum(entropies) / len(entropies), abs=1e-9)
        assert found["largest tag entropy"][place] == pytest.approx(max(entropies), abs=1e-9)
        assert found["tag loss"][place] == pytest.approx(-oracle.log_likelihood(scores, tags, table) / len(tags), abs=1e-9)


def test_predictions_follow_the_transitions_and_the_rule_of_chunks(made):
    task = Tagging()
    module, encoded = made(task)
    tags = encoded.labels.tokens  # O, B-genre, B-place, I-genre, I-place
    module.heads.transitions.table.weight.data.zero_()[tags.index("O"), tags.index("I-place")] = 20  # barred all the same
    module.heads.transitions.table.weight.data[len(tags), tags.index("B-genre")] = 20
    module.heads.transitions.table.weight.data[tags.index("B-genre"), tags.index("I-genre")] = 20
    found = task.predict(module, task.collate(encoded, np.arange(4)))
    for prediction in found:
        assert prediction.tags[:2] == ("B-genre", "I-genre")[: len(prediction.tags)]
        assert "I-place" not in prediction.tags or "B-place" in prediction.tags


def test_words_that_are_not_read_are_outside_and_cost_nothing(made):
    task = IntentSlot()
    module, encoded = made(task, settings=models.Transformer(width=8, layers=1, heads=2, feedforward=8, max_length=2, tag_head="crf"))
    batch = task.collate(encoded, np.arange(4))
    assert [len(prediction.tags) for prediction in task.predict(module, batch)] == [3, 6, 1, 4]
    for row in range(4):
        expected = -oracle.log_likelihood(*alone(module, task, encoded, row)) / min(2, batch.words[row])
        assert token_loss(module(batch.features), batch)[row].item() == pytest.approx(expected, abs=1e-9)


DATA = holdfast.load_data("assistant:train=120,validation=20,test=20")
MECHANISMS = {
    "flat": privacy.dp_sgd(examples=120, batch_size=30, epochs=2, clip_norm=1.0, noise_multiplier=1.0, delta=1e-3),
    "per-layer": privacy.dp_sgd(
        examples=120, batch_size=30, epochs=2, clip_norm=1.0, noise_multiplier=1.0, delta=1e-3, clipping="per-layer"
    ),
    "micro-batches": privacy.edp_sgd(
        examples=120, batch_size=30, epochs=2, clip_norm=1.0, noise_multiplier=1.0, delta=1e-3, micro_batch_size=3
    ),
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_private_training_passes_the_checks_at_the_start_and_moves_the_transitions(name: str):
    settings = models.BiLSTM(embedding=6, hidden=5, characters=4, character_width=3, tag_head="crf")
    task = IntentSlot(unseen_labels="count as wrong")
    fitted = holdfast.train(task, DATA, mechanism=MECHANISMS[name], model=settings, seed=1)
    assert fitted.claim.epsilon < math.inf
    assert fitted.module.heads.transitions.table.weight.abs().max() > 1e-3
    assert np.isfinite(fitted.losses(DATA.test)).all()


@pytest.mark.parametrize("engine", ["stacked", "loop"])
def test_an_ensemble_is_the_models_trained_alone(engine: str):
    """Stacked into one batch, in which each row has the transitions of its own model; in double precision."""
    silent = {"dropout": 0.0, "word_dropout": 0.0, "tag_head": "crf"}
    model, task, data = models.BiLSTM(embedding=6, hidden=5, characters=0, **silent), IntentSlot(), DATA.train
    given = {"model": model, "featuriser": model.featuriser(data.tokens()), "labels": task.labels(data), "epochs": 2.0, "batch_size": 8}
    encoded = task.encode(data, given["featuriser"], given["labels"])
    included = np.random.default_rng(1).random((len(data), 3)) < 0.3
    settings = TrainingSettings(optimizer="sgd", learning_rate=0.1)

    def double(streams: Streams) -> nn.Module:
        return model.build(given["featuriser"], given["labels"], streams.child("initialisation")).double()

    trained = train_ensemble(
        task, encoded, included=included, settings=settings, seeds=(5, 6, 7), initial=double, engine=engine, together=3, **given
    )
    members = [np.flatnonzero(column) for column in included.T]
    each = [trained_alone(task, encoded, rows, settings=settings, seed=5 + k, **given) for k, rows in enumerate(members)]
    np.testing.assert_allclose(trained.losses(encoded), losses_alone(task, encoded, each), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_small_run_learns_at_least_as_well_as_with_a_softmax():
    data, found = holdfast.load_data("assistant:train=600,validation=100,test=100"), {}
    settings = TrainingSettings(learning_rate=5e-3)
    for head in models.crf.TAG_HEADS:
        mechanism = privacy.non_private(examples=600, batch_size=32, epochs=12)
        model = models.BiLSTM(embedding=50, hidden=32, characters=0, tag_head=head)
        fitted = holdfast.train(IntentSlot(), data, mechanism=mechanism, model=model, settings=settings, seed=3)
        found[head] = {one.name: one.value for one in fitted.evaluate(data.test).estimates}
    assert found["crf"]["slot_f1"] > 0.4
    assert found["crf"]["slot_f1"] > found["softmax"]["slot_f1"] - 0.05
    assert found["crf"]["intent_accuracy"] > found["softmax"]["intent_accuracy"] - 0.1
