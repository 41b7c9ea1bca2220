"""The grammar as arrays, so that a million utterances are drawn and spelt without a Python object for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from holdfast.data.assistant import lexicon
from holdfast.data.assistant.grammar import BELONGINGS, CLOSINGS, COMMAND_OPENINGS, INTENTS, SLOTS, STATEMENT_OPENINGS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CELL = re.compile(r"\{\w+\}|\[[^\]]*\]|\S+")
_WEIGHTED = re.compile(r"(?:(\d+):)?\s*(.*)")
_TEMPLATE_EXPONENT = 0.7  # how quickly the templates of an intent grow rarer in the order in which they are written


@dataclass(frozen=True)
class Choices:
    """Weighted choices under many keys, in one table: key k chooses among the entries [starts[k], starts[k + 1]).

    Args:
        starts: (keys + 1,).
        ends: Cumulated weight of each entry plus its key, (entries,), ascending.
    """

    starts: Ints
    ends: Floats

    @classmethod
    def of(cls, weights: Sequence[Sequence[float] | Floats]) -> Choices:
        """Builds the table from the weights under each key; they need not sum to 1."""
        starts = np.cumsum([0, *(len(row) for row in weights)])
        return cls(starts, np.concatenate([key + np.cumsum(row) / np.sum(row) for key, row in enumerate(weights)]))

    def draw(self, keys: Ints, uniform: Floats) -> Ints:
        """The entry that each key and each number in [0, 1) choose, (n,)."""
        found = np.searchsorted(self.ends, keys + uniform, side="right")
        return np.clip(found, self.starts[keys], self.starts[keys + 1] - 1)  # rounding must not reach the neighbouring key


@dataclass(frozen=True)
class Rows:
    """Rows of unequal length: row r is values[starts[r]:starts[r + 1]]."""

    starts: Ints
    values: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Rows:
        """Lays the rows end to end."""
        starts = np.cumsum([0, *map(len, rows)])
        return cls(starts, np.array([value for row in rows for value in row], np.int64))

    def expand(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Lays the chosen rows end to end.

        Returns:
            For each value: which of the chosen rows it belongs to, its position in that row, and its index in `values`.
        """
        counts = self.starts[rows + 1] - self.starts[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        position = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, position, np.repeat(self.starts[rows], counts) + position


@dataclass(frozen=True)
class Compiled:
    """The whole grammar.

    A template is a row of *holes*; a hole is filled by one of its *patterns*; a pattern is a row of word classes with a tag
    for each. A literal word is a class of one word, and a wording that needs no choice is a hole with one pattern.

    Args:
        intents: Names of the K intents.
        tags: "O", then "B-slot" and "I-slot" of each slot.
        words: The distinct words that can be said.
        templates: Which template: the key is 2 x intent, plus 1 for the rare wordings.
        holes: The holes of each template.
        patterns: Which pattern: the key is the hole.
        cells: The word classes of each pattern.
        cell_tags: The tag of each cell, aligned with `cells.values`.
        spellings: Which spelling: the key is the word class.
        spelling_words: The word of each spelling, an index in `words`.
        belongings: How many values each user owns of a hole, (holes,), 0 for most.
        belonging_rates: How often a mention is of the user's own, (holes,).
    """

    intents: tuple[str, ...]
    tags: tuple[str, ...]
    words: tuple[str, ...]
    templates: Choices
    holes: Rows
    patterns: Choices
    cells: Rows
    cell_tags: Ints
    spellings: Choices
    spelling_words: Ints
    belongings: Ints
    belonging_rates: Floats


@cache
def compiled() -> Compiled:
    """Compiles the grammar; it is the same for every seed."""
    return _Compiler().result()


class _Compiler:
    """Numbers word classes, patterns and holes as it meets them."""

    def __init__(self) -> None:
        self.classes: dict[str, int] = {}
        self.spellings: list[Sequence[str]] = []
        self.spelling_weights: list[Floats] = []
        self.holes: dict[str, int] = {}
        self.pattern_weights: list[list[float]] = []
        self.cells: list[list[int]] = []
        self.cell_tags: list[int] = []
        self.tags = ("O", *(f"{prefix}-{slot}" for slot in SLOTS for prefix in "BI"))
        for name, words in lexicon.classes().items():
            self._class(f"<{name}>", words, lexicon.weights(name, len(words)))
        for slot, patterns in SLOTS.items():
            self._hole(f"{{{slot}}}", patterns, slot)

    def result(self) -> Compiled:
        templates = [lines for intent in INTENTS.values() for lines in (intent.common, intent.rare)]
        holes = [self._template(line) for lines in templates for line in lines]
        words = {word: index for index, word in enumerate(dict.fromkeys(word for spellings in self.spellings for word in spellings))}
        popularity = [np.arange(1, len(lines) + 1, dtype=np.float64) ** -_TEMPLATE_EXPONENT for lines in templates]
        owned, rates = np.zeros(len(self.holes), np.int64), np.zeros(len(self.holes))
        for slot, (count, rate) in BELONGINGS.items():
            owned[self.holes[f"{{{slot}}}"]], rates[self.holes[f"{{{slot}}}"]] = count, rate
        return Compiled(
            intents=tuple(INTENTS),
            tags=self.tags,
            words=tuple(words),
            templates=Choices.of(popularity),
            holes=Rows.of(holes),
            patterns=Choices.of(self.pattern_weights),
            cells=Rows.of(self.cells),
            cell_tags=np.array(self.cell_tags, np.int64),
            spellings=Choices.of(self.spelling_weights),
            spelling_words=np.array([words[word] for spellings in self.spellings for word in spellings], np.int64),
            belongings=owned,
            belonging_rates=rates,
        )

    def _template(self, line: str) -> list[int]:
        opening = STATEMENT_OPENINGS if line.startswith("?") else COMMAND_OPENINGS
        return [self._hole_of(cell) for cell in (opening, *_CELL.findall(line.removeprefix("?")), CLOSINGS)]

    def _hole_of(self, cell: str) -> int:
        if cell in self.holes:
            return self.holes[cell]
        if cell.startswith("{"):
            raise ValueError(f"the grammar has no slot {cell}")
        return self._hole(cell, cell[1:-1].split("|") if cell.startswith("[") else [cell], None)

    def _hole(self, name: str, patterns: Sequence[str], slot: str | None) -> int:
        split = [_WEIGHTED.fullmatch(pattern) for pattern in patterns] if slot else [None] * len(patterns)
        self.pattern_weights.append([float(match[1] or 1) if match else 1.0 for match in split])
        for pattern, match in zip(patterns, split, strict=True):
            words = (match[2] if match else pattern).split()
            self.cells.append([self._class_of(word) for word in words])
            self.cell_tags += [self.tags.index(f"{'I' if at else 'B'}-{slot}") if slot else 0 for at in range(len(words))]
        return self.holes.setdefault(name, len(self.holes))

    def _class_of(self, word: str) -> int:
        if word in self.classes:
            return self.classes[word]
        if word.startswith("<"):
            raise ValueError(f"the lexicon has no class {word}")
        return self._class(word, (word,), np.ones(1))

    def _class(self, name: str, words: Sequence[str], weights: Floats) -> int:
        self.spellings.append(words)
        self.spelling_weights.append(weights)
        return self.classes.setdefault(name, len(self.classes))
