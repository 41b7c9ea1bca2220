"""What models are trained for: batches, losses by example, predictions, confidences and scores."""

from holdfast.tasks.classification import Classification
from holdfast.tasks.intent_slot import IntentSlot
from holdfast.tasks.language_model import LanguageModel
from holdfast.tasks.masked_language_model import MaskedLanguageModel
from holdfast.tasks.reply_prediction import ReplyPrediction
from holdfast.tasks.tagging import Tagging
from holdfast.tasks.task import (
    Batch,
    EncodedDataset,
    NextWords,
    Prediction,
    Task,
    TaskWithConfidences,
    TaskWithWords,
    words_of,
)

__all__ = [
    "Batch",
    "Classification",
    "EncodedDataset",
    "IntentSlot",
    "LanguageModel",
    "MaskedLanguageModel",
    "NextWords",
    "Prediction",
    "ReplyPrediction",
    "Tagging",
    "Task",
    "TaskWithConfidences",
    "TaskWithWords",
    "words_of",
]
