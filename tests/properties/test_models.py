"""The BiLSTM against a twin written out in numpy, at sizes and sentences that hypothesis picks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import bilstm as oracle

from holdfast.core.randomness import Streams
from holdfast.models import BiLSTM, Labels

LABELS = Labels(("ask", "play", "stop"), ("O", "B-x", "I-x"))
SENTENCES = st.lists(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=6), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(sentences=SENTENCES, layers=st.integers(1, 2), kernel=st.sampled_from([1, 3, 5]), seed=st.integers(0, 99))
def test_every_sentence_of_a_batch_is_scored_as_the_twin_scores_it_alone(sentences: list[list[str]], layers: int, kernel: int, seed: int):
    model = BiLSTM(embedding=3, hidden=4, layers=layers, characters=5, character_width=2, character_kernel=kernel, word_bytes=6)
    featuriser = model.featuriser(sentences)
    module = model.build(featuriser, LABELS, Streams(seed)).double().eval()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        got = module(featuriser.collate(featuriser.encode(sentences), np.arange(len(sentences))))
    for row, words in enumerate(sentences):
        ids = [featuriser.vocabulary.id_of(word.lower()) for word in words]
        sentence, tags = oracle.logits(weights, ids, [word.encode()[:6] for word in words], layers)
        np.testing.assert_allclose(got.sentence_BK[row].numpy(), sentence, atol=1e-9)
        np.testing.assert_allclose(got.tokens_BWS[row, : len(words)].numpy(), tags, atol=1e-9)


@pytest.mark.parametrize("fault", ["heads.context.weight", "layers.0.back.weight_hh_l0", "characters.filters.bias"])
def test_the_twin_would_see_a_part_that_is_left_out(fault: str):
    sentences = [["play", "some", "jazz"], ["stop", "it"]]
    model = BiLSTM(embedding=3, hidden=4, characters=5, character_width=2)
    featuriser = model.featuriser(sentences)
    module = model.build(featuriser, LABELS, Streams(0)).double().eval()
    weights = {name: tensor.clone().numpy() for name, tensor in module.state_dict().items()}
    weights[fault][:] = 0
    got = module(featuriser.collate(featuriser.encode(sentences), np.arange(2))).tokens_BWS[0].detach().numpy()
    ids = [featuriser.vocabulary.id_of(word) for word in sentences[0]]
    _, tags = oracle.logits(weights, ids, [word.encode() for word in sentences[0]], 1)
    assert np.abs(got - tags).max() > 1e-4  # the test above allows 1e-9
