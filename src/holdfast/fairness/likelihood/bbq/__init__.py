"""BBQ: which of two people a model answers with, where the context tells it and where it does not."""

from holdfast.fairness.likelihood.bbq.metric import BBQ, answer, answer_rows, bbq_of_files
from holdfast.fairness.likelihood.bbq.scores import Answers, CategoryScores, Number, answers, bbq_scores, templates

__all__ = [
    "BBQ",
    "Answers",
    "CategoryScores",
    "Number",
    "answer",
    "answer_rows",
    "answers",
    "bbq_of_files",
    "bbq_scores",
    "templates",
]
