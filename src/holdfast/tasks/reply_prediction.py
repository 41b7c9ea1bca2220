"""Whether an utterance is the reply to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Featuriser, Labels, Logits, checks
from holdfast.tasks import scoring
from holdfast.tasks.clustered import Area, Clusters
from holdfast.tasks.labelling import LabellingTask, sentence_loss
from holdfast.tasks.task import Batch, EncodedDataset, Prediction

OTHER, REPLY = "other", "reply"
SEPARATOR = "[SEP]"
"""Stands between the context and what may be its reply: a word like any other, and BERT's own marker where its pieces are used."""


@dataclass(frozen=True, kw_only=True)
class ReplyPrediction(LabellingTask):
    """Is `tokens` the reply to `context`? Labels are "reply" and "other"; scored by `accuracy` and `reply_auc`.

    What is no reply is a row of the data set, made beforehand. The customary shortcut, by which the other rows of a batch serve as
    wrong replies, makes the loss of a row depend on those rows: the gradient of one example then holds words of others, and
    clipping it bounds nothing that the promise speaks of. Here no row meets another.

    Any model that labels sentences can be taken. It reads the last words of the context, a separator, and the utterance. A
    vocabulary of training words has to be made from `words`, as `holdfast.train` does; one made from tokens alone does not know
    the separator.

    Args:
        context_words: Words of the context that are read, those nearest to the reply, >= 1: a long context must not push the reply
            out of what a model reads.
        unseen_labels: See `LabellingTask`; here any other label than the two.
    """

    name: ClassVar[str] = "reply-prediction"
    labels_sentences: ClassVar[bool] = True
    labels_words: ClassVar[bool] = False

    context_words: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer(self.name, least=1, context_words=self.context_words)

    def labels(self, train: Dataset) -> Labels:
        """The two labels, whichever of them stand in the data.

        Raises:
            InputError: If there are no examples, or they have no labels or no contexts.
        """
        found = super().labels(train).sentence
        train.contexts()
        unknown = sorted(set(found) - {OTHER, REPLY})
        if unknown and self.unseen_labels == "error":
            raise InputError(f"{self.name}: the training data {train.name!r} have the label {unknown[0]!r}; give {REPLY!r} or {OTHER!r}")
        return Labels((OTHER, REPLY))

    def words(self, dataset: Dataset) -> list[list[str]]:
        """What a model reads of each example: the last words of the context, the separator, the utterance.

        Raises:
            InputError: If the data have no contexts.
        """
        rows = zip(dataset.contexts(), dataset.tokens(), strict=True)
        return [[*context[-self.context_words :], SEPARATOR, *tokens] for context, tokens in rows]

    def encode(self, dataset: Dataset, featuriser: Featuriser, labels: Labels) -> EncodedDataset:
        """Turns a data set into numbers; one without labels can be predicted but has no loss.

        Raises:
            InputError: For data without contexts, or another label than the two.
        """
        read = self.words(dataset)
        lengths = np.array([len(row) for row in read], dtype=np.int64)
        sentence = self._ids(dataset, "label", dataset.labels(), labels.sentence) if dataset.has("label") else None
        return EncodedDataset(featuriser.encode(read), featuriser, labels, lengths, sentence, None)

    def loss_of_logits(self, logits: Logits, batch: Batch) -> Tensor:
        """Cross-entropy of each example's label, (B,), in nats."""
        return sentence_loss(logits.sentence_BK, batch)

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        """The likelier label, and the probability that it is the reply.

        Args:
            model: In evaluation mode.
            batch: The examples; their labels are not looked at.
        """
        with torch.no_grad():
            logits_BK = model(batch.features).sentence_BK
        if logits_BK is None:
            raise InputError(f"{self.name}: this model labels no sentences; take a model such as 'bilstm'")
        likely_BK, names = logits_BK.double().softmax(-1), batch.labels.sentence
        shares = likely_BK[:, names.index(REPLY)].tolist()
        return [Prediction(names[best], probability=share) for best, share in zip(logits_BK.argmax(-1).tolist(), shares, strict=True)]

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Accuracy with Wilson's interval, and the area under the ROC curve, with an interval over users where users are known.

        Args:
            dataset: The examples, with labels.
            predictions: Those of `predict`, in the order of the data.
            subject: The run.

        Raises:
            InputError: For another number of predictions than examples, or predictions of another task.

        Edge cases:
            The area needs both labels; where the data have one alone it is missing.
        """
        y_true, y_pred = dataset.labels(), [str(prediction.label) for prediction in predictions]
        found = scoring.accuracy("accuracy", y_true, y_pred, subject=subject)
        shares = [prediction.probability for prediction in predictions]
        if any(share is None for share in shares):
            raise InputError(f"{self.name}: a prediction holds no probability; give those that the task's own `predict` makes")
        positive = np.array([label == REPLY for label in y_true], dtype=bool)
        return found, self._area(np.array(shares, dtype=np.float64), positive, Clusters.in_data(dataset), subject)

    @staticmethod
    def _area(shares: NDArray[np.float64], positive: NDArray[np.bool_], clusters: Clusters, subject: str) -> Estimate:
        facts: dict[str, Any] = {
            "name": "reply_auc",
            "subject": subject,
            "unit": "share",
            "direction": "higher is better",
            "n": clusters.count,
            "method": "Mann-Whitney: share of pairs of a reply and another utterance in which the reply is likelier",
            "reference": "Obuchowski 1997 (interval)",
            "conditions": {"replies": int(positive.sum()), "others": int((~positive).sum()), "over": clusters.what},
        }
        if positive.all() or not positive.any():
            return Estimate(value=None, missing="the data have not both replies and other utterances", **facts)
        area = Area.of(shares, positive, clusters)
        return Estimate(value=area.value, interval=area.interval, **facts)
