"""LiRA: known answers, a slow twin, the best attack on a toy, and two published faults that must not come back."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from tests.oracles import shadows

from holdfast.audit.attacks import likelihood_ratio, lira_offline, lira_online, rmia_online
from holdfast.core.errors import InputError

INCLUDED = np.array([[True, True, False, False]])


@st.composite
def small_games(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target, shadow signals and inclusions with two to five models a side, not the same number for each example."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    examples, models = draw(st.integers(1, 6)), draw(st.integers(4, 10))
    trained = [rng.permutation(models) < draw(st.integers(2, models - 2)) for _ in range(examples)]
    shadow = rng.normal(size=(examples, models)) * rng.gamma(2, size=(examples, 1)) + rng.normal(scale=5, size=(examples, 1))
    return rng.normal(scale=5, size=examples), shadow.astype(draw(st.sampled_from([np.float32, np.float64]))), np.array(trained)


def test_online_by_hand():
    score = lira_online([3.0], np.array([[2.0, 4.0, -1.0, 1.0]]), included=INCLUDED, variance="each")
    assert score == pytest.approx([9 / 4], abs=1e-14)  # both variances are 2: 0 - (-(3 - 0)^2 / 4)


def test_pooled_by_hand():
    """Squares IN: 2 and 0, OUT: 2 and 8, with one degree of freedom each: variances 1 and 5."""
    shadow = np.array([[2.0, 4.0, -1.0, 1.0], [10.0, 10.0, 4.0, 8.0]])
    score = lira_online([3.0, 9.0], shadow, included=np.repeat(INCLUDED, 2, axis=0), variance="pooled")
    assert score == pytest.approx([math.log(5) / 2 + 9 / 10, math.log(5) / 2 - 1 / 2 + 9 / 10], abs=1e-14)


def test_offline_by_hand():
    shadow = np.array([[99.0, -99.0, -1.0, 1.0]])
    assert lira_offline([3.0], shadow, included=INCLUDED, variance="each") == pytest.approx([3 / math.sqrt(2)], abs=1e-14)
    assert lira_offline([-3.0], shadow, included=INCLUDED, variance="each") == pytest.approx([-3 / math.sqrt(2)], abs=1e-14)


@given(game=small_games(), pooled=st.booleans())
def test_online_is_the_ratio_of_two_densities(game: tuple[np.ndarray, np.ndarray, np.ndarray], pooled: bool):
    target, shadow, included = game
    fast = lira_online(target, shadow, included=included, variance="pooled" if pooled else "each")
    assert fast == pytest.approx(shadows.lira(target, shadow, included, pooled=pooled), rel=1e-9, abs=1e-9)


@given(game=small_games(), pooled=st.booleans())
def test_offline_is_the_tail_of_the_out_law(game: tuple[np.ndarray, np.ndarray, np.ndarray], pooled: bool):
    target, shadow, included = game
    fast = lira_offline(target, shadow, included=included, variance="pooled" if pooled else "each")
    assert special.ndtr(fast) == pytest.approx(shadows.lira_out(target, shadow, included, pooled=pooled), abs=1e-9)


@given(game=small_games(), step=st.integers(1, 20))
def test_blocks_do_not_show(game: tuple[np.ndarray, np.ndarray, np.ndarray], step: int):
    target, shadow, included = game
    whole = lira_online(target, shadow, included=included)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.audit.attacks.shadow_signals.BLOCK", step)
        assert lira_online(target, shadow, included=included) == pytest.approx(whole, rel=1e-12, abs=1e-12)


def test_auto_pools_below_64_models_a_side():
    for models, same_as, other in ((128, "each", "pooled"), (126, "pooled", "each")):
        toy = shadows.gaussian_toy(50, models, shift=1, seed=models)
        for attack in (lira_online, lira_offline):
            auto = attack(toy.target, toy.shadow, included=toy.included)
            assert np.array_equal(auto, attack(toy.target, toy.shadow, included=toy.included, variance=same_as))
            assert not np.allclose(auto, attack(toy.target, toy.shadow, included=toy.included, variance=other))


@pytest.mark.parametrize("variance", ["each", "pooled"])
@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_with_many_shadows_no_attack_is_better(shift: float, variance: str):
    """Neyman-Pearson: the area between two normal laws `shift` apart is Phi(shift / sqrt 2)."""
    toy = shadows.gaussian_toy(20_000, 256, shift=shift, seed=1)
    best = special.ndtr(shift / math.sqrt(2))
    assert toy.auc(lira_online(toy.target, toy.shadow, included=toy.included, variance=variance)) == pytest.approx(best, abs=0.01)
    assert toy.auc(lira_offline(toy.target, toy.shadow, included=toy.included, variance=variance)) == pytest.approx(best, abs=0.01)
    assert toy.auc(toy.target) < best - 0.05  # without shadow models difficulty passes for membership


def test_scores_are_the_log_likelihood_ratios_themselves():
    toy = shadows.gaussian_toy(2_000, 4_000, shift=1.5, spread_in=0.5, seed=2)
    truth = stats.norm.logpdf(toy.target, toy.difficulty + 1.5, 0.5) - stats.norm.logpdf(toy.target, toy.difficulty, 1.0)
    score = lira_online(toy.target, toy.shadow, included=toy.included, variance="pooled")
    assert np.median(np.abs(score - truth)) < 0.05


def test_permuted_labels_give_one_half():
    toy = shadows.gaussian_toy(20_000, 64, shift=2, seed=3)
    score = lira_online(toy.target, toy.shadow, included=toy.included)
    assert toy.auc(np.random.default_rng(4).permutation(score)) == pytest.approx(0.5, abs=0.02)
    assert toy.auc(score) > 0.85


@pytest.mark.parametrize("attack", [lira_online, lira_offline])
def test_nothing_is_found_where_nothing_leaks(attack):
    toy = shadows.gaussian_toy(20_000, 16, shift=0, seed=9)
    assert toy.auc(attack(toy.target, toy.shadow, included=toy.included)) == pytest.approx(0.5, abs=0.02)


def test_uncentred_variance_is_worse():
    """The published script: one deviation for both sides, that of all IN signals without centring each example."""
    toy = shadows.gaussian_toy(20_000, 32, shift=0.5, spread_in=0.3, spread_out=1.0, seed=5)
    means = [np.ma.array(toy.shadow, mask=~side).mean(axis=1).data for side in (toy.included, ~toy.included)]
    deviation = toy.shadow[toy.included].std()
    faulty = stats.norm.logpdf(toy.target, means[0], deviation) - stats.norm.logpdf(toy.target, means[1], deviation)
    best = stats.norm.logpdf(toy.target, toy.difficulty + 0.5, 0.3) - stats.norm.logpdf(toy.target, toy.difficulty, 1.0)
    right = toy.auc(lira_online(toy.target, toy.shadow, included=toy.included, variance="pooled"))
    assert deviation > 2.5  # difficulty, not spread
    assert right == pytest.approx(toy.auc(best), abs=0.02)
    assert toy.auc(faulty) < right - 0.05


def test_two_sided_offline_is_worse():
    toy = shadows.gaussian_toy(20_000, 128, shift=1, seed=6)
    score = lira_offline(toy.target, toy.shadow, included=toy.included)
    two_sided = score**2 / 2  # minus the log-density, up to a constant
    assert toy.auc(two_sided) < toy.auc(score) - 0.1
    lowest = np.argmin(score)
    assert two_sided[lowest] > np.quantile(two_sided, 0.99)  # fitted worst of all, and accused


def test_offline_does_not_saturate():
    shadow = np.array([[0.0, 0.0, -1.0, 1.0]] * 2)
    score = lira_offline([20.0, 30.0], shadow, included=np.repeat(INCLUDED, 2, axis=0))
    assert score[0] < score[1]
    assert np.all(special.ndtr(score) == 1)  # the number of the paper cannot tell the two apart


def test_offline_ignores_models_trained_on_the_example():
    toy = shadows.gaussian_toy(20, 16, shift=1, seed=7)
    other = np.where(toy.included, 1e6, toy.shadow)
    first, second = (lira_offline(toy.target, shadow, included=toy.included) for shadow in (toy.shadow, other))
    assert np.array_equal(first, second)


def test_refuses_fewer_than_two_models_a_side():
    shadow, included = np.random.default_rng(0).normal(size=(5, 4)), np.array([[True, True, False, False]] * 5)
    included[1] = True
    included[3] = [True, False, False, False]
    with pytest.raises(InputError, match="1 of 5 examples have fewer than 2 of the 4 shadow models trained on them"):
        lira_online(np.zeros(5), shadow, included=included)
    with pytest.raises(InputError, match=r"1 of 5 examples .* not trained on them .*the fewest 0"):
        lira_offline(np.zeros(5), shadow, included=included)
    included[1] = False
    with pytest.raises(InputError, match="2 of 5 examples"):
        lira_online(np.zeros(5), shadow, included=included)
    assert lira_offline(np.zeros(5), shadow, included=included).shape == (5,)


def test_refuses_signals_without_spread():
    shadow = np.array([[0.1, 0.1, -1.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    included = np.repeat(INCLUDED, 2, axis=0)
    with pytest.raises(InputError, match=r"1 of 2 examples have IN shadow models that all give one signal.*pooled"):
        lira_online([0.0, 0.0], shadow, included=included, variance="each")
    assert np.isfinite(lira_online([0.0, 0.0], shadow, included=included, variance="pooled")).all()
    thirds = np.array([[0.1, 0.1, 0.1, -1.0, 1.0]])
    assert np.einsum("m->", thirds[0, :3]) / 3 != 0.1  # rounding must not pass for spread
    with pytest.raises(InputError, match="all give one signal"):
        lira_online([0.0], thirds, included=thirds == 0.1, variance="each")
    with pytest.raises(InputError, match="different seeds"):
        lira_offline([0.0, 0.0], np.full((2, 4), 0.1), included=included, variance="pooled")


def test_refuses_an_unknown_variance():
    with pytest.raises(InputError, match="did you mean 'pooled'"):
        lira_online([0.0], np.array([[1.0, 2.0, 3.0, 4.0]]), included=INCLUDED, variance="poled")


def test_the_documented_number_is_the_one_in_the_code():
    assert likelihood_ratio.ENOUGH == 64
    assert "`ENOUGH`" in lira_online.__doc__


def test_ten_thousand_examples_and_256_models_take_under_two_seconds():
    toy = shadows.gaussian_toy(10_000, 256, shift=1, seed=8, dtype=np.float32)
    probability, shadow = special.expit(toy.target), special.expit(toy.shadow)
    began = time.process_time()
    lira_online(toy.target, toy.shadow, included=toy.included)
    rmia_online(probability, shadow, included=toy.included, population_target=probability[:5000], population_shadow=shadow[:5000])
    assert time.process_time() - began < 2
