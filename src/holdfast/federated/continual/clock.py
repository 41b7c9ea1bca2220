"""The continual clock: which examples a client has in which round, and which events come next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.continual.retention import Cumulative, Events, Retention
from holdfast.federated.population import Clients


class Schedule(Protocol):
    """Which examples clients have in which round."""

    @property
    def periods(self) -> int:
        """How many periods there are; 1 where nothing changes."""
        ...

    @property
    def rounds(self) -> int:
        """How many rounds all periods have together."""
        ...

    @property
    def rounds_per_period(self) -> tuple[int, ...]:
        """The rounds of each period."""
        ...

    @property
    def resets_server(self) -> bool:
        """Whether the server forgets the state of its optimiser where a period begins; the model is always carried over."""
        ...

    def period_of_round(self, round: int) -> int:
        """The period that a round lies in."""
        ...

    def view(self, period: int) -> Clients:
        """The examples that clients have in a period, with the numbers of clients that the population has."""
        ...

    def events(self, period: int) -> NDArray[np.int64]:
        """Positions of the examples that came in a period, in the order of time."""
        ...

    def next_events(self, period: int) -> NDArray[np.int64]:
        """Positions of the examples that come in the period after this one; none after the last."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a run record keeps of it, as plain data."""
        ...


class Static:
    """One period with all examples: everything is there from the first round.

    Args:
        clients: The population.
        rounds: At least 1.
    """

    periods, resets_server = 1, False

    def __init__(self, *, clients: Clients, rounds: int) -> None:
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise InputError(f"rounds is {rounds!r}; give an integer >= 1")
        self.rounds = rounds
        self._clients = clients

    @property
    def rounds_per_period(self) -> tuple[int, ...]:
        """All of the rounds."""
        return (self.rounds,)

    def period_of_round(self, round: int) -> int:
        """Always 0."""
        return 0

    def view(self, period: int) -> Clients:
        """The whole population."""
        _check_period(period, self.periods)
        return self._clients

    def events(self, period: int) -> NDArray[np.int64]:
        """Positions of all examples, ascending."""
        _check_period(period, self.periods)
        return np.sort(_positions(self._clients))

    def next_events(self, period: int) -> NDArray[np.int64]:
        """None: nothing comes later."""
        _check_period(period, self.periods)
        return np.zeros(0, dtype=np.int64)

    def describe(self) -> dict[str, Any]:
        """What a run record keeps of it."""
        return {"schedule": "static", "periods": 1, "rounds": self.rounds}


