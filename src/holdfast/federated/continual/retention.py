"""What a client still has in a period: all of its past, a window of it, or the most it may keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.continual.periods import DAY
from holdfast.models import checks

CapRule = Literal["fifo", "reservoir"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Events:
    """All events of a population, client by client. N clients, n events, P periods.

    Args:
        owners_n: The client of each event, ascending, (n,).
        times_n: When it was, seconds since 1970, (n,).
        periods_n: Its period, (n,), in [0, P).
        edges: Where the periods begin and, last, where the last one ends, seconds, (P + 1,).
        positions_n: Its position in the data set, (n,).
        streams: Randomness of what is kept by chance.
    """

    owners_n: NDArray[np.int64]
    times_n: NDArray[np.int64]
    periods_n: NDArray[np.int64]
    edges: NDArray[np.int64]
    positions_n: NDArray[np.int64]
    streams: Streams

    @cached_property
    def newest_first_n(self) -> NDArray[np.int64]:
        """Places by client, and within a client the newest first; of the same second the last in the data first, (n,)."""
        return np.lexsort((-np.arange(len(self.times_n)), -self.times_n, self.owners_n))

    @cached_property
    def shuffled_n(self) -> NDArray[np.int64]:
        """Places by client, and within a client in an order drawn once: an event's place in it hangs on its position alone, (n,)."""
        most = int(self.positions_n.max(initial=-1)) + 1
        lots_n = self.streams.generator("retention/reservoir").random(most)[self.positions_n]
        return np.lexsort((lots_n, self.owners_n))


class Retention(Protocol):
    """What of its past a client has in a period."""

    name: str

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,); never one of a later period."""
        ...

    def describe(self) -> dict[str, Any]:
        """The name and the options, as plain data."""
        ...


class _Named:
    """Describes a retention by its name and its fields."""

    name: str

    def describe(self) -> dict[str, Any]:
        """The name and the options, as plain data."""
        return {"retention": self.name, **asdict(self)}  # type: ignore[call-overload]  # every one of them is a dataclass


@dataclass(frozen=True)
class Cumulative(_Named):
    """Everything up to the end of the period."""

    name = "cumulative"

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,)."""
        return np.asarray(events.periods_n <= period)


@dataclass(frozen=True)
class Latest(_Named):
    """The events of the period alone."""

    name = "latest"

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,)."""
        return np.asarray(events.periods_n == period)


@dataclass(frozen=True, kw_only=True)
class Sliding(_Named):
    """The events of the last k periods, the present one among them.

    Args:
        window: k >= 1; 1 is `Latest`.
    """

    window: int
    name = "sliding"

    def __post_init__(self) -> None:
        _check_whole("sliding", "window", self.window)

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,)."""
        return np.asarray((events.periods_n <= period) & (events.periods_n > period - self.window))


@dataclass(frozen=True, kw_only=True)
class TimeToLive(_Named):
    """Events of so many days before the end of the period.

    Args:
        days: Above 0, may be a fraction. An event that is exactly so old is kept.
    """

    days: float
    name = "ttl"

    def __post_init__(self) -> None:
        if isinstance(self.days, bool) or not isinstance(self.days, (int, float)) or not 0 < self.days < float("inf"):
            raise InputError(f"retention ttl: days is {self.days!r}; give a finite number above 0")

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,)."""
        return np.asarray((events.periods_n <= period) & (events.edges[period + 1] - events.times_n <= self.days * DAY))


@dataclass(frozen=True, kw_only=True)
class Cap(_Named):
    """So many events of each client at most.

    Args:
        most: At least 1.
        rule: "fifo": the newest stay, the oldest leave first. "reservoir": a uniform sample of all that there were so far.

    Guarantee:
        Under "reservoir", every set of `most` of a client's events so far is equally likely, an event that has left never comes back,
        and what is kept depends on the streams and the positions alone. It is the sample of the events with the smallest of
        independent uniform lots, which has the law of Vitter's algorithm R and needs no pass over the events in their order.

    References:
        Vitter 1985, "Random sampling with a reservoir", ACM TOMS 11(1).
    """

    most: int
    rule: CapRule = "fifo"
    name = "cap"

    def __post_init__(self) -> None:
        _check_whole("cap", "most", self.most)
        if self.rule not in get_args(CapRule):
            raise InputError(f"retention cap: rule is {self.rule!r}; {nearest(str(self.rule), get_args(CapRule))}")

    def kept(self, events: Events, period: int) -> NDArray[np.bool_]:
        """Which events are in the view of a period, (n,)."""
        order_n = events.newest_first_n if self.rule == "fifo" else events.shuffled_n
        there_n = events.periods_n[order_n] <= period
        before_n: NDArray[np.int64] = np.cumsum(there_n) - there_n  # events of the period or before it that stand before, of any client
        owners_n = events.owners_n[order_n]
        starts = np.searchsorted(owners_n, owners_n, side="left") if len(owners_n) else owners_n
        kept_n = np.zeros(len(order_n), dtype=np.bool_)
        kept_n[order_n] = there_n & (before_n - before_n[starts] < self.most)
        return kept_n


RETENTIONS: dict[str, type[Any]] = {
    "cumulative": Cumulative,
    "latest": Latest,
    "sliding": Sliding,
    "ttl": TimeToLive,
    "cap": Cap,
}


def retention(name: str, options: Mapping[str, Any] | None = None) -> Retention:
    """Makes a retention.

    Args:
        name: "cumulative", "latest", "sliding" (window), "ttl" (days) or "cap" (most, rule).
        options: Those of the retention.

    Raises:
        InputError: For an unknown name or option, with the nearest one, an option that is missing, or a value out of its bounds.

    >>> retention("sliding", {"window": 2}).describe()
    {'retention': 'sliding', 'window': 2}
    """
    if name not in RETENTIONS:
        raise InputError(f"there is no retention {name!r}; {nearest(name, RETENTIONS)}")
    given = dict(options or {})
    checks.known_options(f"retention {name}", RETENTIONS[name], given)
    needed = {"sliding": "window", "ttl": "days", "cap": "most"}.get(name)
    if needed is not None and needed not in given:
        raise InputError(f"retention {name}: {needed} is missing; say how much is kept")
    made: Retention = RETENTIONS[name](**given)
    return made


def _check_whole(owner: str, name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"retention {owner}: {name} is {value!r}; give an integer >= 1")
