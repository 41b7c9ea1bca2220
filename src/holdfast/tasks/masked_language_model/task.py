"""Each hidden word of an utterance from the words on both sides of it."""

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
from holdfast.models import Features, Featuriser, Labels, checks
from holdfast.models.masked import MaskedLogits
from holdfast.models.vocabulary import UNKNOWN
from holdfast.tasks.clustered import Clusters, perplexity, share_of
from holdfast.tasks.masked_language_model.hiding import Hiding, drawn_words, fixed_words, hide
from holdfast.tasks.task import IGNORED, Batch, EncodedDataset, NextWords, Prediction

METHOD = "exp of nats a hidden word, a share of the words hidden at once, chosen by a hash; unknown words are predicted as one"
"""How perplexity is measured."""


@dataclass(frozen=True, kw_only=True)
class MaskedLanguageModel:
    """Masked language modelling; scored by `pseudo_perplexity`, `masked_word_accuracy` and `unknown_words`.

    In training the hidden words are drawn anew each time, from the generator that dropout draws from. In evaluation a hash of the
    example's own words chooses them, and all of them are masked: so a loss is the same on every call, and the same alone as in any
    batch. Whole words are hidden: of a word that is spelled in bytes all of them, so that only its length is seen. The end marker
    is never hidden. A word outside the vocabulary is to be predicted as the unknown word, so read `unknown_words` beside the others.

    Args:
        share: Of the words of an example that is hidden, in (0, 1]: the nearest whole number, at least one word.
        swapped: Share of the hidden words that training shows as random others in the place of the mask, in [0, 1].
        kept: Share of them that training shows as they are, in [0, 1]; with `swapped` at most 1.
        seed: Of the words that evaluation hides, >= 0.

    Raises:
        InputError: For a value out of its bounds.

    References:
        Devlin et al. 2019, section 3.1 (15 % hidden; of these 80 % masked, 10 % swapped, 10 % kept); Salazar et al. 2020, "Masked
        language model scoring", for pseudo-perplexity, which hides each word in turn where this hides a share of them at once.
    """

    name: ClassVar[str] = "masked-language-model"

    share: float = 0.15
    swapped: float = 0.1
    kept: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        checks.number(self.name, least=0, share=self.share, swapped=self.swapped, kept=self.kept)
        checks.integer(self.name, least=0, seed=self.seed)
        if not 0 < self.share <= 1:
            raise InputError(f"{self.name}: share is {self.share}; give a number in (0, 1]")
        if self.swapped + self.kept > 1 + 1e-12:
            raise InputError(f"{self.name}: swapped {self.swapped} and kept {self.kept} are more than all hidden words; lower one of them")

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
            raise InputError(f"{self.name}: the labels are not words; make them by the task's own `labels`")
        tokens = dataset.tokens()
        words = np.array([len(row) for row in tokens], dtype=np.int64)
        return EncodedDataset(featuriser.encode(tokens), featuriser, labels, words, None, None)

    def collate(self, encoded: EncodedDataset, indices: NDArray[np.int64]) -> Batch:
        """Makes a batch of some examples, padded to the longest of them."""
        return encoded.batch(indices)

    def per_example_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of the example's own hidden words, (B,), in nats; what a word costs is the sum over its pieces.

        Guarantee:
            In evaluation mode a function of the example and the model alone.

        Raises:
            InputError: If the model hides no words.
        """
        if model.training:
            chosen_BW = drawn_words(batch.features, _real(batch), share=self.share)
            hiding = hide(batch.features, chosen_BW, swapped=self.swapped, kept=self.kept)
        else:
            hiding = self._evaluated(batch)
        return _losses(_scores(model, hiding), hiding).sum(1) / hiding.chosen_BW.sum(1).clamp(min=1)

    def predict(self, model: nn.Module, batch: Batch) -> list[Prediction]:
        """What each word that evaluation hides cost, whether it was the likeliest, and whether it is known, in the order of the words.

        Args:
            model: In evaluation mode.
            batch: The examples.
        """
        hiding = self._evaluated(batch)
        ids_BA = batch.features.ids_BT.gather(1, hiding.shown.asked_BA)
        with torch.no_grad():
            scores_BAS = _scores(model, hiding)
            losses_BA = _losses(scores_BAS, hiding).double()
            known_BA = ids_BA != UNKNOWN
            right_BA = (scores_BAS.argmax(-1) == ids_BA) & known_BA
        found = [tensor.cpu().numpy() for tensor in (losses_BA, right_BA, known_BA, hiding.word_BA, hiding.asked_BA)]
        return [Prediction(next_words=_by_word(*(each[row] for each in found))) for row in range(len(batch))]

    def score(self, dataset: Dataset, predictions: list[Prediction], *, subject: str) -> tuple[Estimate, ...]:
        """Pseudo-perplexity, accuracy and unknown words, with bootstrap intervals over users, or over examples where none are known.

        Args:
            dataset: The examples.
            predictions: Those of `predict`, in the order of the data.
            subject: The run.

        Returns:
            `pseudo_perplexity`: exp of the nats of all hidden words over their number; `masked_word_accuracy`: the share of them that
            were the likeliest, an unknown word never being right; `unknown_words`: the share that the vocabulary does not hold.

        Raises:
            InputError: For another number of predictions than examples, or predictions of another task.
        """
        if len(predictions) != len(dataset):
            raise InputError(f"{len(predictions)} predictions for {len(dataset)} examples; give one for each, in the order of the data")
        sums = np.array([_sums(one) for one in predictions], dtype=np.float64).reshape(-1, 4)
        clusters = Clusters.in_data(dataset)
        facts: dict[str, Any] = {
            "subject": subject,
            "n": clusters.count,
            "reference": "Efron 1979 (interval)",
            "conditions": {"examples": len(dataset), "words": int(sums[:, 1].sum()), "hidden": self.share, "over": clusters.what},
        }
        share: dict[str, Any] = {"unit": "share", **facts}
        wrong, of = "counted among the hidden words; an unknown word is never right", "counted among the hidden words"
        return (
            perplexity(sums[:, 0], sums[:, 1], clusters, facts={"name": "pseudo_perplexity", "method": METHOD, **facts}),
            share_of(
                sums[:, 2],
                sums[:, 1],
                clusters,
                facts={"name": "masked_word_accuracy", "direction": "higher is better", "method": wrong, **share},
            ),
            share_of(
                sums[:, 3], sums[:, 1], clusters, facts={"name": "unknown_words", "direction": "lower is better", "method": of, **share}
            ),
        )

    def _evaluated(self, batch: Batch) -> Hiding:
        chosen_BW = fixed_words(batch.features, _real(batch), share=self.share, seed=self.seed)
        return hide(batch.features, chosen_BW)


def _real(batch: Batch) -> Tensor:
    """Which words are read and no end marker, (B, W)."""
    read_BW = batch.features.word_mask_BW
    words_B = torch.from_numpy(batch.words).to(read_BW.device)
    return read_BW & (torch.arange(read_BW.shape[1], device=read_BW.device) < words_B[:, None])


def _scores(model: nn.Module, hiding: Hiding) -> Tensor:
    found = model(hiding.shown)
    if not isinstance(found, MaskedLogits) or found.tokens_BWS is None:
        raise InputError("masked-language-model: this model cannot hide words; take the model 'encoder-mlm'")
    return found.tokens_BWS


def _losses(scores_BAS: Tensor, hiding: Hiding) -> Tensor:
    """What each asked piece cost, (B, A), in nats; 0 for padding."""
    shown: Features = hiding.shown
    targets_BA = shown.ids_BT.gather(1, hiding.shown.asked_BA).masked_fill(~hiding.asked_BA, IGNORED)
    losses = F.cross_entropy(scores_BAS.flatten(0, 1), targets_BA.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(targets_BA)


def _by_word(
    losses_A: NDArray[np.float64],
    right_A: NDArray[np.bool_],
    known_A: NDArray[np.bool_],
    word_A: NDArray[np.int64],
    asked_A: NDArray[np.bool_],
) -> NextWords:
    """Puts the pieces of each word together."""
    count = int(asked_A.sum())
    first = np.flatnonzero(np.diff(word_A[:count], prepend=-1))
    right, known = (tuple(np.logical_and.reduceat(each[:count], first).tolist()) for each in (right_A, known_A))
    return NextWords(tuple(np.add.reduceat(losses_A[:count], first).tolist()), right, known)


def _sums(prediction: Prediction) -> tuple[float, int, int, int]:
    """Nats, words, right words and unknown words: of what was hidden of one example."""
    found = prediction.next_words
    if found is None:
        raise InputError("masked-language-model: a prediction holds no hidden words; give those that the task's own `predict` makes")
    return math.fsum(found.losses), len(found.losses), sum(found.right), len(found.known) - sum(found.known)
