"""What was found of one training: of each of its secrets, and of its usefulness."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.evidence import Estimate
from holdfast.report.reproductions.canary_extraction.grid import EXPOSURE, GAP, PROMISE, RANK, STOPPED, USEFULNESS
from holdfast.runs import RunRecord

INVERSION = "inversion"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the attacks found of one secret.

    Args:
        pattern: Its name.
        space: How many fills it has.
        figures: By the name of the estimate; what could not be measured is left out.
    """

    pattern: str
    space: int
    figures: Mapping[str, float]

    @property
    def most(self) -> float:
        """The largest exposure that there is, in bits."""
        return math.log2(self.space)

    @property
    def step(self) -> float:
        """By how much the exposure would fall if one more fill stood before the secret, in bits."""
        return math.log2(1 + 1 / self.figures[RANK]) if RANK in self.figures else 0.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of the grid.

    Args:
        defence: Of its cell.
        length: Unknown words of its secrets.
        repetitions: Copies of each in the training data.
        seed: Of the training.
        planted: What was found of the secrets that were planted.
        controls: Of secrets of the same form that were not.
        about: What else was measured, by the name of the estimate.
    """

    defence: str
    length: int
    repetitions: int
    seed: int
    planted: tuple[Found, ...]
    controls: tuple[Found, ...]
    about: Mapping[str, Estimate]

    @property
    def place(self) -> tuple[int, int]:
        """Length and repetitions."""
        return (self.length, self.repetitions)

    def of(self, pattern: str | None) -> tuple[Found, ...]:
        """The planted secrets of a pattern, or of all patterns together."""
        return tuple(one for one in self.planted if pattern in (None, one.pattern))

    def mean(self, name: str, pattern: str | None) -> float | None:
        """A figure averaged over the secrets of a pattern, or of all; None where one of them has none."""
        known = [one.figures.get(name) for one in self.of(pattern)]
        numbers = [value for value in known if value is not None]
        return sum(numbers) / len(numbers) if numbers and len(numbers) == len(known) else None


def training_of(record: RunRecord) -> Training:
    """Reads the record of a finished run.

    Args:
        record: Its settings say where in the grid it stands.
    """
    cell = record.settings["run"]["cell"]
    repetitions = int(cell["repetitions"])
    secrets = list(_secrets(record.evidence.estimates))
    kept = (*USEFULNESS, PROMISE, STOPPED)
    return Training(
        defence=str(cell["defence"]),
        length=int(cell["length"]),
        repetitions=repetitions,
        seed=int(record.settings["training"]["seed"]),
        planted=tuple(found for planted, found in secrets if planted == repetitions),
        controls=tuple(found for planted, found in secrets if planted == 0 != repetitions),
        about={one.name: one for one in record.evidence.estimates if one.name in kept and one.value is not None},
    )


def _secrets(estimates: Sequence[Estimate]) -> Iterator[tuple[int, Found]]:
    """The secrets of a run, each with its repetitions, in the order in which they were ranked."""
    keys = [(str(one.conditions["secret"]), int(one.conditions["repetitions"])) for one in estimates if one.name == EXPOSURE]
    for pattern, repetitions in dict.fromkeys(keys):
        asked = {"secret": pattern, "repetitions": repetitions}
        own = [one for one in estimates if all(one.conditions.get(key) == value for key, value in asked.items())]
        ranked = [one for one in own if one.conditions.get("attack") != INVERSION]
        figures = {one.name: one.value for one in (*ranked, *_chosen(own)) if one.value is not None}
        yield repetitions, Found(pattern=pattern, space=int(ranked[0].conditions["space"]), figures=figures)


def _chosen(own: Sequence[Estimate]) -> list[Estimate]:
    """The figures of one search; of several that of the least loss, which an attacker sees too, and the first of equal ones."""
    searches: dict[Any, dict[str, Estimate]] = {}
    for one in own:
        if one.conditions.get("attack") == INVERSION:
            searches.setdefault(one.conditions.get("variant"), {})[one.name] = one
    gaps = {variant: found[GAP].value for variant, found in searches.items() if GAP in found}
    known = {variant: gap for variant, gap in gaps.items() if gap is not None}
    best = min(known, key=lambda variant: known[variant]) if known else next(iter(searches), None)
    return list(searches.get(best, {}).values())
