import gzip
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import DataError
from holdfast.models.vectors import fingerprint, read_vectors

TEXT = "the 1 2.5\nJazz -1 0\njazz 7 7\n. . . 3 4\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "vectors.txt").write_text(TEXT)
    return tmp_path / "vectors.txt"


def test_words_and_numbers_are_read_and_a_word_may_hold_blanks(path: Path):
    vectors = read_vectors(path, most=10, lowercase=False)
    assert vectors.words == ("the", "Jazz", "jazz", ". . .")
    assert vectors.matrix.dtype == np.float32
    assert vectors.matrix.tolist() == [[1, 2.5], [-1, 0], [7, 7], [3, 4]]


def test_lower_cased_words_keep_the_first_of_their_vectors(path: Path):
    vectors = read_vectors(path, most=10, lowercase=True)
    assert vectors.words == ("the", "jazz", ". . .")
    assert vectors.matrix[1].tolist() == [-1, 0]


def test_gzip_is_known_by_its_first_bytes_not_by_its_name(path: Path, tmp_path: Path):
    (tmp_path / "zipped").write_bytes(gzip.compress(TEXT.encode()))
    assert read_vectors(tmp_path / "zipped", most=10, lowercase=True).words == read_vectors(path, most=10, lowercase=True).words


def test_a_head_line_is_passed_over_and_reading_stops_where_asked(path: Path):
    assert read_vectors(path, most=2, lowercase=False).words == ("the", "Jazz")
    path.write_text("2 2\n" + TEXT)
    assert read_vectors(path, most=3, lowercase=False).words == ("the", "Jazz")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a 1 2\nb 1\n", 2, "1 numbers, expected 2"),
        ("a\n", 1, "0 numbers, expected at least 1"),
        ("a 1 2\nb 1 x\n", 2, "not a number"),
        ("a 1 2\nb 1 nan\n", 2, "not finite"),
        ("a 1 2\n\n", 2, "0 numbers, expected 2"),
    ],
)
def test_a_wrong_line_is_named(path: Path, text: str, line: int, message: str):
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(path, most=10, lowercase=True)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_an_empty_a_missing_and_a_damaged_file_are_refused(path: Path):
    path.write_text("")
    with pytest.raises(DataError, match="no vectors"):
        read_vectors(path, most=10, lowercase=True)
    path.write_bytes(gzip.compress(TEXT.encode() * 50)[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_vectors(path, most=1000, lowercase=True)
    path.write_bytes(b"caf\xe9 1 2\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_vectors(path, most=10, lowercase=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(path.with_name("absent.txt"), most=10, lowercase=True)


def test_the_fingerprint_is_that_of_the_bytes(path: Path):
    before = fingerprint(path)
    path.write_text(TEXT + "end 0 0\n")
    assert len(before) == 64
    assert fingerprint(path) != before


@pytest.mark.shared
def test_real_vectors(shared_data: Path):
    vectors = read_vectors(shared_data / "glove_twitter_25d_12k" / "glove_twitter_25d_12k.txt.gz", most=100_000, lowercase=True)
    assert vectors.matrix.shape == (11_925, 25)
    assert {"music", "weather"} < set(vectors.words)
