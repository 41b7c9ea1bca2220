"""Intervals over trainings and the test of ranks: known answers, edge cases, and what they refuse. Simulations are in tests/statistics."""

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.study.reproductions.canary_extraction.intervals import (
    holm,
    knows_nothing,
    mean_above_nought,
    mean_within,
    median_of,
    paired,
)

MOST = np.log2(10_000)


def clopper_pearson(hits: int, trials: int) -> tuple[float, float]:
    found = stats.binomtest(hits, trials).proportion_ci(method="exact")
    return found.low, found.high


@pytest.mark.parametrize("hits", [0, 1, 4, 9, 10])
def test_one_secret_a_training_gives_clopper_pearson(hits: int):
    interval = mean_within([1.0] * hits + [0.0] * (10 - hits), trials=10)
    assert (interval.low, interval.high) == pytest.approx(clopper_pearson(hits, 10))


def test_secrets_of_one_training_count_as_one_where_they_are_found_together_and_apart_where_not():
    alike = mean_within([1.0, 0.0] * 5, trials=30)
    apart = mean_within([1 / 3, 2 / 3] * 5, trials=30)
    assert (alike.low, alike.high) == pytest.approx(clopper_pearson(5, 10))
    assert apart.high - apart.low < 0.7 * (alike.high - alike.low)
    assert (apart.low, apart.high) == pytest.approx(clopper_pearson(15, 30)), "and no more than all secrets"


@pytest.mark.parametrize("value", [0.0, MOST])
def test_equal_values_at_an_end_give_an_interval_and_not_a_point(value: float):
    interval = mean_within([value] * 10, most=MOST, step=1.0)
    assert interval.low <= value <= interval.high
    assert interval.high - interval.low == pytest.approx(0.3085 * MOST, abs=0.01)


def test_equal_values_between_the_ends_give_an_interval_by_the_step():
    narrow, wide = (mean_within([6.0] * 10, most=MOST, step=step) for step in (0.1, 1.0))
    assert 0 < narrow.high - narrow.low < wide.high - wide.low


def test_the_interval_stays_within_the_bounds_where_student_would_not():
    values = [12.0, 13.0, 13.2, 13.28, 13.28, 9.0, 13.28, 13.0, 13.28, 13.28]
    interval = mean_within(values, most=MOST, step=0.5)
    assert np.mean(values) < interval.high < MOST
    assert interval.low > 9


def test_more_trainings_narrow_the_interval():
    values = np.random.default_rng(1).exponential(1.44, 200).tolist()
    few, many = mean_within(values[:10], most=MOST), mean_within(values, most=MOST)
    assert many.high - many.low < 0.4 * (few.high - few.low)


def test_one_training_tells_next_to_nothing():
    interval = mean_within([3.0], most=MOST, step=0.5)
    assert interval.high - interval.low > 0.9 * MOST
    assert mean_above_nought([0.1]) is None
    assert paired([0.1], most=1.0, step=0.1) is None
    assert median_of([4.0]) == (4.0, None)


@pytest.mark.parametrize("values", [[], [-0.1], [1.1]])
def test_what_is_out_of_bounds_is_refused(values: list[float]):
    with pytest.raises(InputError, match="between 0 and 1"):
        mean_within(values)


def test_gaps_have_students_interval_that_ends_at_nought():
    interval = mean_above_nought([0.0, 0.0, 0.3, 0.0])
    assert interval.low == 0
    assert interval.high == pytest.approx(0.075 + stats.t.ppf(0.975, 3) * np.std([0, 0, 0.3, 0], ddof=1) / 2)


def test_pairs_have_the_paired_t_test_of_scipy():
    one, other = np.random.default_rng(2).normal(8, 2, (2, 10))
    interval, p = paired((one - other).tolist(), most=MOST, step=0.01)
    expected = stats.ttest_rel(one, other)
    assert p == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_pairs_that_never_differ_give_no_certainty():
    interval, p = paired([0.0] * 10, most=1.0, step=1 / 3)
    assert p == 1
    assert (interval.low, interval.high) == pytest.approx((-0.2385, 0.2385), abs=1e-3)
    interval, p = paired([1.0] * 10, most=1.0, step=1 / 3)
    assert 0 < p < 1e-4
    assert interval.high == 1


@pytest.mark.parametrize(("count", "inner"), [(6, 1), (10, 2), (20, 6), (30, 10)])
def test_the_median_has_the_textbook_order_statistics(count: int, inner: int):
    value, interval = median_of([float(one) for one in range(1, count + 1)])
    assert value == (count + 1) / 2
    assert (interval.low, interval.high) == (inner, count + 1 - inner)


def test_five_trainings_have_a_median_without_an_interval():
    assert median_of([3.0, 1.0, 2.0, 5.0, 4.0]) == (3.0, None)


def test_fisher_is_that_of_scipy_and_refuses_what_is_no_p_value():
    p_values = [0.3, 0.02, 0.9, 1.0]
    assert knows_nothing(p_values) == pytest.approx(stats.combine_pvalues(p_values).pvalue)
    for wrong in ([], [0.0], [1.2]):
        with pytest.raises(InputError, match="in \\(0, 1\\]"):
            knows_nothing(wrong)


def test_holm_is_the_step_down_of_the_paper_and_never_falls_below_the_p_value():
    p_values = [0.004, 0.03, 0.9, 0.011, 0.011]
    found = holm(p_values)
    assert found == pytest.approx([0.02, 0.06, 0.9, 0.044, 0.044])
    assert all(one >= p for one, p in zip(found, p_values, strict=True))
    assert holm([]) == []
