"""The modules of our own models as scoring, encoding and sampling see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.fairness.language.sampling import Feed
from holdfast.fairness.language.scoring import Ids, Network, padded
from holdfast.models import Features
from holdfast.models.bag import BagTagger
from holdfast.models.bilstm import BiLSTMTagger
from holdfast.models.causal import CausalLSTM, CausalTransformer
from holdfast.models.masked import MaskedTransformer
from holdfast.models.transformer import EncoderTagger
from holdfast.models.vocabulary import UNKNOWN

States = Callable[[Ids], Tensor]
"""Gives the states of some texts, (B, T, D)."""


@contextmanager
def asked_only(head: nn.Module, rows_N: Tensor, places_N: Tensor) -> Iterator[None]:
    """Lets the head of a model see nothing but the states that are asked for, (N, D), for the time of the block."""
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][rows_N, places_N], *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


def features_of(ids_BT: Tensor, mask_BT: Tensor) -> Features:
    """Features of pieces each of which is a word."""
    return Features(ids_BT, mask_BT, None, None, mask_BT)


def tensors(rows: Sequence[Ids], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows side by side, (B, T), and which places are real, (B, T)."""
    ids_BT, mask_BT = padded(rows, fill=UNKNOWN)
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(mask_BT).to(device)


def longest_of(module: nn.Module) -> int | None:
    """Pieces that a module has places for; None for no bound."""
    positions = getattr(module, "positions", None)
    return int(positions.num_embeddings) if isinstance(positions, nn.Embedding) else None


def masked_network(module: MaskedTransformer, device: torch.device) -> Network:
    """A model that says which words are hidden; the id behind its last piece is the mask."""

    def logits(ids_BT: Tensor, mask_BT: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        hidden_BT = ids_BT == module.pieces
        states_BTD = module.states(ids_BT.masked_fill(hidden_BT, UNKNOWN), mask_BT, hidden_BT)
        return module.scores(states_BTD[rows_N, places_N])

    return Network(module, logits, module.pieces, UNKNOWN, longest_of(module), device)


def causal_network(module: CausalLSTM | CausalTransformer, device: torch.device) -> Network:
    """A model that predicts each piece from those before it; its scores at a place speak of the piece there."""

    def logits(ids_BT: Tensor, mask_BT: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        with asked_only(module.head, rows_N, places_N):
            found: Tensor = module(features_of(ids_BT, mask_BT)).tokens_BWS
        return found

    return Network(module, logits, module.boundary + 1, UNKNOWN, longest_of(module), device)


def causal_states(module: CausalLSTM | CausalTransformer, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The state from which each piece is predicted, (B, T, D)."""
    last = module.norm if isinstance(module, CausalTransformer) else module.layers[-1]
    with _kept(last) as seen:
        module(features_of(ids_BT, mask_BT))
    found: Tensor = seen[-1][0] if isinstance(seen[-1], tuple) else seen[-1]
    return found


def causal_feed(module: CausalLSTM | CausalTransformer) -> Feed:
    """Takes pieces, the boundary first: an LSTM keeps its state, a transformer reads all pieces anew."""
    return _decoder_feed(module) if isinstance(module, CausalTransformer) else _lstm_feed(module)


def check_tagger(module: nn.Module) -> None:
    """Refuses a module of which it is not known what its states are.

    Raises:
        InputError: For a module that is none of ours.
    """
    if not isinstance(module, BagTagger | BiLSTMTagger | EncoderTagger):
        raise InputError(f"a {type(module).__name__} does not say what its states are; take a model of ours, or one of the hub")


def tagger_states(module: nn.Module, features: Features) -> Tensor:
    """The states of the pieces of a model that labels sentences or words, (B, T, D)."""
    if isinstance(module, BagTagger):
        return module.embed(features)
    if isinstance(module, EncoderTagger):
        with _kept(module.encoder) as seen:
            module(features)
        states_BTD: Tensor = seen[-1].last_hidden_state
        return states_BTD
    check_tagger(module)
    with _kept(module.layers[-1]) as seen:  # type: ignore[index]  # the layers of a BiLSTM
        module(features)
    found: Tensor = seen[-1]
    return found


@contextmanager
def _kept(layer: Any) -> Iterator[list[Any]]:
    """What a layer gives, for the time of the block."""
    seen: list[Any] = []
    handle = layer.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


def _lstm_feed(module: CausalLSTM) -> Feed:
    kept: list[Any] = [None] * len(module.layers)

    def feed(new_BT: Tensor) -> Tensor:
        states_BTD = module.words(new_BT)
        for number, layer in enumerate(module.layers):
            states_BTD, kept[number] = layer(states_BTD, kept[number])
        scores_B1S = module.scored(states_BTD[:, -1:]).tokens_BWS
        assert scores_B1S is not None
        return scores_B1S[:, 0]

    return feed


def _decoder_feed(module: CausalTransformer) -> Feed:
    read: list[Tensor] = []

    def feed(new_BT: Tensor) -> Tensor:
        read.append(new_BT)
        # The module itself puts the boundary before the first piece; a stand-in takes the place of the one that is to come.
        ids_BT = F.pad(torch.cat(read, 1)[:, 1:], (0, 1))
        rows_B = torch.arange(len(ids_BT), device=ids_BT.device)
        with asked_only(module.head, rows_B, torch.full_like(rows_B, ids_BT.shape[1] - 1)):
            found: Tensor = module(features_of(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))).tokens_BWS
        return found

    return feed
