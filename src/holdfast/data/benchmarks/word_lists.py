"""Reads lists of gendered words: pairs to swap, professions with their stereotype, words that have a gender by meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import DataError
from holdfast.data.benchmarks.documents import Place, read_json
from holdfast.data.text_files import find, lines

_MALE, _FEMALE = "male_word_file.txt", "female_word_file.txt"


@dataclass(frozen=True)
class Profession:
    """A profession of the lists of Bolukbasi et al.

    Args:
        name: As it is written, with "_" between words.
        definitional: How far its meaning says a gender, from -1 (female) to 1 (male).
        stereotypical: How far people think of it as of one gender, from -1 (female) to 1 (male).
    """

    name: str
    definitional: float
    stereotypical: float


def read_word_pairs(path: Path | str) -> list[tuple[str, str]]:
    """Reads pairs of words that are each other's counterpart.

    Args:
        path: JSON of [[word, word], ...], as of debiaswe (MIT); a text file with a pair a line between tabs, as the swaps of WinoBias
            (MIT); or a folder with ``*male_word_file.txt`` and ``*female_word_file.txt``, a word a line in each, as of gn_glove
            (Apache-2.0). Gzipped or not.

    Returns:
        The pairs in their order; those of a folder as (male, female), those of a file as they are written there.

    Raises:
        DataError: For a missing file, two files of unequal length, or a line that is no pair; with file and line.

    *Edge cases*: a pair may stand twice, and a word in several pairs: the lists of gn_glove pair several female words with "host".
    Blanks around a word are no part of it; blank lines are passed over, in two files only where they are blank in both.
    """
    path = Path(path)
    if path.is_dir():
        return list(_beside(_file(path, _MALE, not_in=_FEMALE), _file(path, _FEMALE)))
    if path.name.removesuffix(".gz").endswith(".json"):
        place = Place(path)
        entries = enumerate(place.sequence(read_json(path)))
        found = [_pair(place.at(at).texts(place.at(at).sequence(entry, count=2))) for at, entry in entries]
    else:
        found = []
        for number, line in lines(path):
            if line.strip():
                parts = [part.strip() for part in line.split("\t")]
                if len(parts) != 2 or not all(parts):
                    Place(path, line=number).refuse(f"{line!r} is not two words with a tab between them")
                found.append(_pair(tuple(parts)))
    if not found:
        raise DataError("there is no pair in it", path=find(path))
    return found


def read_words(path: Path | str) -> list[str]:
    """Reads a list of words: JSON of [word, ...], or a text file with a word, or several, a line.

    Raises:
        DataError: For a missing or empty file, or an entry that is no word.
    """
    path = Path(path)
    if path.name.removesuffix(".gz").endswith(".json"):
        found = list(Place(path).texts(read_json(path)))
    else:
        found = [line.strip() for _, line in lines(path) if line.strip()]
    if not found:
        raise DataError("there is no word in it", path=find(path))
    return found


def read_professions(path: Path | str) -> list[Profession]:
    """Reads professions with the gender of their meaning and of their stereotype, as of debiaswe (MIT; Bolukbasi et al. 2016).

    Args:
        path: JSON of [[name, definitional, stereotypical], ...]; gzipped or not.

    Raises:
        DataError: For another layout, or a number outside [-1, 1]; with the place in it.
    """
    place = Place(Path(path))
    found = []
    for at, entry in enumerate(place.sequence(read_json(Path(path)))):
        here = place.at(at)
        name, definitional, stereotypical = here.sequence(entry, count=3)
        found.append(Profession(here.text(name), _degree(here, definitional), _degree(here, stereotypical)))
    if not found:
        place.refuse("there is no profession in it")
    return found


def _degree(place: Place, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1:
        place.refuse(f"{value!r}; give a number in [-1, 1]")
    return float(value)


def _pair(parts: tuple[str, ...]) -> tuple[str, str]:
    first, second = parts
    return first.strip(), second.strip()


def _file(folder: Path, ending: str, *, not_in: str | None = None) -> Path:
    names = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(ending))
    found = [path for path in names if not_in is None or not path.name.removesuffix(".gz").endswith(not_in)]
    if len(found) != 1:
        raise DataError(f"{len(found)} files *{ending}; there must be one", path=folder)
    return found[0]


def _beside(male: Path, female: Path) -> Iterator[tuple[str, str]]:
    rows = [[(number, line.strip()) for number, line in lines(path)] for path in (male, female)]
    while any(side and not side[-1][1] for side in rows):
        rows = [side[:-1] if side and not side[-1][1] else side for side in rows]
    if len(rows[0]) != len(rows[1]):
        raise DataError(f"{len(rows[1])} words, {male.name} has {len(rows[0])}; the lines must stand beside each other", path=female)
    for (number, one), (_, other) in zip(*rows, strict=True):
        if bool(one) != bool(other):
            Place(female if one else male, line=number).refuse("the line is blank here but not in the file beside")
        if one:
            yield one, other
