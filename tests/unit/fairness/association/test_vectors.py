import gzip
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.fairness.association.vectors import WordVectors, encoded_words, read_word_vectors
from holdfast.models.vectors import fingerprint

TEXT = "the 1 2.5\nPaul 5 6\npaul 3 4\nROSE 7 8\nnew york 9 9\nthe 0 0\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "glove.txt").write_text(TEXT)
    return tmp_path / "glove.txt"


def small(case: str = "fold") -> WordVectors:
    return WordVectors(("Paul", "paul", "ROSE"), np.array([[1.0, 2], [3, 4], [5, 6]]), "small", None, case)


@pytest.mark.parametrize("keep", [None, ["the", "Paul", "paul", "rose", "new york"]])
@pytest.mark.parametrize("form", ["glove", "word2vec", "gzip"])
def test_every_text_form_gives_the_same_vectors(path: Path, keep: list[str] | None, form: str):
    headed = "6 2\n" + TEXT.replace("\n", " \n")
    path.write_bytes({"glove": TEXT.encode(), "word2vec": headed.encode(), "gzip": gzip.compress(headed.encode())}[form])
    read = read_word_vectors(path, keep=keep)
    assert read.words == ("the", "Paul", "paul", "ROSE", "new york")
    assert read.matrix.tolist() == [[1, 2.5], [5, 6], [3, 4], [7, 8], [9, 9]]
    assert read.name == "glove.txt"
    assert read.sha256 == fingerprint(path)


def test_only_what_is_wanted_is_held(path: Path):
    assert read_word_vectors(path, keep=["rose"]).words == ("ROSE",)
    assert read_word_vectors(path, keep=["rose"], case="exact").words == ()
    assert read_word_vectors(path, keep=["rose"], case="exact").matrix.shape == (0, 2)
    assert read_word_vectors(path, keep=["PAUL"]).words == ("Paul", "paul")
    assert read_word_vectors(path, keep=["york", "new york"]).words == ("new york",)
    assert len(read_word_vectors(path, most=2)) == 2


def test_an_exact_match_comes_before_a_folded_one():
    assert small().find("paul") == "paul"
    assert small().find("PAUL") == "Paul"
    assert small().find("rose") == "ROSE"
    assert small("exact").find("rose") is None
    assert "Rose" in small()
    assert small().vectors(["rose", "paul"]).tolist() == [[5, 6], [3, 4]]


def test_missing_words_are_named():
    with pytest.raises(InputError, match="no 'thorn'"):
        small().vectors(["paul", "thorn"])


@pytest.mark.parametrize(
    ("words", "matrix", "told"),
    [
        (("a", "a"), np.ones((2, 2)), "stand twice"),
        (("a", "b"), np.ones((3, 2)), r"\(words, D\)"),
        (("a", "b"), np.array([[1, 2], [np.nan, 1]]), "'b' holds a number that is not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(words: tuple[str, ...], matrix: np.ndarray, told: str):
    with pytest.raises(InputError, match=told):
        WordVectors(words, matrix, "v")


def test_an_unknown_case_is_refused():
    with pytest.raises(InputError, match="'lower' is none of exact, fold"):
        small("lower")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a 1 2\nb 1\n", "line 2: 1 numbers, expected 2"),
        ("a 1 2\nb 1 x\n", "line 2: not a number"),
        ("a 1 2\nb 1 inf\n", "line 2: a number is not finite"),
        ("", "no vectors"),
    ],
)
def test_errors_name_the_line(path: Path, text: str, told: str):
    path.write_text(text)
    for keep in (None, ["a", "b"]):
        with pytest.raises(DataError, match=told):
            read_word_vectors(path, keep=keep)


def test_damaged_and_binary_files_say_so(path: Path):
    path.write_bytes(b"3 2\nthe \xff\xfe\x00\x80")
    with pytest.raises(DataError, match="not the binary one"):
        read_word_vectors(path, keep=["the"])
    path.write_bytes(gzip.compress(TEXT.encode())[:-12])
    with pytest.raises(DataError, match="damaged"):
        read_word_vectors(path, keep=["the"])
    with pytest.raises(DataError, match="cannot be read"):
        read_word_vectors(path.with_name("none.txt"), keep=["the"])


def test_a_model_gives_vectors_whose_name_holds_the_pooling(encoder):
    encoded = encoded_words(encoder, ["rose", "ant", "rose"], pooling="cls")
    assert encoded.words == ("rose", "ant")
    assert encoded.name == "toy, cls pooling"
    assert encoded.sha256 is None
    assert encoder.asked == ["cls"]
    np.testing.assert_allclose(encoded.vectors(["ant"])[0], encoder.vectors["ant"])
