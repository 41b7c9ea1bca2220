"""Pairs of words, word lists and professions."""

import pytest

from holdfast.core.errors import DataError
from holdfast.data.benchmarks import Profession, read_professions, read_word_pairs, read_words


@pytest.mark.parametrize("zipped", [False, True])
def test_pairs_in_a_document_and_in_lines(write, zipped):
    assert read_word_pairs(write("a.json", '[["she", "he"], [" gal ", "guy"]]', zipped=zipped)) == [("she", "he"), ("gal", "guy")]
    assert read_word_pairs(write("a.txt", "actor \t actress \n\nboy\tgirl\n", zipped=zipped)) == [("actor", "actress"), ("boy", "girl")]


@pytest.mark.parametrize("zipped", [False, True])
def test_two_files_beside_each_other(write, zipped):
    write("lists/gn_female_word_file.txt", "hostess\n \nhostess\n\n\n", zipped=zipped)
    folder = write("lists/gn_male_word_file.txt", "host\n\nmale host\n", zipped=zipped).parent
    write("lists/README.md", "about")
    assert read_word_pairs(folder) == [("host", "hostess"), ("male host", "hostess")]


@pytest.mark.parametrize(
    ("male", "female", "message"),
    [
        ("he\nman\n", "she\n", "1 words, male_word_file.txt has 2"),
        ("he\nman\n", "\nwoman\n", "female_word_file.txt, line 1: the line is blank here"),
        ("\nman\n", "she\nwoman\n", "/male_word_file.txt, line 1: the line is blank here"),
    ],
)
def test_two_files_that_do_not_stand_beside_each_other(write, male, female, message):
    write("lists/female_word_file.txt", female)
    with pytest.raises(DataError, match=message):
        read_word_pairs(write("lists/male_word_file.txt", male).parent)


def test_a_folder_must_have_both_files_once(write):
    folder = write("lists/male_word_file.txt", "he\n").parent
    with pytest.raises(DataError, match=r"0 files \*female_word_file.txt; there must be one"):
        read_word_pairs(folder)
    write("lists/other_male_word_file.txt", "he\n")
    with pytest.raises(DataError, match=r"2 files \*male_word_file.txt"):
        read_word_pairs(folder)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "actor actress\n", "line 1: 'actor actress' is not two words with a tab"),
        ("a.txt", "a\tb\nc\t\n", "line 2"),
        ("a.txt", "a\tb\tc\n", "line 1"),
        ("a.txt", "\n", "there is no pair"),
        ("a.json", '[["a", "b"], ["c"]]', r"\[1\]: 1 values; there must be 2"),
        ("a.json", '[["a", 3]]', r"\[0\]\[1\]: not a text but 3"),
        ("a.json", "[]", "there is no pair"),
        ("a.json", "{}", "not a list"),
    ],
)
def test_malformed_pairs(write, name, text, message):
    with pytest.raises(DataError, match=message):
        read_word_pairs(write(name, text))


def test_words(write):
    assert read_words(write("a.json", '["he", "his"]')) == ["he", "his"]
    assert read_words(write("a.txt", "middle eastern \n\nold\n", zipped=True)) == ["middle eastern", "old"]
    for name, text, message in (
        ("b.json", '["a", ""]', r"\[1\]: the text is empty"),
        ("b.txt", "\n", "no word"),
        ("c.json", "[]", "no word"),
    ):
        with pytest.raises(DataError, match=message):
            read_words(write(name, text))


def test_professions(write):
    assert read_professions(write("a.json", '[["nurse", 0, -0.9], ["actor", 0.8, 0.0]]')) == [
        Profession("nurse", 0.0, -0.9),
        Profession("actor", 0.8, 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[["nurse", 0, -1.5]]', r"\[0\]: -1.5; give a number in \[-1, 1\]"),
        ('[["nurse", 0, true]]', r"\[0\]: True"),
        ('[["nurse", 0]]', "2 values; there must be 3"),
        ('[["", 0, 0]]', "the text is empty"),
        ("[]", "there is no profession"),
    ],
)
def test_malformed_professions(write, text, message):
    with pytest.raises(DataError, match=message):
        read_professions(write("a.json", text))
