"""Availability: the shares and the correlations that each kind promises, and draws that depend on nothing but their address."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.population import AVAILABILITIES, Always, Availability, Diurnal, Independent, Markov, availability
from holdfast.federated.population.addressed import by_client, uniforms

STREAMS = Streams.from_seed(11)
MANY = 40_000
KINDS = [Always(), Independent(least=0.2, most=0.8), Diurnal(period=6), Markov(returns=0.3, leaves=0.1), Markov(returns=0.9, leaves=0.7)]


def history(kind, clients, rounds, streams=STREAMS):
    return np.array([kind.available(clients, round=number, streams=streams) for number in range(rounds)])


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_who_is_there_depends_on_streams_round_and_client_alone(kind):
    assert isinstance(kind, Availability)
    there = kind.available(500, round=7, streams=STREAMS)
    assert there.shape == (500,)
    assert there.dtype == np.bool_
    more = type(kind)(**{name: value for name, value in kind.describe().items() if name != "availability"})
    assert (more.available(70_000, round=7, streams=STREAMS)[:500] == there).all(), "a larger population changes nobody"
    if kind.name != "always":
        assert (kind.available(500, round=8, streams=STREAMS) != there).any()
        assert (kind.available(500, round=7, streams=Streams.from_seed(12)) != there).any()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_rounds_out_of_order_are_those_in_order(kind):
    forward = history(kind, 400, 12)
    for number in (11, 3, 4, 0, 7):
        assert (kind.available(400, round=number, streams=STREAMS) == forward[number]).all()


def test_the_answer_may_be_changed_by_the_caller():
    kind = Markov()
    before = kind.available(100, round=0, streams=STREAMS)
    expected = before.copy()
    before[:] = ~before
    after = Markov()
    after.available(100, round=0, streams=STREAMS)
    assert (kind.available(100, round=1, streams=STREAMS) == after.available(100, round=1, streams=STREAMS)).all()
    assert (kind.available(100, round=0, streams=STREAMS) == expected).all()


def test_independent_has_a_probability_for_each_client():
    kind = Independent(least=0.2, most=0.8)
    often = history(kind, 300, 400).mean(0)
    probability = kind.probability(np.arange(300), streams=STREAMS)
    assert 0.2 <= probability.min() < 0.25
    assert 0.75 < probability.max() <= 0.8
    errors = (often - probability) / np.sqrt(probability * (1 - probability) / 400)
    assert 0.85 < errors.std() < 1.15, "binomial around each client's own probability"
    assert stats.binomtest(int(history(Independent(least=0.3, most=0.3), MANY, 1).sum()), MANY, 0.3).pvalue > 1e-3


def test_independent_rounds_are_not_correlated():
    first, second = history(Independent(least=0.5, most=0.5), MANY, 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(MANY)


def test_diurnal_goes_up_and_down_with_the_day():
    shares = history(Diurnal(period=8, peak=0.9, trough=0.1, spread=0.0), MANY, 9).mean(1)
    expected = 0.1 + 0.8 * (1 + np.cos(2 * np.pi * np.arange(9) / 8)) / 2
    assert np.abs(shares - expected).max() < 0.01
    around = history(Diurnal(period=8, spread=1.0), MANY, 8).mean(1)
    assert np.abs(around - 0.5).max() < 0.015, "a population around the world has no night"
    own = Diurnal(period=8, spread=1.0).probability(np.arange(1000), round=3, streams=STREAMS)
    assert own.std() > 0.25, "but its clients have"


@pytest.mark.parametrize(("returns", "leaves"), [(0.3, 0.1), (0.9, 0.7), (0.05, 0.05), (1.0, 1.0)])
def test_markov_is_stationary_with_the_transitions_that_it_promises(returns, leaves):
    there = history(Markov(returns=returns, leaves=leaves), MANY, 6)
    share = returns / (returns + leaves)
    assert np.abs(there.mean(1) - share).max() < 4.5 * math.sqrt(share * (1 - share) / MANY), "the first round included"
    before, after = there[:-1].ravel(), there[1:].ravel()
    assert abs(after[~before].mean() - returns) < 0.01
    assert abs((~after[before]).mean() - leaves) < 0.01
    lag_two = np.corrcoef(there[2], there[4])[0, 1]
    assert abs(lag_two - (1 - returns - leaves) ** 2) < 0.03, "no memory beyond the last round"


def test_everybody_comes_and_nobody_leaves():
    assert history(Markov(returns=0.2, leaves=0.0), 500, 3).all()
    assert not history(Markov(returns=0.0, leaves=0.2), 500, 3).any()


@pytest.mark.parametrize("name", sorted(AVAILABILITIES))
def test_each_has_a_name_and_says_its_settings(name):
    made = availability(name)
    assert made.describe()["availability"] == made.name == name
    assert availability(name, {key: value for key, value in made.describe().items() if key != "availability"}) == made


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dayly", {}, "unknown availability 'dayly'.*Valid: always"),
        ("diurnal", {"perod": 3}, "unknown option 'perod'; did you mean 'period'"),
        ("markov", {"_last": {}}, "unknown option '_last'"),
        ("independent", {"least": 1.2}, r"least is 1.2; give a number in \[0, 1\]"),
        ("independent", {"least": 0.9}, "give least <= most"),
        ("diurnal", {"period": 1}, "period is 1"),
        ("diurnal", {"trough": 0.95}, "give trough <= peak"),
        ("markov", {"returns": 0, "leaves": 0}, "give one of them above 0"),
        ("markov", {"returns": True}, "returns is True"),
    ],
)
def test_what_is_wrong_is_named(name, options, message):
    with pytest.raises(InputError, match=message):
        availability(name, options)


def test_addressed_draws_are_uniform_and_independent():
    clients = np.arange(MANY)
    draws = [uniforms(STREAMS, "a name", clients, number) for number in range(3)]
    for each in draws:
        assert 0 <= each.min() < each.max() < 1
        assert stats.kstest(each, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(each[:-1], each[1:])[0, 1]) < 4 / math.sqrt(MANY), "neighbours"
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert abs(np.corrcoef(draws[first], draws[second])[0, 1]) < 4 / math.sqrt(MANY), "rounds"
        table = np.histogram2d(draws[first], draws[second], bins=8)[0]
        assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_addressed_draws_are_those_of_the_client_wherever_it_stands():
    everyone = uniforms(STREAMS, "a name", np.arange(1000), 4)
    some = np.array([999, 3, 3, 0])
    assert (uniforms(STREAMS, "a name", some, 4) == everyone[some]).all()
    assert (uniforms(STREAMS, "another", some, 4) != everyone[some]).all()
    assert (uniforms(STREAMS, "a name", some, 5) != everyone[some]).all()


def test_draws_are_those_of_the_slow_twin():
    found = uniforms(Streams.from_seed(0), "availability", np.array([0, 1, 10**7]), 3)
    key = Streams.from_seed(0).integer("availability", 3)
    assert found.tolist() == [_splitmix(key, client) for client in (0, 1, 10**7)]


def _splitmix(key, client):
    """The slow twin, in Python's whole numbers."""
    word = 2**64 - 1
    mixed = ((client + 1) * 0x9E3779B97F4A7C15 + key) & word
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & word
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & word
    return ((mixed ^ mixed >> 31) >> 11) / 2**53


def test_everybody_is_asked_once():
    assert (by_client(70_001, lambda some: some % 3 == 0) == (np.arange(70_001) % 3 == 0)).all()
    assert by_client(0, lambda some: some > 0).shape == (0,)
