"""Models trained together against the same models trained one after the other."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.oracles.ensembles import losses_alone, trained_alone
from torch import nn

from holdfast import models, tasks
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import load_data
from holdfast.privacy import kernels
from holdfast.tasks import language_model
from holdfast.training import TrainingSettings
from holdfast.training.ensembles import Ensemble, ensemble, train_ensemble

SILENT = {"dropout": 0.0, "word_dropout": 0.0}
MODELS = {
    "bag": models.Bag(embedding=6, hidden=5, **SILENT),
    "bilstm": models.BiLSTM(embedding=6, hidden=5, layers=2, characters=4, character_width=3, **SILENT),
    "transformer": models.Transformer(width=8, layers=2, heads=2, feedforward=12, **SILENT),
}
DROPPING = {
    "bag": replace(MODELS["bag"], dropout=0.3, word_dropout=0.1),
    "bilstm": replace(MODELS["bilstm"], dropout=0.3, word_dropout=0.1),
    "transformer": replace(MODELS["transformer"], dropout=0.3, word_dropout=0.1),
}
OPTIMISERS = {
    "sgd": TrainingSettings(optimizer="sgd", learning_rate=0.1, schedule="cosine"),
    "adam": TrainingSettings(optimizer="adam", rates={"heads": 3.0}),
    "adamw": TrainingSettings(optimizer="adamw", weight_decay=0.1, schedule="linear"),
}
DATA = load_data("assistant:train=90,validation=1,test=1").train
INCLUDED = np.random.default_rng(1).random((90, 4)) < np.array([0.4, 0.5, 0.6, 0.7])


@dataclass(frozen=True)
class Parts:
    """A task with data that are encoded for a model."""

    task: tasks.Task
    model: models.ModelSettings

    @functools.cached_property
    def given(self) -> dict:
        featuriser, labels = self.model.featuriser(DATA.tokens()), self.task.labels(DATA)
        return {"model": self.model, "featuriser": featuriser, "labels": labels, "epochs": 2.5, "batch_size": 8}

    @functools.cached_property
    def encoded(self) -> tasks.EncodedDataset:
        return self.task.encode(DATA, self.given["featuriser"], self.given["labels"])

    def double(self, streams: Streams) -> nn.Module:
        return self.model.build(self.given["featuriser"], self.given["labels"], streams.child("initialisation")).double()

    def train(self, settings: TrainingSettings, *, included: np.ndarray = INCLUDED, seeds: tuple = (5, 6, 7, 8), **more) -> Ensemble:
        options = {"initial": self.double, **self.given, **more}
        return train_ensemble(self.task, self.encoded, included=included, settings=settings, seeds=seeds, **options)

    def alone(self, settings: TrainingSettings) -> np.ndarray:
        members = [np.flatnonzero(column) for column in INCLUDED.T]
        each = [trained_alone(self.task, self.encoded, rows, settings=settings, seed=5 + k, **self.given) for k, rows in enumerate(members)]
        return losses_alone(self.task, self.encoded, each)


@pytest.fixture(autouse=True)
def many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.training.ensembles.engines.MANY_ROWS", 100)  # so that these small vocabularies are moved row by row


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", MODELS)
def test_models_trained_together_are_those_trained_alone(name: str, optimiser: str):
    parts, settings = Parts(tasks.IntentSlot(), MODELS[name]), OPTIMISERS[optimiser]
    trained = parts.train(settings, together=3)
    assert trained.engine == "stacked"
    # Adam's missed updates of rows are exact but for eps: 1e-6 where a gradient is nearly as small.
    np.testing.assert_allclose(trained.losses(parts.encoded), parts.alone(settings), rtol=0, atol=1e-5 if optimiser == "adam" else 1e-9)


def test_a_table_that_is_moved_whole_is_exact_for_adam(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.training.ensembles.engines.MANY_ROWS", 10**6)
    parts = Parts(tasks.Classification(), MODELS["bag"])
    np.testing.assert_allclose(parts.train(OPTIMISERS["adam"]).losses(parts.encoded), parts.alone(OPTIMISERS["adam"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_sentence_model_is_trained_alike_in_single_precision(name: str):
    parts = Parts(tasks.Classification(), MODELS[name])
    trained = parts.train(OPTIMISERS["sgd"], initial=None)
    np.testing.assert_allclose(trained.losses(parts.encoded), parts.alone(OPTIMISERS["sgd"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["bag", "bilstm"])
def test_torch_func_gives_the_same_models(name: str):
    parts = Parts(tasks.Classification(), MODELS[name])
    if name == "bilstm":
        parts = Parts(tasks.Classification(), replace(MODELS[name], layers=1, characters=0))
    trained = parts.train(OPTIMISERS["adamw"], engine="func")
    np.testing.assert_allclose(trained.losses(parts.encoded), parts.alone(OPTIMISERS["adamw"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", DROPPING)
def test_with_dropout_all_engines_and_neighbours_give_the_same_models(name: str):
    parts, settings = Parts(tasks.IntentSlot(), DROPPING[name]), replace(OPTIMISERS["sgd"], averaging=0.9)
    together = parts.train(settings).losses(parts.encoded)
    one = parts.train(settings, included=INCLUDED[:, 2:3], seeds=(7,)).losses(parts.encoded)
    loop = parts.train(settings, engine="loop").losses(parts.encoded)
    np.testing.assert_allclose(together[:, 2:3], one, rtol=0, atol=1e-9)
    np.testing.assert_allclose(together, loop, rtol=0, atol=1e-9)
    other = parts.train(settings, included=INCLUDED[:, 2:3], seeds=(9,)).losses(parts.encoded)
    assert np.abs(other - one).max() > 1e-3, "another seed gives another model"


def test_dropout_drops_as_much_as_it_should_and_alike_in_core_and_twin():
    from holdfast.training.ensembles.randomness import OwnDraws, keys_of

    keys, ones = keys_of([Streams(1), Streams(2)]), torch.ones(200, 30, 16)
    found = []
    for backend in ("compiled", "torch"):
        if backend == "compiled" and "compiled" not in kernels.backend():
            continue
        with kernels.using(backend), OwnDraws(keys, 3):
            found.append(nn.functional.dropout(ones, 0.25))
    assert all(torch.equal(one, found[0]) for one in found)
    dropped = (found[0] == 0).double()
    assert dropped.mean().item() == pytest.approx(0.25, abs=0.005)
    assert dropped.mean((0, 1)).std() < 0.02
    assert torch.corrcoef(dropped.flatten(1)[[0, 1, 100, 101]]).fill_diagonal_(0).abs().max() < 0.2
    with OwnDraws(keys, 3):
        wider = nn.functional.dropout(torch.ones(200, 40, 16), 0.25)
    assert torch.equal(wider[:, :30], found[0]), "padding moves no mask"
    with OwnDraws(keys, 4):
        assert not torch.equal(nn.functional.dropout(ones, 0.25), found[0])


def test_the_unstacked_modules_are_the_models():
    parts = Parts(tasks.Classification(), MODELS["bag"])
    trained = parts.train(OPTIMISERS["sgd"])
    np.testing.assert_allclose(losses_alone(parts.task, parts.encoded, list(trained.modules())), trained.losses(parts.encoded), atol=1e-12)


class Odd(nn.Module):
    """Has a parameter of its own, which no rule knows."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.scale = inner, nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, features: models.Features) -> models.Logits:
        """Scales the scores."""
        logits = self.inner(features)
        return models.Logits(logits.sentence_BK * self.scale, None)


