"""Counts that are told in buckets or with noise: what reaches a selector, and what is promised for it."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import CountSignal, View, inclusion_of, most_inclusion, noised_counts, selector
from holdfast.federated.selection import signal as signal_module

STREAMS = Streams.from_seed(4)
NOISE = {"noise": "geometric", "epsilon": 0.5, "sensitivity": 2}


def test_buckets_are_powers_of_two():
    counts = np.array([0, 1, 2, 3, 4, 7, 8, 1023, 1024, 2**40 + 1])
    told = noised_counts(counts, streams=STREAMS, buckets="powers of two")
    assert told.tolist() == [0, 1, 2, 2, 4, 4, 8, 512, 1024, 2**40]


@pytest.mark.parametrize("noise", ["geometric", "laplace"])
def test_noise_has_its_distribution(noise):
    """Two-sided geometric: P(k) = (1 - a) / (1 + a) a^|k| with a = exp(-epsilon / sensitivity); Laplace rounded the same way by cells."""
    n, base = 200_000, 10_000
    told = noised_counts(np.full(n, base), streams=STREAMS, noise=noise, epsilon=0.5, sensitivity=2) - base
    a, values = math.exp(-0.25), np.arange(-15, 16)
    if noise == "geometric":
        chances = (1 - a) / (1 + a) * a ** np.abs(values)
    else:
        law = stats.laplace(scale=4)
        chances = law.cdf(values + 0.5) - law.cdf(values - 0.5)
    observed = np.array([(told == value).sum() for value in values])
    rest, expected = n - observed.sum(), n * (1 - chances.sum())
    assert stats.chisquare([*observed, rest], [*(n * chances), expected]).pvalue > 1e-3
    wrong = chances * (1 + 0.05 * (values == 0))
    assert stats.chisquare([*observed, rest], [*(n * wrong), n * (1 - wrong.sum())]).pvalue < 1e-3


def test_a_change_within_the_sensitivity_changes_no_chance_by_more_than_epsilon():
    a, epsilon, sensitivity = math.exp(-0.25), 0.5, 2
    law = {k: (1 - a) / (1 + a) * a ** abs(k) for k in range(-50, 51)}
    ratios = [abs(math.log(law[k] / law[k + change])) for k in range(-40, 40) for change in (1, 2)]
    assert max(ratios) == pytest.approx(epsilon)
    assert max(abs(math.log(law[k] / law[k + sensitivity + 1])) for k in range(-40, 40)) > epsilon


def test_only_clients_without_examples_tell_nothing():
    counts = np.repeat([0, 1], 500)
    told = noised_counts(counts, streams=STREAMS, **NOISE)
    assert (told[:500] == 0).all()
    assert told[500:].min() == 1
    assert told.max() > 1


def test_noise_is_drawn_once_for_counts_that_stand_still_and_anew_when_one_changes():
    counts = np.arange(1, 400)
    first, again = (noised_counts(counts, streams=STREAMS, **NOISE) for _ in range(2))
    assert first.tolist() == again.tolist()
    changed = counts.copy()
    changed[0] += 1
    other = noised_counts(changed, streams=STREAMS, **NOISE)
    assert (other[1:] != first[1:]).mean() > 0.5
    assert noised_counts(counts, streams=Streams(5), **NOISE).tolist() != first.tolist()


def test_who_can_be_reached_does_not_draw_new_noise():
    """Else the noise could be averaged over rounds: the clients of all rounds are drawn by one and the same told counts."""
    counts, chosen = np.repeat([5, 50], 50), selector("activity", {"signal": NOISE, "sampling": "poisson"})
    reach = np.arange(100) % 2 == 0
    all_of_them = inclusion_of(chosen, View(counts), size=2, round=0, rounds=9, streams=STREAMS)
    half = inclusion_of(chosen, View(counts, reach), size=2, round=3, rounds=9, streams=STREAMS)
    ratios = half[reach] / all_of_them[reach]
    assert np.ptp(ratios) < 1e-9
    assert (half[~reach] == 0).all()


def test_blocks_change_nothing(monkeypatch):
    counts = np.arange(1, 100)
    whole = noised_counts(counts[:64], streams=STREAMS, **NOISE)
    monkeypatch.setattr(signal_module, "BLOCK", 64)
    assert noised_counts(counts[:64], streams=STREAMS, **NOISE).tolist() == whole.tolist()


def test_counts_above_the_bound_are_told_as_it():
    assert noised_counts(np.array([1, 5, 99]), streams=STREAMS, most=5).tolist() == [1, 5, 5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["exact number", "no privacy promise"]),
        ({"buckets": "powers of two"}, ["power of two", "no privacy promise"]),
        (NOISE, ["epsilon 0.5", "changes by at most 2 examples; larger changes are not covered", "k times epsilon", "not hidden"]),
        ({**NOISE, "most": 3}, ["for any change of it (counts above 3 are told as 3)"]),
        ({**NOISE, "most": 4}, ["larger changes are not covered"]),
    ],
)
def test_promises_no_more_than_it_keeps(options, words):
    promise = CountSignal(**options).promise()
    assert all(word in promise for word in words), promise


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": "tens"}, "buckets is 'tens'"),
        ({"noise": "gauss"}, "noise is 'gauss'"),
        ({"noise": "laplace"}, "without epsilon and sensitivity"),
        ({"noise": "geometric", "epsilon": 1.0}, "without epsilon and sensitivity"),
        ({"epsilon": 1.0}, "epsilon without noise"),
        ({**NOISE, "epsilon": 0}, "epsilon is 0"),
        ({**NOISE, "sensitivity": 0}, "sensitivity is 0"),
        ({"most": 0}, "most is 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError) as refused:
        CountSignal(**options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "bound"),
    [
        ("uniform", {}, 3 / 6),
        ("activity", {"sampling": "poisson"}, 1.0),
        ("activity", {"tau": 0.5, "sampling": "with replacement"}, 1 - (1 - 4 / 11) ** 3),
        ("threshold", {"most": 1}, 3 / 3),
        ("top-k", {}, 1.0),
        ("oort", {}, 1.0),
        ("active", {}, 1.0),
        ("power-of-choice", {}, 1.0),
    ],
)
def test_the_largest_inclusion(name, options, bound):
    view = View(np.array([1, 1, 1, 4, 4, 0, 16]))
    found = most_inclusion(selector(name, options), view, size=3, round=0, rounds=1, streams=STREAMS)
    assert found == pytest.approx(bound)


def test_the_largest_inclusion_is_that_of_the_most_active():
    view, chosen = View(np.arange(1, 60)), selector("activity", {"sampling": "poisson"})
    each = inclusion_of(chosen, view, size=4, round=0, rounds=1, streams=STREAMS)
    largest = most_inclusion(chosen, view, size=4, round=0, rounds=1, streams=STREAMS)
    assert (largest, each.argmax()) == (pytest.approx(4 * 59 / (59 * 60 / 2)), 58)
    assert largest > 1.9 * 4 / 59  # twice what uniform sampling would let an accountant believe
    nobody = View(np.zeros(3, dtype=np.int64))
    assert most_inclusion(chosen, nobody, size=4, round=0, rounds=1, streams=STREAMS) == 0


def test_an_approximate_inclusion_is_rounded_up():
    counts = np.minimum(np.random.default_rng(0).zipf(1.7, 50_000), 5000)
    chosen = selector("activity", {"tau": 0.7})
    stated = chosen.chances(View(counts), size=600, round=0, rounds=1, streams=STREAMS)
    assert stated.exactness == "approximate"
    largest = most_inclusion(chosen, View(counts), size=600, round=0, rounds=1, streams=STREAMS)
    assert largest == pytest.approx(stated.inclusion.max() * 1.001)


def test_who_looks_at_losses_does_not_know():
    with pytest.raises(InputError, match="account with probability 1"):
        inclusion_of(selector("oort"), View(np.ones(4, dtype=np.int64)), size=1, round=0, rounds=1, streams=STREAMS)
