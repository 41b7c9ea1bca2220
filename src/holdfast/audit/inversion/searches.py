"""Searches that ask for losses alone: one word at a time, and at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.audit.canaries.fills import FillLosses, Places, random_fills
from holdfast.audit.intervals import Floats
from holdfast.audit.inversion.settings import InversionSettings
from holdfast.core.randomness import Streams

SWEEPS = 3
"""How often a descent looks at each position before it ends, as a rule."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search came to.

    Args:
        places: The fill, (n,).
        loss: Its loss with the secret's labels, in nats.
        queries: Sentences that went through the model.
    """

    places: tuple[int, ...]
    loss: float
    queries: int


def best_of(places: Places, losses: Floats, *, queries: int) -> Found:
    """The fill with the lowest loss, the first of several."""
    best = int(np.argmin(losses))
    return Found(places=tuple(places[best].tolist()), loss=float(losses[best]), queries=queries)


def random_search(fills: FillLosses, *, queries: int, generator: np.random.Generator) -> Found:
    """The best of so many fills drawn at random: what a search must beat.

    Args:
        fills: What gives the losses.
        queries: Fills to draw, at least 1.
        generator: Of the draws; share none with the search that is compared.
    """
    places = random_fills(fills.pattern, count=queries, generator=generator)
    return best_of(places, fills.losses(places), queries=queries)


def coordinate_search(fills: FillLosses, settings: InversionSettings, *, streams: Streams) -> Found:
    """Discrete coordinate descent: from a random fill, every candidate at each position in turn, and the best is kept.

    A descent ends where no single word lowers the loss. Descents go side by side, at most `settings.restarts` of them and no
    more than can look at each position `SWEEPS` times, then as many again until the queries are used.

    Args:
        fills: What gives the losses.
        settings: The queries and the restarts.
        streams: Randomness of the starts.

    Edge cases:
        The last descents may be cut short by the end of the queries; what they have found counts. The queries are never exceeded.
    """
    generator, left = streams.generator("starts"), settings.queries
    tried: list[Found] = []
    whole = SWEEPS * fills.pattern.length * (len(fills.pattern.candidates) - 1) + 1
    while left > 0:
        starts = random_fills(fills.pattern, count=max(1, min(settings.restarts, left // whole)), generator=generator)
        found = _descend(fills, starts, queries=left)
        left -= found.queries
        tried.append(found)
    best = min(tried, key=lambda one: one.loss)
    return Found(places=best.places, loss=best.loss, queries=settings.queries - left)


def _descend(fills: FillLosses, starts: Places, *, queries: int) -> Found:
    """Descends from each start at once; stops where nothing changes any more, or the next position would exceed the queries."""
    V, n = len(fills.pattern.candidates), fills.pattern.length
    now, best = starts.copy(), fills.losses(starts)
    spent, quiet, position = len(starts), np.zeros(len(starts), dtype=np.int64), 0
    while True:
        # a descent that n positions in a row left as it was can go no further; with one unknown word one look is enough
        active = np.flatnonzero(quiet < n)[: (queries - spent) // (V - 1)]
        if not len(active):
            return best_of(now, best, queries=spent)
        tried = np.repeat(now[active, None], V - 1, axis=1)
        tried[:, :, position] = (tried[:, :, position] + np.arange(1, V)) % V
        losses = fills.losses(tried.reshape(-1, n)).reshape(len(active), V - 1)
        spent += losses.size
        chosen, rows = losses.argmin(1), np.arange(len(active))
        better = losses[rows, chosen] < best[active]
        quiet[active] = np.where(better, 1, quiet[active] + 1)  # the position itself is now at its best
        now[active[better]] = tried[rows, chosen][better]
        best[active[better]] = losses[rows, chosen][better]
        position = (position + 1) % n
