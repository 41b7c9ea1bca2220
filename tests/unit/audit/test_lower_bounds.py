"""Lower bounds on epsilon: published and derived known answers, edges, and thresholds that no test score has touched."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.audit.lower_bounds import (
    REGISTERED_RATES,
    TESTS,
    _halves,
    _threshold,
    advantage_cap,
    epsilon_from_errors,
    examples_needed,
    registered_bound,
)
from holdfast.core.errors import InputError


@pytest.mark.parametrize(("n", "cap"), [(50, 2.570), (100, 3.281), (500, 4.906), (1_000, 5.601), (10_000, 7.905)])
def test_cap_of_an_attack_without_an_error(n: int, cap: float):
    assert epsilon_from_errors(0, n, 0, n, delta=0, alpha=0.05) == pytest.approx(cap, abs=5e-4)


def test_a_published_example_of_a_pure_coin():
    # 487 true and 512 false positives of 1,000 each: Clopper-Pearson gives [0, inf] where a Bayesian interval gives [.145, 6.40]
    assert epsilon_from_errors(513, 1000, 512, 1000, delta=0, alpha=0.05) == 0


def test_both_directions_of_the_ratio_count():
    few_accused = epsilon_from_errors(500, 1000, 1, 1000, delta=0, alpha=0.05)
    few_missed = epsilon_from_errors(1, 1000, 500, 1000, delta=0, alpha=0.05)
    assert few_accused == few_missed > 4


@given(
    missed=st.integers(0, 50),
    accused=st.integers(0, 50),
    delta=st.floats(0, 0.5),
    alpha=st.floats(0.001, 0.2),
)
def test_more_errors_more_delta_or_less_risk_never_prove_more(missed: int, accused: int, delta: float, alpha: float):
    bound = epsilon_from_errors(missed, 60, accused, 60, delta=delta, alpha=alpha)
    assert bound >= 0
    assert epsilon_from_errors(missed + 1, 60, accused, 60, delta=delta, alpha=alpha) <= bound
    assert epsilon_from_errors(missed, 60, accused + 1, 60, delta=delta, alpha=alpha) <= bound
    assert epsilon_from_errors(missed, 60, accused, 60, delta=delta + 0.1, alpha=alpha) <= bound
    assert epsilon_from_errors(missed, 60, accused, 60, delta=delta, alpha=alpha / 2) <= bound


def test_a_perfect_attack_comes_near_what_is_detectable():
    bound = registered_bound(np.arange(2000.0) + 5000, np.arange(2000.0), delta=1e-5)
    assert bound.detectable == pytest.approx(math.log(2000 / math.log(2 * TESTS / 0.05)), abs=0.01)
    assert bound.detectable - 1 < bound.value <= bound.detectable
    assert (bound.delta, bound.level, bound.tests) == (1e-5, 0.95, 8)
    assert "8 thresholds" in bound.method
    assert "Bonferroni" in bound.method


def test_an_attack_that_is_wrong_way_round_proves_nothing():
    assert registered_bound(np.arange(2000.0), np.arange(2000.0) + 5000, delta=0).value == 0


def test_equal_scores_prove_nothing():
    assert registered_bound(np.zeros(1000), np.zeros(1000), delta=0).value == 0


def test_scores_of_two_values_are_not_wasted():
    members, nonmembers = np.repeat([1.0, 0.0], [900, 100]), np.repeat([1.0, 0.0], [100, 900])
    bound = registered_bound(members, nonmembers, delta=0)
    assert 1.6 < bound.value < math.log(9)


def test_thresholds_are_set_on_calibration_scores_only():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=500)
    calibration, trial = _halves(scores, "nonmembers")
    assert sorted([*calibration, *trial]) == sorted(scores)
    assert (calibration.size, trial.size) == (250, 250)
    again, _ = _halves(rng.permutation(scores), "nonmembers")
    assert not np.array_equal(calibration, again)  # the same places, whatever stands there
    assert np.array_equal(_halves(np.arange(500.0), "nonmembers")[0], _halves(np.arange(500.0), "nonmembers")[0])


def test_the_bound_depends_on_calibration_scores_through_thresholds_alone():
    rng = np.random.default_rng(4)
    members, nonmembers = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    calibration, _ = _halves(np.arange(400), "nonmembers")
    places = calibration.astype(int)
    far = nonmembers.copy()
    order = places[np.argsort(nonmembers[places])]
    far[order[10:90]] += 1e-9  # moves calibration scores between two thresholds, changes none
    assert registered_bound(members, far, delta=0).value == registered_bound(members, nonmembers, delta=0).value


@given(values=st.lists(st.integers(0, 5), min_size=2, max_size=40), rate=st.sampled_from(REGISTERED_RATES))
def test_threshold_has_at_most_its_share_above_and_more_from_itself_on(values: list[int], rate: float):
    scores = np.array(values, dtype=float)
    threshold = _threshold(scores, rate)
    assert np.sum(scores > threshold) <= rate * scores.size
    assert np.sum(scores >= threshold) > rate * scores.size


def test_the_bound_is_free_of_the_scale_of_scores():
    rng = np.random.default_rng(5)
    members, nonmembers = rng.normal(2, 1, 300), rng.normal(0, 1, 300)
    assert registered_bound(members, nonmembers, delta=0) == registered_bound(np.exp(members), np.exp(nonmembers), delta=0)


@pytest.mark.parametrize(("n1", "n0", "delta"), [(1, 10, 0.0), (10, 1, 0.0), (10, 10, 1.0), (10, 10, -0.1)])
def test_registered_bound_refuses_what_it_cannot_use(n1: int, n0: int, delta: float):
    with pytest.raises(InputError):
        registered_bound(np.arange(n1, dtype=float), np.arange(n0, dtype=float), delta=delta)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 4.0, 8.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.01])
def test_examples_needed_are_enough_and_hardly_fewer_are(epsilon: float, delta: float):
    n = examples_needed(epsilon, delta=delta)

    def detectable(size: int) -> float:
        return registered_bound(np.arange(size, dtype=float), np.arange(size, dtype=float), delta=delta).detectable

    assert detectable(n) > epsilon
    assert epsilon == 0 or detectable(int(0.8 * n)) <= epsilon


def test_advantage_cap_is_where_the_two_caps_of_the_claim_cross(claim):
    for epsilon in (0.0, 0.5, 2.0, 8.0, 1000.0):
        promise = claim(epsilon, delta=0.01)
        fprs = np.linspace(0, 1, 20_001)
        highest = max(promise.cap(fpr) - fpr for fpr in fprs)
        assert advantage_cap(epsilon, 0.01) == pytest.approx(highest, abs=5e-4)


def test_advantage_cap_known_answers():
    assert advantage_cap(0, 0) == 0
    assert advantage_cap(0, 0.25) == 0.25
    assert advantage_cap(math.log(3), 0) == pytest.approx(0.5)
