"""Draws cohorts of a small population, and holds them to what a selector says of them.

Shapes: m clients of a cohort, N clients in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.federated.selection import Cohort, Selector, Signals, View
from holdfast.federated.selection.contract import StatesChances

COUNTS = (0, 1, 1, 1, 2, 2, 3, 0, 5, 8, 13, 40, 1, 2, 3, 3)
"""Examples of the clients: few heavy ones, many light ones, two with nothing."""
AWAY = (3, 10)
"""Clients that cannot be reached."""
SIZE, ROUNDS = 5, 1000
RARE = 1e-9
"""How unlikely a number of draws must be under what is stated before it is called wrong."""
NEAR = {"exact": 0.0, "approximate": 1e-3}
"""By how much of itself a stated probability may be off."""

Counted = NDArray[np.int64]


def check_draws(selector: Selector, streams: Streams) -> None:
    """All clauses about cohorts.

    Args:
        selector: What draws.
        streams: Of all draws.

    Raises:
        AssertionError: Naming the first clause that does not hold.
    """
    for view in (_view(), _view(away=()), _view(seen=True)):
        _check_replayed(selector, view, streams)
        for size in (1, SIZE, len(COUNTS)):
            _check_cohort(selector.select(view, size=size, round=0, rounds=ROUNDS, streams=streams), view, size)
    nobody = _view(away=tuple(range(len(COUNTS))))
    drawn = selector.select(nobody, size=SIZE, round=0, rounds=ROUNDS, streams=streams)
    _holds(len(drawn) == 0, f"{len(drawn)} clients are drawn where none can be reached")
    _check_frequencies(selector, _view(), streams)


def _view(*, away: tuple[int, ...] = AWAY, seen: bool = False) -> View:
    """The population, after some rounds or before the first."""
    counts = np.array(COUNTS, dtype=np.int64)
    available = ~np.isin(np.arange(len(counts)), away)
    signals = Signals.nothing(len(counts))
    if seen:
        places = np.array([1, 4, 9, 11], dtype=np.int64)
        signals.note(places, round=2, loss=np.array([0.5, 2.0, 0.1, 1.0]), seconds=np.array([3.0, 1.0, 9.0, 40.0]))
    return View(counts, available, signals, lambda chosen: 1.0 + np.cos(chosen.astype(np.float64)))


def _check_replayed(selector: Selector, view: View, streams: Streams) -> None:
    before = _kept(view)
    rounds = (0, 3, 1, 3, 0)
    cohorts = [selector.select(view, size=SIZE, round=number, rounds=ROUNDS, streams=streams) for number in rounds]
    for first, second in ((0, 4), (1, 3)):
        same = all(np.array_equal(getattr(cohorts[first], part), getattr(cohorts[second], part)) for part in ("clients", "inclusion"))
        _holds(same, f"round {rounds[first]} draws another cohort when it is drawn again: a resumed run would be another run")
    for name, value in _kept(view).items():
        _holds(np.array_equal(before[name], value, equal_nan=True), f"select writes to {name} of the view")


def _kept(view: View) -> dict[str, NDArray[Any]]:
    assert view.signals is not None
    signals = {field.name: getattr(view.signals, field.name).copy() for field in fields(view.signals)}
    return {"counts": view.counts.copy(), **({} if view.available is None else {"available": view.available.copy()}), **signals}


def _check_cohort(cohort: Cohort, view: View, size: int) -> None:
    usable = view.usable()
    clients = cohort.clients
    inside = not len(clients) or (clients.min() >= 0 and clients.max() < len(usable))
    _holds(bool(inside), f"clients outside of 0 to {len(usable) - 1} are drawn: {clients.tolist()}")
    for client in clients[usable[clients] == 0][:1]:
        why = "has no example" if view.counts[client] == 0 else "cannot be reached"
        _holds(False, f"client {client} is drawn, which {why}")
    _holds(bool((np.diff(clients) >= 0).all()), f"the cohort is not ascending: {clients.tolist()}")
    repeated = cohort.sampling == "with replacement"
    _holds(repeated or len(set(clients.tolist())) == len(clients), f"a client stands twice in a cohort drawn {cohort.sampling!r}")
    most = len(usable) if cohort.sampling == "poisson" else size
    _holds(len(clients) <= most, f"a cohort of {len(clients)} clients where {size} were asked for")
    finite = bool(np.isfinite(cohort.inclusion).all())
    _holds(finite and bool((cohort.inclusion > 0).all()), f"inclusion of clients that were drawn is {cohort.inclusion.tolist()}")
    _holds(repeated or bool((cohort.inclusion <= 1 + 1e-9).all()), f"inclusion goes up to {cohort.inclusion.max(initial=0):.6g}")
    _holds(cohort.exactness in (*NEAR, "unknown"), f"exactness is {cohort.exactness!r}; it is exact, approximate or unknown")


@dataclass(eq=False)
class _Tally:
    """What a thousand rounds have shown.

    Args:
        drawn: How often each client was drawn, (N,).
        stated: The sum over rounds of how likely it was, (N,); NaN where nobody has said.
        trials: Chances that a client had to be drawn: rounds, or places with replacement.
        near: By how much of itself what is stated may be off.
    """

    drawn: Counted
    stated: NDArray[np.float64]
    trials: int
    near: float


def _check_frequencies(selector: Selector, view: View, streams: Streams) -> None:
    tally = _tally(selector, view, streams)
    if tally is None:
        return
    for client in np.flatnonzero(np.isfinite(tally.stated)):
        drawn, mean = int(tally.drawn[client]), tally.stated[client] / tally.trials
        bounds = (mean * (1 - tally.near), min(1.0, mean * (1 + tally.near)))
        least = min(_log_tail(drawn, tally.trials, bound) for bound in bounds)
        inside = bounds[0] <= drawn / tally.trials <= bounds[1]
        clause = f"client {client} with {view.counts[client]} examples was drawn {drawn} times in {ROUNDS} rounds; stated are "
        _holds(inside or least < -math.log(RARE / len(COUNTS)), f"{clause}{tally.stated[client]:.4g}")


def _tally(selector: Selector, view: View, streams: Streams) -> _Tally | None:
    """Draws all rounds; None where the selector says itself that it does not know how likely its clients are."""
    drawn: Counted = np.zeros(len(COUNTS), dtype=np.int64)
    stated, near, places = np.zeros(len(COUNTS)), 0.0, 1
    said: list[set[float]] = [set() for _ in COUNTS]
    for number in range(ROUNDS):
        call: dict[str, Any] = {"size": SIZE, "round": number, "rounds": ROUNDS, "streams": streams}
        cohort = selector.select(view, **call)
        if cohort.exactness == "unknown":
            return None
        near = max(near, NEAR[cohort.exactness])
        places = SIZE if cohort.sampling == "with replacement" else 1
        np.add.at(drawn, cohort.clients, 1)
        if isinstance(selector, StatesChances):
            chances = selector.chances(view, **call)
            agree = np.allclose(chances.inclusion[cohort.clients], cohort.inclusion, rtol=1e-6)
            _holds(bool(agree), "a cohort states other probabilities than `chances`")
            stated += chances.inclusion
        else:
            for client, inclusion in zip(cohort.clients, cohort.inclusion, strict=True):
                said[client].add(round(float(inclusion), 9))
    if not isinstance(selector, StatesChances):  # then only of clients that were drawn, and whose probability stayed the same
        stated = np.array([ROUNDS * next(iter(one)) if len(one) == 1 else np.nan for one in said])
    return _Tally(drawn, stated, ROUNDS * places, near)


def _log_tail(drawn: int, trials: int, chance: float) -> float:
    """Minus the log of Chernoff's bound on how likely so many draws are.

    It holds for chances that differ between rounds, too, with their mean (Hoeffding 1956).
    """
    share, found = drawn / trials, 0.0
    for part, likely in ((share, chance), (1 - share, 1 - chance)):
        if part > 0:
            found += math.inf if likely <= 0 else part * math.log(part / likely)
    return trials * found - math.log(2)


def _holds(clause: bool, otherwise: str) -> None:
    if not clause:
        raise AssertionError(otherwise)
