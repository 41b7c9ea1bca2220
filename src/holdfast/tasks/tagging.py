"""One tag for each word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Logits
from holdfast.tasks import scoring
from holdfast.tasks.labelling import LabellingTask, token_loss
from holdfast.tasks.task import Batch, Prediction


@dataclass(frozen=True, kw_only=True)
class Tagging(LabellingTask):
    """Sequence tagging, such as named entities in BIO form: one tag for each word; scored by `slot_f1`.

    Args:
        unseen_labels: See `LabellingTask`.
    """

    name: ClassVar[str] = "tagging"
    labels_sentences: ClassVar[bool] = False
    labels_words: ClassVar[bool] = True

    def loss_of_logits(self, logits: Logits, batch: Batch) -> Tensor:
        """`token_loss`, the mean loss of each example's own words, (B,), in nats."""
        return token_loss(logits, batch)

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """F1 of chunks with a bootstrap interval."""
        return (scoring.chunk_f1("slot_f1", dataset.tags(), [prediction.tags or () for prediction in predictions], subject=subject),)
