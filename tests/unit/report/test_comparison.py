"""Intervals of differences and ratios, held against what simulation says."""

import math

import numpy as np
import pytest

from holdfast.core.evidence import Estimate, Interval
from holdfast.report.comparison import difference, ratio


def estimate(subject: str, value: float | None, interval: tuple[float, float] | None = None, *, level: float = 0.95) -> Estimate:
    span = None if interval is None else Interval(low=interval[0], high=interval[1], level=level, method="Wilson")
    missing = "not measured" if value is None else None
    return Estimate(
        name="slot_f1", subject=subject, value=value, unit="share", direction="higher is better", interval=span, n=700, missing=missing
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def test_the_example_of_the_reference():
    """Newcombe 1998, table II, row (a): 56/70 against 48/80, method 10 gives .0524 to .3339."""
    found = difference(estimate("a", 56 / 70, wilson(56 / 70, 70)), estimate("b", 48 / 80, wilson(48 / 80, 80)))
    assert found is not None
    assert found.interval is not None
    assert (found.value, found.interval.low, found.interval.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert found.name == "slot_f1_difference"
    assert found.conditions == {"against": "b"}


@pytest.mark.parametrize("shares", [(0.9, 0.95), (0.5, 0.5), (0.98, 0.99)])
def test_the_interval_covers_as_often_as_it_says(shares: tuple[float, float]):
    generator, n, covered = np.random.default_rng(5), 300, 0
    for new, base in generator.binomial(n, shares, size=(4_000, 2)) / n:
        found = difference(estimate("new", new, wilson(new, n)), estimate("base", base, wilson(base, n)))
        assert found is not None
        assert found.interval is not None
        covered += found.interval.low <= shares[0] - shares[1] <= found.interval.high
    assert 0.94 <= covered / 4_000 <= 0.975


def test_errors_in_common_make_the_interval_too_wide_as_the_page_says():
    """Two runs that share their errors differ less than their intervals, taken as independent, allow."""
    generator, n, covered = np.random.default_rng(6), 300, 0
    for _ in range(2_000):
        right = generator.random(n) < 0.9
        new = np.where(generator.random(n) < 0.1, generator.random(n) < 0.9, right)
        found = difference(estimate("new", new.mean(), wilson(new.mean(), n)), estimate("base", right.mean(), wilson(right.mean(), n)))
        assert found is not None
        assert found.interval is not None
        covered += found.interval.low <= 0 <= found.interval.high
    assert covered / 2_000 > 0.99


def test_no_interval_without_two_of_one_level():
    new = estimate("new", 0.9, (0.88, 0.92))
    for base in (estimate("base", 0.95), estimate("base", 0.95, (0.9, 0.98), level=0.9)):
        found = difference(new, base)
        assert found is not None
        assert found.value == pytest.approx(-0.05)
        assert found.interval is None


def test_what_is_missing_cannot_be_compared():
    assert difference(estimate("a", None), estimate("b", 0.5)) is None
    assert difference(estimate("a", 0.5), estimate("b", None)) is None
    assert ratio(estimate("a", None), estimate("b", 0.5)) is None
    assert ratio(estimate("a", 0.5), estimate("b", 0.0)) is None


def test_a_ratio_carries_the_interval_of_the_run_in_question():
    found = ratio(estimate("new", 6.0, (5.0, 8.0)), estimate("base", 4.0, (3.0, 5.0)))
    assert found is not None
    assert found.interval is not None
    assert (found.value, found.interval.low, found.interval.high) == (1.5, 1.25, 2.0)
    assert found.interval.method == "Wilson; over the value of base"
    bare = ratio(estimate("new", 6.0), estimate("base", 4.0))
    assert bare is not None
    assert bare.interval is None
