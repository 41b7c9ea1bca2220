import gzip
from collections import Counter
from pathlib import Path

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.association.contexts import read_contexts

TEXT = "A rose is here. Roses are not.\nThe rose and the ant; the rose again! Is an ant there?\n\nNo primrose, no ants. Rose left.\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def read(path: Path, words: list[str], *, most: int = 10, seed: int = 0, longest: int = 1000):
    return read_contexts(path, words, most=most, streams=Streams.from_seed(seed), longest=longest)


def test_whole_words_as_written_once_a_sentence(path: Path):
    found = read(path, ["rose", "ant", "Rose", "thorn"])
    assert [context.text for context in found["rose"]] == ["A rose is here.", "The rose and the ant; the rose again!"]
    assert [context.text for context in found["ant"]] == ["The rose and the ant; the rose again!", "Is an ant there?"]
    assert [context.text for context in found["Rose"]] == ["Rose left."]
    assert found["thorn"] == ()
    for word, contexts in found.items():
        assert all(context.text[context.start : context.end] == word for context in contexts)


def test_gzip_gives_the_same(path: Path):
    plain = read(path, ["rose", "ant"])
    path.write_bytes(gzip.compress(TEXT.encode()))
    assert read(path, ["rose", "ant"]) == plain


def test_words_with_signs_and_the_longer_of_two_are_found(path: Path):
    path.write_text("It is short-term. It is short. Mr. C++ (or C) came.\n")
    found = read(path, ["short", "short-term", "C++"])
    assert [len(found[word]) for word in ("short", "short-term", "C++")] == [1, 1, 1]


def test_many_contexts_are_thinned_evenly_over_the_text(path: Path):
    path.write_text("".join(f"{place} rose.\n" for place in range(40)))
    counts = Counter(context.text for seed in range(300) for context in read(path, ["rose"], most=10, seed=seed)["rose"])
    assert sum(counts.values()) == 3000
    assert len(counts) == 40
    assert 45 < min(counts.values()) <= max(counts.values()) < 110  # 75 expected, standard deviation 7.5
    assert read(path, ["rose"], most=10, seed=1) == read(path, ["rose"], most=10, seed=1)


def test_a_word_more_does_not_move_the_contexts_of_another(path: Path):
    path.write_text("".join(f"{place} rose and ant.\n" for place in range(40)))
    assert read(path, ["rose"], most=5)["rose"] == read(path, ["rose", "ant"], most=5)["rose"]


def test_long_sentences_are_passed_over_and_no_words_give_nothing(path: Path):
    assert len(read(path, ["rose"], longest=20)["rose"]) == 1
    assert read(path, []) == {}


def test_wrong_input_is_refused(path: Path):
    with pytest.raises(InputError, match="most 0 is below 1"):
        read(path, ["rose"], most=0)
    with pytest.raises(DataError, match="cannot be read"):
        read(path.with_name("none"), ["rose"])
    path.write_bytes(b"rose \xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read(path, ["rose"])
