"""Generated text: how it speaks of groups, rated by local scorers, with intervals over prompts."""

from holdfast.fairness.generation.maxima import chance_of_any, expected_maximum
from holdfast.fairness.generation.metrics import (
    GenderPolarityEmbedding,
    GenderPolarityUnigram,
    GenerationRegard,
    GenerationSentiment,
    GenerationToxicity,
    Honest,
)
from holdfast.fairness.generation.pairs import PairComparison, compare_pairs
from holdfast.fairness.generation.parity import ParityNull, across_groups, equitability
from holdfast.fairness.generation.polarity import TextPolarity, WordPolarity, unigram_polarity
from holdfast.fairness.generation.remembered import Remembered
from holdfast.fairness.generation.table import GroupTable, Quantity, group_table
from holdfast.fairness.generation.texts import Asked, Decoding, Texts, read_texts

__all__ = [
    "Asked",
    "Decoding",
    "GenderPolarityEmbedding",
    "GenderPolarityUnigram",
    "GenerationRegard",
    "GenerationSentiment",
    "GenerationToxicity",
    "GroupTable",
    "Honest",
    "PairComparison",
    "ParityNull",
    "Quantity",
    "Remembered",
    "TextPolarity",
    "Texts",
    "WordPolarity",
    "across_groups",
    "chance_of_any",
    "compare_pairs",
    "equitability",
    "expected_maximum",
    "group_table",
    "read_texts",
    "unigram_polarity",
]
