"""From what was measured to rows of evidence, with the conditions that all rows of one metric share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.core.evidence import Condition, Direction, Estimate
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.inference.simultaneous import max_t_band

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What all rows of one measurement share.

    Args:
        card: Of the metric.
        subject: The run.
        inference: How intervals were made.
        method: How it was measured, in one phrase.
        conditions: Of every row, such as the variant and the share of unknown words.
    """

    card: MetricCard
    subject: str
    inference: Inference
    method: str
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def row(
        self,
        name: str,
        found: Measured,
        *,
        conditions: Mapping[str, Condition] | None = None,
        unit: str | None = None,
        direction: Direction | None = None,
        level: float | None = None,
    ) -> Estimate:
        """One estimate.

        Args:
            name: Snake case.
            found: The number with its interval.
            conditions: Of this row, such as ``{"category": "gender"}``.
            unit: Of the value; that of the card where None.
            direction: Which way is better; that of the card where None.
            level: Coverage of the interval; that of the inference where None.
        """
        return found.estimate(
            name,
            subject=self.subject,
            metric=self.card.name,
            unit=unit or self.card.unit,
            direction=direction or self.card.direction,
            level=level or self.inference.level,
            method=self.method,
            reference=self.card.reference,
            conditions={"source_text": self.card.source_text, **self.conditions, **(conditions or {})},
        )


@dataclass(frozen=True, eq=False)
class Ends:
    """Intervals of several numbers.

    Args:
        low: Lower ends, (G,); NaN without an interval.
        high: Upper ends, (G,).
        method: How they were made.
    """

    low: Floats
    high: Floats
    method: str


def band(values_G: Floats, replicates_RG: Floats, *, level: float, bounds: tuple[float, float], what: str) -> Ends:
    """Simultaneous intervals of numbers that are compared; of a single one the plain interval.

    Args:
        values_G: The numbers, (G,); NaN where undefined.
        replicates_RG: Bootstrap replicates, (R, G).
        level: Coverage.
        bounds: Range of the numbers.
        what: What was resampled, such as "target terms".
    """
    found = max_t_band(values_G, replicates_RG, level=level, bounds=bounds)
    several = int(np.isfinite(values_G).sum()) > 1
    method = f"bootstrap over {what}, {len(replicates_RG)} replicates"
    return Ends(found.low, found.high, f"{method}, simultaneous over {len(values_G)} rows (max-T)" if several else method)


def measured(
    value: float,
    low: float,
    high: float,
    *,
    method: str,
    units: int,
    resampled: str,
    missing: str = "",
    p_value: float | None = None,
    test: str = "",
) -> Measured:
    """A number that may be NaN, and ends that may be, as `Measured` wants them.

    Args:
        value: The number; NaN where undefined.
        low: Lower end; NaN without an interval.
        high: Upper end.
        method: How the interval was made.
        units: Independent units that it rests on.
        resampled: What those are.
        missing: Why there is no value, where there is none.
        p_value: Of a test.
        test: Which.
    """
    if not math.isfinite(value):
        return Measured(value=None, units=units, resampled=resampled, missing=missing or None)
    bounded = math.isfinite(low) and math.isfinite(high)
    return Measured(
        value=value,
        low=low if bounded else None,
        high=high if bounded else None,
        interval=method if bounded else f"{units} {resampled} are too few for one, or they do not differ",
        p_value=p_value,
        test=test,
        units=units,
        resampled=resampled,
    )


def student(values_n: Floats, *, level: float, resampled: str, p_value: float | None = None, test: str = "", missing: str = "") -> Measured:
    """The mean of independent numbers with Student's interval of it, which needs two of them.

    Args:
        values_n: Finite numbers, (n,).
        level: Coverage.
        resampled: What they are, such as "pairs".
        p_value: Of a test.
        test: Which.
        missing: Why there is no value, where there is no number.
    """
    n = len(values_n)
    centre = float(values_n.mean()) if n else math.nan
    reach = math.nan
    if n > 1:
        reach = float(special.stdtrit(n - 1, (1 + level) / 2)) * float(values_n.std(ddof=1)) / math.sqrt(n)
    method = f"Student's t over {resampled}"
    ends = (centre - reach, centre + reach)
    return measured(centre, *ends, method=method, units=n, resampled=resampled, missing=missing, p_value=p_value, test=test)
