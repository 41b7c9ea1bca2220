"""Which words of an example are hidden: at random in training, by the example's own words in evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.models import Features
from holdfast.models.masked import HiddenWords

_LOW = 0xFFFFFFFF
_PLACE, _PIECE, _WORD, _SEED = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F


@dataclass(frozen=True, eq=False)
class Hiding:
    """Words that are hidden and asked for. B examples, T pieces, W words, A pieces that are asked for.

    Args:
        shown: What the model sees.
        chosen_BW: Which words are asked for.
        asked_BA: True where `shown.asked_BA` is a place and no padding.
        word_BA: The word that each asked piece belongs to, counted within the example.
    """

    shown: HiddenWords
    chosen_BW: Tensor
    asked_BA: Tensor
    word_BA: Tensor


def drawn_words(features: Features, real_BW: Tensor, *, share: float) -> Tensor:
    """Draws which words to hide from torch's own generator, as dropout does, (B, W).

    Args:
        features: Of the examples.
        real_BW: Which words may be hidden.
        share: Of them that is hidden: the nearest whole number, at least one.
    """
    return _least(torch.rand(real_BW.shape, device=real_BW.device), real_BW, share)


def fixed_words(features: Features, real_BW: Tensor, *, share: float, seed: int) -> Tensor:
    """Chooses which words to hide by a hash of the example's own pieces, (B, W): another batch or padding changes nothing.

    Args:
        features: Of the examples.
        real_BW: Which words may be hidden.
        share: Of them that is hidden: the nearest whole number, at least one.
        seed: Another one chooses other words.
    """
    ids_BT, device = features.ids_BT, features.ids_BT.device
    places_T = torch.arange(1, ids_BT.shape[1] + 1, device=device)
    words_W = torch.arange(1, real_BW.shape[1] + 1, device=device)
    mixed_BT = _mixed(_mixed((ids_BT * _PIECE) & _LOW) + places_T * _PLACE)
    content_B = (mixed_BT * features.mask_BT).sum(1) + (seed & _LOW) * _SEED
    return _least(_mixed(_mixed(content_B & _LOW)[:, None] + words_W * _WORD), real_BW, share)


def hide(features: Features, chosen_BW: Tensor, *, swapped: float = 0.0, kept: float = 0.0) -> Hiding:
    """Hides words, all pieces of each.

    Args:
        features: Of the examples.
        chosen_BW: Which words.
        swapped: Share of them whose pieces are shown as pieces drawn from all instead, in [0, 1].
        kept: Share that is shown as it is, in [0, 1 - swapped].
    """
    word_BT = _words_of(features)
    chosen_BT = chosen_BW.gather(1, word_BT) & features.mask_BT
    counts_B = chosen_BT.sum(1)
    most = max(1, int(counts_B.max())) if len(counts_B) else 1
    places_BA = chosen_BT.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    hidden_BT, swaps_BT = chosen_BT, None
    if swapped or kept:
        fate_BT = torch.rand(chosen_BW.shape, device=chosen_BW.device).gather(1, word_BT)
        hidden_BT = chosen_BT & (fate_BT >= swapped + kept)
        others_BT = torch.rand(word_BT.shape, device=word_BT.device)
        swaps_BT = others_BT.masked_fill(~(chosen_BT & (fate_BT < swapped)), -1.0)
    shown = HiddenWords(**vars(features), hidden_BT=hidden_BT, swapped_BT=swaps_BT, asked_BA=places_BA)
    asked_BA = torch.arange(most, device=counts_B.device) < counts_B[:, None]
    return Hiding(shown, chosen_BW, asked_BA, word_BT.gather(1, places_BA))


def _words_of(features: Features) -> Tensor:
    """The word that each piece belongs to, (B, T), counted within the example."""
    ids_BT = features.ids_BT
    if features.words_BW is None:
        return torch.zeros_like(ids_BT) + torch.arange(ids_BT.shape[1], device=ids_BT.device)
    begins_BT = torch.zeros_like(ids_BT).scatter_add(1, features.words_BW, features.word_mask_BW.long())
    return (begins_BT.cumsum(1) - 1).clamp(min=0)


def _least(draws_BW: Tensor, real_BW: Tensor, share: float) -> Tensor:
    """The words with the smallest draws, a share of the real ones."""
    counts_B = real_BW.sum(1)
    hidden_B = torch.minimum((counts_B * share).round().clamp(min=1), counts_B)
    ranks_BW = draws_BW.masked_fill(~real_BW, 2**40).argsort(1).argsort(1)
    return (ranks_BW < hidden_B[:, None]) & real_BW


def _mixed(words: Tensor) -> Tensor:
    """Mixes 32 bits so that each depends on all; int64 tensors, for torch has no unsigned ones."""
    words = words & _LOW
    words = ((words ^ (words >> 16)) * 0x21F0AAAD) & _LOW
    words = ((words ^ (words >> 15)) * 0x735A2D97) & _LOW
    return words ^ (words >> 15)
