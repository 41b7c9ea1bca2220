"""Areas of few rows have intervals that are sound at the ends; variances add in differences; the gap minds all pairs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.audit.intervals import Area
from holdfast.audit.leakage.areas import difference_interval, gap_at_parity, gap_interval


def drawn(mean: float, n1: int, n0: int, *, seed: int = 0) -> Area:
    rng = np.random.default_rng(seed)
    return Area.between(rng.normal(mean, 1, n1), rng.normal(0, 1, n0))


def spread(*variances: float) -> list[Area]:
    return [Area(value=0.5, from_members=v / 2, from_nonmembers=v / 2, members=100, nonmembers=100) for v in variances]


@pytest.mark.parametrize(("members", "value"), [(np.arange(20) + 100.0, 1.0), (np.arange(20) - 100.0, 0.0)])
def test_sides_that_do_not_overlap_have_a_width(members: np.ndarray, value: float):
    area = Area.between(members, np.arange(25.0))
    interval = area.interval(level=0.95)
    assert area.value == value
    assert interval.low <= value <= interval.high
    assert 0.1 < interval.high - interval.low < 0.5


def test_equal_scores_say_nothing():
    interval = Area.between(np.zeros(20), np.zeros(20)).interval(level=0.95)
    assert interval.low < 0.3
    assert interval.high > 0.7


@settings(max_examples=60, deadline=None)
@given(
    members=st.lists(st.integers(-3, 3), min_size=2, max_size=30),
    nonmembers=st.lists(st.integers(-3, 3), min_size=2, max_size=30),
    level=st.sampled_from([0.5, 0.95, 0.9999]),
)
def test_any_scores_give_an_interval_around_the_area(members: list[int], nonmembers: list[int], level: float):
    area = Area.between(np.array(members, dtype=float), np.array(nonmembers, dtype=float))
    interval = area.interval(level=level)
    assert 0 <= interval.low <= area.value + 1e-9
    assert area.value - 1e-9 <= interval.high <= 1
    assert interval.high > interval.low


def test_a_difference_turned_round_has_its_interval_turned_round():
    one, other = drawn(1.0, 30, 40), drawn(0.2, 60, 20, seed=1)
    there, back = difference_interval(one, other, level=0.95), difference_interval(other, one, level=0.95)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= there.low < one.value - other.value < there.high <= 1


def test_variances_of_both_areas_add_in_a_difference():
    one, other = drawn(0.3, 3000, 3000), drawn(0.3, 1000, 2000, seed=1)
    interval = difference_interval(one, other, level=0.95)
    both = 2 * stats.norm.ppf(0.975) * math.sqrt(one.variance + other.variance)
    assert interval.high - interval.low == pytest.approx(both, rel=0.03)
    assert both > 1.1 * 2 * stats.norm.ppf(0.975) * math.sqrt(other.variance)  # the second variance is seen


def test_the_gap_of_two_is_the_size_of_their_difference():
    one, other = drawn(0.2, 60, 60), drawn(1.6, 60, 60, seed=1)
    gap, difference = gap_interval([one, other], level=0.95), difference_interval(other, one, level=0.95)
    assert (gap.low, gap.high) == pytest.approx((difference.low, difference.high))
    assert gap.low > 0
    turned = gap_interval([other, one], level=0.95)
    assert (turned.low, turned.high) == pytest.approx((gap.low, gap.high))


def test_a_gap_that_may_be_none_begins_at_nought():
    interval = gap_interval([drawn(0.5, 40, 40, seed=seed) for seed in range(4)], level=0.95)
    assert interval.low == 0
    assert interval.high > 0
    assert "all 6 differences" in interval.method


def test_the_gap_is_bounded_with_all_pairs_in_mind():
    groups = [drawn(0.5, 40, 40, seed=seed) for seed in range(4)]
    alone = max(max(pair.high, -pair.low) for a in groups for b in groups if a is not b for pair in [difference_interval(a, b, level=0.95)])
    assert gap_interval(groups, level=0.95).high > alone


@pytest.mark.parametrize(("count", "factor"), [(2, 2 / math.sqrt(math.pi)), (3, 3 / math.sqrt(math.pi)), (5, 2.32593)])
def test_the_gap_at_parity_is_the_mean_range(count: int, factor: float):
    assert gap_at_parity(spread(*[0.0004] * count)) == pytest.approx(0.02 * factor, rel=1e-3)


def test_the_gap_at_parity_of_unequal_groups():
    assert gap_at_parity(spread(0.0004, 0.0009)) == pytest.approx(math.sqrt(0.0013 * 2 / math.pi), rel=1e-3)  # mean of |N(0, 0.0013)|
    assert gap_at_parity(spread(0.0, 0.0)) == pytest.approx(0, abs=1e-8)
