"""Operating points: agreement with scikit-learn, thinning that keeps what a logarithmic axis shows, and the null of the advantage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_curve

from holdfast.audit.roc import Advantage, OperatingPoints

small_scores = st.lists(st.integers(-3, 3), min_size=2, max_size=12).map(lambda values: np.array(values, dtype=float))


@given(members=small_scores, nonmembers=small_scores)
def test_points_agree_with_scikit_learn(members: np.ndarray, nonmembers: np.ndarray):
    points = OperatingPoints.of(members, nonmembers)
    truth = np.repeat([1, 0], [members.size, nonmembers.size])
    fprs, tprs, _ = roc_curve(truth, np.concatenate([members, nonmembers]), drop_intermediate=False)
    assert points.fprs == pytest.approx(fprs)
    assert points.tprs == pytest.approx(tprs)


@given(members=small_scores, nonmembers=small_scores)
def test_corners_hold_the_highest_point_at_each_false_positive_rate(members: np.ndarray, nonmembers: np.ndarray):
    points = OperatingPoints.of(members, nonmembers)
    kept = points.corners()
    assert points.negatives[kept].tolist() == sorted(set(points.negatives))  # few points: all false positive rates stay
    for corner in kept:
        assert points.positives[corner] == points.positives[points.negatives == points.negatives[corner]].max()


@pytest.mark.parametrize("n0", [2, 99, 101, 5_000, 200_000])
def test_corners_are_few_and_keep_the_low_end_and_both_ends(n0: int):
    rng = np.random.default_rng(n0)
    points = OperatingPoints.of(rng.normal(0.5, 1, 3_000), rng.normal(0, 1, n0))
    kept = points.corners()
    assert len(kept) <= 400
    assert np.all(np.diff(kept) > 0)
    negatives = points.negatives[kept]
    assert negatives[: min(n0, 101)].tolist() == list(range(min(n0, 101)))
    assert negatives[-1] == n0
    assert points.tprs[kept][-1] == 1
    assert np.all(np.diff(points.tprs[kept]) >= 0)
    if n0 > 101:
        assert np.max(negatives[101:] / negatives[100:-1]) < 1.05  # no hole that a logarithmic axis would show


def test_a_thinned_curve_has_nearly_the_area_of_the_whole():
    rng = np.random.default_rng(1)
    points = OperatingPoints.of(rng.normal(1, 1, 20_000), rng.normal(0, 1, 20_000))
    kept = points.corners()
    whole = np.trapezoid(points.tprs, points.fprs)
    assert np.trapezoid(points.tprs[kept], points.fprs[kept]) == pytest.approx(whole, abs=2e-3)


@given(members=small_scores, nonmembers=small_scores)
def test_advantage_is_the_one_sided_kolmogorov_smirnov_statistic(members: np.ndarray, nonmembers: np.ndarray):
    advantage = Advantage.of(OperatingPoints.of(members, nonmembers))
    known = stats.ks_2samp(members, nonmembers, alternative="less", method="asymp")  # "less": members lie higher
    assert advantage.value == pytest.approx(known.statistic)
    assert 0 <= advantage.interval().low <= advantage.value <= advantage.interval().high <= 1


def test_null_of_the_advantage_known_answers():
    null = Advantage(value=0.05, members=1000, nonmembers=1000).null()
    assert null["p_value"] == pytest.approx(math.exp(-2 * 500 * 0.05**2))
    assert math.exp(-2 * 500 * null["null_p95"] ** 2) == pytest.approx(0.05)
    assert null["null_mean"] == pytest.approx(0.0280, abs=1e-4)  # the integral of exp(-2 m d^2) over d


def test_interval_of_the_advantage_is_the_massart_bound_at_half_the_error_each():
    interval = Advantage(value=0.5, members=400, nonmembers=100).interval(level=0.9)
    reach = math.sqrt(math.log(2 / 0.05) / 800) + math.sqrt(math.log(2 / 0.05) / 200)
    assert (interval.low, interval.high) == (pytest.approx(0.5 - reach), pytest.approx(0.5 + reach))
