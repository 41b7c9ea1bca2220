"""What the tasks that choose labels share: encoding with a watch on unseen labels, losses by row, predictions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.data import Dataset
from holdfast.models import Featuriser, Labels, Logits, checks
from holdfast.models.crf import log_likelihood
from holdfast.models.ragged import Ragged
from holdfast.tasks.bio import OUTSIDE, decode
from holdfast.tasks.confidences import confidences_of, posterior_names
from holdfast.tasks.task import IGNORED, Batch, EncodedDataset, Prediction

UNSEEN = ("error", "count as wrong")
SHOWN = 5
"""Unseen labels that an error names; more would hide the cure."""


@dataclass(frozen=True, kw_only=True)
class LabellingTask(ABC):
    """A task that chooses one label for a sentence, one for each of its words, or both; a kind of task says its loss of logits.

    Args:
        unseen_labels: What to do with a label that the training data do not have: "error", or "count as wrong", by which
            no prediction can be right for it. For the loss, a word of an unseen label is left out of its sentence's mean,
            and a sentence of an unseen label costs the constant log(number of labels), what a uniform guess would cost.
            Such a loss says little of the model: leave those examples out of an attack.

    Raises:
        InputError: For a value out of its bounds.
    """

    name: ClassVar[str]
    labels_sentences: ClassVar[bool]
    labels_words: ClassVar[bool]

    unseen_labels: str = "error"

    def __post_init__(self) -> None:
        checks.choice(self.name, UNSEEN, unseen_labels=self.unseen_labels)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the task is, for the record."""
        return {"task": self.name, **asdict(self)}

    def labels(self, train: Dataset) -> Labels:
        """Reads the labels off the training data, in alphabetical order, "O" first; with B-x comes I-x, seen or not.

        Raises:
            InputError: If a column that the task needs is missing, or there are no examples.
        """
        if not len(train):
            raise InputError(f"{self.name}: the training data {train.name!r} hold no examples; give at least one")
        sentence = tuple(sorted(set(train.labels()))) if self.labels_sentences else ()
        tokens = set(chain.from_iterable(train.tags())) if self.labels_words else set()
        tokens |= {f"I-{tag[2:]}" for tag in tokens if tag.startswith("B-")}  # a chunk of one word may well be longer elsewhere
        return Labels(sentence, tuple(sorted(tokens, key=lambda tag: (tag != OUTSIDE, tag))))

    def encode(self, dataset: Dataset, featuriser: Featuriser, labels: Labels) -> EncodedDataset:
        """Turns a data set into numbers; one without labels can be predicted but has no loss.

        Raises:
            InputError: For labels that the model does not have, unless they are to count as wrong.
        """
        tokens = dataset.tokens()
        words = np.array([len(row) for row in tokens], dtype=np.int64)
        sentence, tags = None, None
        if self.labels_sentences and dataset.has("label"):
            sentence = self._ids(dataset, "label", dataset.labels(), labels.sentence)
        if self.labels_words and dataset.has("tags"):
            tags = Ragged.from_flat(self._ids(dataset, "tag", chain.from_iterable(dataset.tags()), labels.tokens), words)
        return EncodedDataset(featuriser.encode(tokens), featuriser, labels, words, sentence, tags)

    def collate(self, encoded: EncodedDataset, indices: NDArray[np.int64]) -> Batch:
        """Makes a batch of some examples, padded to the longest of them."""
        return encoded.batch(indices)

    @abstractmethod
    def loss_of_logits(self, logits: Logits, batch: Batch) -> Tensor:
        """The loss of each example, (B,), in nats, from what the model says of it; what `confidences` tells follows it too."""

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of each example, (B,), in nats: `loss_of_logits` of one forward pass."""
        return self.loss_of_logits(model(batch.features), batch)

    def confidence_names(self, labels: Labels) -> tuple[str, ...]:
        """Names of the columns of `confidences`, "loss" first; the same for all examples of a set of labels.

        Args:
            labels: What the model chooses from.
        """
        sentence = (*posterior_names(len(labels.sentence)), "label entropy") if self.labels_sentences else ()
        words = ("mean tag entropy", "largest tag entropy") if self.labels_words else ()
        parts = ("label loss", "tag loss") if self.labels_sentences and self.labels_words else ()
        return ("loss", *sentence, *words, *parts)

    def confidences(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the model says of each example by its probabilities, and how right that is.

        Args:
            model: In evaluation mode.
            batch: The examples, with labels.

        Returns:
            (B, F) in float64, in the order of `confidence_names`: the loss; the five largest posteriors of the sentence's label
            in descending order (all of them where there are fewer) and its entropy; the mean and the largest entropy of the
            tags over the example's own words; and where the loss is a sum, the loss of the label and that of the tags,
            unweighted. Losses and entropies are in nats.

        Raises:
            InputError: If the examples have no labels.

        Guarantee:
            A row is the same whatever else is in the batch and however long that is. One forward pass; weights are not looked at.

        Edge cases:
            Labels that the model does not have cost what `per_example_loss` says. An example of which the model reads no word has
            0 for the entropies of its tags.

        References:
            Shokri et al. 2017, "Membership inference attacks against machine learning models", arXiv 1610.05820, section V: what an
            attack model is given.
        """
        with torch.no_grad():
            logits = model(batch.features)
            columns = [self.loss_of_logits(logits, batch)[:, None], confidences_of(logits, batch)]
            if self.labels_sentences and self.labels_words:
                columns += [sentence_loss(logits.sentence_BK, batch)[:, None], token_loss(logits, batch)[:, None]]
        return torch.cat([column.double() for column in columns], 1)

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        """The likeliest label of each sentence, and the likeliest well-formed row of tags; a word that is not read gets "O".

        Args:
            model: In evaluation mode.
            batch: The examples; their labels are not looked at.
        """
        with torch.no_grad():
            logits = model(batch.features)
        found: list[str | None] = [None] * len(batch)
        if logits.sentence_BK is not None:
            found = [batch.labels.sentence[best] for best in logits.sentence_BK.argmax(-1).tolist()]
        if logits.tokens_BWS is None:
            return [Prediction(label) for label in found]
        scores_BWS = logits.tokens_BWS.float().log_softmax(-1).cpu().numpy()
        rows_BRS = None if logits.transitions is None else logits.transitions.rows_BRS.float().cpu().numpy()
        tags = decode(scores_BWS, batch.features.word_mask_BW.cpu().numpy(), batch.labels.tokens, batch.words, transitions=rows_BRS)
        return [Prediction(label, row) for label, row in zip(found, tags, strict=True)]

    def _ids(self, dataset: Dataset, what: str, names: Iterable[str], known: tuple[str, ...]) -> NDArray[np.int64]:
        places = {name: place for place, name in enumerate(known)}
        unseen: Counter[str] = Counter()
        ids: list[int] = []
        for name in names:
            place = places.get(name, IGNORED)
            if place == IGNORED:
                unseen[name] += 1
            ids.append(place)
        if unseen and self.unseen_labels == "error":
            shown = ", ".join(f"{name!r} ({count} times)" for name, count in unseen.most_common(SHOWN))
            more = f" and {len(unseen) - SHOWN} more" if len(unseen) > SHOWN else ""
            raise InputError(
                f"{self.name}: {dataset.name!r} ({dataset.split}) has a {what} that the training data do not have: {shown}{more}; "
                "add examples of it to the training data, take it out here, or set unseen_labels to 'count as wrong'"
            )
        return np.array(ids, dtype=np.int64)


