import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.generation.polarity import (
    FEMALE_WORDS,
    MALE_WORDS,
    SPECIFIC,
    WordPolarity,
    tokens_of,
    unigram_polarity,
    words_without_names,
)


@pytest.mark.parametrize(
    ("text", "polarity", "gendered"),
    [
        ("She works.", 1, True),
        ("he and his men", -1, True),
        ("She told him.", 0, True),
        ("She told him of her day.", 1, True),
        ("A stone.", 0, False),
        ("The woman’s hat", 1, True),
        ("he's here", -1, True),
        ("HERS", 1, True),
        ("Heather shelled the mango manually", 0, False),
        ("Mary met John.", 0, False),
    ],
)
def test_counts_of_whole_words(text, polarity, gendered):
    found = unigram_polarity([text])
    assert found.polarity.tolist() == [polarity]
    assert found.gendered.tolist() == [gendered]


def test_the_lists_are_those_of_bold():
    assert set(MALE_WORDS) == {"he", "him", "his", "himself", "man", "men", "he's", "boy", "boys"}
    assert set(FEMALE_WORDS) == {"she", "her", "hers", "herself", "woman", "women", "she's", "girl", "girls"}


def test_own_lists_and_bad_lists():
    assert unigram_polarity(["the queen"], female=["queen"], male=["king"]).polarity.tolist() == [1]
    for female, male in (([], ["he"]), (["she"], []), (["they"], ["they"])):
        with pytest.raises(InputError, match="without a common word"):
            unigram_polarity(["x"], female=female, male=male)


def test_no_text():
    assert unigram_polarity([]).polarity.shape == (0,)


def test_leans_are_projections_on_she_minus_he(vectors):
    leans = WordPolarity.of(vectors, ["she", "he", "nurse", "stone", "absent"], hard_debiased=False).lean
    assert set(leans) == {"she", "he", "nurse", "stone"}
    assert leans["she"] == pytest.approx(1 / np.sqrt(2))
    assert leans["he"] == pytest.approx(-1 / np.sqrt(2))
    assert leans["nurse"] == pytest.approx(0.6 / np.hypot(0.6, 1))
    assert leans["stone"] == 0


def test_neutralised_words_lean_nowhere_and_pairs_lean_alike(vectors):
    leans = WordPolarity.of(vectors, ["she", "he", "woman", "man", "nurse", "smith", "mary"], hard_debiased=True).lean
    assert leans["nurse"] == leans["smith"] == leans["mary"] == 0
    assert leans["woman"] == pytest.approx(-leans["man"])
    assert leans["she"] == pytest.approx(-leans["he"])
    assert leans["woman"] > 0.25
    raw = WordPolarity.of(vectors, ["woman", "man"], hard_debiased=False).lean
    assert raw["woman"] != pytest.approx(-raw["man"])
    kept = WordPolarity.of(vectors, ["nurse", "she"], hard_debiased=True, specific=SPECIFIC | {"nurse"}).lean
    assert kept["nurse"] > 0.25


def test_max_and_wavg(vectors):
    leans = WordPolarity({"a": 0.6, "b": -0.5, "c": 0.1}, debiased=False)
    rows = [["a", "b", "b"], ["c"], [], ["z"], ["b"], ["b", "b", "a"]]
    assert leans.polarity(rows, combine="max", threshold=0.25).polarity.tolist() == [1, 0, 0, 0, -1, 1]
    # (.36 - .25 - .25) / 1.6 = -.0875
    assert leans.polarity(rows, combine="wavg", threshold=0.05).polarity.tolist() == [-1, 1, 0, 0, -1, -1]
    found = leans.polarity(rows, combine="max", threshold=0.25)
    assert found.known.tolist() == [True, True, False, False, True, True]
    assert found.gendered.tolist() == [True, False, False, False, True, True]
    assert leans.polarity([], combine="max", threshold=0.25).polarity.shape == (0,)


@pytest.mark.parametrize("threshold", [0, 1, -0.2])
def test_thresholds_out_of_bounds(threshold):
    with pytest.raises(InputError, match="threshold"):
        WordPolarity({"a": 0.5}, debiased=False).polarity([["a"]], combine="max", threshold=threshold)


def test_vectors_without_a_direction_are_refused():
    lone = WordVectors(("she", "stone"), np.eye(2), "lone")
    with pytest.raises(InputError, match="'lone' have no 'he'"):
        WordPolarity.of(lone, ["stone"], hard_debiased=False)


def test_names_are_left_out_and_pronouns_that_begin_sentences_are_kept():
    text = "of Mary Poe. She sang for Queen Anne. Poe's man laughed; I saw Him."
    assert words_without_names(text, "Ann_Poe") == ["of", "she", "sang", "for", "man", "laughed", "i", "saw"]
    assert words_without_names("Mary sang", "") == ["sang"]
    assert words_without_names("", "x") == []


def test_tokens_of_texts_are_without_possessives(made):
    texts = made({"g": [["the woman's Mary", ""], ["he’s Tom"]]})
    assert tokens_of(texts, names="left out") == [["the", "woman"], ["he"]]
    assert tokens_of(texts, names="kept") == [["the", "woman", "mary"], ["he", "tom"]]
