import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.models import Transformer

SMALL = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12}


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    (tmp_path / "vectors.txt").write_text("play 1 2 3\njazz 4 5 6\npolka 7 8 9\n")
    return str(tmp_path / "vectors.txt")


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("vocabulary", ["train", "vectors"])
def test_pretrained_vectors_take_the_place_of_the_encoders_own(freeze: bool, vocabulary: str, vectors: str, built, check_contract):
    module, featuriser = built(Transformer(**SMALL, vectors=vectors, vocabulary=vocabulary, freeze_vectors=freeze))
    check_contract(module, featuriser)
    assert featuriser.vocabulary_is_public == (vocabulary == "vectors")
    table = module.encoder.get_input_embeddings().table.pretrained.weight
    assert table.requires_grad == (not freeze)
    assert table[featuriser.vocabulary.id_of("jazz")].tolist() == [4, 5, 6]
    assert table[featuriser.vocabulary.id_of("nobody wrote this")].tolist() == [0, 0, 0]


def test_a_saved_transformer_needs_no_vectors_any_more(vectors: str, built, labels, sentences, tmp_path: Path):
    settings = Transformer(**SMALL, vectors=vectors, vocabulary="vectors")
    module, featuriser = built(settings)
    models.save(tmp_path / "saved", module, settings, featuriser, labels)
    Path(vectors).unlink()
    loaded = models.load(tmp_path / "saved")
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert torch.equal(module(features).tokens_BWS, loaded.module(features).tokens_BWS)


def test_the_description_tells_the_vectors_by_hash_and_not_by_place(vectors: str):
    described = Transformer(vectors=vectors, vocabulary="vectors").describe()["vectors"]
    assert (described["file"], len(described["sha256"])) == ("vectors.txt", 64)
    assert Transformer().describe()["vectors"] is None


@pytest.mark.parametrize("options", [{}, {"vocabulary": "hashed", "buckets": 7}, {"max_length": 2}])
def test_any_transformer_suits_a_private_clipper(options: dict, built, check_contract):
    check_contract(*built(Transformer(**(SMALL | options))))


def test_the_encoder_is_one_of_transformers_without_a_pooler(built):
    module, featuriser = built(Transformer(**SMALL))
    assert type(module.encoder).__module__.startswith("transformers.")
    assert module.encoder.pooler is None
    assert module.encoder.config.vocab_size == featuriser.vocabulary.size


def test_words_behind_the_longest_get_no_logits(built, sentences):
    module, featuriser = built(Transformer(**SMALL, max_length=3))
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert module(features).tokens_BWS.shape == (4, 3, 3)
    assert features.word_mask_BW.sum(1).tolist() == [3, 3, 1, 2]


def test_the_order_of_words_matters(built):
    module, featuriser = built(Transformer(**SMALL))
    features = featuriser.collate(featuriser.encode([["play", "jazz"], ["jazz", "play"]]), np.arange(2))
    one, other = module(features).sentence_BK
    assert not torch.allclose(one, other, atol=1e-4)


def test_weights_depend_on_the_streams_alone(built):
    state, same, other = (built(Transformer(**SMALL), key=key)[0].state_dict() for key in (1, 1, 2))
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert not torch.equal(state["heads.sentence.weight"], other["heads.sentence.weight"])


def test_only_a_hashed_vocabulary_is_public(sentences):
    assert not Transformer().featuriser(sentences).vocabulary_is_public
    assert Transformer(vocabulary="hashed").featuriser(sentences).vocabulary_is_public


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10, "heads": 4}, "width 10 is not a multiple of heads 4"),
        ({"layers": 0}, "layers is 0"),
        ({"max_length": 0}, "max_length is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"vocabulary": "vectors"}, "vocabulary is 'vectors' but there are none"),
        ({"vocabulary": "vector"}, "did you mean 'vectors'"),
        ({"vocabulary": "hashed", "vectors": "x"}, "a bucket of words has no pretrained vector"),
        ({"max_vectors": 0}, "max_vectors is 0"),
        ({"lowercase": "no"}, "lowercase is 'no'"),
    ],
)
def test_settings_out_of_bounds_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        Transformer(**options)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, sentences, built):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"install holdfast\[hub\]"):
        built(Transformer(**SMALL))
