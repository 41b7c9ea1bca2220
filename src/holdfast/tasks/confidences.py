"""What a model says of an example by its probabilities alone: sorted posteriors and entropies, each row by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.models.crf import Transitions, marginals
from holdfast.models.features import Logits
from holdfast.tasks.task import Batch

MOST_POSTERIORS = 5
"""Posteriors of the sentence that are told, the largest first: those behind them hold next to nothing and differ in number."""


def posterior_names(labels: int) -> tuple[str, ...]:
    """Names of the sorted posteriors of a sentence, as many as there are labels and at most `MOST_POSTERIORS`."""
    return tuple(f"posterior {rank}" for rank in range(1, min(labels, MOST_POSTERIORS) + 1))


def sentence_confidences(logits_BK: Tensor) -> Tensor:
    """The largest posteriors of the sentence's label in descending order, then its entropy in nats, (B, min(K, 5) + 1), float64."""
    posterior_BK = logits_BK.double().softmax(-1)
    largest_BP = posterior_BK.topk(min(logits_BK.shape[1], MOST_POSTERIORS), dim=-1).values
    return torch.cat([largest_BP, _entropy(posterior_BK)[:, None]], 1)


def word_confidences(logits_BWS: Tensor, mask_BW: Tensor, *, transitions: Transitions | None = None) -> Tensor:
    """Mean and largest entropy of the tags over the example's own words, (B, 2), float64, in nats; 0 for an example without words.

    Args:
        logits_BWS: Scores of the tags.
        mask_BW: True where a word is real and was read; whatever stands elsewhere counts for nothing.
        transitions: Scores of tags that follow each other: a word's tags are then as likely as in all rows of tags together, which
            are their marginals.
    """
    logits_BWS = logits_BWS.double()
    likely_BWS = logits_BWS.softmax(-1) if transitions is None else marginals(logits_BWS, mask_BW, transitions)
    entropy_BW = _entropy(likely_BWS).masked_fill(~mask_BW, 0.0)
    mean_B = entropy_BW.sum(1) / mask_BW.sum(1).clamp(min=1)
    nothing_B1 = entropy_BW.new_zeros(len(entropy_BW), 1)  # a batch of no words has no largest; no entropy is below 0
    return torch.stack([mean_B, torch.cat([entropy_BW, nothing_B1], 1).amax(1)], 1)


def confidences_of(logits: Logits, batch: Batch) -> Tensor:
    """`sentence_confidences` and `word_confidences`, as far as the model has such labels, side by side."""
    parts = []
    if logits.sentence_BK is not None:
        parts.append(sentence_confidences(logits.sentence_BK))
    if logits.tokens_BWS is not None:
        parts.append(word_confidences(logits.tokens_BWS, batch.features.word_mask_BW, transitions=logits.transitions))
    return torch.cat(parts, 1)


def _entropy(posterior: Tensor) -> Tensor:
    """In nats, over the last axis; a probability of 0 adds nothing."""
    entropy: Tensor = torch.special.entr(posterior).sum(-1)
    return entropy
