"""Scorers of text: local, versioned, and known by the hash of their content; no text leaves the process."""

from holdfast.fairness.generation.scorers.audit import TermShift, scorer_predictions, term_shift
from holdfast.fairness.generation.scorers.corpora import comments_scorer, hatexplain_scorer
from holdfast.fairness.generation.scorers.fitted import FittedScorer
from holdfast.fairness.generation.scorers.lexicon import HurtWords, LexiconScorer
from holdfast.fairness.generation.scorers.opening import open_scorer
from holdfast.fairness.generation.scorers.regard import RegardRule
from holdfast.fairness.generation.scorers.scorer import CallableScorer, Scorer, checked_scores, pinned
from holdfast.fairness.generation.scorers.trained import TrainedScorer, TrainingSettings

__all__ = [
    "CallableScorer",
    "FittedScorer",
    "HurtWords",
    "LexiconScorer",
    "RegardRule",
    "Scorer",
    "TermShift",
    "TrainedScorer",
    "TrainingSettings",
    "checked_scores",
    "comments_scorer",
    "hatexplain_scorer",
    "open_scorer",
    "pinned",
    "scorer_predictions",
    "term_shift",
]
