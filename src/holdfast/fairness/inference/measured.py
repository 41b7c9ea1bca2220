"""One number with its interval and test, before it gets a name and a subject."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.core.evidence import Condition, Direction, Estimate, Interval


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
            method=method if found or self.value is None or not self.interval else f"{method}; no interval: {self.interval}",
            reference=reference,
            access="",
            missing=None if self.value is not None else (self.missing or "undefined on these data"),
        )
