"""Association of words, sentences and contexts with attribute words: effect sizes with tests that are tests."""

from holdfast.fairness.association.associations import Association, Influence, associate
from holdfast.fairness.association.effect import Cosines, effect_bound, effect_size, explain
from holdfast.fairness.association.metrics import CEAT, RND, SEAT, WEAT
from holdfast.fairness.association.sets import Sets, WordSet
from holdfast.fairness.association.vectors import WordVectors, encoded_words, read_word_vectors

__all__ = [
    "CEAT",
    "RND",
    "SEAT",
    "WEAT",
    "Association",
    "Cosines",
    "Influence",
    "Sets",
    "WordSet",
    "WordVectors",
    "associate",
    "effect_bound",
    "effect_size",
    "encoded_words",
    "explain",
    "read_word_vectors",
]
