"""The rank correlation over seeds: its value, its interval, and what it refuses."""

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.study.reproductions.correlation import rank_correlation

PROMISED = [1.0, 3.0, 10.0, 30.0, 100.0]


def test_the_value_is_the_mean_of_the_seeds_own_correlations():
    rows = np.random.default_rng(1).normal(size=(4, 5)).tolist()
    expected = np.mean([stats.spearmanr(PROMISED, row).statistic for row in rows])
    assert rank_correlation(PROMISED, rows).value == pytest.approx(expected)


def test_what_shifts_a_whole_seed_changes_nothing():
    rows = np.random.default_rng(2).normal(size=(4, 5))
    shifted = rows + np.array([[0.0], [10.0], [-10.0], [5.0]])
    assert rank_correlation(PROMISED, rows.tolist()) == rank_correlation(PROMISED, shifted.tolist())


def test_only_the_order_of_the_promises_counts():
    rows = np.random.default_rng(3).normal(size=(3, 5)).tolist()
    assert rank_correlation(PROMISED, rows) == rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], rows)


def test_seeds_that_all_agree_give_an_interval_and_not_a_point():
    found = rank_correlation(PROMISED, [[1.0, 2.0, 3.0, 4.0, 5.0]] * 5)
    assert found.value == 1
    assert found.interval.high == 1
    assert 0 < found.interval.low < 0.9


def test_the_interval_of_a_reversed_order_is_the_mirror_image():
    rows = np.random.default_rng(4).normal(size=(5, 5)) + np.arange(5)
    up, down = rank_correlation(PROMISED, rows.tolist()), rank_correlation(PROMISED, (-rows).tolist())
    assert down.value == pytest.approx(-up.value)
    assert (down.interval.low, down.interval.high) == pytest.approx((-up.interval.high, -up.interval.low))


def test_more_seeds_narrow_the_interval():
    rows = (np.random.default_rng(5).normal(size=(40, 5)) + 0.5 * np.arange(5)).tolist()
    few, many = rank_correlation(PROMISED, rows[:5]).interval, rank_correlation(PROMISED, rows).interval
    assert many.high - many.low < 0.5 * (few.high - few.low)


@pytest.mark.parametrize(
    ("promised", "measured", "message"),
    [
        ([1.0, 2.0], [[1.0, 2.0], [2.0, 1.0]], "2 levels"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]], "at least 2 seeds"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0], [2.0, 1.0]], "each with 3 levels"),
        ([1.0, 2.0, float("inf")], [[1.0, 2.0, 3.0]] * 2, "not finite"),
        ([1.0, 1.0, 1.0], [[1.0, 2.0, 3.0]] * 2, "are equal"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]], "are equal"),
    ],
)
def test_what_has_no_ranks_is_refused(promised: list, measured: list, message: str):
    with pytest.raises(InputError, match=message):
        rank_correlation(promised, measured)
