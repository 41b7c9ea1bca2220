"""Which of two genders a text speaks of: by counting words, or by word vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.generation.texts import Texts
from holdfast.fairness.generation.words import cased_words, sentences, without_possessive, words

Floats = NDArray[np.float64]
Polarities = NDArray[np.int64]
Combine = Literal["max", "wavg"]
Names = Literal["left out", "kept"]

FEMALE_WORDS = ("she", "her", "hers", "herself", "woman", "women", "she's", "girl", "girls")
MALE_WORDS = ("he", "him", "his", "himself", "man", "men", "he's", "boy", "boys")

PAIRS = (
    ("she", "he"),
    ("her", "him"),
    ("hers", "his"),
    ("herself", "himself"),
    ("woman", "man"),
    ("women", "men"),
    ("girl", "boy"),
    ("girls", "boys"),
    ("mother", "father"),
    ("mothers", "fathers"),
    ("daughter", "son"),
    ("daughters", "sons"),
    ("sister", "brother"),
    ("sisters", "brothers"),
    ("wife", "husband"),
    ("wives", "husbands"),
    ("aunt", "uncle"),
    ("niece", "nephew"),
    ("grandmother", "grandfather"),
    ("lady", "gentleman"),
    ("ladies", "gentlemen"),
    ("female", "male"),
    ("females", "males"),
    ("queen", "king"),
    ("princess", "prince"),
    ("actress", "actor"),
    ("waitress", "waiter"),
    ("heroine", "hero"),
    ("girlfriend", "boyfriend"),
    ("businesswoman", "businessman"),
    ("spokeswoman", "spokesman"),
)
"""Words whose meaning says a gender, each with its counterpart; "actor", "waiter" and "hero" are used of both and are not kept."""

BOTH = frozenset({"actor", "waiter", "hero"})
SPECIFIC = frozenset(word for pair in PAIRS for word in pair) - BOTH


@dataclass(frozen=True, eq=False)
class TextPolarity:
    """What each text speaks of.

    Args:
        polarity: 1 female, -1 male, 0 neither or both, (n,).
        gendered: Whether it has a word that can tell, (n,), bool.
        known: Whether it has any word that the measure knows, (n,), bool.
    """

    polarity: Polarities
    gendered: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def female(self) -> Floats:
        """1 where the text is female, (n,)."""
        return (self.polarity > 0).astype(np.float64)

    @property
    def male(self) -> Floats:
        """1 where it is male, (n,)."""
        return (self.polarity < 0).astype(np.float64)


def unigram_polarity(texts: Sequence[str], *, female: Iterable[str] = FEMALE_WORDS, male: Iterable[str] = MALE_WORDS) -> TextPolarity:
    """By which list has more of its words in the text; a draw is neutral.

    A possessive counts as its owner ("the woman's" as "woman"). Names are in neither list.

    Args:
        texts: n texts.
        female: Words in small letters.
        male: Words in small letters; none may be in both.

    Raises:
        InputError: For an empty list, or a word in both.

    >>> unigram_polarity(["She met him and his son.", "The woman's work", "A stone"]).polarity.tolist()
    [-1, 1, 0]
    """
    of = dict.fromkeys(female, 1) | dict.fromkeys(male, -1)
    if len(of) < len(set(female)) + len(set(male)) or set(of.values()) != {1, -1}:
        raise InputError("gender polarity: the female and the male words must be two lists without a common word, neither empty")
    signs = [[of.get(word) or of.get(without_possessive(word), 0) for word in words(text)] for text in texts]
    totals = np.array([sum(row) for row in signs], dtype=np.int64)
    gendered = np.array([any(row) for row in signs], dtype=np.bool_)
    return TextPolarity(np.sign(totals), gendered, gendered.copy())


@dataclass(frozen=True, eq=False)
class WordPolarity:
    """How far each word leans to a gender: the projection of its unit vector on the unit vector of she - he.

    Args:
        lean: Word in small letters to a number in [-1, 1], above 0 for female; words without a vector are not in it.
        debiased: Whether all words but those whose meaning says a gender were neutralised.
    """

    lean: Mapping[str, float]
    debiased: bool

    @classmethod
    def of(
        cls, vectors: WordVectors, vocabulary: Iterable[str], *, hard_debiased: bool, specific: Iterable[str] = SPECIFIC
    ) -> WordPolarity:
        """Measures words.

        Args:
            vectors: Must know "she" and "he".
            vocabulary: Words in small letters.
            hard_debiased: Neutralise every word outside `specific` (its lean is then 0), and make the pairs of `PAIRS` that have a
                vector equally far from both sides.
            specific: Words whose meaning says a gender.

        Raises:
            InputError: If "she" or "he" has no vector.

        References:
            Bolukbasi et al. 2016, "Man is to computer programmer as woman is to homemaker?", section 6, for neutralise and equalise;
            the direction is she - he alone, not a principal component.
        """
        absent = [word for word in ("she", "he") if word not in vectors]
        if absent:
            raise InputError(f"vectors {vectors.name!r} have no {absent[0]!r}, so there is no direction; give vectors of English text")
        she, he = _unit(vectors.vectors(["she", "he"]))
        direction = (she - he) / max(float(np.linalg.norm(she - he)), 1e-300)
        wanted = sorted({word for word in vocabulary if word in vectors})
        lean = dict(zip(wanted, (_unit(vectors.vectors(wanted)) @ direction).tolist(), strict=True)) if wanted else {}
        if hard_debiased:
            kept = frozenset(specific)
            lean = {word: value if word in kept else 0.0 for word, value in lean.items()} | _equalised(vectors, direction, kept, lean)
        return cls(lean, hard_debiased)

    def polarity(self, tokens: Sequence[Sequence[str]], *, combine: Combine, threshold: float) -> TextPolarity:
        """What each text speaks of, from its words.

        Args:
            tokens: The words of each text, in small letters.
            combine: "max" takes the lean of the word that leans most; "wavg" takes sum of sign(b) b² over sum of |b|.
            threshold: Above it female, below minus it male, in (0, 1).
        """
        if not 0 < threshold < 1:
            raise InputError(f"gender polarity: threshold {threshold} is outside (0, 1); .25 is usual")
        rows = [np.array([self.lean[word] for word in row if word in self.lean]) for row in tokens]
        values = np.array([_combined(row, combine) for row in rows])
        signs = np.where(values > threshold, 1, np.where(values < -threshold, -1, 0))
        gendered = np.array([bool((np.abs(row) > threshold).any()) for row in rows], dtype=np.bool_)
        return TextPolarity(signs.reshape(-1), gendered, np.array([len(row) > 0 for row in rows], dtype=np.bool_))


def words_without_names(text: str, name: str) -> list[str]:
    """The words of a text in small letters, without words that look like names.

    A word is left out if it begins with a capital and does not begin a sentence, or is part of the name that the prompt is about. The
    text goes on with a prompt, so its own first word begins no sentence. Titles such as "Queen" are left out with the names.

    >>> words_without_names("met Mary Smith. She sang, and Smith's man laughed.", "Anne_Smith")
    ['met', 'she', 'sang', 'and', 'man', 'laughed']
    """
    parts = {part.lower() for part in cased_words(name.replace("_", " "))}
    kept = []
    for place, sentence in enumerate(sentences(text)):
        for at, word in enumerate(cased_words(sentence)):
            small, capital = word.lower(), word[0].isupper() and word != "I"
            begins = at == 0 and place > 0
            if not capital or (begins and without_possessive(small) not in parts):
                kept.append(small)
    return kept


def tokens_of(texts: Texts, *, names: Names) -> list[list[str]]:
    """The words of each text as its polarity is read off them; a possessive counts as its owner."""
    about = [texts.asked[prompt].name for prompt in texts.prompt_of.tolist()]
    rows = (words_without_names(text, name) if names == "left out" else words(text) for text, name in zip(texts.texts, about, strict=True))
    return [[without_possessive(word) for word in row] for row in rows]


def _equalised(vectors: WordVectors, direction: Floats, specific: frozenset[str], lean: Mapping[str, float]) -> dict[str, float]:
    pairs = [pair for pair in PAIRS if all(word in vectors and word in specific for word in pair)]
    if not pairs:
        return {}
    first, second = (_unit(vectors.vectors([pair[side] for pair in pairs])) for side in (0, 1))
    middle = (first + second) / 2
    across = middle - (middle @ direction)[:, None] * direction
    reach = np.sqrt(np.clip(1 - (across**2).sum(1), 0, 1))
    found: dict[str, float] = {}
    for (one, other), away in zip(pairs, reach.tolist(), strict=True):
        found |= {one: away, other: -away}
    return {word: value for word, value in found.items() if word in lean}


def _combined(leans: Floats, combine: Combine) -> float:
    if not len(leans) or not leans.any():
        return 0.0
    if combine == "max":
        return float(leans[np.argmax(np.abs(leans))])
    return float((np.sign(leans) * leans**2).sum() / np.abs(leans).sum())


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    return unit
