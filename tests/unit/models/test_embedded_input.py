"""What a model makes of each word apart from what it makes of them together: `EmbeddedInput`, for every kind of model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracles.tiny_encoders import KINDS, saved
from torch import Tensor, nn

from holdfast.core.access import EmbeddedInput
from holdfast.core.randomness import Streams
from holdfast.models import Bag, BiLSTM, Features, Featuriser, Hub, Labels, Logits, ModelSettings, Transformer

BILSTM = {"embedding": 6, "hidden": 5, "characters": 4, "character_width": 3, "word_dropout": 0.3}
BAG = {"embedding": 6, "hidden": 5, "word_dropout": 0.3}
TRANSFORMER = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12, "word_dropout": 0.3}
SENTENCES = [["play", "Some", "jazz"], ["what", "is", "the", "jazz", "unbelievably"], ["jazz"], ["jazz", "jazz"]]
LABELS = Labels(("ask", "play"), ("O", "B-genre", "I-genre"))

OURS = {
    "bilstm": lambda file: BiLSTM(**BILSTM),
    "bilstm, no characters": lambda file: BiLSTM(**(BILSTM | {"characters": 0, "layers": 2})),
    "bilstm, pretrained": lambda file: BiLSTM(**BILSTM, vectors=file),
    "bilstm, pretrained alone": lambda file: BiLSTM(**(BILSTM | {"embedding": 0}), vectors=file, vocabulary="vectors"),
    "bag": lambda file: Bag(**BAG),
    "bag, pretrained": lambda file: Bag(**BAG, vectors=file),
    "transformer": lambda file: Transformer(**TRANSFORMER),
    "transformer, pretrained": lambda file: Transformer(**TRANSFORMER, vectors=file),
    "transformer, hashed": lambda file: Transformer(**TRANSFORMER, vocabulary="hashed", buckets=7),
}
HUBS = {f"hub, {kind}": kind for kind in KINDS}


@pytest.fixture(params=[*OURS, *HUBS])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ModelSettings:
    if request.param in HUBS:
        return Hub(name=str(saved(tmp_path, HUBS[request.param])), max_length=20)
    (tmp_path / "vectors.txt").write_text("jazz 1 2 3\nplay 4 5 6\npolka 7 8 9\n")
    return OURS[request.param](str(tmp_path / "vectors.txt"))


def made(settings: ModelSettings, labels: Labels = LABELS) -> tuple[nn.Module, Featuriser, Features]:
    featuriser = settings.featuriser(SENTENCES)
    module = settings.build(featuriser, labels, Streams(1)).eval()
    return module, featuriser, featuriser.collate(featuriser.encode(SENTENCES), np.arange(len(SENTENCES)))


def both(logits: Logits) -> list[Tensor]:
    return [part for part in (logits.sentence_BK, logits.tokens_BWS) if part is not None]


@pytest.mark.parametrize("labels", [LABELS, Labels(("ask", "play")), Labels((), ("O", "B-x"))], ids=["both", "sentence", "words"])
def test_the_model_is_reading_what_was_embedded(settings: ModelSettings, labels: Labels):
    module, _, features = made(settings, labels)
    assert isinstance(module, EmbeddedInput)
    whole, parts = module(features), module.read(module.embed(features), features)
    for one, other in zip(both(whole), both(parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_reading_looks_at_the_masks_alone(settings: ModelSettings):
    module, _, features = made(settings)
    states = module.embed(features)
    blank = replace(features, ids_BT=torch.ones_like(features.ids_BT), characters_BTL=None)
    for one, other in zip(both(module.read(states, features)), both(module.read(states, blank)), strict=True):
        assert torch.equal(one, other)


def test_a_row_of_what_is_embedded_depends_on_its_word_alone(settings: ModelSettings):
    module, featuriser, features = made(settings)
    states = module.embed(features)
    assert states.shape[:2] == features.mask_BT.shape
    seen: dict[int, Tensor] = {}
    for row in range(len(SENTENCES)):
        alone = module.embed(featuriser.collate(featuriser.encode([SENTENCES[row]]), np.array([0])))[0]
        torch.testing.assert_close(states[row, : len(alone)], alone, atol=1e-6, rtol=0)
        ids = features.ids_BT[row, : len(alone)].tolist()
        characters = [""] * len(ids) if features.characters_BTL is None else features.characters_BTL[row].tolist()
        for place, key in enumerate(zip(ids, map(str, characters), strict=False)):
            torch.testing.assert_close(states[row, place], seen.setdefault(key, states[row, place]), atol=1e-6, rtol=0)
    assert len(seen) < int(features.mask_BT.sum())  # some words stand more than once, so that something was compared


def test_gradients_flow_from_the_logits_to_real_words_only(settings: ModelSettings):
    module, _, features = made(settings)
    states = module.embed(features).detach().requires_grad_()
    logits = module.read(states, features)
    (logits.sentence_BK.square().sum() + logits.tokens_BWS[features.word_mask_BW].square().sum()).backward()
    reached = states.grad.abs().sum(2) > 0
    assert torch.equal(reached, features.mask_BT)


def test_a_mixture_of_words_is_read_as_such(settings: ModelSettings):
    """Half one word and half another is neither, and all of one word is that word."""
    module, featuriser, _ = made(settings)
    one, other = (featuriser.collate(featuriser.encode([["play", word, "jazz"]]), np.array([0])) for word in ("jazz", "what"))
    states, others = module.embed(one), module.embed(other)
    assert states.shape == others.shape, "choose two words that every model here cuts into as many pieces"
    ends = [module.read(states * (1 - share) + others * share, one).sentence_BK for share in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(ends[0], module(one).sentence_BK, atol=1e-6, rtol=0)
    torch.testing.assert_close(ends[2], module(other).sentence_BK, atol=1e-6, rtol=0)
    assert not torch.allclose(ends[1], ends[0], atol=1e-6)
    assert not torch.allclose(ends[1], ends[2], atol=1e-6)


def test_in_training_words_are_dropped_before_they_are_looked_up():
    module, _, features = made(BiLSTM(**(BILSTM | {"characters": 0, "word_dropout": 0.99})))
    unknown = module.words(torch.zeros(1, 1, dtype=torch.int64))[0, 0]
    assert (module.train().embed(features) == unknown).all(2).float().mean() > 0.6
    assert not (module.eval().embed(features)[features.mask_BT] == unknown).all(1).any()


def test_a_frozen_encoder_reads_the_rows_although_its_states_are_known(tmp_path: Path):
    module, featuriser, features = made(Hub(name=str(saved(tmp_path, "bert")), max_length=20, freeze="encoder"))
    known = featuriser.collate(module.precompute(featuriser.encode(SENTENCES)), np.arange(len(SENTENCES)))
    assert known.states_BTD is not None
    rows = module.embed(known)
    torch.testing.assert_close(module.read(rows, known).sentence_BK, module(known).sentence_BK, atol=1e-6, rtol=0)
    assert not torch.allclose(module.read(rows.flip(1), known).sentence_BK, module(known).sentence_BK, atol=1e-4)
    torch.testing.assert_close(module(known).tokens_BWS[features.word_mask_BW], module(features).tokens_BWS[features.word_mask_BW])
