"""How a model reads texts: its pieces, the words that it does not know, and the texts that were too long for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition
from holdfast.fairness.language.access import Pieces, ReadsText

Places = NDArray[np.int64]

MANY_UNKNOWN = 0.1
"""Share of unknown words above which a number says little."""
WORD = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True, eq=False)
class Reading:
    """Texts as a model reads them.

    Args:
        pieces: Of each text.
        words: Words of all texts.
        unknown: Those that the model does not know whole.
        cut: Texts longer than the model reads.
    """

    pieces: tuple[Pieces, ...]
    words: int
    unknown: int
    cut: int

    @property
    def unknown_share(self) -> float:
        """Which share of the words is unknown, in [0, 1]; 0 without words."""
        return self.unknown / self.words if self.words else 0.0

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What every number that rests on these texts must tell."""
        return {"unknown_words": self.unknown_share, "cut": self.cut}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong with the texts for this model, in sentences."""
        found = []
        if self.unknown_share > MANY_UNKNOWN:
            found.append(
                f"{100 * self.unknown_share:.0f} % of the words of the texts are unknown to the model: they may be of another language "
                "or of another kind than it was trained on, and its likelihoods say little about them."
            )
        if self.cut:
            found.append(f"{self.cut} texts were longer than the model reads and were cut.")
        return tuple(found)


def read(access: ReadsText, texts: Sequence[str]) -> Reading:
    """Has a model cut texts into pieces, and counts what it does not know.

    Args:
        access: The model.
        texts: In the order in which the pieces come back.
    """
    pieces = tuple(access.pieces(list(texts)))
    words = unknown = 0
    for text, found in zip(texts, pieces, strict=True):
        spans = [match.span() for match in WORD.finditer(text)]
        words += len(spans)
        if not found.known[~found.special].all():
            unknown += sum(not found.known[found.within(*span)].all() for span in spans)
    return Reading(pieces, words, unknown, sum(one.cut for one in pieces))


def own_places(pieces: Pieces) -> Places:
    """Places of the pieces that stand for a part of the text, (A,)."""
    return np.flatnonzero(~pieces.special)


def joined(*readings: Reading) -> Reading:
    """Several readings as one."""
    return Reading(
        tuple(piece for reading in readings for piece in reading.pieces),
        sum(reading.words for reading in readings),
        sum(reading.unknown for reading in readings),
        sum(reading.cut for reading in readings),
    )
