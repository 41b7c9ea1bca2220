"""What a selector is: it looks at a view of the clients and draws a cohort, which says how likely each of its clients was.

Shapes: N clients in all, m clients of a cohort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

Sampling = Literal["without replacement", "with replacement", "poisson"]
Exactness = Literal["exact", "approximate", "unknown"]
SAMPLINGS: tuple[str, ...] = get_args(Sampling)


@dataclass(frozen=True, eq=False)
class Signals:
    """What the server has learnt of the clients so far; the arrays are written to as rounds go by.

    Args:
        last_loss: Mean loss of a client over its examples when it last took part, nats, (N,); NaN where unknown.
        rms_loss: Root of the mean squared loss then, (N,); NaN where unknown.
        last_round: The round in which it last took part, counted from 0, (N,); -1 for never.
        times: How often it has taken part, (N,).
        seconds: How long it took when last seen, (N,); NaN where unknown.

    Raises:
        InputError: If the arrays differ in length.
    """

    last_loss: NDArray[np.floating[Any]]
    rms_loss: NDArray[np.floating[Any]]
    last_round: NDArray[np.integer[Any]]
    times: NDArray[np.integer[Any]]
    seconds: NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("last_loss", "rms_loss", "last_round", "times", "seconds")}
        if len(set(lengths.values())) > 1:
            raise InputError(f"signals: arrays of different length, {lengths}; give one value for each client in each of them")

    @classmethod
    def nothing(cls, clients: int) -> Self:
        """The signals before the first round, 20 bytes for each client."""
        unknown = [np.full(clients, np.nan, dtype=np.float32) for _ in range(3)]
        return cls(unknown[0], unknown[1], np.full(clients, -1, dtype=np.int32), np.zeros(clients, dtype=np.int32), unknown[2])

    def note(
        self,
        clients: NDArray[np.int64],
        *,
        round: int,
        loss: NDArray[np.floating[Any]],
        rms_loss: NDArray[np.floating[Any]] | None = None,
        seconds: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Writes down what the clients of a round reported.

        Args:
            clients: Which, (m,), each once.
            round: The round, counted from 0.
            loss: Their mean losses, (m,).
            rms_loss: Roots of their mean squared losses, (m,); None takes `loss`, which is what it is for a client of one example.
            seconds: How long they took, (m,).
        """
        self.last_loss[clients] = loss
        self.rms_loss[clients] = loss if rms_loss is None else rms_loss
        self.last_round[clients] = round
        self.times[clients] += 1
        if seconds is not None:
            self.seconds[clients] = seconds


@dataclass(frozen=True, eq=False)
class View:
    """What a selector may look at in a round.

    Args:
        counts: Usable examples of each client now, int64, (N,); a client with 0 is never drawn.
        available: Which clients can be reached, (N,); None for all.
        signals: What earlier rounds told; None for nothing yet.
        losses_of: From clients, (k,), to their mean loss under the current weights, (k,); None where nobody can be asked.

    Raises:
        InputError: For counts that are not whole numbers >= 0, or arrays of another length.
    """

    counts: NDArray[np.int64]
    available: NDArray[np.bool_] | None = None
    signals: Signals | None = None
    losses_of: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        counts = self.counts
        if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
            raise InputError(f"view: counts are {counts.dtype} of shape {counts.shape}; give one whole number for each client")
        if counts.size and counts.min() < 0:
            raise InputError(f"view: counts go down to {counts.min()}; give whole numbers >= 0")
        if self.available is not None and (self.available.shape != counts.shape or self.available.dtype != np.bool_):
            raise InputError(f"view: available is {self.available.dtype} of shape {self.available.shape}; give {counts.shape} booleans")
        if self.signals is not None and len(self.signals.times) != len(counts):
            raise InputError(f"view: signals of {len(self.signals.times)} clients for {len(counts)} counts; give one for each client")

    def usable(self) -> NDArray[np.int64]:
        """The counts, with 0 for clients that cannot be reached, (N,); perhaps a view, so do not write to it."""
        if self.available is None:
            return self.counts.astype(np.int64, copy=False)
        return self.counts * self.available.astype(np.int64)

    def known(self) -> Signals:
        """The signals, or those of a first round."""
        return Signals.nothing(len(self.counts)) if self.signals is None else self.signals


@dataclass(frozen=True, eq=False)
class Cohort:
    """The clients of a round.

    Args:
        clients: Their numbers, int64, (m,), ascending; one drawn twice with replacement stands there twice. It may be empty.
        inclusion: Probability that a client with this number of examples is in the cohort, (m,); with replacement the expected
            number of times that it is drawn.
        sampling: "without replacement", "with replacement", "poisson" or "deterministic".
        exactness: Of `inclusion`: "exact", "approximate", or "unknown" where it is no more than a guess.
        never: How many clients with examples, reachable in this round, had no chance at all.

    Raises:
        InputError: If there is not one inclusion probability for each client.
    """

    clients: NDArray[np.int64]
    inclusion: NDArray[np.float64]
    sampling: str
    exactness: str
    never: int = 0

    def __post_init__(self) -> None:
        if self.clients.shape != self.inclusion.shape or self.clients.ndim != 1:
            raise InputError(
                f"cohort: {self.inclusion.shape} inclusion probabilities for {self.clients.shape} clients; give one for each client"
            )

    def __len__(self) -> int:
        return len(self.clients)


@dataclass(frozen=True)
class Leaning:
    """Whom a selector favours.

    Args:
        towards: "heavy" clients, "light" ones, or "nobody".
        exponent: tau where a client is drawn in proportion to n^tau; None where there is no such number.
    """

    towards: Literal["heavy", "light", "nobody"]
    exponent: float | None = None

    @classmethod
    def power(cls, exponent: float) -> Self:
        """The leaning of weights n^exponent."""
        return cls("nobody" if exponent == 0 else "heavy" if exponent > 0 else "light", exponent)


class Selector(Protocol):
    """Draws cohorts.

    Guarantee:
        The cohort depends on the view, the size, the round and the streams, and on nothing else: a resumed run draws it again.
        No client is drawn that has no example or cannot be reached.
    """

    @property
    def name(self) -> str:
        """Such as "activity"."""
        ...

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round.

        Args:
            view: The clients.
            size: m >= 1; smaller cohorts come where fewer clients can be drawn, and in expectation with "poisson".
            round: Counted from 0.
            rounds: How many there are in all.
            streams: Randomness of the run.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The strategy and its options as plain data."""
        ...


@runtime_checkable
class Leans(Protocol):
    """A selector that can say whom it favours."""

    def leaning(self) -> Leaning:
        """Whom."""
        ...


@runtime_checkable
class StatesChances(Protocol):
    """A selector whose inclusion probabilities can be computed before anybody is drawn."""

    def chances(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Every client as if drawn: `clients` is 0 .. N - 1 and `inclusion` the probability of each, 0 where it has no chance."""
        ...


def check_call(owner: str, *, size: int, round: int, rounds: int) -> None:
    """Refuses a cohort or a round that cannot be.

    Raises:
        InputError: For a size below 1 or a round outside [0, rounds).
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"{owner}: size of the cohort is {size!r}; give a whole number >= 1")
    if not 0 <= round < rounds:
        raise InputError(f"{owner}: round is {round} of {rounds}; give a round from 0 to {rounds - 1}")
