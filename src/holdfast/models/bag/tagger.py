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
    ) -> None:
        super().__init__()
        self.word_dropout = WordDropout(word_dropout, unknown=UNKNOWN)
        self.words = WordMeans(featuriser, width=embedding, freeze=freeze)
        self.sentence = nn.Linear(self.words.width, hidden)
        # Without tags nothing looks at single words, and a layer without a gradient would only be carried along.
        self.window = nn.Conv1d(self.words.width, hidden, 2 * window + 1, padding=window) if labels.tokens else None
        self.heads = Heads(labels, sentence_width=hidden, word_width=hidden, dropout=dropout)

    def forward(self, features: Features) -> Logits:
        """Scores the labels of the sentences and of their words."""
        mask_BT = features.mask_BT
        ids_BT = self.word_dropout(features.ids_BT)
        if self.window is None:
            means_BD = self.words.means(ids_BT, mask_BT)
            states_BTH = means_BD[:, None]  # there is no head that looks at it
        else:
            words_BTD = self.words(ids_BT)
            means_BD = mean_pool(words_BTD, mask_BT)
            states_BTH = self._windows(self.window, words_BTD, mask_BT)
        logits: Logits = self.heads(F.relu(self.sentence(means_BD)), states_BTH)
        return logits

    @staticmethod
    def _windows(window: nn.Conv1d, words_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """What the window sees at each word, (B, T, hidden); behind the end it sees zeros, whatever padding has there."""
        real_BTD = words_BTD * mask_BT[:, :, None].to(words_BTD.dtype)
        return F.relu(window(real_BTD.mT)).mT
