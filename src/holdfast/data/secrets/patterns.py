"""What a secret looks like: known words, and unknown ones that are each one of some candidates."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.data.columns import LABEL, TAGS, TOKENS, encode
from holdfast.data.dataset import Dataset

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""A voice request spells its digits as words."""

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "gold")

PATTERNS = {
    "call": (("call",), DIGITS),
    "pin": (("my", "pin", "code", "is"), DIGITS),
    "color": (("my", "favorite", "color", "is"), COLOURS),
}
"""Known words and candidates of the patterns that `pattern` makes, after Parikh et al. 2022."""

HOLE = "{}"
OUTSIDE = "O"


@dataclass(frozen=True, kw_only=True)
class SecretPattern:
    """A sentence with known words, and n unknown words side by side that are each one of V candidates.

    Args:
        name: What reports call it, such as "pin".
        before: Known words before the unknown ones; there is at least one known word before or after them.
        candidates: The V words that an unknown word may be, at least two, all different, also without regard to case.
        length: n, how many words are unknown, at least 1.
        after: Known words after the unknown ones.
        label: Of the sentence. The names of labels count as public.
        slot: The unknown words are tagged "B-slot", "I-slot" and so on, the known ones "O".

    Raises:
        InputError: For a value out of its bounds, or a word that is empty, holds a blank or is a hole ("{}").

    Edge cases:
        A word may be unknown and known at once: "one" in "the one {}" does not hinder "one" as a candidate.

    References:
        Carlini, Liu, Erlingsson, Kos, Song 2019, "The Secret Sharer", arXiv 1802.08232, section 4 (format, randomness space).
        Parikh, Dupuy, Gupta 2022, arXiv 2203.13920, whose patterns are "call", "pin" and "color".

    >>> pin = SecretPattern(name="pin", before=("my", "pin", "code", "is"), candidates=DIGITS, length=2)
    >>> pin.size, " ".join(pin.words((4, 1)))
    (100, 'my pin code is four one')
    >>> pin.tags
    ('O', 'O', 'O', 'O', 'B-canary', 'I-canary')
    """

    name: str
    before: tuple[str, ...]
    candidates: tuple[str, ...]
    length: int
    after: tuple[str, ...] = ()
    label: str = "canary"
    slot: str = "canary"

    def __post_init__(self) -> None:
        for field in ("before", "candidates", "after"):
            given = getattr(self, field)
            if isinstance(given, str):
                raise InputError(f"{field} is the text {given!r}; give a sequence of words, such as text.split()")
            object.__setattr__(self, field, tuple(given))
        for field in ("name", "label", "slot"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field).strip():
                raise InputError(f"{field} of a secret is {getattr(self, field)!r}; give a text that is not empty")
        self._check()

    def _check(self) -> None:
        for word in (*self.before, *self.candidates, *self.after):
            if not isinstance(word, str) or word.split() != [word] or word == HOLE:
                raise InputError(
                    f"secret {self.name!r}: {word!r} is no word; give words without blanks, and the unknown ones by length alone"
                )
        if not self.before and not self.after:
            raise InputError(f"secret {self.name!r} has no known word; give at least one before or after the unknown ones")
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 1:
            raise InputError(f"secret {self.name!r}: length is {self.length!r}; give how many words are unknown, an integer >= 1")
        folded = [word.casefold() for word in self.candidates]
        twice = sorted({word for word in folded if folded.count(word) > 1})
        if twice:
            raise InputError(f"secret {self.name!r}: the candidates {', '.join(twice)} stand there twice; give each once, in one case")
        if len(folded) < 2:
            raise InputError(f"secret {self.name!r} has {len(folded)} candidates; one of fewer than 2 is no secret")

    @property
    def size(self) -> int:
        """How many fills there are, V to the power of n."""
        return int(len(self.candidates) ** self.length)

    @property
    def unknown(self) -> range:
        """The positions of the unknown words in the sentence."""
        return range(len(self.before), len(self.before) + self.length)

    @property
    def tags(self) -> tuple[str, ...]:
        """One tag for each word of the sentence."""
        begun = (f"B-{self.slot}", *[f"I-{self.slot}"] * (self.length - 1))
        return (*[OUTSIDE] * len(self.before), *begun, *[OUTSIDE] * len(self.after))

    def fill(self, places: Sequence[int]) -> tuple[str, ...]:
        """The unknown words that candidates make.

        Args:
            places: Which candidate stands at each unknown position, n integers in [0, V).

        Raises:
            InputError: For a number of places other than n, or one outside.
        """
        if len(places) != self.length or not all(0 <= place < len(self.candidates) for place in places):
            raise InputError(f"secret {self.name!r}: places {tuple(places)}; give {self.length} integers in [0, {len(self.candidates)})")
        return tuple(self.candidates[operator.index(place)] for place in places)

    def words(self, places: Sequence[int]) -> tuple[str, ...]:
        """The whole sentence that candidates make; see `fill`."""
        return (*self.before, *self.fill(places), *self.after)

    def dataset(self, places_FN: NDArray[np.integer], *, like: Dataset) -> Dataset:
        """The sentences of many fills as a data set, with label and tags where `like` has them, and no other column.

        Args:
            places_FN: Which candidate stands at each unknown position of each fill, (F, n), integers in [0, V).
            like: The data set whose columns, name and split are taken.

        Raises:
            InputError: For another shape, or a place outside.

        >>> data = Dataset.from_table(pa.table({"tokens": [["stop"]], "label": ["stop"]}), name="tiny", split="train")
        >>> [row.text for row in pattern("call", length=2).dataset(np.array([[4, 1], [0, 0]]), like=data)]
        ['call four one', 'call zero zero']
        """
        fills, V = len(places_FN), len(self.candidates)
        if places_FN.shape != (fills, self.length) or (fills and not 0 <= places_FN.min() <= places_FN.max() < V):
            raise InputError(
                f"secret {self.name!r}: fills of shape {places_FN.shape}; give integers in [0, {V}), {self.length} for each fill"
            )
        known = np.arange(V, V + len(self.before) + len(self.after))
        ids_FT = np.tile(np.concatenate([known[: len(self.before)], np.zeros(self.length, int), known[len(self.before) :]]), (fills, 1))
        ids_FT[:, self.unknown] = places_FN
        tags, ends = np.tile(np.arange(ids_FT.shape[1]), fills), pa.array(np.arange(fills + 1) * ids_FT.shape[1], pa.int32())
        made = {
            TOKENS: pa.ListArray.from_arrays(ends, encode((*self.candidates, *self.before, *self.after), ids_FT.ravel())),
            LABEL: encode([self.label], np.zeros(fills, int)),
            TAGS: pa.ListArray.from_arrays(ends, encode(self.tags, tags)),
        }
        kept = {name: column for name, column in made.items() if name == TOKENS or like.has(name)}
        return Dataset.from_table(pa.table(kept), name=like.name, split=like.split)


