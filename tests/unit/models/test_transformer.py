import sys

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.models import Transformer

SMALL = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12}


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
        ({"vocabulary": "vectors"}, "vocabulary is 'vectors'"),
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
