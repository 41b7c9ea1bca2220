"""One number with its interval and test, before it gets a name and a subject."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from holdfast.core.evidence import Condition, Direction, Estimate, Interval
from holdfast.fairness.inference.power import detectable
from holdfast.fairness.inference.proportions import cohen_h
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.inference.simultaneous import Kind, max_gap
from holdfast.fairness.inference.verdicts import equivalence

OF_DIFFERENCES = "the margin is of differences, and this is a ratio"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What inference found about one number.

    Args:
        value: The number; None where it is undefined, as a rate without a denominator is.
        low: Lower end of the interval, -inf where it has none; None without an interval.
        high: Upper end.
        interval: How the interval was made.
        p_value: Of the test of parity, in (0, 1]; None without one.
        test: How it was tested, such as "exact permutation, 12870 partitions, one-sided".
        effect_size: A number without unit, such as Cohen's h; None without one.
        effect: What the effect size is.
        minimum_detectable: The smallest true gap that such data would have shown with the power asked for; None where not known.
        verdict: "fair within the margin", "unfair" or "not enough data"; None where no margin was given.
        units: How many independent units the number rests on.
        resampled: What those are, such as "users".
        sizes: How many rows each group has, by name.
        missing: Why there is no value.
        unjudged: Why there is no verdict although a margin was given; "" where there is one, or no margin.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    p_value: float | None = None
    test: str = ""
    effect_size: float | None = None
    effect: str = ""
    minimum_detectable: float | None = None
    verdict: str | None = None
    units: int | None = None
    resampled: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    missing: str | None = None
    unjudged: str = ""

    def estimate(
        self,
        name: str,
        *,
        subject: str,
        metric: str,
        unit: str,
        direction: Direction,
        level: float,
        method: str,
        reference: str = "",
        conditions: Mapping[str, Condition] | None = None,
    ) -> Estimate:
        """Gives the number its name and the conditions that every number of fairness carries.

        Args:
            name: Snake case, such as "equal_opportunity_difference".
            subject: The run.
            metric: Name of the card.
            unit: Of the value.
            direction: Which way is better.
            level: Coverage of the interval.
            method: How it was measured, in one phrase.
            reference: Where that is described.
            conditions: Further ones, such as ``{"groups": "dialect", "group": "avel"}``.
        """
        told: dict[str, Condition] = {"metric": metric, **(conditions or {})}
        given = {
            "p_value": self.p_value,
            "test": self.test or None,
            "effect_size": self.effect_size,
            "effect": self.effect or None,
            "minimum_detectable": self.minimum_detectable,
            "verdict": self.verdict,
            "resampled": self.resampled or None,
        }
        told |= {
            key: value for key, value in given.items() if value is not None and not (isinstance(value, float) and not math.isfinite(value))
        }
        told |= {f"n {group}": size for group, size in self.sizes.items()}
        bounded = (
            self.value is not None
            and self.low is not None
            and self.high is not None
            and math.isfinite(self.low)
            and math.isfinite(self.high)
        )
        unjudged = f"; no verdict: {self.unjudged}" if self.unjudged and self.verdict is None else ""
        found = Interval(low=self.low, high=self.high, level=level, method=self.interval) if bounded else None  # type: ignore[arg-type]
        return Estimate(
            name=name,
            subject=subject,
            value=self.value,
            unit=unit,
            direction=direction,
            interval=found,
            n=self.units,
            conditions=told,
            method=(method if found or self.value is None or not self.interval else f"{method}; no interval: {self.interval}") + unjudged,
            reference=reference,
            access="",
            missing=None if self.value is not None else (self.missing or "undefined on these data"),
        )


def gap_measured(
    values_G: ArrayLike,
    replicates_RG: ArrayLike,
    *,
    names: Sequence[str],
    sizes: Sequence[int],
    inference: Inference,
    kind: Kind = "difference",
    share: bool = False,
    p_value: float | None = None,
    test: str = "",
    units: int | None = None,
    resampled: str = "",
    higher_is_better: bool = True,
) -> Measured:
    """The gap between the highest and the lowest group with everything that must stand beside it.

    Args:
        values_G: The value of each group, (G,); NaN where undefined.
        replicates_RG: Bootstrap replicates, (R, G).
        names: Of the groups.
        sizes: How many rows the value of each rests on, (G,).
        inference: Level, power, margin.
        kind: "difference", highest minus lowest, or "ratio", lowest over highest. A margin speaks of differences: a ratio has no verdict.
        share: Whether the values are shares: then no end passes 1, and the effect size is Cohen's h of the two ends.
        p_value: Of a better test than max-T over the replicates, such as permuted labels.
        test: What that test was.
        units: How many independent units the number rests on.
        resampled: What those are.
        higher_is_better: Which of the two ends is called the worst.

    Returns:
        The gap with its interval, p-value, effect size, smallest detectable gap and, where a margin is set, verdict.

    Guarantee:
        As in `max_gap` and `equivalence`: "fair within the margin" rests on the upper end at level 2 level - 1 (two one-sided tests at
        1 - level), "unfair" on the lower end at the level itself.

    Edge cases:
        A group without a value leaves no gap: `missing` names it, and whoever wants the gap of the others asks for it. A group with a
        value and no spread leaves the gap without interval, p-value and smallest detectable gap; the verdict is "not enough data".

    References:
        Romano and Wolf 2005 for the interval; Schuirmann 1987 for the verdict; Cohen 1988 for the effect size.
    """
    values = np.asarray(values_G, dtype=np.float64)
    about = {str(name): int(size) for name, size in zip(names, sizes, strict=True)}
    absent = [name for name, value in zip(about, values, strict=True) if math.isnan(value)]
    if absent or len(values) < 2:
        why = f"undefined: no value for {', '.join(absent)}" if absent else "undefined: there is one group only"
        return Measured(value=None, missing=why, units=units, resampled=resampled, sizes=about)
    largest = 1.0 if share else math.inf
    gap = max_gap(values, replicates_RG, level=inference.level, kind=kind, higher_is_better=higher_is_better, largest=largest)
    if math.isnan(gap.value):
        return Measured(value=None, missing=gap.method, units=units, resampled=resampled, sizes=about)
    own = None if math.isnan(gap.p_value) else gap.p_value
    verdict, unjudged = None, ""
    if inference.margin is not None and kind == "ratio":
        unjudged = OF_DIFFERENCES
    elif inference.margin is not None:
        wide = max_gap(values, replicates_RG, level=max(2 * inference.level - 1, 0.01), largest=largest)
        verdict = equivalence(gap.low, wide.high, margin=inference.margin)
    found = kind == "difference" and math.isfinite(gap.error)
    return Measured(
        value=gap.value,
        low=None if math.isnan(gap.low) else gap.low,
        high=None if math.isnan(gap.high) else gap.high,
        interval=gap.method,
        p_value=own if p_value is None else p_value,
        test=(test if p_value is not None else "" if own is None else f"parity of all groups, {gap.method}"),
        effect_size=cohen_h(float(values.max()), float(values.min())) if share else None,
        effect="Cohen's h of the two ends" if share else "",
        minimum_detectable=detectable(gap.error, critical=gap.critical, power=inference.power) if found else None,
        verdict=verdict,
        units=units,
        resampled=resampled,
        sizes=about,
        unjudged=unjudged,
    )
