"""Clients that are slow, and clients that fail: whose update of a round arrives, and after how many seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.population.addressed import uniforms
from holdfast.models import checks

FAILED, TOO_SLOW = "failed", "too slow"
"""Why an update does not arrive."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What becomes of the clients of a cohort. m clients.

    Args:
        kept: Whose update arrives, (m,).
        seconds: How long each would take, (m,), those left out as well.
        left_out: For each reason, whose update does not arrive for it, (m,); a client that fails is not also too slow.
    """

    kept: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    left_out: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Stragglers:
    """How fast clients are, how long the server waits, and who fails.

    A client needs `start` seconds, and for each example `median` seconds times a factor of its own, exp(spread * z), z normal, which
    stays with it, times one of the round, exp(jitter * z).

    Args:
        median: Seconds for an example on a client of middling speed, > 0.
        spread: How unlike clients are, >= 0; at 1, one in six needs e = 2.7 times the median or more.
        jitter: How unlike rounds of one client are, >= 0.
        start: Seconds before the first example, such as for the way there and back, >= 0.
        deadline: Seconds after which the server goes on without a client; None to wait for all.
        failure: Probability that a client fails in a round, in [0, 1].
        failing: Numbers of clients that always fail.

    Raises:
        InputError: For a value out of its bounds.

    Guarantee:
        What becomes of a client depends on (streams, round, client) and its own number of examples alone.

    Edge cases:
        A deadline leaves out clients with many examples more often, so what is learned leans to the light ones.
    """

    median: float = 0.01
    spread: float = 1.0
    jitter: float = 0.0
    start: float = 0.0
    deadline: float | None = None
    failure: float = 0.0
    failing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "failing", tuple(self.failing))
        checks.number("stragglers", least=0, median=self.median, spread=self.spread, jitter=self.jitter, start=self.start)
        checks.number("stragglers", least=0, failure=self.failure)
        for client in self.failing:
            checks.integer("stragglers", least=0, failing=client)
        if self.median == 0 or self.failure > 1:
            raise InputError(f"stragglers: median is {self.median}, failure is {self.failure}; give median > 0 and failure in [0, 1]")
        if self.deadline is not None:
            checks.number("stragglers", least=0, deadline=self.deadline)

    def outcome(self, clients: NDArray[np.int64], examples: NDArray[np.int64], *, round: int, streams: Streams) -> Outcome:
        """What becomes of the clients of a cohort.

        Args:
            clients: Their numbers, (m,); a client that stands twice has one outcome.
            examples: How many examples each works through, (m,).
            round: From 0.
            streams: Of the run.
        """
        seconds = self.seconds_of(clients, examples, round=round, streams=streams)
        failed = uniforms(streams, "failure", clients, round) < self.failure
        failed |= np.isin(clients, np.array(self.failing, dtype=np.int64))
        late = np.zeros(len(clients), dtype=np.bool_) if self.deadline is None else (seconds > self.deadline) & ~failed
        return Outcome(~(failed | late), seconds, {FAILED: failed, TOO_SLOW: late})

    def seconds_of(self, clients: NDArray[np.int64], examples: NDArray[np.int64], *, round: int, streams: Streams) -> NDArray[np.float64]:
        """How long clients take in a round, (m,); see `outcome` for the arguments."""
        logarithm = self.spread * _normal(uniforms(streams, "speed", clients))
        if self.jitter:
            logarithm += self.jitter * _normal(uniforms(streams, "speed in a round", clients, round))
        return np.asarray(self.start + examples * self.median * np.exp(logarithm))

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {**asdict(self), "failing": list(self.failing)}


def stragglers(options: Mapping[str, Any] | None = None) -> Stragglers:
    """Makes them from the options of a study file.

    Raises:
        InputError: For an unknown option, with the nearest valid one, or a value out of its bounds.
    """
    checks.known_options("stragglers", Stragglers, options or {})
    return Stragglers(**(options or {}))


def _normal(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal numbers of uniform ones in [0, 1), which are moved off both ends."""
    from scipy import special

    return np.asarray(special.ndtri(draws * (1 - 2.0**-53) + 2.0**-54))
