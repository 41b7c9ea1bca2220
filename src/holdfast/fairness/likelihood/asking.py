"""Likelihoods of texts and of parts of them, each kind in one batched call to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition
from holdfast.fairness.language.access import CausalAccess, Masked, MaskedAccess, Pieces
from holdfast.fairness.likelihood.reading import Places, own_places

Floats = NDArray[np.float64]

TIE = 1e-9
"""Nats by which two scores may differ from rounding alone; scores nearer than this are a tie."""
DECIMALS = 9
"""To which scores are rounded before they are compared, for the same reason."""


def ask(access: MaskedAccess, questions: Sequence[Masked]) -> list[Floats]:
    """Asks a masked model all questions in one call, those that look alike to it once.

    Args:
        access: The model.
        questions: Some of which may hide nothing but what another hides too.

    Returns:
        For each question the log-probability of each asked piece, (A,), in nats.
    """
    first: dict[tuple[bytes, bytes, bytes], int] = {}
    kept: list[Masked] = []
    place = np.empty(len(questions), dtype=np.int64)
    for index, question in enumerate(questions):
        if not len(question.asked):
            place[index] = -1
            continue
        seen = question.ids.copy()
        seen[np.setdiff1d(question.hidden, question.asked)] = -1  # the model sees the mask there, whatever the piece was
        key = (seen.tobytes(), question.hidden.tobytes(), question.asked.tobytes())
        place[index] = first.setdefault(key, len(kept))
        if place[index] == len(kept):
            kept.append(question)
    answers = access.masked(kept) if kept else []
    return [np.zeros(0) if index < 0 else np.asarray(answers[index], dtype=np.float64) for index in place]


def one_by_one(access: MaskedAccess, rows: Sequence[tuple[Pieces, Places]]) -> list[Floats]:
    """The log-probability of pieces, each hidden alone with all others in sight: the terms of a pseudo-log-likelihood.

    Args:
        access: A masked model.
        rows: Texts, each with the places that are asked for, (A,).

    Returns:
        For each row (A,), in nats.

    References:
        Salazar et al. 2020, "Masked language model scoring".
    """
    questions = [Masked(pieces.ids, places[i : i + 1], places[i : i + 1]) for pieces, places in rows for i in range(len(places))]
    answers = ask(access, questions)
    ends = np.cumsum([len(places) for _, places in rows], dtype=np.int64)
    return [_flat(answers[end - len(places) : end]) for end, (_, places) in zip(ends, rows, strict=True)]


def together(access: MaskedAccess, rows: Sequence[tuple[Pieces, Places, Places]]) -> list[Floats]:
    """The log-probability of pieces that are hidden at once.

    Args:
        access: A masked model.
        rows: Texts, each with the places that are asked for, (A,), and further ones that are hidden too.

    Returns:
        For each row (A,), in nats.
    """
    return ask(access, [Masked(pieces.ids, np.union1d(asked, hidden), asked) for pieces, asked, hidden in rows])


def left_to_right(access: MaskedAccess, rows: Sequence[tuple[Pieces, Places]]) -> list[Floats]:
    """The log-probability of the pieces of a filler, each with those before it in sight and those behind it left away.

    This is how the published code of StereoSet fills a blank by a word of several pieces.

    Args:
        access: A masked model.
        rows: Texts, each with the places of the filler, (A,), which follow one another.

    Returns:
        For each row (A,), in nats.
    """
    questions = []
    for pieces, places in rows:
        for count, place in enumerate(places):
            kept = np.concatenate([pieces.ids[: place + 1], pieces.ids[places[-1] + 1 :]])
            hidden = places[count : count + 1]
            questions.append(Masked(kept, hidden, hidden))
    answers = ask(access, questions)
    ends = np.cumsum([len(places) for _, places in rows], dtype=np.int64)
    return [_flat(answers[end - len(places) : end]) for end, (_, places) in zip(ends, rows, strict=True)]


def unmasked(access: MaskedAccess, rows: Sequence[tuple[Pieces, Places]]) -> list[Floats]:
    """The log-probability of pieces with nothing hidden, for each row (A,), in nats."""
    answers = access.unmasked([pieces.ids for pieces, _ in rows]) if rows else []
    return [np.asarray(answer)[places] for answer, (_, places) in zip(answers, rows, strict=True)]


def causal(access: CausalAccess, rows: Sequence[tuple[Pieces, Places]]) -> list[Floats]:
    """The log-probability of pieces given all before them.

    Args:
        access: A causal model.
        rows: Texts, each with the places that are asked for, (A,).

    Returns:
        For each row the pieces that have a probability, (A,) or (A - 1,), in nats: the first piece of a text has none where the
        model has no boundary to read it after.
    """
    answers = access.causal([pieces.ids for pieces, _ in rows]) if rows else []
    asked = [np.asarray(answer, dtype=np.float64)[places] for answer, (_, places) in zip(answers, rows, strict=True)]
    return [found[~np.isnan(found)] for found in asked]


def whole(access: MaskedAccess | CausalAccess, texts: Sequence[Pieces]) -> list[Floats]:
    """The log-probability of every piece of each text: left to right by a causal model, one by one by a masked one."""
    rows = [(pieces, own_places(pieces)) for pieces in texts]
    return parts(access, rows)


def parts(access: MaskedAccess | CausalAccess, rows: Sequence[tuple[Pieces, Places]]) -> list[Floats]:
    """The log-probability of some pieces of each text: left to right by a causal model, one by one by a masked one."""
    return causal(access, rows) if isinstance(access, CausalAccess) else one_by_one(access, rows)


def scoring(access: MaskedAccess | CausalAccess) -> str:
    """How `whole` and `parts` score with this model, in words."""
    return "log-likelihood" if isinstance(access, CausalAccess) else "pseudo-log-likelihood, each piece hidden alone"


def first_piece(access: MaskedAccess | CausalAccess, texts: Sequence[Pieces]) -> Mapping[str, Condition]:
    """Whether a causal model gives the first piece of a text a probability; nothing for a masked model, which always does.

    Args:
        access: The model.
        texts: Some that it scores; the first is looked at.
    """
    if not isinstance(access, CausalAccess) or not texts:
        return {}
    own = own_places(texts[0])[:1]
    scored = bool(len(causal(access, [(texts[0], own)])[0]))
    return {"first_piece": "read after the boundary of the model" if scored else "without probability, left out"}


def total(found: Floats) -> float:
    """The sum of log-probabilities; NaN where there is none, or where a probability is 0."""
    return float(found.sum()) if len(found) and bool(np.isfinite(found).all()) else float("nan")


def mean(found: Floats) -> float:
    """The mean of log-probabilities; NaN as `total`."""
    return total(found) / max(len(found), 1)


def _flat(answers: Sequence[Floats]) -> Floats:
    return np.concatenate(answers) if answers else np.zeros(0)
