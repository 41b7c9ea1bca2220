"""From the records of planted secrets to their summary: cells over trainings, defences against none, and the question itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence, Interval
from holdfast.report.numbers import DIFFERENCE
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    AGREEMENT,
    ALL,
    EVERYWHERE,
    EXPOSURE,
    HIDDEN,
    KNOWS,
    NEVER,
    NULL,
    P_VALUE,
    PROMISE,
    USEFULNESS,
    leaks,
)
from holdfast.runs import RunRecord
from holdfast.study.reproductions.canary_extraction.agreement import agreement
from holdfast.study.reproductions.canary_extraction.averages import Group, groups_by_defence, groups_of, of_cell, of_group
from holdfast.study.reproductions.canary_extraction.comparing import against_none, held_together
from holdfast.study.reproductions.canary_extraction.intervals import knows_nothing, mean_within
from holdfast.study.reproductions.canary_extraction.measured import Found, Training, training_of
from holdfast.study.reproductions.canary_extraction.notes import notes_of


def summarise(records: Sequence[RunRecord]) -> Evidence:
    """Sums up a finished grid of planted secrets.

    Args:
        records: Of every run; the place in the grid is read from their settings.

    Returns:
        For each cell, over all patterns and by pattern, what the attacks found with intervals over trainings; for each defence the
        same over all its cells; its differences to no defence; the test of a model that knows nothing, with Holm's p-values over
        the defences; how accuracy and exposure agree over cells; and secrets that were never planted.
    """
    trainings = [training_of(record) for record in records]
    groups, whole = list(groups_of(trainings)), list(groups_by_defence(trainings))
    together = [group for group in groups if group.pattern is None]
    estimates = [one for group in groups for one in of_group(group)]
    estimates += [one for group in (*together, *whole) for one in of_cell(group)]
    estimates += [one for group in whole for one in of_group(group)]
    estimates += [*against_none(together), *against_none(whole)]
    estimates = held_together(estimates, KNOWS, lambda one: one.value or 0.0)
    for name in (EXPOSURE, ACCURACY):
        estimates = held_together(estimates, name + DIFFERENCE, lambda one: float(one.conditions["p_value"]))
    estimates += [_agreement(together), _hidden(estimates), *_never_planted(trainings)]
    return Evidence(estimates=tuple(estimates), notes=tuple(notes_of(trainings)))


def trimmed(record: RunRecord) -> RunRecord:
    """A record with the figures that the page shows of each run: means over its secrets; promises and verdicts stay whole."""
    found, training = record.evidence, training_of(record)
    kept = [one for one in found.estimates if one.name in (*USEFULNESS, PROMISE)]
    for name, unit in ((EXPOSURE, "bits"), (ACCURACY, "share")):
        value = training.mean(name, None)
        if value is not None:
            conditions: dict[str, Condition] = {"secrets": len(training.planted)}
            method = "mean over the secrets of the run"
            kept.append(
                Estimate(
                    name=name,
                    subject=record.name,
                    value=value,
                    unit=unit,
                    direction="lower is better",
                    conditions=conditions,
                    method=method,
                )
            )
    return replace(record, evidence=Evidence(estimates=tuple(kept), claims=found.claims, verdicts=found.verdicts))


def _agreement(groups: Sequence[Group]) -> Estimate:
    """Whether accuracy and exposure order the cells alike, or why that cannot be told."""
    exposures, accuracies = [group.by_seed(EXPOSURE) for group in groups], [group.by_seed(ACCURACY) for group in groups]
    common = sorted(set.intersection(*(set(one) for one in (*exposures, *accuracies))))
    value: float | None = None
    interval: Interval | None = None
    missing = None
    try:
        value, interval = agreement(_matrix(accuracies, common), _matrix(exposures, common))
    except InputError as error:
        missing = f"not resolvable: {error}"
    return Estimate(
        name=AGREEMENT,
        subject=EVERYWHERE,
        value=value,
        unit="rank correlation",
        direction="neither",
        interval=interval,
        n=len(groups),
        conditions={"seeds": len(common), "cells": len(groups)},
        method="Spearman's rank correlation over cells of the share of secrets found and the mean exposure",
        reference="Spearman 1904; Miller 1974",
        missing=missing,
    )


def _matrix(rows: Sequence[Mapping[int, float]], seeds: Sequence[int]) -> np.ndarray:
    """A measure as (seeds, cells)."""
    return np.array([[row[seed] for row in rows] for seed in seeds], dtype=np.float64).reshape(len(seeds), len(rows))


def _hidden(estimates: Sequence[Estimate]) -> Estimate:
    """How many cells give something away though the search found not one secret whole."""
    ranked = {one.subject: one for one in estimates if one.name == EXPOSURE and _is_cell(one)}
    searched = [one for one in estimates if one.name == ACCURACY and _is_cell(one) and one.subject in ranked]
    silent = [one.subject for one in searched if one.value == 0]
    return Estimate(
        name=HIDDEN,
        subject=EVERYWHERE,
        value=float(sum(leaks(ranked[subject]) for subject in silent)) if searched else None,
        unit="cells",
        direction="lower is better",
        n=len(searched),
        conditions={"silent": len(silent), "cells": len(searched)},
        method="cells in which no secret was found whole and the interval of the mean exposure lies above that of a model that "
        "knows nothing",
        missing=None if searched else "no search was made for the secrets of any cell",
    )


def _is_cell(one: Estimate) -> bool:
    """Whether it speaks of one length and number of repetitions, over all patterns."""
    return "length" in one.conditions and one.conditions.get("secret") == ALL


def _never_planted(trainings: Sequence[Training]) -> Iterator[Estimate]:
    """The exposure of secrets that were not planted: what the measure shows where there is nothing to show."""
    by_seed: dict[int, list[Found]] = {}
    for training in trainings:
        by_seed.setdefault(training.seed, []).extend(training.controls)
    found = {seed: controls for seed, controls in by_seed.items() if controls}
    if not found:
        return
    controls = [one for row in found.values() for one in row]
    means = [float(np.mean([one.figures[EXPOSURE] for one in row])) for row in found.values()]
    most = float(np.mean([one.most for one in controls]))
    step = float(np.sqrt(np.mean([one.step**2 for one in controls]) * len(found) / len(controls)))
    conditions: dict[str, Condition] = {"null_mean": NULL, "most": most, "secrets": len(controls), "seeds": len(found)}
    exposure = Estimate(
        name=EXPOSURE,
        subject=NEVER,
        value=float(np.mean(means)),
        unit="bits",
        direction="neither",
        interval=mean_within(means, most=most, step=step),
        n=len(means),
        conditions=conditions,
        method="mean over seeds of the exposure of secrets of the same form that were never planted",
    )
    yield exposure
    p_values = [one.figures[P_VALUE] for one in controls if P_VALUE in one.figures]
    if p_values:
        method = "Fisher's combination of the p-values of their ranks"
        unit = "probability"
        yield replace(exposure, name=KNOWS, value=knows_nothing(p_values), unit=unit, interval=None, n=len(p_values), method=method)
