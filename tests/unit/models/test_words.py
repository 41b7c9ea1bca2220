from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.models import Featuriser, Labels
from holdfast.models.vocabulary import HashedWords, KnownWords
from holdfast.models.words import WordFeaturiser


def featuriser(**changes: object) -> WordFeaturiser:
    fields = {"vocabulary": KnownWords(("play", "jazz"), 2, is_public=True), "lowercase": True, "word_bytes": 4, "max_words": 0}
    return WordFeaturiser(**(fields | changes))


def test_ids_ignore_the_case_and_bytes_keep_it():
    made = featuriser()
    features = made.collate(made.encode([["Play", "jazz", "é"], ["PLAYING"]]), np.array([0, 1]))
    assert features.ids_BT.tolist() == [[1, 2, 0], [0, 0, 0]]
    assert features.mask_BT.tolist() == [[True, True, True], [True, False, False]]
    letters = features.characters_BTL - 1
    assert bytes(letters[0, 0].tolist()) == b"Play"
    assert letters[0, 2].tolist() == [*"é".encode(), -1, -1]
    assert bytes(letters[1, 0].tolist()) == b"PLAY"  # cut at word_bytes
    assert (letters[1, 1:] == -1).all()


def test_characters_are_as_long_as_the_longest_word_of_the_batch():
    made = featuriser(word_bytes=20)
    encoded = made.encode([["extraordinary", "a"], ["ab", "c"]])
    assert made.collate(encoded, np.array([0, 1])).characters_BTL.shape == (2, 2, 13)
    assert made.collate(encoded, np.array([1])).characters_BTL.shape == (1, 2, 2)


def test_words_behind_the_most_are_not_read():
    made = featuriser(max_words=2, word_bytes=0)
    features = made.collate(made.encode([["play", "play", "jazz"], ["jazz"]]), np.array([0, 1]))
    assert features.ids_BT.tolist() == [[1, 1], [2, 0]]
    assert features.characters_BTL is None
    assert features.word_mask_BW is features.mask_BT


def test_each_distinct_word_is_looked_up_and_spelled_once():
    encoded = featuriser().encode([["play", "jazz"]] * 500)
    assert encoded.spellings.shape == (2, 4)
    assert encoded.pieces.values.dtype == encoded.spelled.values.dtype == np.int32
    assert len(encoded) == 500


def test_no_examples_make_an_empty_batch():
    made = featuriser()
    features = made.collate(made.encode([["play"]]), np.array([], dtype=np.int64))
    assert features.ids_BT.shape == features.mask_BT.shape == (0, 1)
    assert len(features.characters_BTL) == 0


def test_a_sentence_without_words_is_named():
    with pytest.raises(InputError, match="example 1 has no tokens"):
        featuriser().encode([["play"], []])


@pytest.mark.parametrize("vocabulary", [KnownWords(("é", "\udcff"), 1, is_public=False), HashedWords(9)])
def test_saving_brings_a_featuriser_back(vocabulary: KnownWords | HashedWords, tmp_path: Path):
    made = featuriser(vocabulary=vocabulary, vector_width=3)
    made.save(tmp_path)
    assert WordFeaturiser.load(tmp_path) == made
    assert made.encode([["\udcff"]]).pieces.values.tolist() == [vocabulary.id_of("\udcff")]
    assert isinstance(made, Featuriser)


def test_the_description_says_whether_the_vocabulary_is_public():
    assert featuriser().describe() == {"kind": "words", "ids": 3, "vocabulary_is_public": True, "lowercase": True}
    assert featuriser(vocabulary=HashedWords(9)).describe()["kind"] == "hashed"


def test_labels_stand_once_and_there_are_some():
    with pytest.raises(InputError, match=r"tokens holds a label twice: \['O'\]"):
        Labels(tokens=("O", "B-x", "O"))
    with pytest.raises(InputError, match="give at least one"):
        Labels()
