"""The module that says which words are hidden: each position sees all others, on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.models.causal.modules import TiedHead
from holdfast.models.features import Features, Logits
from holdfast.models.layers import AttentionLayer, small


@dataclass(frozen=True, eq=False, kw_only=True)
class HiddenWords(Features):
    """Features of which a model does not see everything. A pieces are asked for.

    Args:
        hidden_BT: True where the model sees the mask in the place of the piece.
        swapped_BT: Where the model sees another piece instead: which, as a share of all pieces in [0, 1); below 0 where it does not.
            None for nowhere.
        asked_BA: Places whose own piece is to be scored, (B, A), int64; any place where a row has fewer.
    """

    hidden_BT: Tensor
    swapped_BT: Tensor | None = None
    asked_BA: Tensor


@dataclass(frozen=True, eq=False)
class MaskedLogits(Logits):
    """What a model says of hidden pieces: `tokens_BWS` holds the scores of every piece at the places asked for, (B, A, S)."""


class MaskedTransformer(nn.Module):
    """A table, learned positions, pre-norm layers that look both ways, a last norm, a head; `MaskedEncoder` says what can be set.

    Args:
        pieces: How many pieces there are. The mask is none of them: it is read from a row of its own and never predicted.
        width: Width of the states.
        layers: How many.
        heads: Attention heads; the width is a multiple of them.
        feedforward: Width inside a layer.
        positions: Pieces of an utterance that can be read.
        dropout: Share of numbers dropped in training, of what goes in and of what each layer adds.
        tied: Whether the head scores by the rows of the table.
    """

    def __init__(
        self, pieces: int, *, width: int, layers: int, heads: int, feedforward: int, positions: int, dropout: float, tied: bool
    ) -> None:
        super().__init__()
        self.pieces = pieces
        self.words = small(nn.Embedding(pieces, width))
        self.mask = small(nn.Embedding(1, width))
        self.positions = small(nn.Embedding(positions, width))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(AttentionLayer(width, heads=heads, feedforward=feedforward, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = TiedHead(pieces) if tied else nn.Linear(width, pieces)

    def forward(self, features: Features) -> Logits:
        """Scores what stands at the places asked for; nothing where nothing is hidden, for a word that is seen is no prediction."""
        if not isinstance(features, HiddenWords):
            return Logits(None, None)
        ids_BT = features.ids_BT
        if features.swapped_BT is not None:
            others_BT = (features.swapped_BT.clamp(min=0) * self.pieces).long().clamp(max=self.pieces - 1)
            ids_BT = torch.where(features.swapped_BT >= 0, others_BT, ids_BT)
        states_BTD = self.states(ids_BT, features.mask_BT, features.hidden_BT)
        return MaskedLogits(None, self.scores(states_BTD.take_along_dim(features.asked_BA[:, :, None], 1)))

    def states(self, ids_BT: Tensor, mask_BT: Tensor, hidden_BT: Tensor) -> Tensor:
        """The state of each piece behind the last norm, (B, T, D).

        Args:
            ids_BT: What each piece is.
            mask_BT: True where it is real.
            hidden_BT: True where the mask is seen instead.
        """
        # One row of positions and of masks for each example: a private clipper must not see one row that all examples share.
        places_BT = torch.zeros_like(ids_BT) + torch.arange(ids_BT.shape[1], device=ids_BT.device)
        seen_BTD = torch.where(hidden_BT[:, :, None], self.mask(torch.zeros_like(ids_BT)), self.words(ids_BT))
        states_BTD = self.dropout(seen_BTD + self.positions(places_BT))
        for layer in self.layers:
            states_BTD = layer(states_BTD, mask_BT)
        normed_BTD: Tensor = self.norm(states_BTD)
        return normed_BTD

    def scores(self, states_BAD: Tensor) -> Tensor:
        """The score of every piece behind each state, (B, A, S)."""
        states_BAD = self.dropout(states_BAD)
        found: Tensor = self.head(states_BAD, self.words.weight) if isinstance(self.head, TiedHead) else self.head(states_BAD)
        return found
