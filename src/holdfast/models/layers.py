"""What several models share: the draw of first weights, vectors of words, dropped words, pooling, attention, the heads they end in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.randomness import Streams
from holdfast.models.crf import TagTransitions
from holdfast.models.features import Labels, Logits
from holdfast.models.vectors import Vectors
from holdfast.models.vocabulary import UNKNOWN, Vocabulary
from holdfast.models.words import WordFeaturiser


@contextmanager
def first_weights(streams: Streams) -> Iterator[None]:
    """Draws the weights of modules made inside from these streams, and leaves torch's own generator as it was.

    Args:
        streams: The streams of the run; the one named "first weights" is used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.integer("first weights"))
        yield


class WordDropout(nn.Module):
    """Turns words into the unknown word now and then in training, so that the unknown word learns what a word may be.

    Args:
        share: Share of words that are turned.
        unknown: The id of the unknown word.
    """

    def __init__(self, share: float, *, unknown: int) -> None:
        super().__init__()
        self.share = share
        self.unknown = unknown

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Returns the ids, in training some of them unknown."""
        if not self.training or self.share == 0:
            return ids_BT
        return ids_BT.masked_fill(torch.rand(ids_BT.shape, device=ids_BT.device) < self.share, self.unknown)


class WordTable(nn.Module):
    """The vector of a word: a trained row, a pretrained row, or both end to end.

    Args:
        featuriser: Says how many ids there are, how many of them have a trained row, and how wide the pretrained rows are.
        width: Width of a trained row; 0 for none.
        freeze: Whether the pretrained rows stay as they are.
    """

    def __init__(self, featuriser: WordFeaturiser, *, width: int, freeze: bool) -> None:
        super().__init__()
        vocabulary, vector_width = featuriser.vocabulary, featuriser.vector_width
        self.width = width + vector_width
        self.known = vocabulary.trained
        self.shared = vocabulary.trained < vocabulary.size
        self.trained = small(nn.Embedding(vocabulary.trained, width)) if width else None
        self.pretrained = nn.Embedding(vocabulary.size, vector_width) if vector_width else None
        if self.pretrained is not None:
            self.pretrained.weight.requires_grad_(not freeze)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Returns the vector of each word, (B, T, width)."""
        parts = []
        if self.trained is not None:
            parts.append(self.trained(ids_BT.masked_fill(ids_BT >= self.known, UNKNOWN) if self.shared else ids_BT))
        if self.pretrained is not None:
            parts.append(self.pretrained(ids_BT))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    @torch.no_grad()
    def fill(self, vectors: Vectors, vocabulary: Vocabulary) -> None:
        """Takes the pretrained rows over; a word without one gets zeros."""
        if self.pretrained is not None:
            ids = torch.tensor([vocabulary.id_of(word) for word in vectors.words])
            self.pretrained.weight.zero_()[ids] = torch.from_numpy(vectors.matrix)
            self.pretrained.weight[UNKNOWN] = 0


class Heads(nn.Module):
    """Linear heads; the head of the words also sees the sentence, so that a tag may depend on the intent.

    Args:
        labels: What to choose from; a kind without labels gets no head.
        sentence_width: Width of the vector of a sentence.
        word_width: Width of the vector of a word.
        dropout: Share of numbers dropped before each head in training.
        tag_head: "softmax", by which the tag of each word is chosen by itself, or "crf", with learned scores of tags that follow
            each other.

    Raises:
        InputError: For labels that are next words.
    """

    def __init__(self, labels: Labels, *, sentence_width: int, word_width: int, dropout: float, tag_head: str = "softmax") -> None:
        super().__init__()
        labels.check_not_next_words("labels: this model")
        self.sentence_width = sentence_width
        self.dropout = nn.Dropout(dropout)
        self.sentence = nn.Linear(sentence_width, len(labels.sentence)) if labels.sentence else None
        self.words = nn.Linear(word_width, len(labels.tokens)) if labels.tokens else None
        self.context = nn.Linear(sentence_width, len(labels.tokens), bias=False) if labels.tokens else None
        self.transitions = TagTransitions(len(labels.tokens)) if labels.tokens and tag_head == "crf" else None

    def forward(self, sentence_BD: Tensor, words_BWD: Tensor) -> Logits:
        """Scores the labels.

        Args:
            sentence_BD: The vector of each sentence.
            words_BWD: The vector of each word.
        """
        sentence_BD = self.dropout(sentence_BD)
        sentence_BK = None if self.sentence is None else self.sentence(sentence_BD)
        if self.words is None or self.context is None:
            return Logits(sentence_BK, None)
        tokens_BWS = self.words(self.dropout(words_BWD)) + self.context(sentence_BD)[:, None, :]
        return Logits(sentence_BK, tokens_BWS, None if self.transitions is None else self.transitions(sentence_BD))


def mean_pool(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """The mean over the real positions of each row, (B, D)."""
    real_BT1 = mask_BT[:, :, None].to(states_BTD.dtype)
    return (states_BTD * real_BT1).sum(1) / real_BT1.sum(1)


def max_pool(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """The largest number over the real positions of each row, (B, D)."""
    return states_BTD.masked_fill(~mask_BT[:, :, None], torch.finfo(states_BTD.dtype).min).amax(1)


def small(table: nn.Embedding) -> nn.Embedding:
    """Draws rows much smaller than torch's standard normal ones: unseen rows then do no harm, and SNIPS trains in half the epochs."""
    nn.init.normal_(table.weight, std=0.1)
    return table


class AttentionLayer(nn.Module):
    """Attention, then two linear maps, each on a normed copy and added to what came in.

    Without a mask each position attends to itself and to those before it; padding stands behind the real pieces, so that hides it from
    them. With one it attends to all real positions.

    Args:
        width: Width of the states.
        heads: Attention heads.
        feedforward: Width inside.
        dropout: Share of numbers dropped of what is added.

    References:
        Xiong et al. 2020, "On layer normalization in the transformer architecture", arXiv 2002.04745: norms before, not behind.
    """

    def __init__(self, width: int, *, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, feedforward)
        self.outer = nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states_BTD: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Returns the states behind the layer, (B, T, D).

        Args:
            states_BTD: The states before it.
            mask_BT: True for the positions that all may look at; None to look back only.
        """
        three = self.projections(self.attention_norm(states_BTD)).chunk(3, -1)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in three)
        seen = None if mask_BT is None else mask_BT[:, None, None, :]
        mixed_BHTE = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=seen is None)
        found_BTD: Tensor = states_BTD + self.dropout(self.mixed(mixed_BHTE.transpose(1, 2).flatten(2)))
        added_BTD: Tensor = self.dropout(self.outer(F.gelu(self.inner(self.inner_norm(found_BTD)))))
        return found_BTD + added_BTD
