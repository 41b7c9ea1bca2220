"""Selection by activity: by a rule for the weights, in fixed shares for heavy and light clients, or the most active ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import drawing
from holdfast.federated.selection.contract import SAMPLINGS, Cohort, Leaning, View, check_call
from holdfast.federated.selection.drawing import Stratum
from holdfast.federated.selection.levels import Levels
from holdfast.federated.selection.rules import Rule, check_exponents
from holdfast.federated.selection.signal import CountSignal
from holdfast.models import checks

STREAM = "selection"


def told_counts(view: View, signal: CountSignal, streams: Streams) -> NDArray[np.int64]:
    """The counts as the signal tells them, 0 for clients that cannot be drawn, (N,).

    The signal sees all clients, reachable or not: else a change of who is reachable would draw new noise, and many rounds of it
    could be averaged.
    """
    if signal == CountSignal():
        return view.usable()
    told = signal.of(view.counts, streams=streams)
    return told if view.available is None else told * view.available.astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class ByActivity:
    """Draws clients with weights that are a function of their number of examples.

    Args:
        name: Of the strategy.
        rule: The function.
        sampling: "without replacement" (successive draws), "with replacement" or "poisson" (each client by itself, so that
            the size of the cohort is random and may be 0).
        signal: What the server sees of the counts.
    """

    name: str
    rule: Rule
    sampling: str = "without replacement"
    signal: CountSignal = field(default_factory=CountSignal)

    def __post_init__(self) -> None:
        checks.choice(self.name, SAMPLINGS, sampling=self.sampling)

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round."""
        counts, levels, strata = self._strata(view, size, round, rounds, streams)
        return drawing.draw(counts, levels, strata, sampling=self.sampling, random=drawing.addressed(streams, STREAM, round))

    def chances(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Every client with its inclusion probability."""
        counts, levels, strata = self._strata(view, size, round, rounds, streams)
        return drawing.every(counts, levels, strata, sampling=self.sampling)

    def _strata(
        self, view: View, size: int, round: int, rounds: int, streams: Streams
    ) -> tuple[NDArray[np.int64], Levels, tuple[Stratum, ...]]:
        check_call(self.name, size=size, round=round, rounds=rounds)
        counts = told_counts(view, self.signal, streams)
        levels = Levels.of(counts)
        return counts, levels, (Stratum(self.rule.log_weights(levels, round=round, rounds=rounds), size),)

    def leaning(self) -> Leaning:
        """Whom it favours."""
        return self.rule.leaning()

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        return described(self.name, self.rule.describe(), self.sampling, self.signal)


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """Fixed shares of the cohort for heavy, medium and light clients.

    Args:
        heavy: Share of the places for clients above the upper bound.
        medium: Share for those between the bounds; the three sum to 1.
        light: Share for those up to the lower bound.
        lower: Share of the clients, from the lightest on, whose largest count is the lower bound, in (0, 1).
        upper: The same for the upper bound, above `lower`.
        inside: "uniform" or "activity" (n^tau) within a bucket.
        tau: The exponent for inside="activity".
        sampling: As in `ByActivity`.
        signal: What the server sees of the counts.

    Edge cases:
        Clients with equally many examples are in one bucket, so a bucket may be smaller than its quantiles say, or empty. Places
        that a bucket cannot fill go to the others: first heavy, then medium, then light. Places are whole numbers by largest
        remainder, but expected numbers for "poisson".
    """

    heavy: float = 0.5
    medium: float = 0.3
    light: float = 0.2
    lower: float = 0.5
    upper: float = 0.9
    inside: str = "uniform"
    tau: float = 1.0
    sampling: str = "without replacement"
    signal: CountSignal = field(default_factory=CountSignal)
    name = "stratified"

    def __post_init__(self) -> None:
        checks.choice("stratified", SAMPLINGS, sampling=self.sampling)
        checks.choice("stratified", ("uniform", "activity"), inside=self.inside)
        checks.number("stratified", least=0, heavy=self.heavy, medium=self.medium, light=self.light)
        check_exponents("stratified", tau=self.tau)
        if abs(self.heavy + self.medium + self.light - 1) > 1e-9:
            raise InputError(f"stratified: the shares sum to {self.heavy + self.medium + self.light:g}; give three that sum to 1")
        checks.number("stratified", least=0, below=1, lower=self.lower, upper=self.upper)
        if not 0 < self.lower < self.upper:
            raise InputError(f"stratified: lower is {self.lower} and upper is {self.upper}; give 0 < lower < upper < 1")

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round."""
        counts, levels, strata = self._strata(view, size, round, rounds, streams)
        return drawing.draw(counts, levels, strata, sampling=self.sampling, random=drawing.addressed(streams, STREAM, round))

    def chances(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Every client with its inclusion probability."""
        counts, levels, strata = self._strata(view, size, round, rounds, streams)
        return drawing.every(counts, levels, strata, sampling=self.sampling)

    def buckets(self, levels: Levels) -> NDArray[np.int64]:
        """The bucket of each level, (L,): 0 heavy, 1 medium, 2 light."""
        up_to = np.cumsum(levels.clients) / max(levels.total, 1)
        bounds = np.searchsorted(up_to, np.array([self.lower, self.upper]) - 1e-12)
        places = np.arange(len(levels.counts))
        return np.where(places <= bounds[0], 2, np.where(places <= bounds[1], 1, 0))

    def _strata(self, view: View, size: int, round: int, rounds: int, streams: Streams) -> tuple[NDArray[np.int64], Levels, list[Stratum]]:
        check_call("stratified", size=size, round=round, rounds=rounds)
        counts = told_counts(view, self.signal, streams)
        levels = Levels.of(counts)
        of_level = self.buckets(levels)
        room = np.bincount(of_level, weights=levels.clients, minlength=3).astype(np.float64)
        if self.sampling == "with replacement":
            room = np.where(room > 0, np.inf, 0.0)
        places = shared_out(size, np.array([self.heavy, self.medium, self.light]), room, whole=self.sampling != "poisson")
        logs = self.tau * np.log(levels.counts) if self.inside == "activity" else np.zeros(len(levels.counts))
        return counts, levels, [Stratum(np.where(of_level == bucket, logs, -np.inf), places[bucket]) for bucket in range(3)]

    def leaning(self) -> Leaning:
        """Heavy clients where they have more places than there are of them in proportion."""
        excess = self.heavy - (1 - self.upper)
        even = abs(excess) < 1e-9 and abs(self.light - self.lower) < 1e-9 and (self.inside == "uniform" or self.tau == 0)
        return Leaning("nobody" if even else "heavy" if excess > -1e-9 else "light")

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        options = {key: value for key, value in asdict(self).items() if key not in ("sampling", "signal")}
        return described(self.name, options, self.sampling, self.signal)


def shared_out(size: int, shares: NDArray[np.float64], room: NDArray[np.float64], *, whole: bool) -> list[float]:
    """Shares out places among buckets of limited room.

    Args:
        size: Places.
        shares: Of each bucket, summing to 1.
        room: How many each can take.
        whole: Whether places are whole numbers, then by largest remainder.

    Returns:
        Places of each bucket; fewer than `size` in all only where there is no more room.

    >>> shared_out(10, np.array([0.5, 0.3, 0.2]), np.array([2.0, 100.0, 100.0]), whole=True)
    [2.0, 6.0, 2.0]
    """
    places = size * shares
    if whole:
        down = np.floor(places + 1e-9)
        order = np.argsort(down - places, kind="stable")
        down[order[: int(size - down.sum())]] += 1
        places = down
    places = np.minimum(places, room)
    for bucket in range(len(shares)):
        places[bucket] += min(max(size - places.sum(), 0), room[bucket] - places[bucket])
    return [float(number) for number in places]


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The most active clients, always; among equals, those of the smaller number.

    Args:
        signal: What the server sees of the counts.

    Edge cases:
        Everybody else has no chance at all, so no weighting can make up for it.
    """

    signal: CountSignal = field(default_factory=CountSignal)
    name = "top-k"

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """The cohort of every round."""
        check_call("top-k", size=size, round=round, rounds=rounds)
        counts = told_counts(view, self.signal, streams)
        levels = Levels.of(counts)
        from_top = np.cumsum(levels.clients[::-1])[::-1]  # clients on a level or above
        if levels.total <= size:
            clients = np.flatnonzero(counts)
        else:
            last = int(np.flatnonzero(from_top >= size)[-1])  # the level of which only some are taken
            above = np.flatnonzero(counts > levels.counts[last])
            clients = np.sort(np.concatenate([above, np.flatnonzero(counts == levels.counts[last])[: size - len(above)]]))
        return Cohort(clients, np.ones(len(clients)), "deterministic", "exact", levels.total - len(clients))

    def chances(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Every client with probability 0 or 1."""
        taken = self.select(view, size=size, round=round, rounds=rounds, streams=streams)
        inclusion = np.zeros(len(view.counts))
        inclusion[taken.clients] = 1
        return Cohort(np.arange(len(inclusion)), inclusion, "deterministic", "exact", taken.never)

    def leaning(self) -> Leaning:
        """Heavy clients."""
        return Leaning("heavy")

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        return described(self.name, {}, None, self.signal)


def described(name: str, options: Mapping[str, Any], sampling: str | None, signal: CountSignal) -> dict[str, Any]:
    """A strategy as plain data: its name and options, the sampling, and the signal where it is not the plain count."""
    parts: dict[str, Any] = {"strategy": name, **options}
    if sampling is not None:
        parts["sampling"] = sampling
    if signal != CountSignal():
        parts["signal"] = signal.describe()
    return parts
