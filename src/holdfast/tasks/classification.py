"""One label for each sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Logits
from holdfast.tasks import scoring
from holdfast.tasks.labelling import LabellingTask, sentence_loss
from holdfast.tasks.task import Batch, Prediction


@dataclass(frozen=True, kw_only=True)
class Classification(LabellingTask):
    """Text classification: one label for each sentence; scored by `accuracy` and `macro_f1`.

    Args:
        unseen_labels: See `LabellingTask`.
    """

    name: ClassVar[str] = "classification"
    labels_sentences: ClassVar[bool] = True
    labels_words: ClassVar[bool] = False

    def loss_of_logits(self, logits: Logits, batch: Batch) -> Tensor:
        """Cross-entropy of each example's label, (B,), in nats."""
        return sentence_loss(logits.sentence_BK, batch)

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Accuracy with Wilson's interval, and macro F1 with a bootstrap interval."""
        y_true, y_pred = dataset.labels(), [str(prediction.label) for prediction in predictions]
        return (
            scoring.accuracy("accuracy", y_true, y_pred, subject=subject),
            scoring.macro_f1("macro_f1", y_true, y_pred, subject=subject),
        )
