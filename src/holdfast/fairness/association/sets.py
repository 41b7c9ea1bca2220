"""The four sets of words of an association test, and what becomes of words that have no vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from holdfast.core.errors import InputError

OutOfVocabulary = Literal["warn", "refuse", "balance"]


@dataclass(frozen=True)
class WordSet:
    """Some words under a name, such as "Flowers"."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Sets:
    """The sets of one test.

    Args:
        of: Name of the test, such as "WEAT6".
        x: First target words.
        y: Second target words.
        a: First attribute words, which X is suspected to be nearer to.
        b: Second attribute words.

    Raises:
        InputError: For an empty set, a word twice in a set, or a word that two sets share.
    """

    of: str
    x: WordSet
    y: WordSet
    a: WordSet
    b: WordSet

    def __post_init__(self) -> None:
        for one in self.all:
            if not one.words:
                raise InputError(f"{self.of}: the set {one.name!r} has no words; give at least two")
            twice = [word for word in one.words if one.words.count(word) > 1]
            if twice:
                raise InputError(f"{self.of}: {twice[0]!r} stands twice in {one.name!r}; keep it once")
        for first, second in combinations(self.all, 2):
            shared = sorted(set(first.words) & set(second.words))
            if shared:
                raise InputError(f"{self.of}: {shared[0]!r} stands in {first.name!r} and in {second.name!r}; take it out of one of them")

    @property
    def all(self) -> tuple[WordSet, WordSet, WordSet, WordSet]:
        """X, Y, A, B."""
        return self.x, self.y, self.a, self.b

    @property
    def targets(self) -> tuple[str, ...]:
        """The words of X, then those of Y."""
        return self.x.words + self.y.words

    @property
    def attributes(self) -> tuple[str, ...]:
        """The words of A, then those of B."""
        return self.a.words + self.b.words


@dataclass(frozen=True)
class Resolved:
    """A test with the words that can be looked up.

    Args:
        sets: The words that are left; those asked for where nothing is left of a set.
        missing: Words without a vector with the set that they stand in, in order.
        trimmed: Words that have a vector but were left out to make X and Y equal in size.
        refused: Why no number may be made of the rest; None where one may.
        asked: How many words were asked for.
    """

    sets: Sets
    missing: tuple[tuple[str, str], ...]
    trimmed: tuple[str, ...]
    refused: str | None
    asked: int

    @property
    def note(self) -> str | None:
        """A warning for people, or None where nothing is missing."""
        if not self.missing:
            return None
        told = ", ".join(f"{word} ({where})" for word, where in self.missing[:10])
        more = f" and {len(self.missing) - 10} more" if len(self.missing) > 10 else ""
        return (
            f"{self.sets.of}: {len(self.missing)} of {self.asked} words {'is' if len(self.missing) == 1 else 'are'} missing: {told}{more}."
        )


def resolve(
    sets: Sets, find: Callable[[str], str | None], *, out_of_vocabulary: OutOfVocabulary = "warn", most_missing: float = 0.2
) -> Resolved:
    """Drops the words that cannot be looked up, or refuses to.

    Args:
        sets: The test.
        find: Gives a word as it is known, None where it is not.
        out_of_vocabulary: "warn" drops missing words and says so; "refuse" raises for the first test with one; "balance" drops them
            and then cuts the longer of X and Y at its end, as the first WEAT study made its sets equal in size.
        most_missing: Share of a set that may be missing, in [0, 1); above it there is no number, because the rest is another test.

    Raises:
        InputError: Under "refuse", for missing words.
    """
    missing = tuple((word, one.name) for one in sets.all for word in one.words if find(word) is None)
    if missing and out_of_vocabulary == "refuse":
        told = ", ".join(f"{word!r} ({where})" for word, where in missing[:5])
        raise InputError(f"{sets.of}: {len(missing)} words are missing: {told}; give other vectors, or out_of_vocabulary = 'warn'")
    kept = [replace(one, words=tuple(word for word in one.words if find(word) is not None)) for one in sets.all]
    refused = _refused(sets, kept, find, most_missing)
    trimmed: tuple[str, ...] = ()
    if out_of_vocabulary == "balance":
        size = min(len(kept[0].words), len(kept[1].words))
        trimmed = kept[0].words[size:] + kept[1].words[size:]
        kept[:2] = [replace(one, words=one.words[:size]) for one in kept[:2]]
    left = sets if any(not one.words for one in kept) else Sets(sets.of, *kept)
    return Resolved(left, missing, trimmed, refused, len(sets.targets + sets.attributes))


def _refused(sets: Sets, kept: list[WordSet], find: Callable[[str], str | None], most_missing: float) -> str | None:
    for asked, left in zip(sets.all, kept, strict=True):
        lost = len(asked.words) - len(left.words)
        if lost > most_missing * len(asked.words) or not left.words:
            return f"{lost} of {len(asked.words)} words of {asked.name!r} are missing, more than the share {most_missing:g} that may be"
    known: dict[str, str] = {}
    for word in (word for one in kept for word in one.words):
        other = known.setdefault(str(find(word)), word)
        if other != word:
            return f"{other!r} and {word!r} are looked up as one word; look words up exactly"
    return None


def foreign(resolved: list[Resolved]) -> str | None:
    """A notice where most words of all tests together are missing, as when English lists meet vectors of another language."""
    asked, missing = sum(one.asked for one in resolved), sum(len(one.missing) for one in resolved)
    if not asked or missing <= asked / 2:
        return None
    return (
        f"{missing} of {asked} words of the lists are missing, which is most of them; if the lists are of another language than the "
        "vectors or the model, as English lists are for a model of German, the numbers that are left say nothing."
    )
