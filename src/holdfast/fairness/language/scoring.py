"""Log-probabilities of pieces in many short rows: sorted by length, in batches, with scores made only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.fairness.language.access import Floats, Masked
from holdfast.training.evaluation import evaluating

POSITIONS = 2048
"""Positions, padding included, that a model reads together."""
SCORES = 2**25
"""Scores that are held together: 128 MB."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Network:
    """A model as scoring sees it. N places are asked for.

    Args:
        module: Put in evaluation mode for the time of a call.
        logits: Scores of all pieces at some places, (N, S), from ids (B, T), which of them are real (B, T), and the row and place of
            each that is asked for, (N,) and (N,).
        pieces: S, how many pieces are scored.
        padding: The id behind the end of a row.
        longest: Pieces that a row may have; None for no bound.
        device: Where the model is.
    """

    module: nn.Module
    logits: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    pieces: int
    padding: int
    longest: int | None
    device: torch.device


@dataclass(frozen=True, eq=False)
class Question:
    """A row and what is asked of it.

    Args:
        shown: What the model sees, (T,).
        places: Where it is asked, (A,).
        targets: What the probability of is wanted there, (A,).
    """

    shown: Ids
    places: Ids
    targets: Ids


def log_probabilities(network: Network, questions: Sequence[Question]) -> list[Floats]:
    """The log-probability of each target at its place, (A,) a question, in nats.

    Args:
        network: The model.
        questions: In any order; rows of about the same length go together.

    Raises:
        InputError: For a row longer than the model reads, or a place outside its row.

    Guarantee:
        What a question is answered depends, but for rounding, on that question alone.
    """
    _check(network, questions)
    found = [np.empty(len(question.places)) for question in questions]
    lengths = np.array([len(question.shown) for question in questions], dtype=np.int64)
    asked = np.array([len(question.places) for question in questions], dtype=np.int64)
    with evaluating(network.module):
        for batch in batches(lengths, asked, most_asked=max(1, SCORES // network.pieces)):
            part = [questions[row] for row in batch]
            ids_BT, mask_BT = padded([question.shown for question in part], fill=network.padding)
            rows_N = np.repeat(np.arange(len(part)), asked[batch])
            places_N, targets_N = (np.concatenate([getattr(one, name) for one in part]) for name in ("places", "targets"))
            given = (torch.from_numpy(each).to(network.device) for each in (ids_BT, mask_BT, rows_N, places_N))
            answers = _picked(network.logits(*given), torch.from_numpy(targets_N).to(network.device))
            for row, answer in zip(batch, np.split(answers, np.cumsum(asked[batch])[:-1]), strict=True):
                found[row] = answer
    return found


def masked(network: Network, questions: Sequence[Masked], *, mask: int) -> list[Floats]:
    """What `MaskedAccess.masked` gives, for a model that sees the piece `mask` where something is hidden."""
    made = []
    for question in questions:
        shown = question.ids.copy()
        shown[question.hidden] = mask
        made.append(Question(shown, question.asked, question.ids[question.asked]))
    return log_probabilities(network, made)


def everywhere(network: Network, rows: Sequence[Ids]) -> list[Floats]:
    """The log-probability of each piece at its own place, (T,) a row, of a model whose scores there speak of that piece."""
    return log_probabilities(network, [Question(row, np.arange(len(row)), row) for row in rows])


def following(network: Network, rows: Sequence[Ids], *, boundary: int | None) -> list[Floats]:
    """What `CausalAccess.causal` gives, for a model whose scores at a place speak of the next piece.

    Args:
        network: The model.
        rows: Pieces.
        boundary: What it reads before the first piece; None for nothing, which leaves the first piece without a number. A row that
            begins with the boundary by itself gets no second one.
    """
    made, first = [], []
    for row in rows:
        led = boundary is not None and not (len(row) and row[0] == boundary)
        shown = np.concatenate([[boundary], row])[:-1].astype(np.int64) if led else row[:-1]
        made.append(Question(shown, np.arange(len(shown)), row if led else row[1:]))
        first.append(0 if led or not len(row) else 1)
    return [np.concatenate([np.full(lacks, np.nan), found]) for lacks, found in zip(first, log_probabilities(network, made), strict=True)]


def batches(lengths: Ids, asked: Ids, *, most_asked: int) -> Iterator[Ids]:
    """Rows that go through a model together, the shortest first; rows of which nothing is asked are left out.

    Args:
        lengths: Of each row.
        asked: How many places are asked for in each.
        most_asked: Places that are asked for together at most, but for a single row.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[asked[order] > 0]
    start, places = 0, 0
    for end, row in enumerate(order):
        if end > start and ((end - start + 1) * lengths[row] > POSITIONS or places + asked[row] > most_asked):
            yield order[start:end]
            start, places = end, 0
        places += asked[row]
    if start < len(order):
        yield order[start:]


def padded(rows: Sequence[Ids], *, fill: int) -> tuple[Ids, NDArray[np.bool_]]:
    """Rows side by side, (B, T), and which places are real, (B, T)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    mask_BT = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
    ids_BT = np.full(mask_BT.shape, fill, dtype=np.int64)
    if len(rows):
        ids_BT[mask_BT] = np.concatenate(rows)
    return ids_BT, mask_BT


def _picked(logits_NS: Tensor, targets_N: Tensor) -> Floats:
    logits_NS = logits_NS.float()
    picked_N = logits_NS.gather(1, targets_N[:, None])[:, 0].double() - logits_NS.logsumexp(1).double()
    answers: Floats = picked_N.cpu().numpy()
    return answers


def _check(network: Network, questions: Sequence[Question]) -> None:
    for number, question in enumerate(questions):
        length, places = len(question.shown), question.places
        if network.longest is not None and length > network.longest:
            raise InputError(f"row {number} has {length} pieces and the model reads {network.longest}; cut it as `pieces` does")
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < length:
            raise InputError(f"row {number} has {length} pieces and is asked at {places.tolist()}; give places in [0, {length})")
        targets = question.targets
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < network.pieces:
            raise InputError(f"row {number} asks for piece {int(targets.max())}; the model has the pieces 0 to {network.pieces - 1}")
