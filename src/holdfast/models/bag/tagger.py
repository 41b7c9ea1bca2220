"""The module of a bag of words."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.models.features import Features, Labels, Logits
from holdfast.models.layers import Heads, WordDropout, WordTable, mean_pool
from holdfast.models.vocabulary import UNKNOWN
from holdfast.models.words import WordFeaturiser


class WordMeans(WordTable):
    """Vectors of words of which only the mean may be wanted; an ensemble takes it without the single vectors, by `mean_rows`."""

    mean_rows: Callable[[Tensor, Tensor], Tensor | None] | None = None

    def means(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """The mean of the vectors of the real words of each row, (B, width)."""
        if self.mean_rows is not None and self.pretrained is None and not self.shared:
            means_BD = self.mean_rows(ids_BT, mask_BT)
            if means_BD is not None:
                return means_BD
        return mean_pool(self(ids_BT), mask_BT)


class BagTagger(nn.Module):
    """The mean of the words' vectors, a hidden layer, the heads; for tags also a window over the words. `Bag` says what can be set."""

    def __init__(
        self,
        featuriser: WordFeaturiser,
        labels: Labels,
        *,
        embedding: int,
        hidden: int,
        window: int,
        dropout: float,
        word_dropout: float,
        freeze: bool,
        tag_head: str = "softmax",
    ) -> None:
        super().__init__()
        self.word_dropout = WordDropout(word_dropout, unknown=UNKNOWN)
        self.words = WordMeans(featuriser, width=embedding, freeze=freeze)
        self.sentence = nn.Linear(self.words.width, hidden)
        # Without tags nothing looks at single words, and a layer without a gradient would only be carried along.
        self.window = nn.Conv1d(self.words.width, hidden, 2 * window + 1, padding=window) if labels.tokens else None
        self.heads = Heads(labels, sentence_width=hidden, word_width=hidden, dropout=dropout, tag_head=tag_head)

    def forward(self, features: Features) -> Logits:
        """Scores the labels of the sentences and of their words."""
        if self.window is None:  # nothing looks at single words, so their mean may be had without them
            return self._scored(self.words.means(self.word_dropout(features.ids_BT), features.mask_BT), None)
        return self.read(self.embed(features), features)

    def embed(self, features: Features) -> Tensor:
        """The vector of each word, (B, T, D); in training some words are the unknown one."""
        states_BTD: Tensor = self.words(self.word_dropout(features.ids_BT))
        return states_BTD

    def read(self, states_BTD: Tensor, features: Features) -> Logits:
        """Scores the labels from what `embed` made of the words, or from a mixture of it.

        Args:
            states_BTD: One row for each word; anything finite where the mask is False.
            features: Of which only the mask is looked at.
        """
        means_BD = mean_pool(states_BTD, features.mask_BT)
        windows_BTH = None if self.window is None else self._windows(self.window, states_BTD, features.mask_BT)
        return self._scored(means_BD, windows_BTH)

    def _scored(self, means_BD: Tensor, windows_BTH: Tensor | None) -> Logits:
        states_BTH = means_BD[:, None] if windows_BTH is None else windows_BTH  # without a window no head looks at it
        logits: Logits = self.heads(F.relu(self.sentence(means_BD)), states_BTH)
        return logits

    @staticmethod
    def _windows(window: nn.Conv1d, words_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """What the window sees at each word, (B, T, hidden); behind the end it sees zeros, whatever padding has there."""
        real_BTD = words_BTD * mask_BT[:, :, None].to(words_BTD.dtype)
        return F.relu(window(real_BTD.mT)).mT
