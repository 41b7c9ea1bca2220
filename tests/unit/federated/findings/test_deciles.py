"""Ten groups of clients from the lightest to the most active, and how unequally something is shared."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.federated.findings.deciles import DECILES, deciles, gini, lorenz

MANY = settings(max_examples=150, deadline=None)
COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=60).map(lambda found: np.array(found, dtype=np.int64))
SHARES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60).map(np.array)


def test_twenty_clients_stand_two_by_two_from_the_lightest_on():
    counts = np.array([20, 1, 19, 2, 18, 3, 17, 4, 16, 5, 15, 6, 14, 7, 13, 8, 12, 9, 11, 10])
    found = deciles(counts)
    assert [sorted(counts[members].tolist()) for members in found] == [[2 * k - 1, 2 * k] for k in range(1, 11)]


def test_ties_stay_in_the_order_of_clients_and_may_be_cut():
    found = deciles(np.full(15, 7))
    assert np.concatenate(found).tolist() == list(range(15))
    assert [len(members) for members in found] == [2] * 5 + [1] * 5


def test_with_fewer_than_ten_clients_some_groups_are_empty():
    found = deciles(np.array([5, 9, 1]))
    assert [members.tolist() for members in found[:3]] == [[2], [0], [1]]
    assert [len(members) for members in found] == [1, 1, 1, *[0] * 7]


def test_clients_without_examples_are_in_no_group():
    assert np.concatenate(deciles(np.array([0, 3, 0, 1]))).tolist() == [3, 1]
    assert [len(members) for members in deciles(np.zeros(4, dtype=np.int64))] == [0] * DECILES
    assert [len(members) for members in deciles(np.zeros(0, dtype=np.int64))] == [0] * DECILES


@MANY
@given(counts=COUNTS)
def test_every_client_with_examples_is_in_one_group_and_groups_ascend(counts):
    found = deciles(counts)
    assert len(found) == DECILES
    assert sorted(np.concatenate(found).tolist()) == np.flatnonzero(counts).tolist()
    sizes = [len(members) for members in found]
    assert max(sizes) - min(sizes) <= 1
    ends = [(counts[members].min(), counts[members].max()) for members in found if len(members)]
    assert all(before[1] <= after[0] for before, after in pairwise(ends))


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([3, 3, 3], 0.0),
        ([0, 0, 0, 8], 0.75),
        ([1, 3], 0.25),  # sum of |x - y| over pairs, both ways: 4; over 2 n^2 times the mean 2: 16
        ([1, 2, 3, 4], 0.25),
        ([0, 0], 0.0),
        ([5], 0.0),
    ],
)
def test_the_index_of_known_lists(values, index):
    assert gini(np.array(values)) == pytest.approx(index)


def test_the_index_of_squares_is_near_that_of_their_law():
    """x = u^2 with u even on [0, 1]: the Lorenz curve is p^3, so the index is 1 - 2/4."""
    assert gini((np.arange(10_000) + 0.5) ** 2) == pytest.approx(0.5, abs=1e-3)


@MANY
@given(values=SHARES)
def test_the_index_is_the_mean_difference_of_pairs(values):
    mean = values.mean()
    slow = 0.0 if values.sum() == 0 else np.abs(values[:, None] - values[None]).sum() / (2 * len(values) ** 2 * mean)
    assert gini(values) == pytest.approx(slow, abs=1e-9)
    assert -1e-9 <= gini(values) <= 1 - 1 / len(values) + 1e-9


@MANY
@given(values=SHARES, factor=st.floats(0.01, 100), seed=st.integers(0, 9))
def test_the_index_knows_neither_units_nor_order(values, factor, seed):
    moved = np.random.default_rng(seed).permutation(values) * factor
    assert gini(moved) == pytest.approx(gini(values), abs=1e-9)


def test_the_curve_of_known_lists():
    shares, total = lorenz(np.array([4, 1, 3, 2]))
    assert shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(total, [0, 0.1, 0.3, 0.6, 1])
    shares, total = lorenz(np.array([0, 0, 0, 9]))
    assert total.tolist() == [0, 0, 0, 0, 1]


def test_the_curve_of_nothing_is_the_diagonal():
    shares, total = lorenz(np.zeros(4))
    np.testing.assert_array_equal(shares, total)
    shares, total = lorenz(np.zeros(0))
    assert len(shares) == len(total)


def test_the_curve_of_many_clients_has_so_many_points():
    shares, total = lorenz(np.ones(10_000), points=101)
    assert len(shares) == 101
    np.testing.assert_allclose(shares, total)


@MANY
@given(values=SHARES)
def test_the_curve_ascends_below_the_diagonal_and_bends_upwards(values):
    shares, total = lorenz(values)
    assert (shares[0], shares[-1]) == (0, 1)
    assert total[0] == 0
    assert total[-1] == pytest.approx(1)
    assert (np.diff(shares) > 0).all()
    assert (np.diff(total) >= 0).all()
    assert (total <= shares + 1e-9).all()
    assert (np.diff(np.diff(total)) >= -1e-9).all() or len(values) > 100


@MANY
@given(values=SHARES)
def test_twice_the_area_to_the_diagonal_is_the_index(values):
    shares, total = lorenz(values, points=len(values) + 1)
    area = float(((total[1:] + total[:-1]) / 2 * np.diff(shares)).sum())
    assert gini(values) == pytest.approx(1 - 2 * area, abs=1e-9)
    assert math.isfinite(area)
