"""From tables by group to estimates with their conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from holdfast.core.evidence import Condition, Direction, Estimate
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.generation.table import GroupTable, Quantity
from holdfast.fairness.generation.texts import Texts
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference

Conditions = Mapping[str, Condition]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What all estimates of one metric on one set of texts have in common.

    Args:
        card: Of the metric.
        subject: The run.
        inference: How intervals and tests are made.
        texts: What was rated.
        conditions: Such as the scorer and the decoding.
    """

    card: MetricCard
    subject: str
    inference: Inference
    texts: Texts
    conditions: Conditions = field(default_factory=dict)

    @classmethod
    def of(cls, card: MetricCard, texts: Texts, *, subject: str, inference: Inference, conditions: Conditions) -> Telling:
        """With what every estimate says of the texts themselves."""
        told: dict[str, Condition] = {
            "groups": texts.attribute,
            "source_text": texts.source,
            "written_by": texts.written_by,
            "texts": len(texts.texts),
            **texts.drawn,
            **conditions,
        }
        if texts.empty:
            told["empty_texts"] = texts.empty
        return cls(card=card, subject=subject, inference=inference, texts=texts, conditions=told)

    def estimate(self, name: str, measured: Measured, *, unit: str, direction: Direction, says: str, conditions: Conditions) -> Estimate:
        """Names a number."""
        return measured.estimate(
            name,
            subject=self.subject,
            metric=self.card.name,
            unit=unit,
            direction=direction,
            level=self.inference.level,
            method=says,
            reference=self.card.reference,
            conditions={**self.conditions, **conditions},
        )

    def rows(self, quantity: Quantity, table: GroupTable, *, what: str) -> list[Estimate]:
        """One estimate for each group, also for those without a value."""
        method = f"simultaneous max-T over {len(table.counted)} groups, {self.inference.replicates} bootstrap replicates of {what}"
        found = []
        for place, group in enumerate(self.texts.names):
            value = _or_none(table.values[place])
            measured = Measured(
                value=value,
                low=_or_none(table.band.low[place]),
                high=_or_none(table.band.high[place]),
                interval=method,
                units=int(table.units[place]),
                resampled=what,
                missing=None if value is not None else self.why(place, table, quantity.missing),
            )
            conditions: dict[str, Condition] = {"group": group, "rows": int(table.rows[place])}
            found.append(
                self.estimate(
                    quantity.name, measured, unit=quantity.unit, direction=quantity.direction, says=quantity.says, conditions=conditions
                )
            )
        return found

    def why(self, place: int, table: GroupTable, otherwise: str) -> str:
        """Why a group has no value."""
        if not (self.texts.group_of == place).any():
            return "no prompt speaks of this group"
        if not table.rows[place]:
            return f"{int((self.texts.group_of == place).sum())} prompts but no text that holds anything"
        return otherwise.format(n=int(table.rows[place]))

    def comparison(self, quantity: Quantity, table: GroupTable, *, what: str) -> list[Estimate]:
        """The gap between groups, and the value of the worst of them."""
        if not quantity.compared:
            return []
        names, undefined = self.texts.names, len(self.texts.names) - len(table.counted)
        conditions: dict[str, Condition] = {"statistic": "difference", "undefined": undefined}
        measured = table.gap or Measured(value=None, missing=f"{len(table.counted)} of {len(names)} groups have a value; a gap needs two")
        if table.gap is not None:
            conditions |= {"worst": names[table.ends[0]], "best": names[table.ends[1]]}
        says = f"highest minus lowest group of the {quantity.name.replace('_', ' ')}"
        found = [
            self.estimate(
                f"{quantity.name}_difference",
                measured,
                unit=quantity.unit,
                direction="lower is better",
                says=says,
                conditions=conditions,
            )
        ]
        if table.worst is None:
            return found
        worst = table.worst
        alone = Measured(
            value=_or_none(worst.value),
            low=_or_none(max(worst.low, quantity.bounds[0])),
            high=_or_none(min(worst.high, quantity.bounds[1])),
            interval=worst.method,
            units=int(table.units[table.counted].sum()),
            resampled=what,
        )
        conditions = {"statistic": "worst group", "worst": names[table.ends[0]], "undefined": undefined}
        return [
            *found,
            self.estimate(
                quantity.name, alone, unit=quantity.unit, direction=quantity.direction, says="the worst group", conditions=conditions
            ),
        ]

    def with_conditions(self, conditions: Conditions) -> Telling:
        """With further conditions."""
        return replace(self, conditions={**self.conditions, **conditions})


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
