"""Scores of language models: known answers, plain loops over ragged texts, and short or certain texts."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from holdfast.audit.attacks import TokenMoments, mean_log_likelihood, min_k, min_k_plus_plus, zlib_calibrated
from holdfast.core.errors import InputError

VALUES, OFFSETS = [-1.0, -2.0, -6.0, -4.0, -3.0, -0.5, -0.25], [0, 5, 7]
ragged = st.lists(st.lists(st.floats(-30, 0), min_size=1, max_size=12), min_size=1, max_size=6)


def flat(texts: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([value for text in texts for value in text]), np.cumsum([0, *map(len, texts)])


def lowest(text: list[float], share: float) -> float:
    kept = max(1, math.floor(share * len(text) + 1e-9))
    return sum(sorted(text)[:kept]) / kept


def test_by_hand():
    assert mean_log_likelihood(VALUES, OFFSETS) == pytest.approx([-3.2, -0.375])
    assert min_k(VALUES, OFFSETS, share=0.4) == pytest.approx([-5.0, -0.5])
    assert min_k(VALUES, OFFSETS) == pytest.approx([-6.0, -0.5])  # a fifth of five is one; of two, still one
    texts = ["aaaaaaaaaa", "Grüße"]
    lengths = [len(zlib.compress(text.encode())) for text in texts]
    assert zlib_calibrated(VALUES, OFFSETS, texts=texts) == pytest.approx([-3.2 / lengths[0], -0.375 / lengths[1]])


def test_min_k_plus_plus_by_hand():
    """A law of (1/2, 1/4, 1/4): mu = -1.5 log 2, sigma = log(2) / 2; its tokens lie one deviation above or below."""
    moments = TokenMoments.of(np.log([[0.5, 0.25, 0.25]] * 3))
    assert moments.mean == pytest.approx([-1.5 * math.log(2)] * 3)
    assert moments.deviation == pytest.approx([math.log(2) / 2] * 3)
    score = min_k_plus_plus(np.log([0.5, 0.25, 0.5]), [0, 2, 3], moments=moments, share=0.5)
    assert score == pytest.approx([-1.0, 1.0])


@given(texts=ragged, share=st.floats(0.01, 1))
def test_agree_with_plain_loops(texts: list[list[float]], share: float):
    values, offsets = flat(texts)
    assert mean_log_likelihood(values, offsets) == pytest.approx([sum(text) / len(text) for text in texts], abs=1e-9)
    assert min_k(values, offsets, share=share) == pytest.approx([lowest(text, share) for text in texts], abs=1e-9)
    assert min_k(values, offsets, share=1.0) == pytest.approx(mean_log_likelihood(values, offsets), abs=1e-9)
    moments = TokenMoments(mean=values / 2 - 1, deviation=np.abs(values))
    standard = [[(v - (v / 2 - 1)) / max(abs(v), 1e-3) for v in text] for text in texts]
    expected = [lowest(text, share) for text in standard]
    assert min_k_plus_plus(values, offsets, moments=moments, share=share) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), tokens=st.integers(0, 6), words=st.integers(2, 9), block=st.integers(1, 30))
def test_moments_are_those_of_the_softmax(seed: int, tokens: int, words: int, block: int):
    logits = np.random.default_rng(seed).normal(scale=4, size=(tokens, words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.audit.attacks.language_model_scores.BLOCK", block)
        moments = TokenMoments.of(special.log_softmax(logits, axis=1).astype(np.float32))
    for row, mean, deviation in zip(logits, moments.mean, moments.deviation, strict=True):
        p = special.softmax(row)
        mu = sum(p * np.log(p))
        assert mean == pytest.approx(mu, rel=1e-4, abs=1e-5)
        assert deviation == pytest.approx(math.sqrt(sum(p * (np.log(p) - mu) ** 2)), rel=1e-3, abs=1e-4)


def test_the_exact_share_counts_despite_rounding():
    values = np.arange(100) * -1.0
    assert 0.29 * 100 < 29
    assert min_k(values, [0, 100], share=0.29) == pytest.approx([np.mean(values[-29:])])


def test_words_of_probability_zero_add_nothing():
    moments = TokenMoments.of(np.array([[math.log(0.5), math.log(0.5), -np.inf], [0.0, -np.inf, -np.inf]]))
    assert moments.mean == pytest.approx([-math.log(2), 0])
    assert moments.deviation == pytest.approx([0, 0])


def test_a_certain_model_divides_by_nothing():
    """The published formula is 0/0 at the expected token, and minus infinity at any other one."""
    certain = TokenMoments(mean=np.zeros(2), deviation=np.zeros(2))
    score = min_k_plus_plus([0.0, -5.0], [0, 1, 2], moments=certain)
    assert score == pytest.approx([0.0, -5000.0])


def test_short_texts_have_a_score():
    """Published code takes the mean of int(.2 * 4) = 0 tokens, which is NaN."""
    assert min_k([-1.0, -2.0, -3.0, -4.0], [0, 4]) == pytest.approx([-4.0])


def test_members_score_higher():
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 60, size=400)
    member = np.repeat(np.arange(400) < 200, lengths)
    logits = rng.normal(scale=2, size=(member.size, 50))
    tokens = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)  # drawn from the softmax
    logits[np.arange(member.size), tokens] += 0.7 * member
    log_probabilities = special.log_softmax(logits, axis=1)
    own, offsets = log_probabilities[np.arange(member.size), tokens], np.cumsum([0, *lengths])
    plain = min_k_plus_plus(own, offsets, moments=TokenMoments.of(log_probabilities))
    for score in (mean_log_likelihood(own, offsets), min_k(own, offsets), plain):
        assert np.mean(score[:200, None] > score[None, 200:]) > 0.8
        permuted = rng.permutation(score)
        assert np.mean(permuted[:200, None] > permuted[None, 200:]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ([0, 5, 6], "run from 0 to 6"),
        ([1, 5, 7], "run from 1 to 7"),
        ([0, 5, 5, 7], "1 of 3 texts have no token"),
        ([0, 5, 3, 7], "1 of 3 texts have no token, or offsets fall"),
        ([0], "N \\+ 1 integers"),
        ([0.0, 7.0], "N \\+ 1 integers"),
        ([[0, 7]], "N \\+ 1 integers"),
    ],
)
def test_refuses_offsets_that_do_not_fit(offsets: list, words: str):
    for score in (mean_log_likelihood, min_k):
        with pytest.raises(InputError, match=words):
            score(VALUES, offsets)


@pytest.mark.parametrize("value", [0.5, np.nan, -np.inf, np.inf])
def test_refuses_what_is_no_log_probability(value: float):
    with pytest.raises(InputError, match="1 of 2 log-probabilities are above 0 or not finite"):
        mean_log_likelihood([-1.0, value], [0, 2])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, 20, np.nan])
def test_refuses_a_share_outside_the_unit_interval(share: float):
    with pytest.raises(InputError, match="share is"):
        min_k(VALUES, OFFSETS, share=share)


def test_refuses_another_number_of_texts():
    for texts in (["one"], ["one", "two", "three"], "ab"):
        with pytest.raises(InputError, match="one text for each row"):
            zlib_calibrated(VALUES, OFFSETS, texts=texts)


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [
        (np.zeros(6), np.ones(7)),
        (np.zeros(7), np.ones(6)),
        (np.full(7, np.nan), np.ones(7)),
        (np.zeros(7), -np.ones(7)),
        (np.zeros(7), np.full(7, np.inf)),
    ],
)
def test_refuses_moments_that_do_not_fit(mean: np.ndarray, deviation: np.ndarray):
    with pytest.raises(InputError, match="moments"):
        min_k_plus_plus(VALUES, OFFSETS, moments=TokenMoments(mean=mean, deviation=deviation))


def test_refuses_logits_and_the_likeliest_few():
    logits = np.random.default_rng(0).normal(size=(3, 8))
    full = special.log_softmax(logits, axis=1)
    for wrong in (logits, np.sort(full, axis=1)[:, -3:], np.full((3, 2), np.nan), np.full((3, 2), -np.inf)):
        with pytest.raises(InputError, match="3 tokens, from 0 on, do not add up to 1"):
            TokenMoments.of(wrong)
    for wrong in (full[0], full[:, :1]):
        with pytest.raises(InputError, match="V >= 2"):
            TokenMoments.of(wrong)
