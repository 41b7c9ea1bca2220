"""Heavier comparators, which look at losses: power-of-choice, Oort, and active selection. Their inclusion probabilities are unknown.

Shapes: N clients, k clients looked at, m clients of a cohort.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import drawing, inclusion
from holdfast.federated.selection.contract import Cohort, Leaning, Signals, View, check_call
from holdfast.federated.selection.drawing import Stratum
from holdfast.federated.selection.levels import Levels
from holdfast.models import checks

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PowerOfChoice:
    """Draws candidates in proportion to their examples, and keeps those with the highest loss.

    Args:
        candidates: d, how many are asked; None for twice the cohort.
        loss: "current" asks each candidate for its loss under the current weights; "last" takes the last one known, at no
            cost, and clients whose loss is unknown first.

    References:
        Cho, Wang, Joshi 2020, arXiv 2010.01243.
    """

    candidates: int | None = None
    loss: str = "current"
    name = "power-of-choice"

    def __post_init__(self) -> None:
        checks.choice(self.name, ("current", "last"), loss=self.loss)
        if self.candidates is not None:
            checks.integer(self.name, least=1, candidates=self.candidates)

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round."""
        check_call(self.name, size=size, round=round, rounds=rounds)
        asked = 2 * size if self.candidates is None else self.candidates
        if asked < size:
            raise InputError(f"power-of-choice: candidates is {asked} for a cohort of {size}; give at least as many, better twice")
        counts = view.usable()
        levels = Levels.of(counts)
        random = drawing.addressed(streams, "selection/candidates", round)
        drawn = drawing.draw(counts, levels, [Stratum(np.log(levels.counts), asked)], sampling="without replacement", random=random)
        losses = self._losses(view, drawn.clients)
        order = np.lexsort((streams.generator("selection/ties", round).random(len(losses)), -losses))
        kept = np.sort(order[:size])
        share = len(kept) / max(len(losses), 1)
        return Cohort(drawn.clients[kept], drawn.inclusion[kept] * share, "without replacement", "unknown")

    def _losses(self, view: View, clients: Numbers) -> Floats:
        if self.loss == "last":
            last = view.known().last_loss[clients].astype(np.float64)
            return np.where(np.isnan(last), np.inf, last)
        if view.losses_of is None:
            raise InputError("power-of-choice: nobody can be asked for a current loss here; give loss='last'")
        losses = np.asarray(view.losses_of(clients), dtype=np.float64)
        return np.where(np.isnan(losses), -np.inf, losses)

    def leaning(self) -> Leaning:
        """Heavy clients, by the draw of the candidates."""
        return Leaning("heavy")

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        return {"strategy": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Oort:
    """Prefers clients whose last losses were high and that are fast, and keeps trying new ones.

    A client that has taken part has the utility ``n sqrt(mean loss^2)``, clipped, scaled to [0, 1], plus
    ``sqrt(0.1 ln t / last round)`` for staleness (rounds counted from 1), times ``(T / seconds)^alpha`` where it is slower than T.

    Args:
        explore: Share of the cohort for clients that never took part, in the first round.
        explore_decay: Factor of that share from round to round.
        explore_least: The share never falls below this.
        explore_by: New clients "activity" (in proportion to n) or "uniform".
        clip: Quantile of the utilities at which they are clipped, in (0, 1].
        scale: Whether clipped utilities are scaled to [0, 1] before the staleness is added, as FedScale's code does.
        staleness: The 0.1 of the staleness.
        cutoff: Clients within this share of the last place's utility compete for the places.
        preferred: T as a quantile of the known seconds, in (0, 1]; 1 punishes nobody.
        alpha: How hard slowness is punished, >= 0.
        most_times: A client that took part more often is left out; None for no bound.
        most_left_out: At most this share of the clients is left out so, the most used first.

    Edge cases:
        A client whose loss was not finite has utility 0. If too few clients are left for the cohort, nobody is left out. T
        does not move as rounds go by (Oort's pacer needs a memory, which a selector has not): give another `preferred`.

    References:
        Lai et al. 2021, "Oort", OSDI; constants after the code in FedScale, which leaves nobody out unless told to.
    """

    explore: float = 0.9
    explore_decay: float = 0.98
    explore_least: float = 0.2
    explore_by: str = "activity"
    clip: float = 0.95
    scale: bool = True
    staleness: float = 0.1
    cutoff: float = 0.95
    preferred: float = 1.0
    alpha: float = 2.0
    most_times: int | None = 10
    most_left_out: float = 0.3
    name = "oort"

    def __post_init__(self) -> None:
        checks.choice("oort", ("activity", "uniform"), explore_by=self.explore_by)
        checks.flag("oort", scale=self.scale)
        checks.number("oort", least=0, alpha=self.alpha, staleness=self.staleness)
        shares = ("explore", "explore_decay", "explore_least", "clip", "cutoff", "preferred", "most_left_out")
        check_shares("oort", {name: getattr(self, name) for name in shares})
        if self.most_times is not None:
            checks.integer("oort", least=1, most_times=self.most_times)

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round."""
        check_call("oort", size=size, round=round, rounds=rounds)
        counts, known = view.usable(), view.known()
        met = np.flatnonzero((known.last_round >= 0) & (counts > 0))
        new_counts = np.where(known.last_round < 0, counts, 0)
        levels = Levels.of(new_counts)
        met = self._not_overused(met, known, len(met) + levels.total, size)
        share = max(self.explore * self.explore_decay**round, self.explore_least)
        exploited = min(size - min(int(size * share), levels.total), len(met))
        new = min(size - exploited, levels.total)
        old, old_chance = self._exploit(met, counts[met], known, round, exploited, streams)
        logs = np.log(levels.counts) if self.explore_by == "activity" else np.zeros(len(levels.counts))
        random = drawing.addressed(streams, "selection", round)
        tried = drawing.draw(new_counts, levels, [Stratum(logs, new)], sampling="without replacement", random=random)
        clients = np.concatenate([old, tried.clients])
        order = np.argsort(clients)
        chance = np.concatenate([old_chance, tried.inclusion])[order]
        return Cohort(clients[order], chance, "without replacement", "unknown")

    def _not_overused(self, met: Numbers, known: Signals, eligible: int, size: int) -> Numbers:
        if self.most_times is None or not len(met):
            return met
        times = known.times[met]
        over = np.flatnonzero(times > self.most_times)
        over = over[np.argsort(-times[over], kind="stable")[: int(self.most_left_out * eligible)]]
        return met if eligible - len(over) < size else np.delete(met, over)

    def utilities(self, counts: Numbers, known: Signals, clients: Numbers, *, round: int) -> Floats:
        """The utility of clients that have taken part, (k,).

        Args:
            counts: Their examples, (k,).
            known: The signals of all clients.
            clients: Which, (k,).
            round: The round, counted from 0.
        """
        values = counts * np.nan_to_num(known.rms_loss[clients].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        values = np.minimum(values, np.quantile(values, self.clip))
        if self.scale:
            values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        values = values + np.sqrt(self.staleness * math.log(round + 1) / (known.last_round[clients] + 1.0))
        seconds = known.seconds[clients].astype(np.float64)
        timed = ~np.isnan(seconds)
        if self.preferred < 1 and timed.any():
            preferred = np.quantile(seconds[timed], self.preferred)
            slow = timed & (seconds > preferred)
            values[slow] *= (preferred / seconds[slow]) ** self.alpha
        return np.asarray(values)

    def _exploit(self, met: Numbers, counts: Numbers, known: Signals, round: int, size: int, streams: Streams) -> tuple[Numbers, Floats]:
        if size == 0:
            return met[:0], np.zeros(0)
        values = self.utilities(counts, known, met, round=round)
        last = np.partition(values, len(values) - size)[len(values) - size]
        pool = np.flatnonzero(values >= self.cutoff * last)
        logs = np.log(np.maximum(values[pool], 1e-12))
        places = drawing.smallest_clocks(logs, size, streams.generator("selection/exploit", round))
        return met[pool[places]], inclusion.first_order(logs, size)[places]

    def leaning(self) -> Leaning:
        """Heavy clients, whose utility is a sum over examples."""
        return Leaning("heavy")

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        return {"strategy": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Active:
    """Draws clients by the value ``loss sum / sqrt(n)`` = ``sqrt(n)`` times the mean loss, as last known.

    Args:
        left_out: a1, share of the clients with the lowest value that is left out.
        sharpness: a2, of the softmax ``exp(a2 value)``.
        at_random: a3, share of the cohort that is drawn evenly from everybody else.

    Edge cases:
        A client whose loss is unknown is valued at the mean of those known, or 1 in the first round. Clients whose value is
        that of the bound stay in.

    References:
        Goetz et al. 2019, "Active federated learning", arXiv 1909.12641.
    """

    left_out: float = 0.75
    sharpness: float = 0.01
    at_random: float = 0.1
    name = "active"

    def __post_init__(self) -> None:
        check_shares("active", {"left_out": self.left_out, "at_random": self.at_random})
        checks.number("active", least=0, sharpness=self.sharpness)
        if self.left_out == 1:
            raise InputError("active: left_out is 1; give a share below 1, since nobody would be left")

    def select(self, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> Cohort:
        """Draws the cohort of a round."""
        check_call("active", size=size, round=round, rounds=rounds)
        counts, losses = view.usable(), view.known().last_loss
        eligible = np.flatnonzero(counts)
        known = losses[eligible]
        unknown = ~np.isfinite(known)
        default = 1.0 if unknown.all() else float(known[~unknown].mean())
        values = np.sqrt(counts[eligible]) * np.where(unknown, default, known)
        first = int(self.left_out * len(values))
        kept = np.flatnonzero(values >= np.partition(values, first)[first]) if len(values) else np.zeros(0, dtype=np.int64)
        logs = self.sharpness * values[kept]
        guided = min(size - round_half_up(self.at_random * size), len(kept))
        by_value = drawing.smallest_clocks(logs, guided, streams.generator("selection", round)) if guided else kept[:0]
        chosen = kept[by_value]
        chance = np.zeros(len(kept)) if not guided else inclusion.first_order(logs, guided)
        rest = min(size, len(eligible)) - guided
        order = streams.generator("selection/rest", round).choice(len(eligible), min(len(eligible), rest + guided), replace=False)
        others = order[~np.isin(order, chosen)][:rest]
        floor = rest / max(len(eligible) - guided, 1)
        guess = np.concatenate([chance[by_value], _at(kept, chance, others)])
        clients = np.concatenate([eligible[chosen], eligible[others]])
        place = np.argsort(clients)
        return Cohort(clients[place], (guess + (1 - guess) * floor)[place], "without replacement", "unknown")

    def leaning(self) -> Leaning:
        """Heavy clients, by sqrt(n)."""
        return Leaning("heavy")

    def describe(self) -> dict[str, Any]:
        """The strategy and its options."""
        return {"strategy": self.name, **asdict(self)}


def _at(kept: Numbers, chance: Floats, wanted: Numbers) -> Floats:
    """The chance of the wanted among those kept, which ascend; 0 for the others."""
    if not len(kept):
        return np.zeros(len(wanted))
    places = np.minimum(np.searchsorted(kept, wanted), len(kept) - 1)
    return np.where(kept[places] == wanted, chance[places], 0.0)


def round_half_up(value: float) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value + 0.5)


def check_shares(owner: str, shares: dict[str, float]) -> None:
    """Refuses shares outside [0, 1].

    Raises:
        InputError: Naming the first.
    """
    for name, value in shares.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{owner}: {name} is {value!r}; give a number from 0 to 1")