class Clock:
    """Consecutive periods in which clients get new examples, and forget old ones.

    Args:
        clients: The population, with all examples that there ever are.
        times_n: When each example of the data set was, by its position, int64 seconds since 1970, (n,).
        edges: Where the periods begin and, last, where the last one ends, seconds, (P + 1,), strictly ascending; from
            `equal_spans`, `equal_counts` or `by_days`.
        retention: What of its past a client has in a period.
        rounds_per_period: Rounds of each period, at least 1: one number for all, or one for each.
        resets_server: Whether the server forgets the state of its optimiser where a period begins. The model is always carried over.
        streams: Randomness of a retention that keeps by chance.

    Raises:
        InputError: For edges that do not ascend, an example outside of all periods, or rounds that do not fit the periods.

    Guarantee:
        A view never holds an example of a later period, nor one that its retention has let go; it holds every other one. A client has
        the same number in every view, so a ledger of what was spent on a client goes on from period to period: a promise to a
        user is about all periods together.

    Edge cases:
        A client without an example in a period is in its view with a count of 0, and is not eligible. A period may be empty.

    >>> clients = Clients.of_users(["ann", "bob", "ann"])
    >>> clock = Clock(clients, times_n=np.array([5, 12, 17]), edges=np.array([0, 10, 20]), rounds_per_period=3)
    >>> clock.view(0).counts.tolist(), clock.view(1).counts.tolist(), clock.next_events(0).tolist(), clock.rounds
    ([1, 0], [2, 1], [1, 2], 6)
    """

    def __init__(
        self,
        clients: Clients,
        *,
        times_n: NDArray[np.int64],
        edges: NDArray[np.int64],
        retention: Retention | None = None,
        rounds_per_period: int | Sequence[int] = 1,
        resets_server: bool = False,
        streams: Streams | None = None,
    ) -> None:
        self.edges = np.asarray(edges, dtype=np.int64)
        if self.edges.ndim != 1 or len(self.edges) < 2 or (np.diff(self.edges) <= 0).any():
            raise InputError(f"edges of shape {self.edges.shape} do not ascend; give P + 1 seconds, each later than the one before")
        self.retention: Retention = retention or Cumulative()
        self.resets_server = resets_server
        self.rounds_per_period = _rounds(rounds_per_period, self.periods)
        self._clients = clients
        self._ends = np.cumsum(self.rounds_per_period)
        self._events = self._laid_out(np.asarray(times_n), streams or Streams.from_seed(0))

    def _laid_out(self, times_n: NDArray[np.int64], streams: Streams) -> Events:
        positions_n = _positions(self._clients)
        if not np.issubdtype(times_n.dtype, np.integer) or times_n.ndim != 1:
            raise InputError(f"times are {times_n.dtype} of shape {times_n.shape}; give int64 seconds since 1970, one for each example")
        if len(positions_n) and not 0 <= positions_n.min() <= positions_n.max() < len(times_n):
            raise InputError(f"the clients name position {positions_n.max()} of {len(times_n)} times; give one for each example")
        own_n = times_n[positions_n].astype(np.int64, copy=False)
        outside = (own_n < self.edges[0]) | (own_n >= self.edges[-1])
        if outside.any():
            raise InputError(f"{int(outside.sum()):,} examples lie outside of all periods; make the edges of the same times")
        return Events(
            owners_n=np.repeat(np.arange(len(self._clients), dtype=np.int64), self._clients.counts),
            times_n=own_n,
            periods_n=np.searchsorted(self.edges, own_n, side="right") - 1,
            edges=self.edges,
            positions_n=positions_n,
            streams=streams,
        )

    @property
    def periods(self) -> int:
        """P, how many periods there are."""
        return len(self.edges) - 1

    @property
    def rounds(self) -> int:
        """How many rounds all periods have together."""
        return int(self._ends[-1])

    def period_of_round(self, round: int) -> int:
        """The period that a round lies in.

        Args:
            round: Counted from 0, below `rounds`.
        """
        if not 0 <= round < self.rounds:
            raise InputError(f"round {round} is outside of the clock; it has rounds 0 to {self.rounds - 1}")
        return int(np.searchsorted(self._ends, round, side="right"))

    def view(self, period: int) -> Clients:
        """The examples that clients have in a period.

        Args:
            period: In [0, P).

        Returns:
            All N clients with their numbers and names, and of the examples of each, in their order, those that it has.
        """
        _check_period(period, self.periods)
        kept_n = self.retention.kept(self._events, period)
        running = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept_n, dtype=np.int64)])
        return Clients(running[self._clients.offsets], self._events.positions_n[kept_n], self._clients.names)

    def events(self, period: int) -> NDArray[np.int64]:
        """Positions of the examples that came in a period, whatever the retention, in the order of time.

        Scored before the period is trained on, they give the prequential score.
        """
        _check_period(period, self.periods)
        order_n, starts = self._by_period
        return self._events.positions_n[order_n[starts[period] : starts[period + 1]]]

    def next_events(self, period: int) -> NDArray[np.int64]:
        """Positions of the examples that come in the period after this one, in the order of time; none after the last."""
        _check_period(period, self.periods)
        return self.events(period + 1) if period + 1 < self.periods else np.zeros(0, dtype=np.int64)

    def describe(self) -> dict[str, Any]:
        """What a run record keeps of it: no time of an example, only those of the periods."""
        told = {"schedule": "continual", "periods": self.periods, "rounds": self.rounds, "rounds_per_period": list(self.rounds_per_period)}
        server = "reset" if self.resets_server else "carried"
        return {**told, **self.retention.describe(), "server": server, "edges": [int(edge) for edge in self.edges]}

    @cached_property
    def _by_period(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in the order of time, of the same second by position; and where each period begins among them."""
        order_n = np.lexsort((self._events.positions_n, self._events.times_n))
        return order_n, np.searchsorted(self._events.times_n[order_n], self.edges)


def _positions(clients: Clients) -> NDArray[np.int64]:
    """The position of each example, client by client."""
    return np.arange(clients.total, dtype=np.int64) if clients.examples is None else np.asarray(clients.examples, dtype=np.int64)


def _rounds(given: int | Sequence[int], periods: int) -> tuple[int, ...]:
    rounds = (given,) * periods if isinstance(given, int) else tuple(given)
    if len(rounds) != periods or not all(isinstance(count, int) and not isinstance(count, bool) and count >= 1 for count in rounds):
        raise InputError(f"rounds_per_period is {given!r} for {periods} periods; give an integer >= 1, or one for each period")
    return rounds


def _check_period(period: int, periods: int) -> None:
    if not 0 <= period < periods:
        raise InputError(f"period is {period}; give an integer in [0, {periods})")
