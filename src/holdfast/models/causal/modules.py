"""The modules that predict next words: each position sees the pieces before it and never itself or what follows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.models.features import Features, Logits
from holdfast.models.layers import AttentionLayer, small


class TiedHead(nn.Module):
    """Scores each piece by its own row of the table that pieces are read from.

    The table is handed over at each call and so stays one parameter with one name. A private clipper adds up both of its uses;
    an ensemble refuses to stack such a head and trains its models one by one.

    Args:
        pieces: How many pieces there are.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(pieces))

    def forward(self, states_BTD: Tensor, table_SD: Tensor) -> Tensor:
        """Returns the score of every piece, (B, T, S)."""
        return F.linear(states_BTD, table_SD, self.bias)


class _Ends(nn.Module):
    """What all of these models begin and end with: the table of pieces, the shift by one, the head.

    Args:
        pieces: How many pieces there are; the last is the boundary, which stands before the first piece.
        width: Width of a row of the table.
        states: Width of what the head sees.
        dropout: Share of numbers dropped behind the table and before the head in training.
        tied: Whether the head scores by the rows of the table.
    """

    def __init__(self, pieces: int, *, width: int, states: int, dropout: float, tied: bool) -> None:
        super().__init__()
        self.boundary = pieces - 1
        self.words = small(nn.Embedding(pieces, width))
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(states, width) if tied and states != width else None
        self.head = TiedHead(pieces) if tied else nn.Linear(states, pieces)

    def before(self, ids_BT: Tensor) -> Tensor:
        """The vector of the piece before each piece, the boundary's before the first, (B, T, D)."""
        states_BTD: Tensor = self.words(F.pad(ids_BT[:, :-1], (1, 0), value=self.boundary))
        return states_BTD

    def scored(self, states_BTD: Tensor) -> Logits:
        """Scores every piece at every position."""
        if self.narrow is not None:
            states_BTD = self.narrow(states_BTD)
        states_BTD = self.dropout(states_BTD)
        tied = isinstance(self.head, TiedHead)
        return Logits(None, self.head(states_BTD, self.words.weight) if tied else self.head(states_BTD))


class CausalLSTM(_Ends):
    """A table, layers of an LSTM from left to right, a head; `LSTMLanguageModel` says what can be set.

    Args:
        pieces: How many pieces there are.
        embedding: Width of a row of the table.
        hidden: Width of a layer.
        layers: How many.
        dropout: Share of numbers dropped before each layer and before the head in training.
        tied: Whether the head scores by the rows of the table.
    """

    def __init__(self, pieces: int, *, embedding: int, hidden: int, layers: int, dropout: float, tied: bool) -> None:
        super().__init__(pieces, width=embedding, states=hidden, dropout=dropout, tied=tied)
        widths = [embedding] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)

    def forward(self, features: Features) -> Logits:
        """Scores each piece given those before it."""
        states_BTD = self.before(features.ids_BT)
        for layer in self.layers:
            states_BTD = layer(self.dropout(states_BTD))[0]
        return self.scored(states_BTD)


class CausalTransformer(_Ends):
    """A table, learned positions, pre-norm layers with a causal mask, a last norm, a head; `Decoder` says what can be set.

    Args:
        pieces: How many pieces there are.
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
        super().__init__(pieces, width=width, states=width, dropout=dropout, tied=tied)
        self.positions = small(nn.Embedding(positions, width))
        self.layers = nn.ModuleList(AttentionLayer(width, heads=heads, feedforward=feedforward, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Features) -> Logits:
        """Scores each piece given those before it."""
        ids_BT = features.ids_BT
        # One row of positions for each example: a private clipper must not see one row that all examples share.
        places_BT = torch.zeros_like(ids_BT) + torch.arange(ids_BT.shape[1], device=ids_BT.device)
        states_BTD = self.dropout(self.before(ids_BT) + self.positions(places_BT))
        for layer in self.layers:
            states_BTD = layer(states_BTD)
        return self.scored(self.norm(states_BTD))
