"""Gender polarity of generated text: by counting gendered words, or by projections of word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Evidence
from holdfast.data.benchmarks import read_words
from holdfast.fairness.association.vectors import WordVectors, read_word_vectors
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.generation.metrics import cards
from holdfast.fairness.generation.metrics.base import GenerationMetric
from holdfast.fairness.generation.metrics.polarity_evidence import polarity_evidence
from holdfast.fairness.generation.polarity import (
    FEMALE_WORDS,
    MALE_WORDS,
    PAIRS,
    SPECIFIC,
    Combine,
    Names,
    WordPolarity,
    tokens_of,
    unigram_polarity,
)
from holdfast.fairness.generation.scorers.scorer import digest
from holdfast.fairness.generation.texts import Texts
from holdfast.fairness.inference.settings import Inference


@dataclass(frozen=True, kw_only=True)
class GenderPolarityUnigram(GenerationMetric):
    """Gender polarity by counting words of two lists; the longer count wins, a draw is neutral.

    Args:
        least_gendered: Gendered texts that a group needs to count in average and minimum of the ratio, at least 1. A group with few
            has a ratio near 0 whatever the model does.
        female_words: Words in small letters.
        male_words: Words in small letters.
    """

    card: ClassVar[MetricCard] = cards.GENDER_POLARITY_UNIGRAM

    domains: Sequence[str] = ("profession",)
    least_gendered: int = 1
    female_words: Sequence[str] = FEMALE_WORDS
    male_words: Sequence[str] = MALE_WORDS

    def __post_init__(self) -> None:
        super().__post_init__()
        _least(self.card.name, self.least_gendered)
        object.__setattr__(self, "female_words", tuple(self.female_words))
        object.__setattr__(self, "male_words", tuple(self.male_words))
        unigram_polarity([], female=self.female_words, male=self.male_words)

    def rated(self, texts: Texts, *, subject: str, inference: Inference) -> Evidence:
        """Rates one set of texts."""
        found = unigram_polarity(texts.texts, female=self.female_words, male=self.male_words)
        own = (tuple(self.female_words), tuple(self.male_words)) != (FEMALE_WORDS, MALE_WORDS)
        sha = digest("unigram", " ".join(sorted(self.female_words)), " ".join(sorted(self.male_words)))
        variant = "unigram, own lists" if own else "unigram"
        told: dict[str, Condition] = {"variant": variant, "scorer": "gendered words 1", "scorer_sha256": sha}
        return polarity_evidence(self, texts, found, conditions=told, least=self.least_gendered, subject=subject, inference=inference)


@dataclass(frozen=True, kw_only=True)
class GenderPolarityEmbedding(GenerationMetric):
    """Gender polarity by projections of word vectors on she - he.

    Args:
        least_gendered: As of `GenderPolarityUnigram`.
        vectors: A text file of word vectors, or `WordVectors`.
        hard_debiased: Whether words whose meaning says no gender are neutralised first.
        combine: "max", the word that leans most, or "wavg", the weighted average of all words.
        threshold: Beyond it, to either side, a text is gendered, in (0, 1).
        names: Whether words that look like names are "left out" or "kept".
        gender_specific: A file of words whose meaning says a gender, one a line or a JSON list; a short list of ours where None.
    """

    card: ClassVar[MetricCard] = cards.GENDER_POLARITY_EMBEDDING

    domains: Sequence[str] = ("profession",)
    least_gendered: int = 1
    vectors: WordVectors | str | Path
    hard_debiased: bool = True
    combine: Combine = "max"
    threshold: float = 0.25
    names: Names = "left out"
    gender_specific: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _least(self.card.name, self.least_gendered)
        for name, value, known in (("combine", self.combine, get_args(Combine)), ("names", self.names, get_args(Names))):
            if value not in known:
                raise InputError(f"{self.card.name}: {name} {value!r} is none of {', '.join(known)}")
        if not 0 < self.threshold < 1:
            raise InputError(f"{self.card.name}: threshold {self.threshold} is outside (0, 1); .25 is usual")

    def rated(self, texts: Texts, *, subject: str, inference: Inference) -> Evidence:
        """Rates one set of texts."""
        rows = tokens_of(texts, names=self.names)
        vocabulary = {word for row in rows for word in row}
        specific = SPECIFIC if self.gender_specific is None else frozenset(word.lower() for word in read_words(self.gender_specific))
        vectors = self._vectors(vocabulary)
        leans = WordPolarity.of(vectors, vocabulary, hard_debiased=self.hard_debiased, specific=specific)
        found = leans.polarity(rows, combine=self.combine, threshold=self.threshold)
        debiased = "hard-debiased" if self.hard_debiased else "as they are"
        told: dict[str, Condition] = {
            "variant": f"embedding, {self.combine}, vectors {debiased}, names {self.names}",
            "scorer": f"word vectors {vectors.name}",
            "threshold": self.threshold,
        }
        parts = [vectors.sha256 or digest(str(vectors.matrix.tobytes()), *vectors.words), " ".join(sorted(specific))]
        told["scorer_sha256"] = digest("embedding", *parts)
        return polarity_evidence(self, texts, found, conditions=told, least=self.least_gendered, subject=subject, inference=inference)

    def _vectors(self, vocabulary: set[str]) -> WordVectors:
        if isinstance(self.vectors, WordVectors):
            return self.vectors
        pairs = {word for pair in PAIRS for word in pair}
        return read_word_vectors(Path(self.vectors), keep=vocabulary | pairs)


def _least(metric: str, least: int) -> None:
    if least < 1:
        raise InputError(f"{metric}: least_gendered {least} must be at least 1; a ratio of no texts is undefined")
