"""Word vectors as the association tests see them: from a text file, or from a model that encodes the words."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TextIO, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError
from holdfast.fairness.language.access import EncodingAccess
from holdfast.models.vectors import fingerprint, read_vectors

Floats = NDArray[np.float64]
Case = Literal["exact", "fold"]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors, with a rule for how a word is looked up.

    Args:
        words: The words, each once.
        matrix: Their vectors, (words, D), finite.
        name: What to call them, such as "glove.840B.300d.txt" or "a run's name, mean pooling".
        sha256: Of the file that they come from; None where they come from no file.
        case: "exact" looks a word up as it is written; "fold" does so first, and then takes the first word that differs in case only.

    Raises:
        InputError: For a word that stands twice, a shape that does not fit, or a number that is not finite.
    """

    words: tuple[str, ...]
    matrix: NDArray[np.float32] | Floats
    name: str
    sha256: str | None = None
    case: Case = "fold"

    def __post_init__(self) -> None:
        if self.case not in get_args(Case):
            raise InputError(f"vectors {self.name!r}: case {self.case!r} is none of {', '.join(get_args(Case))}")
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.words):
            raise InputError(f"vectors {self.name!r}: a matrix of shape {self.matrix.shape} for {len(self.words)} words; give (words, D)")
        if len(self._places) != len(self.words):
            raise InputError(f"vectors {self.name!r}: {len(self.words) - len(self._places)} words stand twice; keep one vector of each")
        if not np.isfinite(self.matrix).all():
            row = int(np.flatnonzero(~np.isfinite(self.matrix).all(1))[0])
            raise InputError(f"vectors {self.name!r}: the vector of {self.words[row]!r} holds a number that is not finite")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _folded(self) -> dict[str, int]:
        folded: dict[str, int] = {}
        for place, word in enumerate(self.words):
            folded.setdefault(word.casefold(), place)
        return folded

    def find(self, word: str) -> str | None:
        """The word as it stands among the vectors, or None where it does not."""
        place = self._places.get(word)
        if place is None and self.case == "fold":
            place = self._folded.get(word.casefold())
        return None if place is None else self.words[place]

    def vectors(self, words: Sequence[str]) -> Floats:
        """The vectors of some words, (n, D), float64.

        Raises:
            InputError: For words that have none, by name.
        """
        found = [self.find(word) for word in words]
        missing = [word for word, kept in zip(words, found, strict=True) if kept is None]
        if missing:
            raise InputError(f"vectors {self.name!r} have no {', '.join(map(repr, missing[:5]))}; ask `find` first, or give other vectors")
        places = np.array([self._places[kept] for kept in found if kept is not None], dtype=np.int64)
        return self.matrix[places].astype(np.float64)

    def __contains__(self, word: str) -> bool:
        return self.find(word) is not None

    def __len__(self) -> int:
        return len(self.words)


def read_word_vectors(
    path: Path | str,
    *,
    keep: Iterable[str] | None = None,
    case: Case = "fold",
    most: int = 500_000,
    name: str | None = None,
) -> WordVectors:
    """Reads GloVe, word2vec or fastText text, plain or gzipped, of any width; nothing is ever unpickled.

    A first line of a count and a width is passed over. Numbers are counted from the end of a line, so a "word" may hold spaces.
    Where a word stands twice its first vector is kept: such files put frequent words first.

    Args:
        path: The file.
        keep: The words that are wanted. Then the whole file is gone through and only these are held (under "fold" also those that
            differ in case), so a file of gigabytes costs little memory. None keeps the first `most`.
        case: How words will be looked up.
        most: How many lines to read at most where `keep` is None.
        name: What to call the vectors; the name of the file where None.

    Raises:
        DataError: With file and line: no such file, binary or damaged, unequal widths, something that is not a finite number. Of the
            lines that are not kept only the width is looked at.
    """
    called = Path(path).name if name is None else name
    if keep is None:
        read = read_vectors(path, most=most, lowercase=False)
        return WordVectors(read.words, read.matrix, called, fingerprint(path), case)
    wanted = set(keep)
    rows, width = _kept(path, wanted | {word.casefold() for word in wanted} if case == "fold" else wanted, fold=case == "fold")
    matrix = np.stack(list(rows.values())) if rows else np.zeros((0, width), dtype=np.float32)
    return WordVectors(tuple(rows), matrix, called, fingerprint(path), case)


def encoded_words(encoder: EncodingAccess, words: Iterable[str], *, pooling: str, case: Case = "exact") -> WordVectors:
    """Takes a model's encodings of single words as word vectors; the pooling stands in their name, because it changes results."""
    unique = tuple(dict.fromkeys(words))
    matrix = np.asarray(encoder.encode(unique, pooling=pooling), dtype=np.float64)
    return WordVectors(unique, matrix, f"{encoder.name}, {pooling} pooling", None, case)


def _kept(path: Path | str, wanted: set[str], *, fold: bool) -> tuple[dict[str, NDArray[np.float32]], int]:
    firsts = {word.split(" ", 1)[0] for word in wanted}
    rows: dict[str, NDArray[np.float32]] = {}
    width = None
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.rstrip()
            blanks = text.count(" ")
            if number == 1 and blanks == 1 and text.replace(" ", "").isdigit():
                continue
            width = blanks if width is None else width
            if width < 1 or blanks < width:
                raise DataError(f"{blanks} numbers, expected {width or 'at least 1'}: a word and its numbers", path=path, line=number)
            first = text.partition(" ")[0]
            if first not in firsts and not (fold and first.casefold() in firsts):
                continue  # numbers are made of the few lines that are kept: the rest would take a hundred times longer
            word, *numbers = text.rsplit(" ", width)
            if word not in rows and (word in wanted or (fold and word.casefold() in wanted)):
                rows[word] = _numbers(numbers, path, number)
    if width is None:
        raise DataError("no vectors: expected lines of a word and its numbers", path=path)
    return rows, width


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
    """A text file, known to be gzipped by its first bytes."""
    try:
        with Path(path).open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else Path(path).open(encoding="utf-8-sig") as lines:
            yield lines
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error}); give a text file, plain or gzipped", path=path) from None
    except (EOFError, UnicodeDecodeError) as error:
        raise DataError(f"is damaged or not UTF-8 text ({error}); give the text format, not the binary one", path=path) from None
