"""Small language models whose every probability can be said by hand: a word's logit is its own weight plus what each word in sight adds."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from holdfast.fairness.language.access import Masked, Pieces

CLS, SEP, UNKNOWN = 0, 1, 2
SPECIAL = ("[CLS]", "[SEP]", "[UNK]")


class Words:
    """Words and marks as pieces, in small letters; those in `cut` are two pieces."""

    def __init__(self, vocabulary: Sequence[str], *, cut: Sequence[str] = (), specials: bool = True, longest: int = 10_000) -> None:
        halves = [half for word in cut for half in (word[:2], "##" + word[2:])]
        self.vocabulary = (*SPECIAL, *dict.fromkeys(word for word in (*vocabulary, *halves) if word not in cut))
        self.place = {word: at for at, word in enumerate(self.vocabulary)}
        self.cut, self.specials, self.longest = frozenset(cut), specials, longest
        self.calls: list[str] = []
        self.questions = 0

    name = "toy"

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        self.calls.append("pieces")
        return [self._pieces(text) for text in texts]

    def _pieces(self, text: str) -> Pieces:
        rows = []
        for found in re.finditer(r"\w+|[^\w\s]", text):
            word, (start, end) = found[0].lower(), found.span()
            if word in self.cut:
                rows += [(self.place[word[:2]], start, start + 2), (self.place["##" + word[2:]], start + 2, end)]
            else:
                rows.append((self.place.get(word, UNKNOWN), start, end))
        cut = len(rows) > self.longest
        rows = rows[: self.longest]
        if self.specials:
            rows = [(CLS, -1, -1), *rows, (SEP, -1, -1)]
        ids, starts, ends = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return Pieces(ids, starts, ends, ids != UNKNOWN, cut)


class Bag(Words):
    """The weights of both kinds of toy models.

    Args:
        weights: Word to its logit; all other words of the vocabulary have 0.
        pulls: (word in sight, word) to what the first adds to the logit of the second.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        weights: Mapping[str, float] | None = None,
        pulls: Mapping[tuple[str, str], float] | None = None,
        cut: Sequence[str] = (),
        specials: bool = True,
        longest: int = 10_000,
    ) -> None:
        super().__init__(vocabulary, cut=cut, specials=specials, longest=longest)
        size = len(self.vocabulary)
        self.base, self.pull = np.zeros(size), np.zeros((size, size))
        for word, weight in (weights or {}).items():
            self.base[self.place[word]] = weight
        for (seen, word), weight in (pulls or {}).items():
            self.pull[self.place[seen], self.place[word]] = weight

    def law(self, seen: np.ndarray) -> np.ndarray:
        """Log-probabilities of all pieces with these in sight."""
        return special.log_softmax(self.base + self.pull[seen].sum(0))

    def logit(self, word: str, *seen: str) -> float:
        """The log-probability of a word with others in sight."""
        return float(self.law(np.array([self.place[one] for one in seen], dtype=np.int64))[self.place[word]])


class MaskedBag(Bag):
    """A masked model: what is hidden is out of sight."""

    def masked(self, questions: Sequence[Masked]) -> list[np.ndarray]:
        self.calls.append("masked")
        self.questions += len(questions)
        return [self.law(np.delete(one.ids, one.hidden))[one.ids[one.asked]] for one in questions]

    def unmasked(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.calls.append("unmasked")
        return [self.law(row)[row] for row in rows]


class CausalBag(Bag):
    """A causal model: what comes behind is out of sight. Without a boundary the first piece has no probability."""

    def __init__(self, *given: Sequence[str], boundary: bool = True, **settings) -> None:
        super().__init__(*given, **{"specials": False, **settings})
        self.boundary = boundary

    def causal(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.calls.append("causal")
        found = [np.array([self.law(row[:at])[piece] for at, piece in enumerate(row)], dtype=np.float64) for row in rows]
        if not self.boundary:
            for row in found:
                row[:1] = np.nan
        return found


class Even(Words):
    """A causal model to which all pieces are alike; fast, for whole published sets."""

    def causal(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.calls.append("causal")
        return [np.full(len(row), -np.log(len(self.vocabulary))) for row in rows]
