"""Sums up the trainings of a cell: each figure over trainings, with an interval that knows what the figure is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from holdfast.core.evidence import Condition, Estimate, Interval
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    ALL,
    EXPOSURE,
    GAP,
    HAMMING,
    KNOWS,
    NULL,
    P_VALUE,
    PROMISE,
    RANDOM,
    RANK,
    STOPPED,
    USEFULNESS,
)
from holdfast.study.reproductions.averaging import mean_over_seeds
from holdfast.study.reproductions.canary_extraction.intervals import (
    knows_nothing,
    mean_above_nought,
    mean_within,
    median_of,
)
from holdfast.study.reproductions.canary_extraction.measured import Training

REFERENCE = "after Parikh et al. 2022; Carlini et al. 2019"
Direction = Literal["higher is better", "lower is better", "neither"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The trainings that a figure is made of.

    Args:
        subject: What the evidence speaks of.
        pattern: One of the patterns, or None for all of them together.
        trainings: All of one defence.
    """

    subject: str
    pattern: str | None
    trainings: tuple[Training, ...]

    @property
    def seeds(self) -> dict[int, list[Training]]:
        """The trainings of each seed: one, or one for each length and number of repetitions. Seeds are what intervals run over."""
        found: dict[int, list[Training]] = {}
        for training in self.trainings:
            found.setdefault(training.seed, []).append(training)
        return dict(sorted(found.items()))

    @property
    def conditions(self) -> dict[str, Condition]:
        """What every figure of the group says of it."""
        first = self.trainings[0]
        over: dict[str, Condition] = {"length": first.length, "repetitions": first.repetitions}
        if self.subject == first.defence:  # over all its cells, be they one or several
            over = {"cells": len({training.place for training in self.trainings})}
        return {
            "defence": first.defence,
            **over,
            "secret": self.pattern or ALL,
            "secrets": sum(len(training.of(self.pattern)) for training in self.trainings),
            "trainings": len(self.trainings),
            "seeds": len(self.seeds),
        }

    def by_seed(self, name: str) -> dict[int, float]:
        """A figure of each seed, averaged over its secrets, and over its trainings where it has several; seeds without one left out."""
        found = {}
        for seed, trainings in self.seeds.items():
            known = [value for one in trainings if (value := one.mean(name, self.pattern)) is not None]
            if len(known) == len(trainings):
                found[seed] = sum(known) / len(known)
        return found

    @property
    def most(self) -> float:
        """The largest mean exposure that there is."""
        spaces = [[one.most for one in training.of(self.pattern)] for training in self.seeds[next(iter(self.seeds))]]
        return float(np.mean([np.mean(row) for row in spaces]))

    @property
    def step(self) -> float:
        """By how much the mean exposure of a seed would move if one of its secrets moved by one rank, as a root mean square."""
        steps = [one.step for training in self.trainings for one in training.of(self.pattern)]
        return math.sqrt(float(np.mean(np.square(steps))) * len(self.seeds) / len(steps))


def of_group(group: Group) -> list[Estimate]:
    """All figures of a group, the mean exposure first."""
    searched = "share of the secrets that the search found whole, mean over trainings"
    wrong = "share of the unknown words that the search found wrong, mean over trainings"
    blind = "share of the secrets that as many random fills found whole, mean over trainings"
    figures = [
        _exposure(group),
        _share(group, ACCURACY, "lower is better", searched, trials=_secrets),
        _share(group, HAMMING, "higher is better", wrong, trials=_words),
        _share(group, RANDOM, "neither", blind, trials=_secrets),
        _rank(group),
        _gap(group),
        _ignorance(group),
    ]
    return [one for one in figures if one is not None]


def of_cell(group: Group) -> Iterator[Estimate]:
    """What a group shows beside its secrets: usefulness, what is promised, and when the training ended."""
    for name in USEFULNESS:
        known = [_of_seed([one.about[name] for one in trainings if name in one.about]) for trainings in group.seeds.values()]
        measured = [one for one in known if one is not None]
        if measured:
            yield mean_over_seeds(measured, subject=group.subject, conditions=group.conditions)
    ends = [one.about[STOPPED].value or 0.0 for one in group.trainings if STOPPED in one.about]
    if ends:
        spread = Interval(low=min(ends), high=max(ends), level=0.95, method="first and last to end, no coverage promised")
        yield _estimate(group, STOPPED, "epochs", "neither", float(np.mean(ends)), spread, "mean over trainings", n=len(ends))
    promises = [one.about[PROMISE] for one in group.trainings if PROMISE in one.about]
    if promises:  # trainings that differ in seed and secrets alone promise the same
        worst = max(promises, key=lambda one: one.value or 0.0)
        yield _estimate(group, PROMISE, "nats", "lower is better", worst.value or 0.0, None, worst.method, more=dict(worst.conditions))


