"""Each word of an utterance from the words before it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate
from holdfast.data import Dataset
from holdfast.models import Features, Featuriser, Labels
from holdfast.models.vocabulary import UNKNOWN
from holdfast.tasks.clustered import Clusters, perplexity, share_of
from holdfast.tasks.task import IGNORED, Batch, EncodedDataset, NextWords, Prediction

METHOD = "exp of nats a word, the end marker counted as a word; unknown words are predicted as one"
"""How perplexity is measured."""


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """Causal language modelling; scored by `perplexity`, `next_word_accuracy` and `unknown_words`.

    The words are their own labels, and an end marker counts as the last word of each utterance. A word outside the vocabulary is
    to be predicted as the unknown word: a small vocabulary thus has a low perplexity, so `unknown_words` stands beside it. Models
    that spell words in bytes have no unknown word; what a word costs them is what all its bytes cost.
    """

    name: ClassVar[str] = "language-model"

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the task is, for the record."""
        return {"task": self.name, **asdict(self)}

    def labels(self, train: Dataset) -> Labels:
        """Says that the labels are the words of the vocabulary; the data are not looked at.

        Raises:
            InputError: If there are no examples.
        """
        if not len(train):
            raise InputError(f"{self.name}: the training data {train.name!r} hold no examples; give at least one")
        return Labels(next_words=True)

    def encode(self, dataset: Dataset, featuriser: Featuriser, labels: Labels) -> EncodedDataset:
        """Turns a data set into numbers.

        Raises:
            InputError: For the labels of another task.
        """
        if not labels.next_words:
            raise InputError(f"{self.name}: the labels are not next words; make them by the task's own `labels`")
        tokens = dataset.tokens()
        words = np.array([len(row) for row in tokens], dtype=np.int64)
        return EncodedDataset(featuriser.encode(tokens), featuriser, labels, words, None, None)

    def collate(self, encoded: EncodedDataset, indices: NDArray[np.int64]) -> Batch:
        """Makes a batch of some examples, padded to the longest of them."""
        return encoded.batch(indices)

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of the example's own words, its end marker among them, (B,), in nats.

        The mean is over the words of the example, never over those of the batch. What a word costs is the sum over its pieces, so
        the losses of models with other pieces can be held against each other.

        Raises:
            InputError: If the model predicts no words.
        """
        losses_BT = piece_losses(_scores(model, batch.features), batch.features)
        return losses_BT.sum(1) / batch.features.word_mask_BW.sum(1).clamp(min=1)

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        """What each word that is read cost, whether it was the likeliest, and whether it is known.

        Args:
            model: In evaluation mode.
            batch: The examples.
        """
        features = batch.features
        with torch.no_grad():
            scores_BTS = _scores(model, features)
            losses_BT = piece_losses(scores_BTS, features).double()
            known_BT = features.ids_BT != UNKNOWN
            right_BT = (scores_BTS.argmax(-1) == features.ids_BT) & known_BT
        losses, right, known = (tensor.cpu().numpy() for tensor in (losses_BT, right_BT, known_BT))
        return [
            Prediction(next_words=_by_word(losses[row, :length], right[row, :length], known[row, :length], first_W))
            for row, (length, first_W) in enumerate(zip(features.mask_BT.sum(1).tolist(), _firsts(features), strict=True))
        ]

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Perplexity, accuracy and unknown words, with bootstrap intervals over users, or over examples where no users are known.

        Args:
            dataset: The examples.
            predictions: Those of `predict`, in the order of the data.
            subject: The run.

        Returns:
            `perplexity`: exp of the nats of all words over the number of words, end markers counted in both; `next_word_accuracy`:
            the share of words, end markers not counted, that were the likeliest, an unknown word never being right;
            `unknown_words`: the share of words that the vocabulary does not hold. Words that were not read count nowhere.

        Raises:
            InputError: For another number of predictions than examples, or predictions of another task.
        """
        if len(predictions) != len(dataset):
            raise InputError(f"{len(predictions)} predictions for {len(dataset)} examples; give one for each, in the order of the data")
        sums = np.array([_sums(one, len(words)) for one, words in zip(predictions, dataset.tokens(), strict=True)]).reshape(-1, 5)
        clusters = Clusters.in_data(dataset)
        facts: dict[str, Any] = {
            "subject": subject,
            "n": clusters.count,
            "reference": "Efron 1979 (interval)",
            "conditions": {"examples": len(dataset), "words": int(sums[:, 2].sum()), "over": clusters.what},
        }
        share: dict[str, Any] = {"unit": "share", **facts}
        wrong = "counted; an unknown word is never right, end markers are left out"
        return (
            perplexity(sums[:, 0], sums[:, 1], clusters, facts={"name": "perplexity", "method": METHOD, **facts}),
            share_of(
                sums[:, 3],
                sums[:, 2],
                clusters,
                facts={"name": "next_word_accuracy", "direction": "higher is better", "method": wrong, **share},
            ),
            share_of(
                sums[:, 4],
                sums[:, 2],
                clusters,
                facts={"name": "unknown_words", "direction": "lower is better", "method": "counted", **share},
            ),
        )


def piece_losses(scores_BTS: Tensor, features: Features) -> Tensor:
    """What each piece cost, (B, T), in nats; 0 where the mask is False."""
    targets_BT = features.ids_BT.masked_fill(~features.mask_BT, IGNORED)
    losses = F.cross_entropy(scores_BTS.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(targets_BT)


def _scores(model: nn.Module, features: Features) -> Tensor:
    scores_BTS: Tensor | None = model(features).tokens_BWS
    if scores_BTS is None:
        raise InputError("language-model: this model predicts no words; take the model 'lstm-lm' or 'decoder'")
    return scores_BTS


def _firsts(features: Features) -> list[NDArray[np.int64]]:
    """The first piece of each word that is read, end markers included."""
    if features.words_BW is None:
        return [np.arange(length) for length in features.mask_BT.sum(1).tolist()]
    words_BW, real_BW = features.words_BW.cpu().numpy(), features.word_mask_BW.cpu().numpy()
    return [first_W[real_W] for first_W, real_W in zip(words_BW, real_BW, strict=True)]


def _by_word(
    losses_T: NDArray[np.float64], right_T: NDArray[np.bool_], known_T: NDArray[np.bool_], first_W: NDArray[np.int64]
) -> NextWords:
    """Puts the pieces of each word together."""
    right, known = (tuple(np.logical_and.reduceat(each, first_W).tolist()) for each in (right_T, known_T))
    return NextWords(tuple(np.add.reduceat(losses_T, first_W).tolist()), right, known)


def _sums(prediction: Prediction, words: int) -> tuple[float, int, int, int, int]:
    """Nats, words and end marker, words alone, right words, unknown words: of what was read of one example."""
    found = prediction.next_words
    if found is None:
        raise InputError("language-model: a prediction holds no next words; give those that the task's own `predict` makes")
    read = min(words, len(found.losses))
    return math.fsum(found.losses), len(found.losses), read, sum(found.right[:read]), read - sum(found.known[:read])
