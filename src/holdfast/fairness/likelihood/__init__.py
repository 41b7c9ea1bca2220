"""Likelihoods: which of two texts a language model prefers, and what that says of stereotypes; every way of scoring has its own name."""

from holdfast.fairness.likelihood.associations import Associations, associations, fill
from holdfast.fairness.likelihood.bbq import BBQ, bbq_of_files, bbq_scores
from holdfast.fairness.likelihood.choosing import Choices, choose
from holdfast.fairness.likelihood.crows_pairs import (
    CrowsPairsAUL,
    CrowsPairsCausal,
    CrowsPairsCausalNorm,
    CrowsPairsMeade,
    CrowsPairsNangia,
    score_pairs,
)
from holdfast.fairness.likelihood.likelihood_gap import LikelihoodGap, TextPair, read_text_pairs, surprise
from holdfast.fairness.likelihood.log_probability_bias import LogProbabilityBias
from holdfast.fairness.likelihood.preferences import Preferences, Share, preference_shares
from holdfast.fairness.likelihood.pronouns import WinoBias, Winogender, pronoun_odds
from holdfast.fairness.likelihood.stereoset import StereoSet, domain_scores, stereoset_of_files

__all__ = [
    "BBQ",
    "Associations",
    "Choices",
    "CrowsPairsAUL",
    "CrowsPairsCausal",
    "CrowsPairsCausalNorm",
    "CrowsPairsMeade",
    "CrowsPairsNangia",
    "LikelihoodGap",
    "LogProbabilityBias",
    "Preferences",
    "Share",
    "StereoSet",
    "TextPair",
    "WinoBias",
    "Winogender",
    "associations",
    "bbq_of_files",
    "bbq_scores",
    "choose",
    "domain_scores",
    "fill",
    "preference_shares",
    "pronoun_odds",
    "read_text_pairs",
    "score_pairs",
    "stereoset_of_files",
    "surprise",
]
