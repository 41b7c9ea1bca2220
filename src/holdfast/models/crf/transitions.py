"""What one tag after another adds to the score of a row of tags: the learned table, and the copy of it that each example gets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

TAG_HEADS = ("softmax", "crf")
"""How tags are chosen: each word by itself, or all words of a sentence together by a conditional random field."""

FURTHEST = 20.0
"""Nats that a transition may be from 0. Beyond them it says never or always anyway; within them no product of single precision leaves
its range, forwards or backwards, whatever the scores of the words are."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """Scores of tags that follow each other, in nats, a copy for each example. B examples, S tags.

    Each example has its own copy, of equal numbers, so that whoever looks at gradients sees whose they are: a private
    clipper, and an ensemble that trains many models in one batch.

    Args:
        rows_BRS: Row i < S holds the scores of each tag right after tag i, row S those of each tag as the first one, row
            S + 1 those of each tag as the last one; (B, S + 2, S).
    """

    rows_BRS: Tensor

    @property
    def between_BSS(self) -> Tensor:
        """At [b, i, j] the score of tag j right after tag i."""
        return self.rows_BRS[:, :-2]

    @property
    def start_BS(self) -> Tensor:
        """The score of each tag as the first one of a sentence."""
        return self.rows_BRS[:, -2]

    @property
    def end_BS(self) -> Tensor:
        """The score of each tag as the last one of a sentence."""
        return self.rows_BRS[:, -1]


class TagTransitions(nn.Module):
    """The learned table of transitions, all 0 at first: the model then begins as one that chooses the tag of each word by itself.

    It is looked up once for each example, as if its rows were words. So clipping one example's gradient needs no rule of
    its own, and costs what a lookup of S + 2 words costs, however long the sentence is.

    Args:
        tags: How many tags, S.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tags + 2, tags, _weight=torch.zeros(tags + 2, tags))

    def forward(self, sentence_BD: Tensor) -> Transitions:
        """Hands each example its copy, held within `FURTHEST` of 0.

        Args:
            sentence_BD: Anything with a row for each example; its numbers are not looked at.
        """
        # Ids that are made of the examples' own tensor belong to examples; a bare range would belong to positions.
        own_B1 = torch.zeros_like(sentence_BD[:, :1], dtype=torch.int64)
        ids_BR = own_B1 + torch.arange(self.table.num_embeddings, device=sentence_BD.device)
        return Transitions(self.table(ids_BR).clamp(-FURTHEST, FURTHEST))