def pattern(
    name: str, *, length: int, candidates: Sequence[str] | None = None, label: str = "canary", slot: str = "canary"
) -> SecretPattern:
    """Makes a pattern by its name: "call", "pin" (digits) or "color" (colours).

    Args:
        name: One of `PATTERNS`.
        length: How many words are unknown.
        candidates: What they may be; None for digits or colours.
        label: Of the sentence.
        slot: Of the unknown words.

    Raises:
        InputError: For an unknown name, or what `SecretPattern` refuses.

    References:
        Parikh, Dupuy, Gupta 2022, arXiv 2203.13920.
    """
    if name not in PATTERNS:
        raise InputError(f"there is no pattern {name!r} (pattern_of_template makes one of any sentence); {nearest(name, PATTERNS)}")
    before, usual = PATTERNS[name]
    return SecretPattern(
        name=name, before=before, candidates=tuple(usual if candidates is None else candidates), length=length, label=label, slot=slot
    )


def pattern_of_template(
    template: str, *, name: str, candidates: Sequence[str] = DIGITS, label: str = "canary", slot: str = "canary"
) -> SecretPattern:
    """Makes a pattern of a sentence with a "{}" for each unknown word.

    Args:
        template: Known words and holes, all the holes side by side.
        name: What reports call it.
        candidates: What the unknown words may be.
        label: Of the sentence.
        slot: Of the unknown words.

    Raises:
        InputError: For no hole, known words between two holes, or what `SecretPattern` refuses.

    >>> pattern_of_template("the code of the safe is {} {} {} today", name="safe").after
    ('today',)
    """
    words = template.split()
    holes = [at for at, word in enumerate(words) if word == HOLE]
    if not holes:
        raise InputError(f"the template {template!r} has no unknown word; write {HOLE} for each, with blanks around it")
    first, last = holes[0], holes[-1] + 1
    if len(holes) != last - first:
        raise InputError(f"the template {template!r} has known words between its unknown ones; put every {HOLE} side by side")
    return SecretPattern(
        name=name,
        before=tuple(words[:first]),
        candidates=tuple(candidates),
        length=len(holes),
        after=tuple(words[last:]),
        label=label,
        slot=slot,
    )
