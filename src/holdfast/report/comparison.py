"""Differences and ratios between two runs, with intervals joined from the runs' own."""

from __future__ import annotations

import math

from holdfast.core.evidence import Estimate, Interval
from holdfast.report.numbers import DIFFERENCE, RATIO

HOW_DIFFERENCES = (
    "An interval of a difference joins the intervals of the two runs as if they were independent (square-and-add). "
    "Runs that are scored on the same test examples tend to err on the same ones, so these intervals are rather too wide than too narrow."
)


def difference(new: Estimate, base: Estimate) -> Estimate | None:
    """How much one run is above another.

    Args:
        new: The run in question.
        base: What it is held against: the same quantity under the same conditions.

    Returns:
        An estimate whose name ends in "_difference", or None where a value is missing. It has an interval where both have one
        of the same level.

    References:
        Newcombe 1998, Statistics in Medicine 17, 873-890, method 10; Zou and Donner 2008 for intervals of any kind.
    """
    if new.value is None or base.value is None:
        return None
    interval = None
    if new.interval and base.interval and new.interval.level == base.interval.level:
        gap = new.value - base.value
        below = math.hypot(new.value - new.interval.low, base.interval.high - base.value)
        above = math.hypot(new.interval.high - new.value, base.value - base.interval.low)
        method = "square-and-add of the two runs' intervals, taken as independent"
        interval = Interval(low=gap - below, high=gap + above, level=new.interval.level, method=method)
    return Estimate(
        name=new.name + DIFFERENCE,
        subject=new.subject,
        value=new.value - base.value,
        unit=new.unit,
        direction=new.direction,
        interval=interval,
        n=new.n,
        conditions={"against": base.subject},
        method=f"value of {new.subject} minus value of {base.subject}",
        reference="Newcombe 1998, method 10; Zou and Donner 2008",
    )


def ratio(new: Estimate, base: Estimate) -> Estimate | None:
    """How many times as large one run is as another.

    Args:
        new: The run in question.
        base: What it is held against; its value is taken as exact.

    Returns:
        An estimate whose name ends in "_ratio", or None where a value is missing or the base is not above nought. Its interval
        is that of `new` over the value of `base`.
    """
    if new.value is None or base.value is None or base.value <= 0:
        return None
    own = new.interval
    interval = own and Interval(
        low=own.low / base.value, high=own.high / base.value, level=own.level, method=f"{own.method}; over the value of {base.subject}"
    )
    return Estimate(
        name=new.name + RATIO,
        subject=new.subject,
        value=new.value / base.value,
        unit="ratio",
        direction=new.direction,
        interval=interval,
        n=new.n,
        conditions={"against": base.subject},
        method=f"value of {new.subject} over value of {base.subject}",
    )
