"""Whether two measures order the cells alike: its value, its interval, and what it refuses."""

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.study.reproductions.canary_extraction.agreement import agreement


def test_the_value_is_the_rank_correlation_of_the_means_over_seeds():
    one, other = np.random.default_rng(1).normal(size=(2, 10, 8)) + np.arange(8)
    value, interval = agreement(one, other)
    assert value == pytest.approx(stats.spearmanr(one.mean(axis=0), other.mean(axis=0)).statistic)
    assert interval.low < value <= interval.high <= 1


def test_seeds_that_agree_give_an_interval_and_not_a_point():
    rows = np.tile(np.arange(8.0), (10, 1))
    value, interval = agreement(rows, rows)
    assert value == interval.high == 1
    assert 0.5 < interval.low < 1
    assert agreement(rows, -rows)[0] == -1


def test_seeds_that_disagree_widen_the_interval():
    generator = np.random.default_rng(2)
    cells = np.arange(12.0)
    calm, wild = (cells + spread * generator.normal(size=(2, 10, 12)) for spread in (0.5, 8.0))
    widths = [agreement(*pair)[1].high - agreement(*pair)[1].low for pair in (calm, wild)]
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 8), "2 seeds over 8 cells"), ((10, 3), "10 seeds over 3 cells")],
)
def test_too_few_seeds_or_cells_are_refused(shape: tuple[int, int], message: str):
    with pytest.raises(InputError, match=message):
        agreement(np.zeros(shape), np.zeros(shape))


def test_a_measure_that_never_differs_is_refused():
    rows = np.random.default_rng(3).normal(size=(10, 8))
    with pytest.raises(InputError, match="same in all cells"):
        agreement(np.zeros((10, 8)), rows)