def _of_seed(measured: Sequence[Estimate]) -> Estimate | None:
    """The mean over the trainings of one seed, which share their test examples, so that the half-widths are averaged too."""
    if not measured:
        return None
    value = float(np.mean([one.value for one in measured if one.value is not None]))
    half = [(one.interval.high - one.interval.low) / 2 for one in measured if one.interval is not None]
    first = measured[0]
    interval = None
    if first.interval is not None and len(half) == len(measured):
        reach = float(np.mean(half))
        interval = replace(first.interval, low=value - reach, high=value + reach)
    return replace(first, value=value, interval=interval)


def _exposure(group: Group) -> Estimate | None:
    values = group.by_seed(EXPOSURE)
    if not values:
        return None
    interval = mean_within(list(values.values()), most=group.most, step=group.step)
    more: dict[str, Condition] = {"null_mean": NULL, "most": group.most}
    method = "log2 of the fills over the rank of the secret among them by its loss, mean over trainings"
    mean = float(np.mean(list(values.values())))
    return _estimate(group, EXPOSURE, "bits", "lower is better", mean, interval, method, n=len(values), more=more)


def _share(group: Group, name: str, direction: Direction, method: str, *, trials: Callable[[Group], int]) -> Estimate | None:
    values = list(group.by_seed(name).values())
    if not values:
        return None
    more: dict[str, Condition] = {}
    if name == ACCURACY:
        more["found"] = round(sum(one.figures[name] for each in group.trainings for one in each.of(group.pattern) if name in one.figures))
    interval = mean_within(values, trials=trials(group))
    return _estimate(group, name, "share", direction, float(np.mean(values)), interval, method, n=len(values), more=more)


def _secrets(group: Group) -> int:
    return sum(len(training.of(group.pattern)) for training in group.trainings)


def _words(group: Group) -> int:
    return sum(training.length * len(training.of(group.pattern)) for training in group.trainings)


def _rank(group: Group) -> Estimate | None:
    """The median over trainings; of several secrets of a training, or trainings of a seed, the median of theirs comes first."""
    known = [
        float(np.median(ranks))
        for trainings in group.seeds.values()
        if (ranks := [one.figures[RANK] for each in trainings for one in each.of(group.pattern) if RANK in one.figures])
    ]
    if not known:
        return None
    value, interval = median_of(known)
    method = "median over trainings" if group.pattern else "median over trainings of the median rank of a training's secrets"
    return _estimate(group, RANK, "rank", "higher is better", value, interval, method, n=len(known))


def _gap(group: Group) -> Estimate | None:
    values = list(group.by_seed(GAP).values())
    if not values:
        return None
    method = "loss of the fill that was found less the least loss of all fills, mean over trainings"
    return _estimate(group, GAP, "nats", "neither", float(np.mean(values)), mean_above_nought(values), method, n=len(values))


def _ignorance(group: Group) -> Estimate | None:
    """The test of the whole study: would a model that knows nothing rank its secrets so well?"""
    p_values = [one.figures[P_VALUE] for each in group.trainings for one in each.of(group.pattern) if P_VALUE in one.figures]
    if not p_values or len(p_values) < _secrets(group):
        return None
    method = "Fisher's combination of the p-values of the ranks of all secrets"
    return _estimate(group, KNOWS, "probability", "neither", knows_nothing(p_values), None, method, n=len(p_values))


def _estimate(
    group: Group,
    name: str,
    unit: str,
    direction: Direction,
    value: float,
    interval: Interval | None,
    method: str,
    *,
    n: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Estimate:
    return Estimate(
        name=name,
        subject=group.subject,
        value=value,
        unit=unit,
        direction=direction,
        interval=interval,
        n=n,
        conditions={**(more or {}), **group.conditions},
        method=method,
        reference=REFERENCE,
    )


def groups_of(trainings: Sequence[Training]) -> Iterator[Group]:
    """The cells of a grid, each over all patterns and then by pattern."""
    keyed: dict[tuple[int, int, str], list[Training]] = {}
    for training in trainings:
        keyed.setdefault((*training.place, training.defence), []).append(training)
    for (length, repetitions, defence), found in keyed.items():
        whole = tuple(sorted(found, key=lambda one: one.seed))
        subject = f"n{length}-r{repetitions}-{defence}"
        yield Group(subject=subject, pattern=None, trainings=whole)
        for pattern in dict.fromkeys(one.pattern for one in whole[0].planted):
            yield Group(subject=f"{subject}-{pattern}", pattern=pattern, trainings=whole)


def groups_by_defence(trainings: Sequence[Training]) -> Iterator[Group]:
    """Each defence over all its lengths and repetitions."""
    for defence in dict.fromkeys(training.defence for training in trainings):
        yield Group(subject=defence, pattern=None, trainings=tuple(one for one in trainings if one.defence == defence))
