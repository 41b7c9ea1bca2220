"""Drawn text: the nucleus against a plain sort, streams that leave batches no say, and where a text ends."""

import numpy as np
import pytest
import torch
from tests.oracles import slow_language
from tests.unit.fairness.language.conftest import OWN, fitted

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.language import of_run, sampling
from holdfast.fairness.language.sampling import first_words, nucleus

PROMPTS = ["the doctor said", "he", "", "the unbelievably kind nurse said that she was", "late ."]
CAUSAL = pytest.mark.parametrize("name", [name for name in OWN if name.startswith(("lstm", "decoder"))])
USUAL = {"samples": 3, "most_words": 7, "top_p": 0.9, "temperature": 1.0}


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    shares = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    draws = (np.arange(1000) + 0.5) / 1000
    for top_p, want in [(0.4, [0, 1, 0, 0]), (0.41, [0, 4 / 7, 0, 3 / 7]), (0.75, [0, 4 / 9, 2 / 9, 3 / 9]), (1.0, [0.1, 0.4, 0.2, 0.3])]:
        drawn = nucleus(shares.log().expand(1000, 4), draws, top_p=top_p)
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 1000, want, atol=2e-3)


def test_a_draw_never_leaves_the_nucleus_or_takes_what_is_never_drawn():
    scores = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)) * 3
    scores[:, 3] = -torch.inf
    for draw in (0.0, np.nextafter(1, 0)):
        drawn = nucleus(scores, np.full(200, draw), top_p=1.0)
        assert (scores[torch.arange(200), drawn] > -torch.inf).all()
    best = nucleus(scores, np.full(200, np.nextafter(1, 0)), top_p=1e-9)
    assert best.tolist() == scores.argmax(1).tolist()


def test_of_equally_likely_pieces_the_first_ones_are_in_the_nucleus():
    scores = torch.tensor([[0.0, 1.0, 0.0, 0.0, 1.0]])
    share = float(scores[0].softmax(0)[1])
    draws = (np.arange(200) + 0.5) / 200
    assert set(nucleus(scores.expand(200, 5), draws, top_p=share / 2)) == {1}
    assert set(nucleus(scores.expand(200, 5), draws, top_p=2 * share + 0.01)) == {0, 1, 4}


@CAUSAL
@pytest.mark.parametrize("top_p", [0.5, 0.95])
def test_text_is_that_of_one_text_at_a_time(name: str, top_p: float):
    """Against a twin that reads the whole prefix anew for every piece and sorts in Python."""
    access, streams = of_run(fitted(name)), Streams(5)
    boundary, spelled = access.featuriser.boundary, access.featuriser.vocabulary is None
    found = access.generate(PROMPTS, samples=2, most_words=5, top_p=top_p, temperature=0.8, streams=streams)
    assert len({text for texts in found for text in texts}) > 5

    def scores(read: list[int]) -> torch.Tensor:
        with torch.no_grad():
            answer = access.module(slow_language.one_row(np.array([*read, 0]))).tokens_BWS[0, -1]
        answer[0] = -torch.inf
        return answer

    for place, prompt in enumerate(PROMPTS):
        ids = access.pieces([prompt])[0].ids[:-1].tolist() if prompt else []
        for sample in range(2):
            draws = streams.generator("generation", place, sample).random(5 * (24 if spelled else 1))
            room = len(draws) if access.featuriser.max_length > 200 else access.featuriser.max_length - len(ids)
            drawn = slow_language.written(scores, ids, draws[:room], ends={boundary}, top_p=top_p, temperature=0.8)
            if spelled:
                text = bytes(piece - 1 for piece in drawn).decode("utf-8", "replace")
                assert found[place][sample] == first_words(text, 5)
            else:
                assert found[place][sample] == " ".join(access.featuriser.vocabulary.words[piece - 1] for piece in drawn)


@CAUSAL
@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_a_text_does_not_depend_on_what_is_written_beside_it(name: str, rows: int, monkeypatch: pytest.MonkeyPatch):
    access = of_run(fitted(name))
    usual = access.generate(PROMPTS, **USUAL, streams=Streams(2))
    monkeypatch.setattr(sampling, "ROWS", rows)
    assert access.generate(PROMPTS, **USUAL, streams=Streams(2)) == usual
    assert access.generate(PROMPTS[:2], **USUAL, streams=Streams(2)) == usual[:2]
    fewer = access.generate(PROMPTS, **{**USUAL, "samples": 1}, streams=Streams(2))
    assert [texts[0] for texts in fewer] == [texts[0] for texts in usual]
    assert access.generate(PROMPTS, **USUAL, streams=Streams(3)) != usual


def test_texts_have_at_most_so_many_words_and_fewer_words_are_the_beginning_of_more():
    for name in ("lstm", "lstm, bytes"):
        access = of_run(fitted(name))
        long, short = (access.generate(PROMPTS, **{**USUAL, "most_words": words}, streams=Streams(1)) for words in (9, 3))
        for texts, others in zip(long, short, strict=True):
            for text, other in zip(texts, others, strict=True):
                assert len(text.split()) <= 9
                assert len(other.split()) <= 3
                if name == "lstm":
                    assert text.split()[:3] == other.split()


def test_first_words_of_a_text():
    assert first_words("  a b  c d ", 2) == "a b"
    assert first_words(" a b  c ", 3) == "a b  c"
    assert first_words("a a a", 2) == "a a"
    assert first_words("", 2) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"most_words": 0}, "most_words is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_settings_out_of_bounds_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        of_run(fitted("lstm")).generate(PROMPTS, **{**USUAL, **options}, streams=Streams(0))


def test_a_prompt_that_fills_the_model_is_refused_and_a_long_one_leaves_little():
    access = of_run(fitted("decoder"))
    with pytest.raises(InputError, match="prompt 0 has 65 pieces and the model reads 64"):
        access.generate(["he " * 64], **USUAL, streams=Streams(0))
    (texts,) = access.generate(["he " * 62], **USUAL, streams=Streams(0))
    assert all(len(text.split()) <= 2 for text in texts)
    assert access.generate([], **USUAL, streams=Streams(0)) == []
