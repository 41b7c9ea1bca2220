"""Calibrated signals: known answers, a slow twin, and quantiles that are learnt from non-members alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from tests.oracles import shadows

from holdfast.audit.attacks import attack_r, difficulty_calibrated, lira_offline, quantile_regression
from holdfast.audit.intervals import Area
from holdfast.core.errors import InputError


def test_difficulty_by_hand():
    included = np.array([[True, False, False], [False, False, False]])
    score = difficulty_calibrated([1.0, -1.0], np.array([[100.0, 2.0, 4.0], [1.0, 2.0, 6.0]]), included=included)
    assert np.array_equal(score, [-2.0, -4.0])


def test_attack_r_by_hand():
    included = np.array([[True, False, False, False, False]] * 3)
    shadow = np.array([[-9.0, 1.0, 2.0, 3.0, 4.0]] * 3)
    assert np.array_equal(attack_r([2.5, 3.0, 0.0], shadow, included=included), [0.5, 0.625, 0.0])


@given(seed=st.integers(0, 2**32 - 1), examples=st.integers(1, 6), models=st.integers(1, 6), block=st.integers(1, 12))
def test_agree_with_plain_loops(seed: int, examples: int, models: int, block: int):
    rng = np.random.default_rng(seed)
    target, shadow = rng.integers(-2, 3, size=examples) * 1.0, rng.integers(-2, 3, size=(examples, models)) * 1.0
    included = np.array([rng.permutation(models) < rng.integers(0, models) for _ in range(examples)])
    means = [np.mean(shadows.sides(row, trained)[1]) for row, trained in zip(shadow, included, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.audit.attacks.shadow_signals.BLOCK", block)
        assert difficulty_calibrated(target, shadow, included=included) == pytest.approx(target - means, abs=1e-12)
        assert attack_r(target, shadow, included=included) == pytest.approx(shadows.beaten(target, shadow, included), abs=1e-12)


def test_both_find_what_difficulty_hides():
    toy = shadows.gaussian_toy(20_000, 128, shift=1, seed=1)
    best = special.ndtr(1 / math.sqrt(2))
    for attack in (difficulty_calibrated, attack_r):
        score = attack(toy.target, toy.shadow, included=toy.included)
        assert toy.auc(score) == pytest.approx(best, abs=0.01)
        assert toy.auc(np.random.default_rng(2).permutation(score)) == pytest.approx(0.5, abs=0.02)
    assert toy.auc(toy.target) < best - 0.05


def test_pooled_offline_lira_orders_as_difficulty_calibration_does():
    toy = shadows.gaussian_toy(200, 16, shift=1, seed=3)
    z = lira_offline(toy.target, toy.shadow, included=toy.included, variance="pooled")
    calibrated = difficulty_calibrated(toy.target, toy.shadow, included=toy.included)
    assert np.array_equal(np.argsort(z), np.argsort(calibrated))


def test_nonmembers_take_each_rank_with_equal_chance():
    toy = shadows.gaussian_toy(20_000, 6, shift=2, seed=4)
    score = attack_r(toy.target, toy.shadow, included=toy.included)[~toy.member]
    counts = np.bincount(np.round(score * 3).astype(int), minlength=4)
    assert counts / counts.sum() == pytest.approx([0.25] * 4, abs=0.02)


# Quantile regression


@pytest.fixture(scope="module")
def learnable() -> dict[str, np.ndarray]:
    """Signals whose middle and spread follow the features; 4,000 known non-members, then 2,000 of each kind to be audited."""
    rng = np.random.default_rng(5)
    features = rng.uniform(-1, 1, size=(8_000, 3))
    member = np.arange(8_000) >= 6_000
    spread = 0.5 + (features[:, 1] > 0)
    target = 4 * features[:, 0] + spread * (rng.normal(size=8_000) + 2 * member)
    return {"features": features, "target": target, "nonmember_rows": np.arange(4_000), "audited_rows": np.arange(4_000, 8_000)}


def test_quantiles_find_what_one_threshold_misses(learnable: dict[str, np.ndarray]):
    score = quantile_regression(**learnable, fpr=0.05)
    assert score.shape == (4_000,)
    nonmembers, members = score[:2_000], score[2_000:]
    assert np.mean(nonmembers > 0) == pytest.approx(0.05, abs=0.02)
    best = special.ndtr(2 - special.ndtri(0.95))  # by the true quantiles
    assert np.mean(members > 0) == pytest.approx(best, abs=0.1)
    plain = learnable["target"][4_000:]
    threshold = np.quantile(plain[:2_000], 0.95)
    assert np.mean(plain[2_000:] > threshold) < np.mean(members > 0) - 0.2
    assert Area.between(members, nonmembers).value > Area.between(plain[2_000:], plain[:2_000]).value + 0.1


def test_the_fit_sees_nonmembers_alone_and_is_deterministic(learnable: dict[str, np.ndarray]):
    score = quantile_regression(**learnable, fpr=0.1)
    changed = learnable["target"].copy()
    changed[4_000:] += 1000.0
    moved = quantile_regression(**{**learnable, "target": changed}, fpr=0.1)
    assert moved == pytest.approx(score + 1000, abs=1e-9)


def test_scores_stand_in_the_order_asked_for(learnable: dict[str, np.ndarray]):
    score = quantile_regression(**learnable, fpr=0.1)
    turned = quantile_regression(**{**learnable, "audited_rows": learnable["audited_rows"][::-1]}, fpr=0.1)
    assert np.array_equal(turned, score[::-1])


def test_refuses_rows_on_both_sides(learnable: dict[str, np.ndarray]):
    with pytest.raises(InputError, match="10 rows are fitted on and audited"):
        quantile_regression(**{**learnable, "audited_rows": np.arange(3_990, 5_000)}, fpr=0.1)


def test_refuses_too_few_nonmembers(learnable: dict[str, np.ndarray]):
    few = {**learnable, "nonmember_rows": np.arange(199)}
    with pytest.raises(InputError, match=r"199 non-members give 9.95 .* at least 200 non-members"):
        quantile_regression(**few, fpr=0.05)
    with pytest.raises(InputError, match="199 non-members"):  # copies of a row tell nothing new
        quantile_regression(**{**few, "nonmember_rows": np.tile(np.arange(199), 2)}, fpr=0.05)
    assert quantile_regression(**{**few, "nonmember_rows": np.arange(200)}, fpr=0.05).shape == (4_000,)


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, np.nan])
def test_refuses_an_impossible_rate(learnable: dict[str, np.ndarray], fpr: float):
    with pytest.raises(InputError, match="fpr"):
        quantile_regression(**learnable, fpr=fpr)


@pytest.mark.parametrize("name", ["nonmember_rows", "audited_rows"])
@pytest.mark.parametrize("rows", [np.array([], dtype=int), np.zeros(8_000, dtype=bool), np.array([[1]]), np.array([-1]), np.array([8_000])])
def test_refuses_what_is_no_row(learnable: dict[str, np.ndarray], name: str, rows: np.ndarray):
    with pytest.raises(InputError, match=name):
        quantile_regression(**{**learnable, name: rows}, fpr=0.1)


def test_refuses_features_that_do_not_fit(learnable: dict[str, np.ndarray]):
    broken = learnable["features"].copy()
    broken[0, 0] = np.nan
    for features in (broken, learnable["features"][:-1], learnable["features"][:, 0], learnable["features"][:, :0]):
        with pytest.raises(InputError, match="features have shape"):
            quantile_regression(**{**learnable, "features": features}, fpr=0.1)
