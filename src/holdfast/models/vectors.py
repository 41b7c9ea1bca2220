"""Reads pretrained word vectors from a text file, plain or gzipped, with errors that name the line."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError


@dataclass(frozen=True, eq=False)
class Vectors:
    """Words and their vectors.

    Args:
        words: The words, each once, in the order of the file.
        matrix: Their vectors, float32, (words, width).
    """

    words: tuple[str, ...]
    matrix: NDArray[np.float32]


def read_vectors(path: Path | str, *, most: int, lowercase: bool) -> Vectors:
    """Reads lines of a word and its numbers, as GloVe, word2vec and fastText write them.

    A first line of two whole numbers (a count and a width) is passed over. Numbers are counted from the end of a line,
    so that a "word" may hold spaces. Where a word stands twice, as it may after lower-casing, the first one is kept.

    Args:
        path: The file; one that begins like gzip is read as gzip.
        most: How many lines to read at most; such files put frequent words first.
        lowercase: Whether to lower-case the words.

    Returns:
        The vectors.

    Raises:
        DataError: With file and line: no such file, no vectors, unequal widths, something that is not a finite number.
    """
    rows: dict[str, NDArray[np.float32]] = {}
    width = None
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            parts = line.rstrip().split(" ")
            if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                continue
            if number > most:
                break
            width = len(parts) - 1 if width is None else width
            if width < 1 or len(parts) <= width:
                raise DataError(
                    f"{len(parts) - 1} numbers, expected {width or 'at least 1'}: a word and its numbers", path=path, line=number
                )
            word = " ".join(parts[:-width])
            rows.setdefault(word.lower() if lowercase else word, _numbers(parts[-width:], path, number))
    if not rows:
        raise DataError("no vectors: expected lines of a word and its numbers", path=path)
    return Vectors(tuple(rows), np.stack(list(rows.values())))


def fingerprint(path: Path | str) -> str:
    """Returns the sha256 of a file's bytes, which tells in a record which vectors were used."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(path: str | None) -> dict[str, object] | None:
    """Says in plain JSON which file of vectors a model uses: by name and hash, not by its place on this machine."""
    if path is None:
        return None
    return {"file": Path(path).name, "sha256": fingerprint(path) if Path(path).is_file() else None}


def _numbers(parts: list[str], path: Path | str, line: int) -> NDArray[np.float32]:
    try:
        row = np.array(parts, dtype=np.float32)
    except ValueError as error:
        raise DataError(f"not a number: {error}", path=path, line=line) from None
    if not np.isfinite(row).all():
        raise DataError("a number is not finite", path=path, line=line)
    return row


@contextmanager
def _opened(path: Path | str) -> Iterator[TextIO]:
    try:
        with Path(path).open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if zipped else Path(path).open(encoding="utf-8") as lines:
            yield lines
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error}); give a text file of word vectors, plain or gzipped", path=path
        ) from None
    except (EOFError, UnicodeDecodeError) as error:
        raise DataError(f"is damaged or not UTF-8 text ({error})", path=path) from None
