"""Reads the madlibs of unintended bias: sentences made by filling identity terms into frames, toxic or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from holdfast.core.errors import DataError
from holdfast.data.benchmarks.documents import Place, table_rows
from holdfast.data.benchmarks.word_lists import read_words
from holdfast.data.columns import GROUP, LABEL, TOKENS
from holdfast.data.text_files import find

IDENTITY, TEMPLATE = "identity", "template"
NO_IDENTITY = "none"
_LABELS = ("BAD", "NOT_BAD")
_PARTS = ("train", "validation", "test")
_FILE = "bias_madlibs_77k.csv"
_TERMS, _OTHERS = "lists/adjectives_people.txt", "lists/occupations.txt"
_FLAGS = {"True": True, "False": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Comment:
    """One comment of the toxicity sets.

    Args:
        text: The comment.
        toxic: Whether it is toxic.
        revision: The number of its revision in Wikipedia.
    """

    text: str
    toxic: bool
    revision: str


class Terms:
    """Finds words of a list in texts: whole words, longest first, capitals apart.

    Args:
        terms: The words; some may be of several words.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        longest = sorted({term.lower() for term in terms}, key=lambda term: (-len(term), term))
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)

    def found(self, text: str) -> tuple[str, ...]:
        """The words that stand in a text, each once, in alphabetical order and in small letters."""
        return tuple(sorted({found.lower() for found in self._pattern.findall(text)}))

    def without(self, text: str, mark: str) -> str:
        """The text with a mark in place of each word."""
        return self._pattern.sub(mark, text)


def read_madlibs(folder: Path | str) -> pa.Table:
    """Reads the madlibs (data CC BY 4.0; Dixon et al. 2018).

    Args:
        folder: Where ``bias_madlibs_77k.csv`` lies, and ``lists/adjectives_people.txt`` and ``lists/occupations.txt``; gzipped or not.

    Returns:
        A table of tokens (words between blanks), label ("BAD" or "NOT_BAD"), group "identity": the identity terms that stand in the
        text, with "+" between them, "none" where there are none; and group "template": the text with "[...]" in place of those terms
        and of occupations. Texts of one template differ in nothing else, so they belong in one part and are one unit of resampling.

    Raises:
        DataError: For a missing file or column, an empty text, or an unknown label; with file and line.

    *Edge cases*: the column Template of the file names six kinds of frames, one of which makes 94 % of the texts; as a unit it says
    nothing, so the frame itself is the template. A template still shares its words with others ("X is a ugly [...]" for 45 names X).
    """
    folder = Path(folder)
    path = folder / _FILE
    terms = read_words(folder / _TERMS)
    identities, slots = Terms(terms), Terms([*terms, *read_words(folder / _OTHERS)])
    texts, labels, named, frames = [], [], [], []
    for number, row in table_rows(path, ("Text", "Label", "Template")):
        place = Place(path, line=number)
        text = place.named(row, "Text")
        texts.append(text.split())
        labels.append(place.chosen(row, "Label", _LABELS))
        named.append("+".join(identities.found(text)) or NO_IDENTITY)
        frames.append(slots.without(text, "[...]"))
    if not texts:
        raise DataError("there is no text in it", path=find(path))
    columns = {TOKENS: pa.array(texts, pa.list_(pa.string())), LABEL: labels, GROUP + IDENTITY: named, GROUP + TEMPLATE: frames}
    return pa.table(columns)


def split_by_template(table: pa.Table, *, validation: float, test: float, rng: np.random.Generator) -> dict[str, pa.Table]:
    """Cuts the madlibs into parts by whole templates, at random.

    Args:
        table: As of `read_madlibs`.
        validation: Share of the texts for validation, in (0, 1).
        test: Share of the texts for test, in (0, 1).
        rng: What orders the templates.

    Returns:
        "train", "validation" and "test" to a table, whose rows keep their order.

    Raises:
        DataError: If the templates are too few for three parts.

    *Guarantee*: no template stands in two parts. A share is met to within half of the largest template.
    """
    names, template_n, sizes = np.unique(table.column(GROUP + TEMPLATE).to_pylist(), return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / table.num_rows  # a template belongs where its middle lies
    part = np.empty(len(names), np.int64)
    part[order] = np.where(middle < test, 2, np.where(middle < test + validation, 1, 0))
    if len(set(part)) < len(_PARTS):
        raise DataError(f"{len(names)} templates are too few for parts of {validation:.3g} and {test:.3g}; give larger fractions")
    return {name: table.take(pa.array(np.flatnonzero(part[template_n] == at))) for at, name in enumerate(_PARTS)}


def read_toxicity(path: Path | str) -> list[Comment]:
    """Reads the comments of Wikipedia talk pages (CC BY-SA) that come with the madlibs, as they are or with identity terms swapped.

    Args:
        path: The CSV with rev_id, comment and toxic; gzipped or not.

    Raises:
        DataError: For a missing column, an empty comment, or `toxic` that is neither true nor false; with file and line.
    """
    path = Path(path)
    found = []
    for number, row in table_rows(path, ("rev_id", "comment", "toxic")):
        place = Place(path, line=number)
        flag = place.chosen(row, "toxic", tuple(_FLAGS))
        found.append(Comment(place.named(row, "comment"), _FLAGS[flag], place.named(row, "rev_id")))
    if not found:
        raise DataError("there is no comment in it", path=find(path))
    return found
