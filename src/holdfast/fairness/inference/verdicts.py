"""Whether a gap is fair within a margin: two one-sided tests, and no pass on missing evidence."""

from __future__ import annotations

import math
from typing import Literal

from holdfast.core.errors import InputError

Fairness = Literal["fair within the margin", "unfair", "not enough data"]


def equivalence(low: float | None, high: float | None, *, margin: float) -> Fairness:
    """Tests a gap against a margin, from its interval.

    Args:
        low: Lower end of the interval of level 1 - 2 alpha, .9 for a test at .05; None or NaN where there is none.
        high: Upper end.
        margin: Differences below it, to either side, count as fair enough; above 0.

    Returns:
        "fair within the margin" where the whole interval lies within the margin; "unfair" where none of it does; else
        "not enough data".

    Raises:
        InputError: For a margin that is not above 0, or ends in the wrong order.

    Guarantee:
        Where the true gap is as large as the margin or larger, "fair within the margin" is said with chance at most alpha, if
        the interval covers with chance 1 - 2 alpha and misses as often on either side. Missing evidence never makes fair.

    References:
        Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach".
    """
    if not margin > 0:
        raise InputError(f"margin {margin} is not above 0; say how large a difference still counts as fair enough")
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "not enough data"
    if low > high:
        raise InputError(f"low {low} is above high {high}; swap them")
    if -margin < low and high < margin:
        return "fair within the margin"
    return "unfair" if low > margin or high < -margin else "not enough data"
