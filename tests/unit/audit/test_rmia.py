"""RMIA: known answers, a slow twin, and as good as LiRA where both are the best attack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import shadows

from holdfast.audit.attacks import lira_online, rmia_offline, rmia_online
from holdfast.core.errors import InputError

INCLUDED = np.array([[True, False]])
POPULATION = {"population_target": [0.2, 0.4, 0.8], "population_shadow": np.array([[0.4, 0.4], [0.4, 0.4], [0.2, 0.6]])}  # ratios .5, 1, 2


def test_online_by_hand():
    """p(x) = .5, so ratios of 1.6 and .8 against .5, 1 and 2."""
    shadow, included = np.array([[0.9, 0.1]] * 2), np.repeat(INCLUDED, 2, axis=0)
    assert rmia_online([0.8, 0.4], shadow, included=included, **POPULATION, gamma=1.0) == pytest.approx([2 / 3, 1 / 3])
    assert rmia_online([0.8, 0.4], shadow, included=included, **POPULATION, gamma=2.0) == pytest.approx([1 / 3, 0])
    assert rmia_online([0.8, 0.4], shadow, included=included, **POPULATION) == pytest.approx([1 / 3, 0])  # gamma is 2 unless said


def test_offline_by_hand():
    """a = 0: p = (mean_out + 1) / 2. Then p(x) = .55 and p(z) = .7 throughout."""
    shadow, included = np.array([[0.9, 0.1]] * 2), np.repeat(INCLUDED, 2, axis=0)
    score = rmia_offline([0.4, 0.5], shadow, included=included, **POPULATION, gamma=1.4, offline_a=0)
    assert score == pytest.approx([1 / 3, 2 / 3])  # .727 and .909 against .4, .8 and 1.6
    score = rmia_offline([0.44], np.array([[0.9, 0.1]]), included=INCLUDED, **POPULATION, gamma=1.0, offline_a=1)
    assert score == pytest.approx([1])  # 4.4 against .5, 1 and 2


def test_a_ratio_of_exactly_gamma_does_not_count():
    shadow = np.array([[0.5, 0.5]])
    one = {"population_target": [0.25], "population_shadow": np.array([[0.5, 0.5]])}
    assert rmia_online([0.5], shadow, included=INCLUDED, **one, gamma=2.0) == [0]
    assert rmia_online([np.nextafter(0.5, 1)], shadow, included=INCLUDED, **one, gamma=2.0) == [1]


def test_p_of_x_weighs_both_sides_alike_whatever_their_numbers():
    included = np.array([[True, False, False, False]])
    alone = {"population_target": [0.5], "population_shadow": np.full((1, 4), 0.5)}  # a ratio of 1
    shadow = np.array([[0.9, 0.1, 0.1, 0.1]])  # p(x) = .5; the plain mean would be .3
    assert rmia_online([0.49], shadow, included=included, **alone, gamma=1.0) == [0]
    assert rmia_online([0.51], shadow, included=included, **alone, gamma=1.0) == [1]


@given(
    seed=st.integers(0, 2**32 - 1),
    examples=st.integers(1, 6),
    population=st.integers(1, 9),
    models=st.integers(2, 6),
    gamma=st.sampled_from([0.5, 1.0, 2.0]),
    a=st.floats(0, 1),
)
def test_agrees_with_all_pairs(seed: int, examples: int, population: int, models: int, gamma: float, a: float):
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(size=examples), rng.uniform(size=population)
    of_x, of_z = rng.uniform(0.01, 1, size=(examples, models)), rng.uniform(0.01, 1, size=(population, models))
    included = np.array([rng.permutation(models) < rng.integers(1, models) for _ in range(examples)])
    means = [[np.mean(group) for group in shadows.sides(row, trained)] for row, trained in zip(of_x, included, strict=True)]
    given_all = {"included": included, "population_target": z, "population_shadow": of_z, "gamma": gamma}

    online = shadows.rmia([p / ((i + o) / 2) for p, (i, o) in zip(x, means, strict=True)], z / of_z.mean(axis=1), gamma)
    assert rmia_online(x, of_x, **given_all) == pytest.approx(online, abs=1e-12)
    line = [p / (((1 + a) * o + 1 - a) / 2) for p, (_, o) in zip(x, means, strict=True)]
    offline = shadows.rmia(line, [p / (((1 + a) * row.mean() + 1 - a) / 2) for p, row in zip(z, of_z, strict=True)], gamma)
    assert rmia_offline(x, of_x, **given_all, offline_a=a) == pytest.approx(offline, abs=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_as_good_as_lira_where_probabilities_are_log_normal(gamma: float):
    """log p = difficulty + noise, so p(x) is proportional to e^difficulty and both attacks order examples alike."""
    toy = shadows.gaussian_toy(20_000, 256, shift=0.5, spread_in=0.5, spread_out=0.5, seed=11)
    rest = shadows.gaussian_toy(4_000, 256, shift=0.0, spread_out=0.5, spread_in=0.5, seed=12)
    p, of_x, z, of_z = (np.exp(signals - 20.0) for signals in (toy.target, toy.shadow, rest.target, rest.shadow))
    population = {"population_target": z, "population_shadow": of_z}
    lira = toy.auc(lira_online(toy.target, toy.shadow, included=toy.included))
    online = rmia_online(p, of_x, included=toy.included, **population, gamma=gamma)
    assert toy.auc(online) == pytest.approx(lira, abs=0.01)
    assert toy.auc(rmia_offline(p, of_x, included=toy.included, **population, gamma=gamma, offline_a=1)) == pytest.approx(lira, abs=0.01)
    assert toy.auc(p) < lira - 0.05  # uncalibrated
    permuted = np.random.default_rng(13).permutation(online)
    assert toy.auc(permuted) == pytest.approx(0.5, abs=0.02)


def test_a_nonmember_scores_like_the_population():
    """At gamma 1 and offline the score of a non-member is its rank in the population: uniform, mean one half."""
    toy = shadows.gaussian_toy(8_000, 8, shift=1.0, spread_in=0.5, spread_out=0.5, difficulty=1.0, seed=14)
    rest = shadows.gaussian_toy(4_000, 8, shift=0.0, spread_in=0.5, spread_out=0.5, difficulty=1.0, seed=15)
    clipped = [np.exp(np.minimum(signals - 4, 0)) for signals in (toy.target, toy.shadow, rest.target, rest.shadow)]
    population = {"population_target": clipped[2], "population_shadow": clipped[3]}
    score = rmia_offline(clipped[0], clipped[1], included=toy.included, **population, gamma=1.0)
    assert score[~toy.member].mean() == pytest.approx(0.5, abs=0.02)
    assert score[toy.member].mean() > 0.7


def test_examples_that_beat_everybody_tie_at_one():
    score = rmia_online([0.9, 1.0], np.full((2, 2), 0.3), included=np.repeat(INCLUDED, 2, axis=0), **POPULATION, gamma=1.0)
    assert np.array_equal(score, [1, 1])


def test_probability_zero_is_a_value_but_not_an_average():
    assert rmia_online([0.0], np.array([[0.5, 0.5]]), included=INCLUDED, **POPULATION) == [0]
    with pytest.raises(InputError, match="1 of 1 examples have probability 0 under all shadow models"):
        rmia_online([0.1], np.zeros((1, 2)), included=INCLUDED, **POPULATION)
    nothing = {"population_target": [0.2, 0.1], "population_shadow": np.array([[0.0, 0.0], [0.4, 0.4]])}
    with pytest.raises(InputError, match="1 of 2 population examples have probability 0"):
        rmia_offline([0.1], np.array([[0.5, 0.5]]), included=INCLUDED, **nothing, offline_a=1)


@pytest.mark.parametrize("attack", [rmia_online, rmia_offline])
def test_refuses_what_is_no_probability(attack):
    shadow = np.array([[0.5, 0.5]])
    for target, of_x, population in (
        ([-0.1], shadow, POPULATION),
        ([1.1], shadow, POPULATION),
        ([np.nan], shadow, POPULATION),
        ([0.5], np.array([[0.5, 1.5]]), POPULATION),
        ([0.5], shadow, {**POPULATION, "population_target": [0.1, -3.0, 0.2]}),
        ([0.5], shadow, {**POPULATION, "population_shadow": np.full((3, 2), 7.0)}),
    ):
        with pytest.raises(InputError, match=r"must lie between 0 and 1|between 0 and 1"):
            attack(target, of_x, included=INCLUDED, **population)


@pytest.mark.parametrize("attack", [rmia_online, rmia_offline])
def test_refuses_a_population_that_does_not_fit(attack):
    shadow = np.array([[0.5, 0.5]])
    with pytest.raises(InputError, match="3 shadow models saw the population, but 2 the examples"):
        attack([0.5], shadow, included=INCLUDED, population_target=[0.1], population_shadow=np.full((1, 3), 0.5))
    with pytest.raises(InputError, match="cover 2 examples, but the target model 1"):
        attack([0.5], shadow, included=INCLUDED, population_target=[0.1], population_shadow=np.full((2, 2), 0.5))


@pytest.mark.parametrize("gamma", [0.0, -1.0, np.inf, np.nan])
def test_refuses_a_gamma_that_is_not_positive(gamma: float):
    with pytest.raises(InputError, match="gamma"):
        rmia_online([0.5], np.array([[0.5, 0.5]]), included=INCLUDED, **POPULATION, gamma=gamma)


@pytest.mark.parametrize("a", [-0.1, 1.1, np.nan])
def test_refuses_an_a_outside_the_unit_interval(a: float):
    with pytest.raises(InputError, match="offline_a"):
        rmia_offline([0.5], np.array([[0.5, 0.5]]), included=INCLUDED, **POPULATION, offline_a=a)


def test_refuses_examples_on_one_side_only():
    everywhere = np.array([[True, True]])
    with pytest.raises(InputError, match=r"1 of 1 examples .* not trained on them"):
        rmia_online([0.5], np.array([[0.5, 0.5]]), included=everywhere, **POPULATION)
    with pytest.raises(InputError, match=r"1 of 1 examples .* not trained on them"):
        rmia_offline([0.5], np.array([[0.5, 0.5]]), included=everywhere, **POPULATION)
    with pytest.raises(InputError, match=r"1 of 1 examples .* trained on them \(IN\)"):
        rmia_online([0.5], np.array([[0.5, 0.5]]), included=~everywhere, **POPULATION)
    assert rmia_offline([0.5], np.array([[0.5, 0.5]]), included=~everywhere, **POPULATION).shape == (1,)
