"""Which clients can be reached in a round: all, some by chance, by the time of day, or on and off for a while."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.population.addressed import by_client, uniforms
from holdfast.models import checks


@runtime_checkable
class Availability(Protocol):
    """Says who can be reached.

    Guarantee:
        Whether a client can be reached depends on (streams, round, client) alone: a resumed run, and one with more clients, finds
        the same. Nobody's data are looked at.
    """

    @property
    def name(self) -> str:
        """The name in study files."""
        ...

    def available(self, clients: int, *, round: int, streams: Streams) -> NDArray[np.bool_]:
        """Whether each client can be reached in a round, (N,).

        Args:
            clients: N.
            round: From 0.
            streams: Of the run.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        ...


@dataclass(frozen=True)
class Always:
    """Every client can be reached in every round."""

    @property
    def name(self) -> str:
        """The name in study files."""
        return "always"

    def available(self, clients: int, *, round: int, streams: Streams) -> NDArray[np.bool_]:
        """True for all, (N,)."""
        return np.ones(clients, dtype=np.bool_)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"availability": self.name}


@dataclass(frozen=True, kw_only=True)
class Independent:
    """Each client can be reached by chance, each round anew.

    Args:
        least: The probability of a client is drawn evenly from [least, most], once for the whole run.
        most: In [least, 1]; the same as `least` where all clients are alike.

    Raises:
        InputError: For a value out of its bounds.
    """

    least: float = 0.5
    most: float = 0.5

    def __post_init__(self) -> None:
        _shares("independent", least=self.least, most=self.most)
        if self.least > self.most:
            raise InputError(f"independent: least is {self.least} and most is {self.most}; give least <= most")

    @property
    def name(self) -> str:
        """The name in study files."""
        return "independent"

    def available(self, clients: int, *, round: int, streams: Streams) -> NDArray[np.bool_]:
        """Whether each client can be reached, (N,)."""

        def there(some: NDArray[np.int64]) -> NDArray[np.bool_]:
            draws = uniforms(streams, "availability", some, round)
            return np.asarray(draws < self.probability(some, streams=streams))

        return by_client(clients, there)

    def probability(self, clients: NDArray[np.int64], *, streams: Streams) -> NDArray[np.float64]:
        """The probability with which each of some clients can be reached in a round, (m,)."""
        if self.least == self.most:
            return np.full(len(clients), self.least)
        return self.least + (self.most - self.least) * uniforms(streams, "availability of a client", clients)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"availability": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Diurnal:
    """Each client is reached best at one time of its day, such as at night when it is idle and charging.

    The probability goes from `trough` to `peak` and back, as a cosine. When a client's peak is, is a hash of its number.

    Args:
        period: Rounds of a day, at least 2.
        peak: The highest probability, in [0, 1].
        trough: The lowest, at most `peak`.
        spread: Share of the day over which the peaks of clients lie evenly, in [0, 1]: 0 for all at once, in round 0; 1 for a
            population around the world, of which about as many can be reached at any time.

    Raises:
        InputError: For a value out of its bounds.
    """

    period: int = 24
    peak: float = 0.9
    trough: float = 0.1
    spread: float = 0.5

    def __post_init__(self) -> None:
        checks.integer("diurnal", least=2, period=self.period)
        _shares("diurnal", peak=self.peak, trough=self.trough, spread=self.spread)
        if self.trough > self.peak:
            raise InputError(f"diurnal: trough is {self.trough} and peak is {self.peak}; give trough <= peak")

    @property
    def name(self) -> str:
        """The name in study files."""
        return "diurnal"

    def available(self, clients: int, *, round: int, streams: Streams) -> NDArray[np.bool_]:
        """Whether each client can be reached, (N,)."""

        def there(some: NDArray[np.int64]) -> NDArray[np.bool_]:
            draws = uniforms(streams, "availability", some, round)
            return np.asarray(draws < self.probability(some, round=round, streams=streams))

        return by_client(clients, there)

    def probability(self, clients: NDArray[np.int64], *, round: int, streams: Streams) -> NDArray[np.float64]:
        """The probability with which each of some clients can be reached in a round, (m,)."""
        time = round / self.period - self.spread * uniforms(streams, "time of day", clients)
        return np.asarray(self.trough + (self.peak - self.trough) * (1 + np.cos(2 * math.pi * time)) / 2)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"availability": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Markov:
    """A client that can be reached stays so for a while, and so does one that cannot.

    Args:
        returns: Probability that a client that is away in a round is back in the next, in [0, 1].
        leaves: Probability that one that is there is away in the next, in [0, 1]; one of the two is above 0.

    Raises:
        InputError: For a value out of its bounds.

    Guarantee:
        Every round, the first included, finds returns / (returns + leaves) of the clients there on average (the stationary share).
        A round that is asked for out of order, as in a resumed run, is worked out backwards: what a client draws in a round decides
        its state whatever it was before, but for draws between two bounds, and only clients with such a draw are looked at further.
    """

    returns: float = 0.25
    leaves: float = 0.25
    _last: dict[tuple[int, int], tuple[int, NDArray[np.bool_]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _shares("markov", returns=self.returns, leaves=self.leaves)
        if self.returns + self.leaves == 0:
            raise InputError("markov: returns and leaves are 0, so nobody ever comes or goes; give one of them above 0")

    @property
    def name(self) -> str:
        """The name in study files."""
        return "markov"

    def available(self, clients: int, *, round: int, streams: Streams) -> NDArray[np.bool_]:
        """Whether each client can be reached, (N,)."""
        last, state = self._last.get((streams.key, clients), (-1, None))
        if state is None or last != round - 1:
            found = by_client(clients, lambda some: self._looked_back(some, round, streams))
        else:
            before = state
            found = by_client(clients, lambda some: self._next(some, before[some[0] : some[-1] + 1], round, streams))
        self._last.clear()  # one population at a time: a round is most often the next of the one before
        self._last[streams.key, clients] = (round, found)
        return found.copy()

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"availability": self.name, "returns": self.returns, "leaves": self.leaves}

    def _next(self, clients: NDArray[np.int64], before: NDArray[np.bool_], round: int, streams: Streams) -> NDArray[np.bool_]:
        """Who is there is so with probability 1 - leaves, who was away with probability returns; both of one draw."""
        draws = uniforms(streams, "availability", clients, round)
        return np.where(before, draws < 1 - self.leaves, draws < self.returns)

    def _looked_back(self, clients: NDArray[np.int64], round: int, streams: Streams) -> NDArray[np.bool_]:
        low, high = sorted((self.returns, 1 - self.leaves))
        turns = self.returns > 1 - self.leaves  # between the bounds a client then changes its state, otherwise it keeps it
        found = np.empty(len(clients), dtype=np.bool_)
        open_ = np.arange(len(clients))
        for past in range(round, -1, -1):
            draws = uniforms(streams, "availability", clients[open_], past)
            decided = (draws < low) | (draws >= high)
            found[open_[decided]] = (draws[decided] < low) ^ (turns and bool((round - past) % 2))
            open_ = open_[~decided]
            if not len(open_):
                return found
        first = uniforms(streams, "availability at first", clients[open_]) < self.returns / (self.returns + self.leaves)
        found[open_] = first ^ (turns and bool((round + 1) % 2))
        return found


AVAILABILITIES: Mapping[str, type[Any]] = {"always": Always, "independent": Independent, "diurnal": Diurnal, "markov": Markov}
"""Every kind of availability by its name."""


def availability(name: str, options: Mapping[str, Any] | None = None) -> Availability:
    """Makes an availability by its name.

    Args:
        name: One of `AVAILABILITIES`.
        options: Its fields, such as ``{"least": 0.2, "most": 0.9}``.

    Raises:
        InputError: For an unknown name or option, with the nearest valid one, or a value out of its bounds.

    >>> availability("diurnal", {"period": 12}).describe()["period"]
    12
    """
    if name not in AVAILABILITIES:
        raise InputError(f"unknown availability {name!r}; {nearest(name, AVAILABILITIES)}")
    checks.known_options(name, AVAILABILITIES[name], options or {})
    made: Availability = AVAILABILITIES[name](**(options or {}))
    return made


def _shares(_owner: str, /, **values: float) -> None:
    """Holds each value to [0, 1]."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{_owner}: {name} is {value!r}; give a number in [0, 1]")
