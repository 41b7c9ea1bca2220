"""Which of several endings a language model finds likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, Pieces
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.reading import Places, Reading, read

Pooling = Literal["sum", "mean"]

NO_CHOICE = -1
"""The choice of a model whose best endings tie, or that cannot score one of them."""


@dataclass(frozen=True, eq=False)
class Choices:
    """What a model chose.

    Args:
        chosen: The place of the likeliest ending of each prompt; `NO_CHOICE` where the best ones tie or one cannot be scored.
        scores_nK: Of the K endings, (n, K), in nats; NaN where an ending cannot be scored.
        reading: How the model read the texts.
        variant: How endings were scored, in words.
    """

    chosen: tuple[int, ...]
    scores_nK: NDArray[np.float64]
    reading: Reading
    variant: str


def choose(
    access: MaskedAccess | CausalAccess, prompts: Sequence[str], endings: Sequence[Sequence[str]], *, pooling: Pooling, after: str = ""
) -> Choices:
    """Scores every ending of every prompt, in one call to the model.

    Args:
        access: A causal model scores the log-probability of the ending given the prompt; a masked one its pseudo-log-likelihood, each
            piece of it hidden alone.
        prompts: Each is followed by a blank and the ending.
        endings: As many for each prompt, at least two.
        pooling: "sum" over the pieces of an ending, which favours short ones, or "mean".
        after: What follows the ending and is not scored, such as "."; a masked model sees it.

    Raises:
        InputError: For prompts that have not as many endings as the first.

    Edge cases:
        An ending of which the model knows none of the pieces that tell it from the others ("the baker" where it does not know bakers), or
        a text that was cut, cannot be scored; the prompt then has no choice.
    """
    count = len(endings[0]) if endings else 2
    if len(prompts) != len(endings) or any(len(row) != count for row in endings) or count < 2:
        raise InputError(f"{len(prompts)} prompts and {len(endings)} lists of endings; give each prompt {count} endings, at least 2")
    reading = read(access, [f"{prompt} {text}{after}" for prompt, row in zip(prompts, endings, strict=True) for text in row])
    spans = [(len(prompt) + 1, len(prompt) + 1 + len(text)) for prompt, row in zip(prompts, endings, strict=True) for text in row]
    rows = [(pieces, pieces.within(*span)) for pieces, span in zip(reading.pieces, spans, strict=True)]
    known = np.array([one for start in range(0, len(rows), count) for one in _known(rows[start : start + count])], dtype=bool)
    pooled = asking.total if pooling == "sum" else asking.mean
    found = np.array([pooled(values) for values in asking.parts(access, rows)], dtype=np.float64)
    scores = np.where(known, found, np.nan).reshape(-1, count)
    return Choices(
        tuple(_best(row) for row in scores), scores, reading, f"{asking.scoring(access)}: {pooling} over the pieces of the answer"
    )


def _best(row: NDArray[np.float64]) -> int:
    if not np.isfinite(row).all() or int((row >= row.max() - asking.TIE).sum()) > 1:
        return NO_CHOICE
    return int(row.argmax())


def _known(rows: Sequence[tuple[Pieces, Places]]) -> list[bool]:
    """For each ending of one prompt, whether the model knows any of its own pieces, those that not all endings have."""
    ids = [set(pieces.ids[places].tolist()) for pieces, places in rows]
    shared = set.intersection(*ids)
    found = []
    for (pieces, places), own in zip(rows, ids, strict=True):
        telling = [at for at in places if pieces.ids[at] not in shared] if own - shared else list(places)
        found.append(not pieces.cut and any(bool(pieces.known[at]) for at in telling))
    return found
