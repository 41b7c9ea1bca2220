"""WinoBias and Winogender: whether the gender of a pronoun changes whom it is taken to mean."""

from holdfast.fairness.likelihood.pronouns.metric import WinoBias
from holdfast.fairness.likelihood.pronouns.systems import SystemPairs, f1, randomisation_test, read_system, system_pairs
from holdfast.fairness.likelihood.pronouns.winobias import PronounOdds, pronoun_odds
from holdfast.fairness.likelihood.pronouns.winogender import Winogender, correlation, mismatches, resolve

__all__ = [
    "PronounOdds",
    "SystemPairs",
    "WinoBias",
    "Winogender",
    "correlation",
    "f1",
    "mismatches",
    "pronoun_odds",
    "randomisation_test",
    "read_system",
    "resolve",
    "system_pairs",
]