def sentence_loss(logits_BK: Tensor | None, batch: Batch) -> Tensor:
    """Cross-entropy of each sentence's label, (B,), in nats; log K where the label is unseen.

    Raises:
        InputError: If the examples have no labels, or the model gives none.
    """
    if logits_BK is None or batch.sentence_B is None:
        raise InputError("the loss needs labels of sentences: give data with a label column, and a model built with such labels")
    known_B = F.cross_entropy(logits_BK, batch.sentence_B, ignore_index=IGNORED, reduction="none")
    return known_B + (batch.sentence_B == IGNORED) * math.log(logits_BK.shape[1])


def token_loss(logits: Logits, batch: Batch) -> Tensor:
    """Mean loss over the labelled words of each example, (B,), in nats; 0 for an example without one.

    Where each word's tag is chosen by itself, the mean cross-entropy of the words. With a conditional random field, the
    negative log-likelihood of the row of tags, divided by the number of labelled words: so a sentence weighs as much
    against its intent as it does without one, and transitions that are all 0 change nothing. A word that is read and whose
    tag is unseen may then have any tag: the likelihood is summed over all of them.

    The mean is over the example's own words, never over those of the batch: the usual mean over all tokens of a batch
    makes the loss of a row depend on how long the others are.

    Raises:
        InputError: If the examples have no tags, or the model gives none.
    """
    logits_BWS, targets_BW = logits.tokens_BWS, batch.tokens_BW
    if logits_BWS is None or targets_BW is None:
        raise InputError("the loss needs tags of words: give data with a tags column, and a model built with such labels")
    counts_B = (targets_BW != IGNORED).sum(1).clamp(min=1)
    if logits.transitions is not None:
        return -log_likelihood(logits_BWS, targets_BW, batch.features.word_mask_BW, logits.transitions) / counts_B
    losses = F.cross_entropy(logits_BWS.flatten(0, 1), targets_BW.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(targets_BW).sum(1) / counts_B
