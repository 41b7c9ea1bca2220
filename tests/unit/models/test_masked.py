"""The model that says which words are hidden: what it sees, that rows do not meet, and that it can be clipped, stacked and saved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracles.ensembles import losses_alone, trained_alone
from torch import nn

from holdfast import models, tasks
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.models import Features, Labels, MaskedEncoder
from holdfast.models.causal import NextWordFeaturiser, TiedHead
from holdfast.models.masked import HiddenWords, MaskedLogits, MaskedTransformer
from holdfast.privacy import Execution
from holdfast.privacy.sums import clip_weights, per_example
from holdfast.training import TrainingSettings
from holdfast.training.ensembles import train_ensemble
from holdfast.training.evaluation import losses_of

TEXT = [["play", "Some", "jazz"], ["what", "is", "the", "weather", "unbelievably"], ["stop"], ["jazz", "jazz"]]
WORDS = Labels(next_words=True)
NARROW = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12, "max_length": 32, "min_count": 1, "dropout": 0.0}
MODELS = {
    "tied": MaskedEncoder(**NARROW),
    "two tables": MaskedEncoder(**NARROW, tied=False),
    "bytes": MaskedEncoder(**NARROW, vocabulary="bytes"),
}
EVERY = pytest.mark.parametrize("name", MODELS)


def made(name: str, key: int = 1) -> tuple[MaskedTransformer, NextWordFeaturiser]:
    featuriser = MODELS[name].featuriser(TEXT)
    return MODELS[name].build(featuriser, WORDS, Streams(key)).eval(), featuriser


def seen(featuriser: NextWordFeaturiser, text: list[list[str]], hidden: list[list[int]], **more: torch.Tensor) -> HiddenWords:
    """Features with some places hidden, at which the model is also asked."""
    features = featuriser.collate(featuriser.encode(text), np.arange(len(text)))
    hidden_BT = torch.zeros_like(features.mask_BT)
    for row, places in enumerate(hidden):
        hidden_BT[row, places] = True
    return HiddenWords(**vars(features), hidden_BT=hidden_BT, asked_BA=torch.tensor(hidden), **more)


def scores(module: nn.Module, features: Features) -> torch.Tensor:
    with torch.no_grad():
        return module(features).tokens_BWS


@EVERY
def test_a_hidden_piece_is_not_seen_and_all_others_are(name: str):
    module, featuriser = made(name)
    text = ["play", "jazz", "stop"]
    base = scores(module, seen(featuriser, [text], [[1]]))
    length = len(featuriser.encode([text]).pieces[0])
    for place in range(length):
        features = seen(featuriser, [text], [[1]])
        features.ids_BT[0, place] = (features.ids_BT[0, place] + 1) % featuriser.pieces
        moved = bool((scores(module, features) - base).abs().max() > 1e-6)
        assert moved == (place != 1), f"place {place}"


@EVERY
def test_scores_are_those_of_all_pieces_where_they_are_asked_for_and_rows_do_not_meet(name: str):
    module, featuriser = made(name)
    together = module(seen(featuriser, TEXT, [[0, 1], [1, 1], [0, 0], [0, 1]]))
    assert isinstance(together, MaskedLogits)
    assert together.tokens_BWS.shape == (4, 2, featuriser.pieces)
    for row, places in enumerate([[0, 1], [1, 1], [0, 0], [0, 1]]):
        alone = scores(module, seen(featuriser, [TEXT[row]], [places]))
        torch.testing.assert_close(together.tokens_BWS[row], alone[0], atol=1e-5, rtol=0)


def test_a_swapped_piece_is_read_as_the_other_one():
    module, featuriser = made("tied")
    where = seen(featuriser, [TEXT[0]], [[0]])
    swapped_BT = torch.full(where.ids_BT.shape, -1.0)
    swapped_BT[0, 1] = 5.5 / featuriser.pieces
    swapped = replace(where, swapped_BT=swapped_BT)
    other = seen(featuriser, [TEXT[0]], [[0]])
    other.ids_BT[0, 1] = 5
    assert torch.equal(scores(module, swapped), scores(module, other))
    assert not torch.equal(scores(module, swapped), scores(module, where))


def test_nothing_is_predicted_where_nothing_is_hidden():
    module, featuriser = made("tied")
    found = module(featuriser.collate(featuriser.encode(TEXT), np.arange(4)))
    assert (found.sentence_BK, found.tokens_BWS) == (None, None)
    data = dataset(TEXT)
    task = tasks.LanguageModel()
    batch = task.collate(task.encode(data, featuriser, WORDS), np.arange(2))
    with pytest.raises(InputError, match="predicts no words"):
        task.per_example_loss(module, batch)


@EVERY
def test_every_parameter_learns_in_a_layer_with_a_rule(name: str):
    module, featuriser = made(name)
    module(seen(featuriser, TEXT, [[0, 1], [1, 2], [0, 0], [0, 1]])).tokens_BWS.square().sum().backward()
    for leaf in module.modules():
        for own, parameter in leaf.named_parameters(recurse=False):
            assert isinstance(leaf, nn.Linear | nn.Embedding | nn.LayerNorm | TiedHead), f"{type(leaf).__name__}.{own}"
            assert parameter.grad is not None
            assert parameter.grad.any(), f"{type(leaf).__name__}.{own} gets no gradient"


def test_the_mask_is_no_word():
    module, featuriser = made("tied")
    assert featuriser.pieces == 11, "nine words, the unknown one and the boundary"
    assert [key for key, value in module.state_dict().items() if len(value) == 11] == ["words.weight", "head.bias"]
    assert module.mask.weight.shape == (1, 8)


def dataset(rows: list[list[str]]) -> Dataset:
    return Dataset.from_examples([Example(tokens=tuple(row)) for row in rows], name="tiny", split="train")


@EVERY
def test_clipped_sums_equal_the_loop(name: str):
    """In double precision, with rows of several lengths; the masked places are those of evaluation, so both see the same."""
    task, data = tasks.MaskedLanguageModel(share=0.5), dataset([*TEXT, ["the", "weather"], ["new"]])
    module, featuriser = made(name, key=3)
    module = module.double()
    run = losses_of(task, module, task.encode(data, featuriser, WORDS), device=torch.device("cpu"))

    def clipped(execution: Execution) -> dict:
        return per_example(module, run, np.arange(6), weigh=lambda squared: clip_weights(squared, 0.5), execution=execution)

    want, got = clipped(Execution(engine="loop")), clipped(Execution(physical_batch_size=4))
    assert want.keys() == got.keys() == dict(module.named_parameters()).keys()
    for key, value in want.items():
        torch.testing.assert_close(got[key], value, atol=1e-9, rtol=1e-9)
    assert float(sum(value.square().sum() for value in want.values())) > 1e-3


@pytest.mark.parametrize("name", ["two tables", "tied"])
def test_models_trained_together_are_those_trained_alone(name: str):
    """The words that training hides are drawn model by model: with a share of 1 there is nothing to draw, and both must agree."""
    rng = np.random.default_rng(0)
    data = dataset([list(np.array(list("abcde"))[rng.integers(0, 5, rng.integers(1, 6))]) for _ in range(20)])
    task, model = tasks.MaskedLanguageModel(share=1.0, swapped=0.0, kept=0.0), MODELS[name]
    featuriser = model.featuriser(data.tokens())
    encoded = task.encode(data, featuriser, WORDS)
    included = np.random.default_rng(1).random((20, 2)) < 0.5
    settings = TrainingSettings(optimizer="adam", learning_rate=0.01)
    given = {"model": model, "featuriser": featuriser, "labels": WORDS, "epochs": 2, "batch_size": 5}

    def initial(streams: Streams) -> nn.Module:
        return model.build(featuriser, WORDS, streams.child("initialisation")).double()

    trained = train_ensemble(task, encoded, included=included, settings=settings, seeds=(5, 6), initial=initial, **given)
    members = [np.flatnonzero(column) for column in included.T]
    alone = [trained_alone(task, encoded, rows, settings=settings, seed=5 + k, **given) for k, rows in enumerate(members)]
    assert trained.engine == ("stacked" if name == "two tables" else "loop")
    np.testing.assert_allclose(trained.losses(encoded), losses_alone(task, encoded, alone), rtol=0, atol=1e-8)


@EVERY
def test_a_loaded_model_gives_identical_scores(name: str, tmp_path: Path):
    module, featuriser = made(name)
    models.save(tmp_path, module, MODELS[name], featuriser, WORDS)
    loaded = models.load(tmp_path)
    assert (loaded.settings, loaded.labels, loaded.featuriser) == (MODELS[name], WORDS, featuriser)
    where = seen(featuriser, TEXT[:2], [[0], [2]])
    assert torch.equal(scores(loaded.module, where), scores(module, where))
    assert loaded.settings.describe()["model"] == "encoder-mlm"


def test_the_same_streams_give_the_same_weights():
    first, second, other = (made("tied", key)[0].state_dict() for key in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["mask.weight"], other["mask.weight"])


@pytest.mark.parametrize("labels", [Labels(("a", "b")), Labels((), ("O", "B-x"))])
def test_labels_are_refused(labels: Labels):
    with pytest.raises(InputError, match="take the task 'masked-language-model'"):
        MaskedEncoder(min_count=1).build(MaskedEncoder(min_count=1).featuriser(TEXT), labels, Streams(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9}, "width 9 is not a multiple of heads 4"),
        ({"feedforward": 0}, "encoder-mlm: feedforward is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"vocabulary": "hashed"}, "vocabulary is 'hashed'"),
        ({"layer": 1}, "did you mean 'layers'"),
    ],
)
def test_values_out_of_bounds_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        models.settings("encoder-mlm", options)