def test_a_model_without_rules_goes_to_torch_func_and_says_why():
    parts = Parts(tasks.Classification(), MODELS["bag"])
    made = [parts.train(OPTIMISERS["sgd"], engine=engine, initial=lambda own: Odd(parts.double(own))) for engine in ("auto", "loop")]
    assert made[0].engine == "func"
    assert "Odd" in made[0].reason
    np.testing.assert_allclose(made[0].losses(parts.encoded), made[1].losses(parts.encoded), rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="Odd"):
        parts.train(OPTIMISERS["sgd"], engine="stacked", initial=lambda own: Odd(parts.double(own)))


class Always(nn.Module):
    """Adds rows of a table that every example looks up: `torch.func` gives their gradient with the models innermost in memory."""

    def __init__(self, inner: nn.Module, classes: int) -> None:
        super().__init__()
        self.inner, self.table = inner, nn.Embedding(7, classes, dtype=torch.float64)
        with torch.no_grad():
            self.table.weight.copy_(torch.linspace(-1, 1, 7 * classes, dtype=torch.float64).view(7, classes).sin())

    def forward(self, features: models.Features) -> models.Logits:
        """Shifts the scores."""
        return models.Logits(self.inner(features).sentence_BK + self.table(torch.tensor([3, 1, 3, 5])).mean(0), None)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_gradients_that_do_not_lie_in_memory_as_their_parameters_move_the_right_elements(optimiser: str):
    parts, settings = Parts(tasks.Classification(), MODELS["bag"]), OPTIMISERS[optimiser]
    classes = len(parts.given["labels"].sentence)
    made = [parts.train(settings, engine=engine, initial=lambda own: Always(parts.double(own), classes)) for engine in ("func", "loop")]
    np.testing.assert_allclose(made[0].losses(parts.encoded), made[1].losses(parts.encoded), rtol=0, atol=1e-9)


def test_models_of_next_words_are_scored_at_few_positions_at_once(monkeypatch: pytest.MonkeyPatch):
    task, seen = tasks.LanguageModel(), []
    parts = Parts(task, models.LSTMLanguageModel(embedding=4, hidden=4, min_count=1, dropout=0.0))
    trained = parts.train(replace(OPTIMISERS["sgd"], schedule="constant"), together=3)
    assert trained.engine == "stacked"
    whole = trained.losses(parts.encoded)
    count = language_model.piece_losses

    def tracking(scores_BTS: torch.Tensor, features: models.Features) -> torch.Tensor:
        seen.append(scores_BTS.shape)
        return count(scores_BTS, features)

    monkeypatch.setattr(language_model, "piece_losses", tracking)
    monkeypatch.setattr(ensemble, "EVALUATION_POSITIONS", 100)
    np.testing.assert_allclose(trained.losses(parts.encoded), whole, rtol=0, atol=1e-12)
    positions = [rows * length for rows, length, _ in seen]
    assert 50 < max(positions) <= 100, "no more scores than that, and not one row at a time"
    assert {width for _, _, width in seen} == {parts.given["featuriser"].pieces}


def test_patience_is_refused_for_there_is_no_validation():
    with pytest.raises(InputError, match="patience is 2, and an ensemble looks at no validation data"):
        Parts(tasks.Classification(), MODELS["bag"]).train(replace(OPTIMISERS["sgd"], patience=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (1, 1, 2, 3)}, "3 of them distinct"),
        ({"seeds": (1,)}, "seeds are 1"),
        ({"included": INCLUDED[:5]}, "one row of True and False"),
        ({"together": 0}, "together is 0"),
        ({"engine": "stcked"}, "did you mean 'stacked'"),
        ({"batch_size": 80}, "batch_size is 80"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        Parts(tasks.Classification(), MODELS["bag"]).train(OPTIMISERS["sgd"], **change)
