"""The words that an attacker thinks of, how common each is in public text, and what an attack hands back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data import Dataset

Method = Literal["embedding-rows", "subspace", "prior"]
Basis = Literal["exact", "scores", "prior"]
"""What a set of words rests on: on what the update can only hold if they were there; on odds; or on public text alone."""

UNSEEN = 0.5
"""How often a word counts as seen that public text does not hold."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The attacker's dictionary, the most common word first.

    Args:
        words: Distinct words, at least two.
        counts: How often each stands in public text, (V,), > 0, in descending order.

    Raises:
        InputError: For fewer than two words, a word that stands twice, or counts that do not fit.
    """

    words: tuple[str, ...]
    counts: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.words) < 2 or len(set(self.words)) < len(self.words):
            distinct = len(set(self.words))
            raise InputError(f"candidates: {len(self.words)} words, {distinct} of them distinct; give at least two, each once")
        if self.counts.shape != (len(self.words),) or np.any(np.diff(self.counts) > 0) or self.counts[-1] <= 0:
            raise InputError(f"candidates: counts of shape {self.counts.shape} for {len(self.words)} words; give one > 0 each, descending")

    @classmethod
    def of(cls, public: Dataset | Sequence[Sequence[str]], *, vocabulary: Iterable[str] = ()) -> Self:
        """Reads them off public text.

        Args:
            public: Text of the same kind as the clients', which the attacker has.
            vocabulary: Words that the attacker thinks of besides, such as those of the model's own vocabulary.
        """
        rows = public.tokens() if isinstance(public, Dataset) else public
        counts: Counter[str] = Counter(chain.from_iterable(rows))
        seen: dict[str, float] = {**dict.fromkeys(vocabulary, UNSEEN), **counts}
        ordered = sorted(seen, key=lambda word: (-seen[word], word))
        return cls(tuple(ordered), np.array([seen[word] for word in ordered], dtype=np.float64))

    @property
    def log_shares(self) -> NDArray[np.float64]:
        """The logarithm of each word's share of public text, (V,)."""
        return np.asarray(np.log(self.counts / self.counts.sum()), dtype=np.float64)

    def log_odds(self, distinct: int) -> NDArray[np.float64]:
        """The log-odds that each word is among so many distinct ones, before any update is looked at, (V,).

        Words are drawn by their share of public text, as many as give that number of distinct ones on average.

        Args:
            distinct: Distinct words of the sum, at least 1.
        """
        shares = np.exp(self.log_shares)
        low, high = 0.0, 60.0  # of the logarithm of the number of draws
        for _ in range(60):
            middle = (low + high) / 2
            expected = -np.expm1(np.exp(middle) * np.log1p(-shares)).sum()
            low, high = (middle, high) if expected < distinct else (low, middle)
        log_absent = np.minimum(np.exp(low) * np.log1p(-shares), -1e-12)
        return np.asarray(np.log(-np.expm1(log_absent)) - log_absent, dtype=np.float64)

    def best(self, scores: NDArray[np.float64], most: int, *, among: Sequence[int] | None = None) -> tuple[str, ...]:
        """The words of the highest scores; of words that differ by their case alone one, and of equal scores the commoner word.

        Args:
            scores: One for each word, (V,).
            most: How many at most.
            among: Places of the words that may be taken; by default all.
        """
        places = np.arange(len(self.words)) if among is None else np.asarray(among, dtype=np.int64)
        ordered = places[np.argsort(-scores[places], kind="stable")]
        taken: dict[str, str] = {}
        for place in ordered:
            if len(taken) == most:
                break
            taken.setdefault(self.words[place].casefold(), self.words[place])
        return tuple(taken.values())


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What an attack says of one round.

    Args:
        method: Which attack.
        words: Words that it says were in the sum, each once, the surest first; of words that the model cannot tell apart
            (one bucket of a hash) the commonest.
        basis: What that rests on. "exact": the update could not be what it is without something in the place of each of them.
        alike: Words of `words`, each with those that the model cannot tell from it.
        unnamed: What no candidate explains: rows of the table that have moved, or dimensions of the gradient. Words that the attacker
            did not think of, or for the subspace also dropout.
        sentences: Whole sentences, none of which is a guess but for words that the model cannot tell apart.
        rank: Of the gradient of the projection that was looked at; None for other methods.
        reason: Why it is not exact, or what is missing; empty where nothing is.
    """

    method: Method
    words: tuple[str, ...]
    basis: Basis
    alike: tuple[tuple[str, ...], ...] = ()
    unnamed: int = 0
    sentences: tuple[tuple[str, ...], ...] = ()
    rank: int | None = None
    reason: str = ""


def prior_only(candidates: Candidates, *, most: int) -> Recovered:
    """The commonest words of public text: what an attacker knows who saw no update. Every attack is held against it.

    Args:
        candidates: The attacker's dictionary.
        most: How many words to name, the true number of distinct ones: a generous adversary.
    """
    return Recovered(method="prior", words=candidates.best(candidates.counts, most), basis="prior", reason="no update was looked at")
