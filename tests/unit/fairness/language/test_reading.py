"""Pieces of our own featurisers and where in the text they are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import tiny_encoders

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.fairness.language.reading import pieces_of, text_of_bytes, words_of
from holdfast.models.causal import NextWordFeaturiser

TRAINING = [["the", "doctor", "said", "that", "she", "is", "n't", "late", "."]]


def parts(text: str, pieces) -> list[str]:
    return [text[start:end] if start >= 0 else "*" for start, end in zip(pieces.starts, pieces.ends, strict=True)]


def test_words_are_pieces_with_an_end_marker_behind_them():
    featuriser = models.Decoder(min_count=1).featuriser(TRAINING)
    text = "The Doctor isn't a nurse."
    found = pieces_of(featuriser, [text, "she"])[0]
    assert parts(text, found) == ["The", "Doctor", "is", "n't", "a", "nurse", ".", "*"]
    assert found.known.tolist() == [True, True, True, True, False, False, True, True]
    assert found.ids.tolist() == featuriser.encode([["the", "doctor", "is", "n't", "a", "nurse", "."]]).pieces[0].tolist()
    assert found.special.tolist() == [False] * 7 + [True]
    assert not found.cut
    assert found.within(4, 9).tolist() == [1]
    assert found.within(11, 16).tolist() == [2, 3], "what lies in it in part counts"


@pytest.mark.parametrize(("longest", "words", "cut"), [(2, 2, True), (3, 3, False), (4, 3, False)])
def test_what_a_model_does_not_read_is_told(longest: int, words: int, cut: bool):
    for settings, marker in ((models.Decoder(min_count=1, max_length=longest), 1), (models.Transformer(max_length=longest), 0)):
        found = pieces_of(settings.featuriser(TRAINING), ["the doctor said"])[0]
        assert int((~found.special).sum()) == words
        assert found.cut == cut
        assert len(found) == min(longest, 3 + marker)


def test_bytes_are_pieces_and_the_blank_belongs_to_the_word_before_it():
    featuriser = models.Decoder(vocabulary="bytes").featuriser([])
    text = "Né x."
    found = pieces_of(featuriser, [text])[0]
    assert bytes(piece - 1 for piece in found.ids[:-1]) == "né x. ".encode()
    assert list(zip(found.starts, found.ends, strict=True)) == [(0, 1), (1, 2), (1, 2), (1, 2), (3, 4), (4, 5), (4, 5), (-1, -1)]
    assert found.within(0, 2).tolist() == [0, 1, 2, 3]
    assert found.known.all()
    assert text_of_bytes(found.ids[:-1]) == "né x. "
    cut = pieces_of(replace(featuriser, max_length=3), ["abcdef", "ab cd"])
    assert [len(one) for one in cut] == [3, 3]
    assert [one.cut for one in cut] == [True, True]


def test_a_word_that_grows_in_lower_case_stands_for_itself_as_a_whole():
    found = pieces_of(NextWordFeaturiser(None, True, 99), ["aİb"])[0]
    assert len("aİb".lower()) == 4
    assert set(zip(found.starts[:-1], found.ends[:-1], strict=True)) == {(0, 3)}


@given(st.lists(st.text("aé.' İ\u4e2d", min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=3), st.integers(1, 30))
def test_pieces_are_those_of_the_featuriser(texts: list[str], longest: int):
    for featuriser in (NextWordFeaturiser(None, True, longest), models.Transformer(max_length=longest).featuriser([["a", "é", "."]])):
        words, _ = words_of(featuriser, texts)
        rows = featuriser.encode(words).pieces
        for row, (text, found) in enumerate(zip(texts, pieces_of(featuriser, texts), strict=True)):
            assert found.ids.tolist() == rows[row].tolist()
            assert len(found.starts) == len(found.ends) == len(found.known) == len(found.ids)
            real = ~found.special
            assert (found.starts[real] < found.ends[real]).all()
            assert (found.ends[real] <= len(text)).all()
            if not found.cut:
                covered = {place for start, end in zip(found.starts[real], found.ends[real], strict=True) for place in range(start, end)}
                assert {place for place in range(len(text)) if not text[place].isspace()} <= covered


def test_pieces_of_a_pretrained_encoder_are_in_their_words(tmp_path):
    folder = tiny_encoders.saved(tmp_path, "bert")
    featuriser = models.Hub(name=str(folder), max_length=6).featuriser([])
    text = "Play  unbelievably, stop"
    found = pieces_of(featuriser, [text, "play jazz"])
    assert parts(text, found[0]) == ["*", "Play", "unbeliev"[:2], "believ", "ably", "*"]
    assert (found[0].cut, found[1].cut) == (True, False)
    rows = featuriser.encode([["Play", "unbelievably,", "stop"], ["play", "jazz"]]).pieces
    assert [one.ids.tolist() for one in found] == [rows[0].tolist(), rows[1].tolist()]
    assert pieces_of(featuriser, ["polka"])[0].known.tolist() == [True, False, True]


def test_what_cannot_be_read_is_refused():
    featuriser = models.Decoder(min_count=1).featuriser(TRAINING)
    with pytest.raises(InputError, match=r"text 1 is ' ' and holds no words"):
        pieces_of(featuriser, ["the", " "])
    with pytest.raises(InputError, match="a str does not say where"):
        pieces_of("featuriser", [])
    assert pieces_of(featuriser, []) == []
    assert np.asarray(words_of(featuriser, [])[0]).size == 0
