"""The mean over seeds of a figure that each run measures with an interval of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from holdfast.core.evidence import Condition, Estimate, Interval

_LEVEL = 0.95
_MEAN = "mean over seeds of: {}"
_JOINED = "the runs' own half-width, averaged, and Student over seeds, joined by their squares"


def mean_over_seeds(measured: Sequence[Estimate], *, subject: str, conditions: Mapping[str, Condition]) -> Estimate:
    """The mean of a share over runs that differ in their seed alone.

    The runs of a cell are measured on the same examples and miss together, so that their number does not narrow the part of the
    interval that speaks of examples. Where the runs' own half-widths hold, so does their mean, however they depend on each other.

    Args:
        measured: What each run measured, at least one; each value in [0, 1].
        subject: What the mean speaks of.
        conditions: Under which it holds.

    Returns:
        The mean; with an interval where there are at least two runs and all have one.
    """
    values = np.array([one.value for one in measured], dtype=np.float64)
    first, mean = measured[0], float(values.mean())
    own = [(one.interval.high - one.interval.low) / 2 for one in measured if one.interval is not None]
    interval = None
    if len(own) == len(values) and len(values) > 1:
        seeds = float(stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
        reach = math.hypot(float(np.mean(own)), seeds)
        interval = Interval(low=max(0.0, mean - reach), high=min(1.0, mean + reach), level=_LEVEL, method=_JOINED)
    return Estimate(
        name=first.name,
        subject=subject,
        value=mean,
        unit=first.unit,
        direction=first.direction,
        interval=interval,
        n=len(values),
        conditions=dict(conditions),
        method=_MEAN.format(first.method),
        reference=first.reference,
        access=first.access,
    )
