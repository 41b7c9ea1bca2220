"""Weights by activity: from the number of examples of a client to the logarithm of the weight that it is drawn with.

Shapes: L levels of activity.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.federated.selection.contract import Leaning
from holdfast.federated.selection.levels import Levels
from holdfast.models import checks

Floats = NDArray[np.float64]

STEEPEST = 16.0
"""Exponents beyond this, either way, are top-k in all but name."""
SHAPES = ("linear", "exponential", "cosine")


class Rule(Protocol):
    """How much weight a client of each level has in a round."""

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """Logarithms of the weights, (L,); -inf for no chance."""
        ...

    def leaning(self) -> Leaning:
        """Whom it favours."""
        ...

    def describe(self) -> dict[str, Any]:
        """Its options as plain data."""
        ...


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """The same weight for every client."""

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """Zeros."""
        return np.zeros(len(levels.counts))

    def leaning(self) -> Leaning:
        """Nobody."""
        return Leaning.power(0)

    def describe(self) -> dict[str, Any]:
        """No option."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Power:
    """Weight n^tau.

    Args:
        tau: 0 is uniform, 1 proportional to the examples, below 0 favours light clients; from -16 to 16.

    References:
        After Dupuy et al. 2022 (arXiv 2202.03925), who choose clients by their number of examples; their formula is not known,
        so its form and its exponent are parameters.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        check_exponents("activity", tau=self.tau)

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """``tau log n``."""
        return self.tau * np.log(levels.counts)

    def leaning(self) -> Leaning:
        """As n^tau."""
        return Leaning.power(self.tau)

    def describe(self) -> dict[str, Any]:
        """Its options."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Weight exp(s(n) / T).

    Args:
        temperature: T > 0; larger is nearer to uniform.
        scale: "log" takes s(n) = log n, so the weight is n^(1/T), whatever the unit of activity; "count" takes s(n) = n, which
            is top-k in effect wherever counts differ by many times T.

    Guarantee:
        Weights are kept as logarithms: no count overflows, and a client of the smallest weight is still drawn when all
        heavier ones have been.
    """

    temperature: float = 1.0
    scale: str = "log"

    def __post_init__(self) -> None:
        checks.choice("softmax", ("log", "count"), scale=self.scale)
        checks.number("softmax", least=0, temperature=self.temperature)
        least = 1 / STEEPEST if self.scale == "log" else 1e-9
        if self.temperature < least:
            raise InputError(f"softmax: temperature is {self.temperature}; give a number >= {least:g}, or take the strategy 'top-k'")

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """``s(n) / T``."""
        return (np.log(levels.counts) if self.scale == "log" else levels.counts) / self.temperature

    def leaning(self) -> Leaning:
        """Heavy clients, as n^(1/T) on the log scale."""
        return Leaning("heavy", 1 / self.temperature if self.scale == "log" else None)

    def describe(self) -> dict[str, Any]:
        """Its options."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The same weight for clients on one side of a bound, none for the others.

    Args:
        least: "Heavy only": clients with at least so many examples; None for no bound.
        most: "Light only": clients with at most so many; None for no bound. One of the two must be given.
    """

    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        for name, bound in (("least", self.least), ("most", self.most)):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 1):
                raise InputError(f"threshold: {name} is {bound!r}; give a whole number >= 1")
        if self.least is None and self.most is None:
            raise InputError("threshold: neither least nor most is given; give one of them, or take the strategy 'uniform'")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise InputError(f"threshold: least is {self.least} and most is {self.most}; nobody is between them")

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """0 inside, -inf outside."""
        inside = np.ones(len(levels.counts), dtype=bool)
        if self.least is not None:
            inside &= levels.counts >= self.least
        if self.most is not None:
            inside &= levels.counts <= self.most
        return np.where(inside, 0.0, -np.inf)

    def leaning(self) -> Leaning:
        """Heavy clients unless there is an upper bound."""
        return Leaning("heavy" if self.most is None else "light")

    def describe(self) -> dict[str, Any]:
        """Its options."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Mostly by activity, with a floor for everybody: ``(1 - explore) n^tau / sum n^tau + explore / N``.

    Args:
        tau: The exponent, from -16 to 16.
        explore: Share of the weight that is spread evenly, from 0 to 1.
    """

    tau: float = 1.0
    explore: float = 0.1

    def __post_init__(self) -> None:
        check_exponents("mixture", tau=self.tau)
        check_share("mixture", explore=self.explore)

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """The logarithm of the mixture, N being the clients that can be drawn."""
        from scipy.special import logsumexp

        if not len(levels.counts):
            return np.zeros(0)
        logs = self.tau * np.log(levels.counts)
        with np.errstate(divide="ignore"):
            guided = np.log1p(-self.explore) + logs - logsumexp(logs, b=levels.clients)
            return np.asarray(np.logaddexp(guided, np.log(self.explore) - math.log(levels.total)))

    def leaning(self) -> Leaning:
        """As n^tau at the ends of `explore`, without an exponent between them."""
        towards = Leaning.power(self.tau).towards
        if self.explore in (0, 1):
            return Leaning.power(self.tau * (1 - self.explore))
        return Leaning(towards, 0.0 if towards == "nobody" else None)

    def describe(self) -> dict[str, Any]:
        """Its options."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Weight n^tau with a tau that goes from one value to another over the rounds, in either direction.

    Args:
        from_tau: In the first round, from -16 to 16.
        to_tau: In the last.
        shape: "linear", "cosine" (slow, fast, slow) or "exponential" (by equal factors, so both must be above 0).

    >>> Schedule(from_tau=1, to_tau=0).tau_at(5, rounds=11)
    0.5
    """

    from_tau: float = 1.0
    to_tau: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        checks.choice("activity-schedule", SHAPES, shape=self.shape)
        check_exponents("activity-schedule", from_tau=self.from_tau, to_tau=self.to_tau)
        if self.shape == "exponential" and min(self.from_tau, self.to_tau) <= 0:
            raise InputError(
                f"activity-schedule: an exponential one from {self.from_tau} to {self.to_tau}; give two numbers above 0, or shape='linear'"
            )

    def tau_at(self, round: int, *, rounds: int) -> float:
        """The exponent in a round, counted from 0."""
        way = round / (rounds - 1) if rounds > 1 else 0.0
        if self.shape == "exponential":
            return float(self.from_tau * (self.to_tau / self.from_tau) ** way)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.from_tau + (self.to_tau - self.from_tau) * way

    def log_weights(self, levels: Levels, *, round: int, rounds: int) -> Floats:
        """``tau log n`` with the tau of the round."""
        return self.tau_at(round, rounds=rounds) * np.log(levels.counts)

    def leaning(self) -> Leaning:
        """Heavy clients if it ever does, without a single exponent."""
        if self.from_tau == self.to_tau:
            return Leaning.power(self.from_tau)
        return Leaning("heavy" if max(self.from_tau, self.to_tau) > 0 else "light")

    def describe(self) -> dict[str, Any]:
        """Its options."""
        return asdict(self)


def check_exponents(owner: str, *, tau: float = 0.0, from_tau: float = 0.0, to_tau: float = 0.0) -> None:
    """Refuses exponents beyond 16.

    Raises:
        InputError: Naming the first.
    """
    for name, value in {"tau": tau, "from_tau": from_tau, "to_tau": to_tau}.items():
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not -STEEPEST <= value <= STEEPEST:
            raise InputError(f"{owner}: {name} is {value!r}; give a number from -16 to 16, or take the strategy 'top-k'")


def check_share(owner: str, *, explore: float) -> None:
    """Refuses a share outside [0, 1].

    Raises:
        InputError: If so.
    """
    if isinstance(explore, bool) or not isinstance(explore, int | float) or not 0 <= explore <= 1:
        raise InputError(f"{owner}: explore is {explore!r}; give a number from 0 to 1")
