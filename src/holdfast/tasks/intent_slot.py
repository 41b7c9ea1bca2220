"""The intent of a sentence and the slots of its words, learned by one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Logits, checks
from holdfast.tasks import scoring
from holdfast.tasks.labelling import LabellingTask, sentence_loss, token_loss
from holdfast.tasks.task import Batch, Prediction


@dataclass(frozen=True, kw_only=True)
class IntentSlot(LabellingTask):
    """Joint intent classification and slot tagging; scored by `intent_accuracy` and `slot_f1`.

    Args:
        intent_weight: Weight of the intent's loss, >= 0.
        slot_weight: Weight of the slots' loss, >= 0; not both may be 0.
        unseen_labels: See `LabellingTask`.

    Raises:
        InputError: For a value out of its bounds.
    """

    name: ClassVar[str] = "intent-slot"
    labels_sentences: ClassVar[bool] = True
    labels_words: ClassVar[bool] = True

    intent_weight: float = 1.0
    slot_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number(self.name, least=0, intent_weight=self.intent_weight, slot_weight=self.slot_weight)
        if self.intent_weight == self.slot_weight == 0:
            raise InputError("intent-slot: intent_weight and slot_weight are both 0, so nothing is learned; raise one of them")

    def loss_of_logits(self, logits: Logits, batch: Batch) -> Tensor:
        """Weighted sum of the intent's cross-entropy and `token_loss`, the mean loss of the example's own words, (B,), in nats."""
        return self.intent_weight * sentence_loss(logits.sentence_BK, batch) + self.slot_weight * token_loss(logits, batch)

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Accuracy of intents with Wilson's interval, and F1 of slots with a bootstrap interval."""
        intents = [str(prediction.label) for prediction in predictions]
        slots = [prediction.tags or () for prediction in predictions]
        return (
            scoring.accuracy("intent_accuracy", dataset.labels(), intents, subject=subject),
            scoring.chunk_f1("slot_f1", dataset.tags(), slots, subject=subject),
        )
