"""Vectors of texts, and of parts of texts, from the states of their pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.fairness.language.access import Floats, Pieces
from holdfast.fairness.language.scoring import Ids, batches
from holdfast.models import checks

POOLINGS = ("cls", "first", "last", "mean")


def encoded(pieces: Sequence[Pieces], states: Callable[[Ids], Tensor], *, pooling: str) -> Floats:
    """The vector of each text, (n, D).

    Args:
        pieces: Of each text.
        states: Gives the states of some texts, (B, T, D), whose places are those of their pieces.
        pooling: One of `POOLINGS`.

    Raises:
        InputError: For another pooling, or a text that has no piece to pool over.
    """
    checks.choice("encode", POOLINGS, pooling=pooling)
    places = [np.arange(min(1, len(one))) if pooling == "cls" else np.flatnonzero(~one.special) for one in pieces]
    return _pooled(pieces, states, places, pooling)


def encoded_within(pieces: Sequence[Pieces], states: Callable[[Ids], Tensor], spans: Sequence[tuple[int, int]], *, pooling: str) -> Floats:
    """The vector of a part of each text, (n, D).

    Args:
        pieces: Of each text.
        states: As of `encoded`.
        spans: Start and end of each part, in characters.
        pooling: "first", "last" or "mean".

    Raises:
        InputError: For another pooling, another number of spans than texts, or a part that has no piece.
    """
    checks.choice("encode_within", POOLINGS[1:], pooling=pooling)
    if len(spans) != len(pieces):
        raise InputError(f"encode_within: {len(spans)} spans for {len(pieces)} texts; give one for each")
    return _pooled(pieces, states, [one.within(*span) for one, span in zip(pieces, spans, strict=True)], pooling)


def _pooled(pieces: Sequence[Pieces], states: Callable[[Ids], Tensor], places: Sequence[NDArray[np.int64]], pooling: str) -> Floats:
    for row, own in enumerate(places):
        if not len(own):
            where = " (the text is longer than the model reads)" if pieces[row].cut else ""
            raise InputError(f"text {row}: no piece lies in the part that is asked for{where}; give a part that is read")
    chosen = [own[:1] if pooling in ("first", "cls") else own[-1:] if pooling == "last" else own for own in places]
    lengths = np.array([len(one) for one in pieces], dtype=np.int64)
    found: Floats | None = None
    for rows in batches(lengths, np.ones_like(lengths), most_asked=len(lengths)):
        states_BTD = states(rows)
        weights_BT = np.zeros(tuple(states_BTD.shape[:2]))
        for place, row in enumerate(rows):
            weights_BT[place, chosen[row]] = 1 / len(chosen[row])
        weights = torch.from_numpy(weights_BT).to(states_BTD.device, states_BTD.dtype)
        made_BD = torch.einsum("bt,btd->bd", weights, states_BTD).double().cpu().numpy()
        found = np.empty((len(pieces), made_BD.shape[1])) if found is None else found
        found[rows] = made_BD
    return np.empty((0, 0)) if found is None else found
