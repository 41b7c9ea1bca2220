"""Schedules by name, as study files give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.continual.clock import Clock, Schedule, Static
from holdfast.federated.continual.periods import by_days, equal_counts, equal_spans
from holdfast.federated.continual.retention import Retention, retention
from holdfast.federated.population import Clients
from holdfast.models import checks

Cut = Literal["spans", "counts", "days"]
Server = Literal["carried", "reset"]
SCHEDULES = ("static", "continual")


@dataclass(frozen=True, kw_only=True)
class StaticOptions:
    """Options of "static".

    Args:
        rounds: At least 1.
    """

    rounds: int


@dataclass(frozen=True, kw_only=True)
class ContinualOptions:
    """Options of "continual".

    Args:
        periods: How many periods (spans, counts).
        cut: "counts" (as many examples each), "spans" (the same length each) or "days" (so many days each).
        days: Days of a period ("days" alone).
        retention: A name, or a table with the name and its options, such as ``{name = "sliding", window = 2}``.
        rounds_per_period: One number, or one for each period.
        server: "carried", or "reset": the server forgets the state of its optimiser where a period begins.
    """

    periods: int | None = None
    cut: Cut = "counts"
    days: int | None = None
    retention: str | Mapping[str, Any] = "cumulative"
    rounds_per_period: int | Sequence[int] = 1
    server: Server = "carried"

    def __post_init__(self) -> None:
        for name, choices in (("cut", get_args(Cut)), ("server", get_args(Server))):
            if getattr(self, name) not in choices:
                raise InputError(f"schedule continual: {name} is {getattr(self, name)!r}; {nearest(str(getattr(self, name)), choices)}")
        if self.cut == "days" and (self.days is None or self.periods is not None):
            raise InputError("schedule continual: cut 'days' needs days and no periods: the times say how many there are")
        if self.cut != "days" and (self.periods is None or self.days is not None):
            raise InputError(f"schedule continual: cut {self.cut!r} needs periods and no days")
        self.kept()

    def kept(self) -> Retention:
        """The retention."""
        if isinstance(self.retention, str):
            return retention(self.retention)
        options = dict(self.retention)
        if "name" not in options:
            raise InputError(f"schedule continual: retention is {self.retention!r}; give its name too, such as {{name = 'latest'}}")
        return retention(str(options.pop("name")), options)

    def edges(self, times_n: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the periods begin and end; see `holdfast.federated.continual.periods`."""
        if self.days is not None:
            return by_days(times_n, days=self.days)
        return (equal_spans if self.cut == "spans" else equal_counts)(times_n, periods=self.periods or 1)


def check_schedule(name: str, options: Mapping[str, Any] | None = None) -> StaticOptions | ContinualOptions:
    """Checks a schedule before there are data.

    Args:
        name: "static" or "continual".
        options: See `StaticOptions` and `ContinualOptions`.

    Raises:
        InputError: For an unknown name or option, with the nearest one, or options that do not fit each other.
    """
    if name not in SCHEDULES:
        raise InputError(f"there is no schedule {name!r}; {nearest(name, SCHEDULES)}")
    kind: type[Any] = StaticOptions if name == "static" else ContinualOptions
    checks.known_options(f"schedule {name}", kind, options or {})
    if name == "static" and "rounds" not in (options or {}):
        raise InputError("schedule static: rounds is missing; say how many")
    made: StaticOptions | ContinualOptions = kind(**(options or {}))
    return made


def schedule(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    clients: Clients,
    times_n: NDArray[np.int64] | None = None,
    streams: Streams,
) -> Schedule:
    """Makes a schedule.

    Args:
        name: "static" (rounds), or "continual" (periods, cut, days, retention, rounds_per_period, server).
        options: See `StaticOptions` and `ContinualOptions`.
        clients: The population.
        times_n: When each example of the data set was, seconds since 1970, by position, (n,); "static" needs none. The periods are cut
            by the examples that the clients have.
        streams: Randomness of a retention that keeps by chance.

    Raises:
        InputError: As `check_schedule`, for a clock without times, and what `Clock` raises.
    """
    given = check_schedule(name, options)
    if isinstance(given, StaticOptions):
        return Static(clients=clients, rounds=given.rounds)
    if times_n is None:
        raise InputError("schedule continual: the data have no times, so nothing comes before anything; name the column of times")
    own_n = times_n if clients.examples is None else times_n[np.asarray(clients.examples, dtype=np.int64)]
    return Clock(
        clients,
        times_n=times_n,
        edges=given.edges(own_n[: clients.total]),
        retention=given.kept(),
        rounds_per_period=given.rounds_per_period,
        resets_server=given.server == "reset",
        streams=streams.child("schedule"),
    )
