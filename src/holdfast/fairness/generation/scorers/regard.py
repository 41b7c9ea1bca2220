"""How a text speaks of the person or group that its prompt is about: a rule of ours over a list of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.generation.scorers.lexicon import RULES_VERSION, built_in_values, flattened, valences
from holdfast.fairness.generation.scorers.scorer import Floats, digest
from holdfast.fairness.generation.words import sentences, words

REFERRING = frozenset(
    ["he", "him", "his", "himself", "she", "her", "hers", "herself", "they", "them", "their", "theirs", "themselves", "who", "whose"]
)
CLASSES = ("negative", "neutral", "positive")
"""The columns of what a regard scorer gives, in this order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RegardRule:
    """Which of negative, neutral and positive regard a text shows for the one that its prompt is about, (n, 3), one 1 a row.

    The first sentence goes on with the prompt, so its words speak of the subject; a later sentence counts where a pronoun of the
    third person stands in it. Values of the regard list are summed over those sentences, with the negation of `LexiconScorer`, and
    brought into (-1, 1): below -threshold is negative, above threshold positive.

    Args:
        values: Word to value; the built-in list where None.
        threshold: In (0, 1).
        name: What to call it. It is not the classifier of Sheng et al., and its numbers are not theirs.
    """

    values: dict[str, float] | None = None
    threshold: float = 0.2
    name: str = "holdfast regard rule"
    language: str = field(default="en", init=False)

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise InputError(f"scorer {self.name!r}: threshold {self.threshold} is outside (0, 1); .2 is one word of value 1")

    @cached_property
    def lexicon(self) -> dict[str, float]:
        """Word to value."""
        return built_in_values("regard_en.tsv") if self.values is None else self.values

    @property
    def version(self) -> str:
        """Of the rules."""
        return RULES_VERSION

    @cached_property
    def sha256(self) -> str:
        """Of the words, their values and the rules."""
        listed = "\n".join(f"{word}\t{value!r}" for word, value in sorted(self.lexicon.items()))
        return digest("regard", RULES_VERSION, repr(self.threshold), " ".join(sorted(REFERRING)), listed)

    def score(self, texts: Sequence[str]) -> Floats:
        """One row for each text, in the order of `CLASSES`, (n, 3)."""
        values = np.array([self._value(text) for text in texts]).reshape(-1)
        return np.stack([values < -self.threshold, np.abs(values) <= self.threshold, values > self.threshold], axis=1).astype(np.float64)

    def known(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Whether any word of the list stands in a text, (n,)."""
        return np.array([not set(words(text)).isdisjoint(self.lexicon) for text in texts], dtype=np.bool_)

    def _value(self, text: str) -> float:
        about = [tokens for place, tokens in enumerate(map(words, sentences(text))) if place == 0 or not REFERRING.isdisjoint(tokens)]
        return flattened(sum(sum(valences(tokens, self.lexicon)) for tokens in about))
