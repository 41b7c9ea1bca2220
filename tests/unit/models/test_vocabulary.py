import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.models.vocabulary import UNKNOWN, HashedWords, KnownWords, vocabulary_from_json

TEXT = [["b", "a", "B"], ["a", "c"], ["a"]]


def test_frequent_words_come_first_and_ties_are_broken_by_the_alphabet():
    words = KnownWords.of_training(TEXT, min_count=1, lowercase=False)
    assert words.words == ("a", "B", "b", "c")
    assert [words.id_of(word) for word in ("a", "c", "never")] == [1, 4, UNKNOWN]
    assert (words.size, words.trained) == (5, 5)


def test_cases_are_counted_together_when_lower_cased():
    assert KnownWords.of_training(TEXT, min_count=2, lowercase=True).words == ("a", "b")
    assert KnownWords.of_training(TEXT, min_count=2, lowercase=False).words == ("a",)


def test_words_of_the_vectors_alone_get_an_id_but_no_trained_row():
    words = KnownWords.of_training(TEXT, min_count=1, lowercase=True, extra=["a", "jazz"])
    assert words.words == ("a", "b", "c", "jazz")
    assert words.id_of("jazz") >= words.trained
    assert words.id_of("c") < words.trained
    assert words.size == 5


def test_only_what_looks_at_no_text_is_public():
    assert not KnownWords.of_training(TEXT, min_count=1, lowercase=True).is_public
    assert KnownWords(("a",), 1, is_public=True).is_public
    assert HashedWords(10).is_public


def test_a_text_without_a_frequent_word_is_refused():
    with pytest.raises(InputError, match="none of the 4 training words stands there 4 times; lower min_count"):
        KnownWords.of_training(TEXT, min_count=4, lowercase=False)


@given(st.text(min_size=1), st.integers(1, 50))
def test_a_bucket_is_in_range_and_never_the_unknown_word(word: str, buckets: int):
    assert UNKNOWN < HashedWords(buckets).id_of(word) <= buckets < HashedWords(buckets).size


def test_a_bucket_is_the_same_in_another_process():
    code = "from holdfast.models.vocabulary import HashedWords; print(HashedWords(10**6).id_of('caf\\u00e9'))"
    other = {**os.environ, "PYTHONHASHSEED": "7"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=other)
    assert int(found.stdout) == HashedWords(10**6).id_of("café")


def test_buckets_are_filled_evenly():
    counts = [0] * 10
    for number in range(10_000):
        counts[HashedWords(10).id_of(f"word {number}") - 1] += 1
    assert all(850 < count < 1150 for count in counts)  # five standard deviations


@pytest.mark.parametrize("vocabulary", [KnownWords.of_training(TEXT, min_count=1, lowercase=True, extra=["jazz"]), HashedWords(10)])
def test_json_brings_a_vocabulary_back(vocabulary: KnownWords | HashedWords):
    assert vocabulary_from_json(vocabulary.to_json()) == vocabulary


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="unknown kind 'trie'"):
        vocabulary_from_json({"kind": "trie"})
