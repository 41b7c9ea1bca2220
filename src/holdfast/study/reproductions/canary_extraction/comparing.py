"""Each defence against none, in pairs of trainings that share their seed and their secrets; and all tests held together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from holdfast.core.evidence import Condition, Estimate
from holdfast.report.numbers import DIFFERENCE
from holdfast.report.reproductions.canary_extraction.grid import ACCURACY, BASE, EXPOSURE, is_defence
from holdfast.study.reproductions.canary_extraction.averages import Group
from holdfast.study.reproductions.canary_extraction.intervals import holm, paired

TOGETHER = "p_value_together"
"""The condition of an estimate that holds its p-value after Holm."""

_METHODS = {
    EXPOSURE: "mean exposure less that of no defence, in pairs of one seed with the same secrets",
    ACCURACY: "share of secrets found less that of no defence, in pairs of one seed with the same secrets",
}


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Trainings with a defence and without, matched by seed, length and repetitions.

    Args:
        defended: With the defence.
        base: Without.
    """

    defended: Group
    base: Group

    def differences(self, name: str) -> list[float]:
        """One for each seed that both have."""
        one, other = self.defended.by_seed(name), self.base.by_seed(name)
        return [one[seed] - other[seed] for seed in one if seed in other]

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """By figure the largest difference that there is, and the step by which one secret would move it."""
        secrets = float(self.defended.conditions["secrets"]) / len(self.defended.seeds)
        return {EXPOSURE: (self.defended.most, math.hypot(self.defended.step, self.base.step)), ACCURACY: (1.0, 1 / secrets)}


def against_none(groups: Sequence[Group]) -> Iterator[Estimate]:
    """The differences of exposure and of accuracy of each group to no defence.

    Args:
        groups: Of all patterns together; of one length and number of repetitions, or of a defence over several.
    """
    bases = [group for group in groups if group.trainings[0].defence == BASE]
    for group in groups:
        pairs = _matched(group, bases)
        if pairs is not None:
            for name in (EXPOSURE, ACCURACY):
                found = _difference(pairs, name)
                if found is not None:
                    yield found


def _matched(group: Group, bases: Sequence[Group]) -> _Pairs | None:
    """The group with the trainings without a defence at the same lengths and numbers of repetitions."""
    if group.trainings[0].defence == BASE:
        return None
    places = {training.place for training in group.trainings}
    base = tuple(one for candidate in bases for one in candidate.trainings if one.place in places)
    if {one.place for one in base} != places:
        return None
    return _Pairs(defended=group, base=Group(subject=BASE, pattern=group.pattern, trainings=base))


def _difference(pairs: _Pairs, name: str) -> Estimate | None:
    differences = pairs.differences(name)
    most, step = pairs.bounds[name]
    found = paired(differences, most=most, step=step)
    if found is None:
        return None
    interval, p_value = found
    conditions: dict[str, Condition] = {**pairs.defended.conditions, "against": BASE, "p_value": p_value}
    return Estimate(
        name=name + DIFFERENCE,
        subject=pairs.defended.subject,
        value=float(np.mean(differences)),
        unit="bits" if name == EXPOSURE else "share",
        direction="lower is better",
        interval=interval,
        n=len(differences),
        conditions=conditions,
        method=_METHODS[name],
    )


def held_together(estimates: Sequence[Estimate], name: str, p_value: Callable[[Estimate], float]) -> list[Estimate]:
    """Puts beside each p-value of the defences the one that holds for all of them together, after Holm.

    Args:
        estimates: Of defences over all their cells, and of anything else.
        name: Of those that are tested.
        p_value: Where an estimate has its p-value.

    Returns:
        The same estimates in their order; those tested with one condition more.
    """
    tested = [index for index, one in enumerate(estimates) if one.name == name and _family(one)]
    adjusted = holm([p_value(estimates[index]) for index in tested])
    found = list(estimates)
    for index, p in zip(tested, adjusted, strict=True):
        one = found[index]
        found[index] = replace(one, conditions={**one.conditions, TOGETHER: p, "tests": len(tested)})
    return found


def _family(one: Estimate) -> bool:
    """Whether it speaks of a defence as a whole."""
    defence = str(one.conditions.get("defence", ""))
    return one.subject == defence and is_defence(defence)
