"""Secrets: invented sentences with unknown words, planted in the training data so that an audit can look for them."""

from holdfast.data.secrets.new_words import new_words
from holdfast.data.secrets.patterns import COLOURS, DIGITS, PATTERNS, SecretPattern, pattern, pattern_of_template
from holdfast.data.secrets.planting import PlantedSecrets, Secret, draw_secrets, plant_secrets

__all__ = [
    "COLOURS",
    "DIGITS",
    "PATTERNS",
    "PlantedSecrets",
    "Secret",
    "SecretPattern",
    "draw_secrets",
    "new_words",
    "pattern",
    "pattern_of_template",
    "plant_secrets",
]
