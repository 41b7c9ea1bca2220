"""StereoSet: how often a language model finds a stereotype likelier than its contrary, and both likelier than nonsense."""

from holdfast.fairness.likelihood.stereoset.metric import StereoSet, predicted_scores, stereoset_of_files
from holdfast.fairness.likelihood.stereoset.scores import DomainScore, TermScores, Triplets, domain_scores, icat, term_scores
from holdfast.fairness.likelihood.stereoset.scoring import SentenceScores, score_intersentence, score_intrasentence

__all__ = [
    "DomainScore",
    "SentenceScores",
    "StereoSet",
    "TermScores",
    "Triplets",
    "domain_scores",
    "icat",
    "predicted_scores",
    "score_intersentence",
    "score_intrasentence",
    "stereoset_of_files",
    "term_scores",
]
