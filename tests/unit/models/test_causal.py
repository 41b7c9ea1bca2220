"""Models that predict next words: their pieces, that they never look ahead, and that one row never meets another."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.ensembles import losses_alone, trained_alone
from torch import nn

from holdfast import models, tasks
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.models import Decoder, Labels, LSTMLanguageModel
from holdfast.models.causal import NextWordFeaturiser, TiedHead
from holdfast.models.vocabulary import KnownWords
from holdfast.models.words import BYTES
from holdfast.training import TrainingSettings
from holdfast.training.ensembles import train_ensemble

TEXT = [["play", "Some", "jazz"], ["what", "is", "the", "weather", "unbelievably"], ["stop"], ["jazz", "jazz"]]
NEXT = Labels(next_words=True)
LSTM = {"embedding": 6, "hidden": 5, "min_count": 1, "dropout": 0.0}
NARROW = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12, "max_length": 32, "min_count": 1, "dropout": 0.0}
MODELS = {
    "lstm": LSTMLanguageModel(**LSTM),
    "lstm, two layers": LSTMLanguageModel(**LSTM, layers=2),
    "lstm, tied": LSTMLanguageModel(**LSTM, tied=True),
    "lstm, tied, one width": LSTMLanguageModel(**{**LSTM, "hidden": 6}, tied=True),
    "lstm, bytes": LSTMLanguageModel(**LSTM, vocabulary="bytes"),
    "decoder": Decoder(**NARROW),
    "decoder, tied": Decoder(**NARROW, tied=True),
    "decoder, bytes": Decoder(**NARROW, vocabulary="bytes"),
}
EVERY = pytest.mark.parametrize("name", MODELS)


def made(name: str, key: int = 1) -> tuple[nn.Module, NextWordFeaturiser]:
    featuriser = MODELS[name].featuriser(TEXT)
    return MODELS[name].build(featuriser, NEXT, Streams(key)).eval(), featuriser


def scores(module: nn.Module, featuriser: NextWordFeaturiser, text: list[list[str]]) -> torch.Tensor:
    with torch.no_grad():
        return module(featuriser.collate(featuriser.encode(text), np.arange(len(text)))).tokens_BWS


def ids(featuriser: NextWordFeaturiser, text: list[list[str]]) -> list[list[int]]:
    pieces = featuriser.encode(text).pieces
    return [pieces[row].tolist() for row in range(len(pieces))]


def test_words_are_pieces_and_an_end_marker_stands_behind_them():
    featuriser = NextWordFeaturiser(KnownWords(("jazz", "play"), 2, is_public=False), lowercase=True, max_length=3)
    assert (featuriser.boundary, featuriser.pieces, featuriser.vocabulary_is_public) == (3, 4, False)
    assert ids(featuriser, [["Play", "jazz"], ["stop"]]) == [[2, 1, 3], [0, 3]]
    assert ids(featuriser, [["a", "jazz", "play"], ["a", "b", "c", "d"]]) == [[0, 1, 2], [0, 0, 0]], "cut, so without an end marker"
    assert ids(replace(featuriser, lowercase=False), [["Play"]]) == [[0, 3]]
    assert ids(featuriser, []) == []


def test_bytes_are_pieces_with_a_blank_behind_every_word():
    featuriser = NextWordFeaturiser(None, lowercase=True, max_length=8)
    assert (featuriser.pieces, featuriser.vocabulary_is_public) == (BYTES + 2, True)
    encoded = featuriser.encode([["Ab", "c"], ["ab", "cd", "ef"], ["abcdefghij"], ["ab", "cdefg"], ["é"]])
    rows = [[piece - 1 for piece in encoded.pieces[row]] for row in range(5)]
    assert rows == [
        [*b"ab c ", BYTES],
        [*b"ab cd "],  # "ef " would need three more; a cut utterance has no end marker
        [*b"abcdefgh"],
        [*b"ab "],
        [*"é ".encode(), BYTES],
    ]
    assert [encoded.words[row].tolist() for row in range(5)] == [[0, 3, 5], [0, 3], [0], [0], [0, 3]]
    features = featuriser.collate(encoded, np.array([4, 0]))
    assert features.word_mask_BW.tolist() == [[True, True, False], [True, True, True]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.text("aé \u4e2d\ud800", min_size=1, max_size=6), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 30),
)
def test_what_is_read_of_an_utterance_is_its_beginning(text: list[list[str]], longest: int):
    featuriser = NextWordFeaturiser(None, lowercase=False, max_length=longest)
    encoded = featuriser.encode(text)
    for row, words in enumerate(text):
        whole = b"".join(word.encode("utf-8", "surrogatepass") + b" " for word in words)
        pieces = encoded.pieces[row].tolist()
        read = bytes(piece - 1 for piece in pieces if piece != featuriser.boundary)
        assert len(pieces) <= longest
        assert whole.startswith(read)
        assert (pieces[-1] == featuriser.boundary) == (len(whole) < longest)
        starts = [0, *itertools.accumulate(len(word.encode("utf-8", "surrogatepass")) + 1 for word in words)]
        assert encoded.words[row].tolist() == [start for start in starts if start < len(pieces)]
        assert len(read) in starts or (len(read) == longest and len(encoded.words[row]) == 1)


def test_a_vocabulary_holds_the_most_frequent_words():
    text = [["b", "a", "a"], ["a", "c", "b"]]
    assert LSTMLanguageModel(min_count=1, most_words=2).featuriser(text).vocabulary.words == ("a", "b")
    assert LSTMLanguageModel().featuriser(text).vocabulary.words == ("a", "b"), "twice at least"
    assert Decoder(vocabulary="bytes").featuriser([]).vocabulary is None


@EVERY
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_no_score_looks_at_its_own_word_or_what_follows(name: str, data: st.DataObject):
    module, featuriser = made(name)
    words = st.sampled_from(["play", "jazz", "stop", "the", "new"])
    text = data.draw(st.lists(words, min_size=2, max_size=6))
    place = data.draw(st.integers(0, len(text) - 1))
    changed = [*text[:place], data.draw(words.filter(lambda word: word != text[place])), *text[place + 1 :]]
    before, after = scores(module, featuriser, [text])[0], scores(module, featuriser, [changed])[0]
    first = place if featuriser.vocabulary is not None else sum(len(word) + 1 for word in text[:place])
    torch.testing.assert_close(before[: first + 1], after[: first + 1], atol=1e-6, rtol=0)
    if place + 1 < len(text) or featuriser.vocabulary is None:
        known = [featuriser.encode([row]).pieces[0].tolist() for row in (text, changed)]
        if known[0] != known[1]:  # two unknown words are one
            length = min(map(len, known))
            assert (before[first + 1 : length] - after[first + 1 : length]).abs().max() > 0, "but what follows does look at it"


@EVERY
def test_rows_do_not_meet_and_layers_see_one_row_for_each_example(name: str):
    module, featuriser = made(name)
    seen: list[torch.Tensor] = []
    leaves = [leaf for leaf in module.modules() if any(True for _ in leaf.parameters(recurse=False))]
    hooks = [leaf.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for leaf in leaves]
    together = scores(module, featuriser, TEXT)
    for hook in hooks:
        hook.remove()
    assert len(seen) >= 3
    assert {len(inputs) for inputs in seen} == {len(TEXT)}
    for row, words in enumerate(TEXT):
        alone = scores(module, featuriser, [words])[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=0)


@EVERY
def test_every_parameter_learns_in_a_layer_with_a_rule(name: str):
    module, featuriser = made(name)
    module(featuriser.collate(featuriser.encode(TEXT), np.arange(4))).tokens_BWS.square().sum().backward()
    for leaf in module.modules():
        for own, parameter in leaf.named_parameters(recurse=False):
            assert isinstance(leaf, nn.Linear | nn.Embedding | nn.LayerNorm | nn.LSTM | TiedHead), f"{type(leaf).__name__}.{own}"
            assert parameter.grad is not None
            assert parameter.grad.any(), f"{type(leaf).__name__}.{own} gets no gradient"


def test_tied_models_hold_their_table_once():
    for name in ("lstm, tied", "decoder, tied"):
        module, featuriser = made(name)
        assert featuriser.pieces == 11, "nine words, the unknown one and the boundary"
        assert [key for key, value in module.state_dict().items() if len(value) == 11] == ["words.weight", "head.bias"]


@EVERY
def test_a_loaded_model_gives_identical_scores(name: str, tmp_path: Path):
    module, featuriser = made(name)
    models.save(tmp_path, module, MODELS[name], featuriser, NEXT)
    loaded = models.load(tmp_path)
    assert (loaded.settings, loaded.labels, loaded.featuriser) == (MODELS[name], NEXT, featuriser)
    assert torch.equal(scores(loaded.module, loaded.featuriser, TEXT), scores(module, featuriser, TEXT))
    described = models.describe(module, MODELS[name], featuriser, NEXT)
    assert described["labels"] == {"sentence": 0, "tokens": 0, "next_words": True}


def test_labels_without_next_words_are_written_as_ever():
    old = Labels(("a", "b"), ("O",))
    assert old.to_json() == {"sentence": ["a", "b"], "tokens": ["O"]}
    for labels in (old, NEXT):
        assert Labels.from_json(json.loads(json.dumps(labels.to_json()))) == labels
    with pytest.raises(InputError, match="no other labels"):
        Labels(("a",), next_words=True)


def test_the_same_streams_give_the_same_weights():
    first, second, other = (made("decoder", key)[0].state_dict() for key in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["words.weight"], other["words.weight"])


@pytest.mark.parametrize(
    "settings", [models.Bag(), models.BiLSTM(), models.Transformer(width=8, heads=2)], ids=lambda settings: settings.kind
)
def test_models_of_labels_refuse_next_words(settings: models.ModelSettings):
    with pytest.raises(InputError, match=r"cannot predict next words; take the model 'lstm-lm' or 'decoder'"):
        settings.build(settings.featuriser(TEXT), NEXT, Streams(0))


@pytest.mark.parametrize("name", ["lstm-lm", "decoder"])
@pytest.mark.parametrize("labels", [Labels(("a", "b")), Labels((), ("O", "B-x"))])
def test_causal_models_refuse_labels(name: str, labels: Labels):
    made = models.settings(name, {"min_count": 1})
    with pytest.raises(InputError, match=f"{name} predicts next words and has no labels"):
        made.build(made.featuriser(TEXT), labels, Streams(0))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm-lm", {"hidden": 0}, "lstm-lm: hidden is 0"),
        ("lstm-lm", {"dropout": 1.0}, "dropout is 1.0"),
        ("lstm-lm", {"vocabulary": "hashed"}, "vocabulary is 'hashed'"),
        ("lstm-lm", {"tied": 1}, "give true or false"),
        ("lstm-lm", {"max_length": 0}, "max_length is 0"),
        ("lstm-lm", {"most_words": 0}, "most_words is 0"),
        ("lstm-lm", {"layer": 1}, "did you mean 'layers'"),
        ("decoder", {"width": 9}, "width 9 is not a multiple of heads 4"),
        ("decoder", {"feedforward": 0}, "feedforward is 0"),
        ("lstm-lm", {"min_count": 9}, "stands there 9 times"),
    ],
)
def test_values_out_of_bounds_are_refused(name: str, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        models.settings(name, options).featuriser(TEXT)


def corpus(examples: int) -> Dataset:
    rng = np.random.default_rng(0)
    words = np.array(["a", "b", "c", "d", "e"])
    rows = [Example(tokens=tuple(words[rng.integers(0, 5, rng.integers(1, 6))])) for _ in range(examples)]
    return Dataset.from_examples(rows, name="drawn", split="train")


@pytest.mark.parametrize("name", ["lstm, two layers", "decoder", "decoder, bytes", "lstm, tied", "decoder, tied"])
def test_models_trained_together_are_those_trained_alone(name: str):
    """Tied models cannot be stacked: a head that looks at another layer's table is no layer that is known model by model."""
    data, task, model = corpus(30), tasks.LanguageModel(), MODELS[name]
    featuriser = model.featuriser(data.tokens())
    encoded = task.encode(data, featuriser, NEXT)
    included = np.random.default_rng(1).random((30, 3)) < np.array([0.4, 0.5, 0.6])
    settings = TrainingSettings(optimizer="adam", learning_rate=0.01)
    given = {"model": model, "featuriser": featuriser, "labels": NEXT, "epochs": 2, "batch_size": 8}

    def initial(streams: Streams) -> nn.Module:
        return model.build(featuriser, NEXT, streams.child("initialisation")).double()

    trained = train_ensemble(task, encoded, included=included, settings=settings, seeds=(5, 6, 7), initial=initial, **given)
    members = [np.flatnonzero(column) for column in included.T]
    alone = [trained_alone(task, encoded, rows, settings=settings, seed=5 + k, **given) for k, rows in enumerate(members)]
    assert (trained.engine == "stacked") == ("tied" not in name)
    np.testing.assert_allclose(trained.losses(encoded), losses_alone(task, encoded, alone), rtol=0, atol=1e-8)
