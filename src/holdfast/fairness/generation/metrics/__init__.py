"""Metrics of generated text, with their options, for study files and from Python."""

from holdfast.fairness.generation.metrics.base import GenerationMetric
from holdfast.fairness.generation.metrics.honest import Honest, built_in_templates, hurtful, read_templates
from holdfast.fairness.generation.metrics.polarity import GenderPolarityEmbedding, GenderPolarityUnigram
from holdfast.fairness.generation.metrics.scored import GenerationRegard, GenerationSentiment, GenerationToxicity

__all__ = [
    "GenderPolarityEmbedding",
    "GenderPolarityUnigram",
    "GenerationMetric",
    "GenerationRegard",
    "GenerationSentiment",
    "GenerationToxicity",
    "Honest",
    "built_in_templates",
    "hurtful",
    "read_templates",
]
