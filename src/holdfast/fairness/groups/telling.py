"""Rates and gaps become evidence: names, conditions, and what the numbers cannot say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition, Direction, Estimate
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.gaps import Combined, Gap, Gaps, mean_of, worst_of
from holdfast.fairness.groups.rates import RateTable
from holdfast.fairness.inference import Inference, Measured, holm
from holdfast.fairness.inference.measured import OF_DIFFERENCES
from holdfast.fairness.predictions import Predictions

Floats = NDArray[np.float64]

NOTES = (
    "A gap between groups speaks of groups, not of persons, and does not say where it comes from.",
    "Equal rates are no proof that nobody is treated unfairly: where base rates differ, several notions of fairness cannot hold at once "
    "(Chouldechova 2017; Kleinberg, Mullainathan and Raghavan 2017).",
    "Labels are taken for right; where they are wrong more often in one group, the gap measures the labels too.",
)
"""What rates by group cannot show."""
OF_ONE_GROUP = "it is of one group, and the margin is of differences between groups"
"""Why a row has no verdict where a margin was given."""


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Gives numbers of one metric their name, subject and conditions.

    Args:
        card: Of the metric.
        subject: The run.
        inference: Level of the intervals.
        predictions: What was looked at.
        conditions: What stands beside every number of this metric.
    """

    card: MetricCard
    subject: str
    inference: Inference
    predictions: Predictions
    conditions: Mapping[str, Condition]

    @classmethod
    def of(
        cls,
        card: MetricCard,
        subject: str,
        *,
        inference: Inference,
        predictions: Predictions,
        conditions: Mapping[str, Condition] | None = None,
    ) -> Teller:
        """Collects what is always told: the attribute, the positive side and the text."""
        told: dict[str, Condition] = {"groups": predictions.groups.attribute}
        if predictions.positive is not None:
            told["positive"] = ", ".join(predictions.positive)
        if predictions.text:
            told["source_text"] = predictions.text
        return cls(card=card, subject=subject, inference=inference, predictions=predictions, conditions={**told, **(conditions or {})})

    def tell(
        self,
        name: str,
        measured: Measured,
        *,
        method: str,
        direction: Direction | None = None,
        unit: str | None = None,
        conditions: Mapping[str, Condition | None] | None = None,
        unjudged: str = OF_ONE_GROUP,
    ) -> Estimate:
        """One estimate; conditions that are None or "" are left out. `unjudged` says why it has no verdict, where it might have one."""
        if self.inference.margin is not None and measured.verdict is None:
            measured = replace(measured, unjudged=measured.unjudged or ("there is no value" if measured.value is None else unjudged))
        more = {key: value for key, value in (conditions or {}).items() if value is not None and value != ""}
        return measured.estimate(
            name,
            subject=self.subject,
            metric=self.card.name,
            unit=self.card.unit if unit is None else unit,
            direction=self.card.direction if direction is None else direction,
            level=self.inference.level,
            method=method,
            reference=self.card.reference,
            conditions={**self.conditions, **more},
        )

    def rates(self, table: RateTable, band: tuple[Floats, Floats], *, directions: Mapping[str, Direction]) -> list[Estimate]:
        """One row for each rate of each group, also for those without a denominator."""
        told = []
        for column, (rate, label) in enumerate(table.columns):
            for group, name in enumerate(table.groups.names):
                told.append(
                    self.tell(
                        rate,
                        self._rate(table, band, column, group),
                        method="share of rows, with intervals that hold for all rates of all groups at once",
                        direction=directions.get(rate, "neither"),
                        unit="share",
                        conditions={"group": name, "class": label},
                    )
                )
        return told

    def _rate(self, table: RateTable, band: tuple[Floats, Floats], column: int, group: int) -> Measured:
        low, high = (float(end[column, group]) for end in band)
        sure = math.isfinite(low) and math.isfinite(high)
        few = table.below[column, group] == 1
        return Measured(
            value=None if table.below[column, group] == 0 else float(table.values[column, group]),
            low=low if sure and not few else None,
            high=high if sure and not few else None,
            interval="it rests on one row" if few else self.simultaneous(table.values.size) if sure else "the spread cannot be told",
            units=table.independent(column, group),
            resampled=table.units.what,
            sizes={table.groups.names[group]: int(table.below[column, group])},
            missing=table.why_missing(column, group),
        )

    def simultaneous(self, count: int) -> str:
        """How intervals that hold together were made."""
        return f"max-T over {count} numbers, {self.inference.replicates} bootstrap replicates of {self.predictions.units.what}"

    def gaps(
        self,
        name: str,
        gaps: Gaps,
        *,
        method: str,
        variant: str | None = None,
        statistic: str | None = None,
        unit: str | None = None,
        unjudged: str = OF_DIFFERENCES,
    ) -> list[Estimate]:
        """The summary of gaps: the worst over classes, the macro mean, and each class by itself.

        Where a gap is undefined the summary is missing, and a second one follows that leaves the undefined out and says so.
        """
        told = []

        def add(found: Combined, more: Mapping[str, Condition | None]) -> None:
            left_out = "; ".join(found.left_out) if found.measured.value is not None else None
            about: dict[str, Condition | None] = {
                "statistic": statistic or gaps.kind,
                "worst": found.worst,
                "variant": variant,
                "left out": left_out,
            }
            direction: Direction = "lower is better" if gaps.kind == "difference" else "higher is better"
            about |= {**found.more, **more}
            told.append(self.tell(name, found.measured, method=method, unit=unit, direction=direction, conditions=about, unjudged=unjudged))

        known = tuple(gap for gap in gaps.partial if gap.alone.value is not None)
        for kept in (gaps.every, known) if known else (gaps.every,):
            left_out = _left_out(gaps.partial) if kept is known else ()
            worst = replace(worst_of(kept, kind=gaps.kind, inference=self.inference), left_out=left_out)
            if len(gaps.every) == 1:
                add(worst, {})
                continue
            mean = mean_of(kept, kind=gaps.kind, inference=self.inference)
            add(worst, {"classes": "worst", "worst class": worst.label})
            add(replace(mean, left_out=left_out), {"classes": "macro mean"})
        if len(gaps.every) > 1:
            given = [math.nan if gap.alone.p_value is None else gap.alone.p_value for gap in gaps.every]
            for gap, adjusted in zip(gaps.every, holm(given), strict=True):
                about: dict[str, Condition | None] = {"class": gap.label}
                if not math.isnan(adjusted):
                    about |= {"p_adjusted": float(adjusted), "adjustment": f"Holm, {len(given)} classes"}
                add(Combined(measured=gap.shared, worst=gap.worst, more=gap.more), about)
        return told


def _left_out(partial: Sequence[Gap]) -> tuple[str, ...]:
    """Groups and classes that a partial summary leaves out, each once."""
    groups = [reason for gap in partial for reason in gap.left_out]
    classes = [f"class {gap.label!r}" for gap in partial if gap.alone.value is None]
    return tuple(dict.fromkeys([*classes, *groups]))
