"""Where words of plain text begin and end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.fairness.language.words import cut

KNOWN = {"the", "doctor", "is", "was", "n't", "'s", ".", "!", "e.g.", "(", "well-known", "l'", "don't"}


def words(text: str, known: set[str] | None = KNOWN) -> list[str]:
    spans = cut(text, None if known is None else lambda word: word.lower() in known)
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("the doctor was", ["the", "doctor", "was"]),
        ("  The\tdoctor.\n", ["The", "doctor", "."]),
        ("e.g. the doctor.", ["e.g.", "the", "doctor", "."]),
        ("(the doctor!!)", ["(", "the", "doctor", "!", "!", ")"]),
        ("The doctor isn't", ["The", "doctor", "is", "n't"]),
        ("isn’t", ["isn’t"]),
        ("don't", ["don't"]),
        ("the doctor's.", ["the", "doctor", "'s", "."]),
        ("doctor'd", ["doctor'd"]),
        ("a well-known doctor", ["a", "well-known", "doctor"]),
        ("... :-)", ["...", ":-)"]),
        ("n't", ["n't"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words_are_cut_as_the_vocabulary_has_them(text: str, want: list[str]):
    assert words(text) == want


def test_a_vocabulary_without_unknown_words_parts_at_blanks_alone():
    assert words("the doctor's (late)!", None) == ["the", "doctor's", "(late)!"]


def test_what_was_cut_at_blanks_in_training_stays_whole():
    assert words("the doctor.", {"the", "doctor."}) == ["the", "doctor."]


@given(st.text("ab.'n t(-é!", max_size=20), st.sets(st.sampled_from(["a", "b", "ab", "n't", ".", "a.", "'s"])))
def test_nothing_but_blanks_is_lost_and_spans_ascend(text: str, known: set[str]):
    spans = cut(text, known.__contains__)
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    assert all(start < end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    if all(word in known for word in text.split()):
        assert [text[start:end] for start, end in spans] == text.split()
