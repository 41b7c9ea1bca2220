"""Strategies of the activity family: who is drawn, whose options are refused, and what is the same in every one."""

import json
import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import SELECTORS, Cohort, Leaning, Signals, View, inclusion_of, selector
from holdfast.federated.selection.activity import shared_out
from holdfast.federated.selection.levels import Levels
from holdfast.federated.selection.rules import Mixture, Power, Schedule, Softmax, Threshold

STREAMS = Streams.from_seed(5)
COUNTS = np.array([0, 1, 1, 1, 2, 2, 3, 5, 8, 0, 13, 40, 100])
NEEDED = {"threshold": {"least": 2}, "power-of-choice": {"loss": "last"}}
SAMPLINGS = ("without replacement", "with replacement", "poisson")


def select(name: str, options=None, *, counts=COUNTS, size=4, round=0, rounds=10, streams=STREAMS, **seen) -> Cohort:
    chosen = selector(name, {**NEEDED.get(name, {}), **(options or {})})
    return chosen.select(View(counts, **seen), size=size, round=round, rounds=rounds, streams=streams)


@pytest.mark.parametrize("name", SELECTORS)
def test_the_cohort_depends_on_streams_and_round_alone(name):
    cohorts = [[select(name, round=r, streams=s).clients.tolist() for r in range(8)] for s in (STREAMS, Streams(5), Streams(6))]
    assert cohorts[0] == cohorts[1]
    if name != "top-k":
        assert cohorts[0] != cohorts[2]
        assert len(set(map(tuple, cohorts[0]))) > 1


@pytest.mark.parametrize("name", SELECTORS)
def test_nobody_is_drawn_who_has_nothing_or_cannot_be_reached(name):
    available = np.arange(len(COUNTS)) % 2 == 1
    for round in range(20):
        cohort = select(name, round=round, rounds=20, size=5, available=available)
        assert (COUNTS[cohort.clients] > 0).all()
        assert available[cohort.clients].all()
        assert (cohort.inclusion > 0).all()
        assert (cohort.inclusion <= 1).all()
        assert np.all(np.diff(cohort.clients) > 0)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_cohort_larger_than_the_population_is_all_of_it(name):
    cohort = select(name, size=500, options={"most": 1000, "least": 1} if name == "threshold" else None)
    assert cohort.clients.tolist() == np.flatnonzero(COUNTS).tolist()
    if cohort.exactness != "unknown":
        assert cohort.inclusion.tolist() == [1.0] * 11


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("counts", [[], [0, 0]])
def test_an_empty_population_gives_an_empty_cohort(name, counts):
    assert len(select(name, counts=np.array(counts, dtype=np.int64))) == 0


@pytest.mark.parametrize("name", SELECTORS)
def test_describes_itself_in_plain_data_that_makes_it_again(name):
    options = dict(NEEDED.get(name, {}))
    if name not in ("power-of-choice", "oort", "active"):
        options["signal"] = {"noise": "geometric", "epsilon": 1.0, "sensitivity": 3}
    described = json.loads(json.dumps(selector(name, options).describe()))
    assert described["strategy"] == name
    again = selector(described.pop("strategy"), described)
    assert again.describe() == {"strategy": name, **described}


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(("size", "round", "rounds"), [(0, 0, 1), (True, 0, 1), (2, 1, 1), (2, -1, 3), (2.5, 0, 1)])
def test_sizes_and_rounds_that_cannot_be_are_refused(name, size, round, rounds):
    with pytest.raises(InputError, match=r"give a (whole number >= 1|round from 0 to)"):
        select(name, size=size, round=round, rounds=rounds)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("activity", {"tau": 0}),
        ("activity-schedule", {"from_tau": 0, "to_tau": 0}),
        ("mixture", {"explore": 1}),
        ("mixture", {"tau": 0}),
        ("threshold", {"least": 1}),
        ("stratified", {"heavy": 1, "medium": 0, "light": 0, "lower": 1e-9, "upper": 2e-9}),
    ],
)
def test_what_is_uniform_in_other_words_draws_what_uniform_draws(sampling, name, options):
    counts = np.repeat([0, 4, 9], 30) if name != "stratified" else np.repeat([0, 4, 4], 30)
    for round in range(5):
        there, here = (
            select(*which, counts=counts, size=7, round=round)
            for which in (("uniform", {"sampling": sampling}), (name, {**options, "sampling": sampling}))
        )
        if name != "stratified":
            assert here.clients.tolist() == there.clients.tolist()
        np.testing.assert_allclose(here.inclusion[:1], [7 / 60] if len(here) else [], rtol=1e-12)
        assert here.never == there.never == 0


def test_softmax_on_the_log_scale_is_a_power():
    for round in range(5):
        assert (
            select("softmax", {"temperature": 2}, round=round).clients.tolist()
            == select("activity", {"tau": 0.5}, round=round).clients.tolist()
        )
    levels = Levels.of(COUNTS)
    power, softmax = (rule.log_weights(levels, round=0, rounds=1) for rule in (Power(tau=0.5), Softmax(temperature=2.0)))
    np.testing.assert_allclose(softmax, power)


def test_softmax_on_counts_neither_overflows_nor_runs_out_of_clients():
    counts = np.array([1, 2, 10**6, 10**9])
    assert select("softmax", {"scale": "count"}, counts=counts, size=1).clients.tolist() == [3]
    cohort = select("softmax", {"scale": "count"}, counts=counts, size=3)
    assert {2, 3} < set(cohort.clients.tolist())
    np.testing.assert_allclose(np.sort(cohort.inclusion)[1:], [1, 1])
    np.testing.assert_allclose(cohort.inclusion[0], 1 / (1 + math.exp(1 if cohort.clients[0] == 0 else -1)), atol=1e-6)


def test_mixture_has_its_floor():
    levels = Levels.of(np.array([1, 1, 1, 97]))
    weights = np.exp(Mixture(tau=1.0, explore=0.2).log_weights(levels, round=0, rounds=1))
    np.testing.assert_allclose(weights, [0.8 * 0.01 + 0.05, 0.8 * 0.97 + 0.05])
    assert math.isclose(float(levels.clients @ weights), 1)


def test_threshold_bounds_and_who_never_has_a_chance():
    heavy, light = select("threshold", {"least": 8}, size=99), select("threshold", {"least": None, "most": 2}, size=99)
    assert COUNTS[heavy.clients].tolist() == [8, 13, 40, 100]
    assert COUNTS[light.clients].tolist() == [1, 1, 1, 2, 2]
    assert (heavy.never, light.never) == (7, 6)
    some = select("threshold", {"least": 8}, size=2)
    assert some.inclusion.tolist() == [0.5, 0.5]
    none = select("threshold", {"least": 1000})
    assert (len(none), none.never) == (0, 11)


def test_top_k_takes_the_most_active_and_the_first_among_equals():
    cohort = select("top-k", size=3)
    assert (cohort.clients.tolist(), cohort.inclusion.tolist(), cohort.never) == ([10, 11, 12], [1, 1, 1], 8)
    assert (cohort.sampling, cohort.exactness) == ("deterministic", "exact")
    assert select("top-k", size=7).clients.tolist() == [4, 6, 7, 8, 10, 11, 12]
    chances = inclusion_of(selector("top-k"), View(COUNTS), size=3, round=0, rounds=1, streams=STREAMS)
    assert chances.tolist() == [0] * 10 + [1, 1, 1]


@pytest.mark.parametrize(("shape", "halfway"), [("linear", 1.25), ("exponential", 1.0), ("cosine", 1.25)])
def test_schedules_go_from_one_exponent_to_the_other(shape, halfway):
    there = Schedule(from_tau=2.0, to_tau=0.5, shape=shape)
    back = Schedule(from_tau=0.5, to_tau=2.0, shape=shape)
    assert [round(there.tau_at(r, rounds=21), 9) for r in (0, 10, 20)] == [2.0, halfway, 0.5]
    assert [round(back.tau_at(r, rounds=21), 9) for r in (20, 10, 0)] == [2.0, halfway, 0.5]
    steps = np.diff([there.tau_at(r, rounds=21) for r in range(21)])
    assert (steps < 0).all()
    if shape == "cosine":
        assert abs(steps[0]) < abs(steps[10]) / 5
    assert there.tau_at(0, rounds=1) == 2.0


def test_a_schedule_draws_as_activity_does_with_the_exponent_of_the_round():
    options = {"from_tau": 2.0, "to_tau": 0.0}
    for r, tau in ((0, 2.0), (5, 1.0), (10, 0.0)):
        scheduled, plain = select("activity-schedule", options, round=r, rounds=11), select("activity", {"tau": tau}, round=r, rounds=11)
        assert scheduled.clients.tolist() == plain.clients.tolist()
        np.testing.assert_allclose(scheduled.inclusion, plain.inclusion)


@pytest.mark.parametrize("inside", ["uniform", "activity"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_stratified_buckets_have_their_shares(inside, sampling):
    counts = np.repeat(np.arange(1, 11), 100)
    options = {"inside": inside, "sampling": sampling}
    cohort = select("stratified", options, counts=counts, size=50)
    bucket = np.digitize(counts[cohort.clients], [5.5, 9.5])
    if sampling != "poisson":
        assert np.bincount(bucket).tolist() == [10, 15, 25]
    chances = inclusion_of(selector("stratified", options), View(counts), size=50, round=0, rounds=1, streams=STREAMS)
    np.testing.assert_allclose([chances[counts <= 5].sum(), chances[counts == 10].sum(), chances.sum()], [10, 25, 50])
    if inside == "uniform":
        assert cohort.exactness == "exact"
        np.testing.assert_allclose(chances[[0, 500, 999]], [10 / 500, 15 / 400, 25 / 100])
    else:
        assert chances[0] < chances[450]


def test_places_that_a_bucket_cannot_fill_go_to_the_others():
    counts = np.array([1] * 20 + [2] * 4 + [50])
    cohort = select("stratified", {"lower": 0.8, "upper": 0.95}, counts=counts, size=10)
    assert np.bincount(counts[cohort.clients], minlength=51)[[1, 2, 50]].tolist() == [5, 4, 1]
    same = select("stratified", {"sampling": "with replacement"}, counts=np.full(9, 4), size=10)
    assert len(same) == 10
    np.testing.assert_allclose(same.inclusion, 10 / 9)


def test_shares_are_whole_numbers_by_largest_remainder():
    shares, room = np.array([0.5, 0.3, 0.2]), np.full(3, 100.0)
    assert shared_out(7, shares, room, whole=True) == [4, 2, 1]
    assert shared_out(1, shares, room, whole=True) == [1, 0, 0]
    assert shared_out(4, shares, room, whole=True) == [2, 1, 1]  # 2, 1.2 and 0.8: the last has the largest remainder
    np.testing.assert_allclose(shared_out(7, shares, room, whole=False), [3.5, 2.1, 1.4])
    assert shared_out(7, shares, np.array([1.0, 1.0, 1.0]), whole=True) == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("activty", {}, "did you mean 'activity'"),
        ("activity", {"tua": 1}, "did you mean 'tau'"),
        ("activity", {"tau": 17}, "tau is 17; give a number from -16 to 16"),
        ("activity", {"tau": math.nan}, "tau is nan"),
        ("activity", {"tau": "1"}, "tau is '1'"),
        ("activity", {"sampling": "possion"}, "did you mean 'poisson'"),
        ("activity", {"signal": "noise"}, "signal is 'noise'; give a table"),
        ("activity", {"signal": {"bucket": 1}}, "did you mean 'buckets'"),
        ("uniform", {"tau": 1}, "unknown option 'tau'"),
        ("softmax", {"temperature": 0}, "temperature is 0; give a number >= 0.0625"),
        ("softmax", {"scale": "counts"}, "did you mean 'count'"),
        ("softmax", {"temperature": -1}, "temperature is -1"),
        ("threshold", {}, "neither least nor most"),
        ("threshold", {"least": 0}, "least is 0; give a whole number >= 1"),
        ("threshold", {"least": 5, "most": 4}, "nobody is between them"),
        ("mixture", {"explore": 1.5}, "explore is 1.5; give a number from 0 to 1"),
        ("activity-schedule", {"shape": "exponential"}, "two numbers above 0"),
        ("activity-schedule", {"shape": "cosin"}, "did you mean 'cosine'"),
        ("activity-schedule", {"to_tau": -20}, "to_tau is -20"),
        ("stratified", {"heavy": 0.9}, "the shares sum to 1.4"),
        ("stratified", {"lower": 0.9, "upper": 0.5}, "0 < lower < upper < 1"),
        ("stratified", {"inside": "n"}, "inside is 'n'"),
        ("stratified", {"light": -0.2, "heavy": 0.9}, "light is -0.2"),
        ("top-k", {"sampling": "poisson"}, "unknown option 'sampling'"),
        ("power-of-choice", {"candidates": 0}, "candidates is 0"),
        ("power-of-choice", {"loss": "none"}, "loss is 'none'"),
        ("oort", {"clip": 1.5}, "clip is 1.5; give a number from 0 to 1"),
        ("oort", {"most_times": 0}, "most_times is 0"),
        ("oort", {"scale": 1}, "give true or false"),
        ("active", {"left_out": 1}, "left_out is 1; give a share below 1"),
        ("active", {"sharpness": -1}, "sharpness is -1"),
    ],
)
def test_options_out_of_their_bounds_are_refused(name, options, message):
    with pytest.raises(InputError) as refused:
        selector(name, options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "leaning"),
    [
        ("uniform", {}, Leaning("nobody", 0)),
        ("activity", {"tau": 0.5}, Leaning("heavy", 0.5)),
        ("activity", {"tau": -1}, Leaning("light", -1)),
        ("softmax", {"temperature": 4.0}, Leaning("heavy", 0.25)),
        ("softmax", {"scale": "count"}, Leaning("heavy")),
        ("threshold", {"most": 3}, Leaning("light")),
        ("threshold", {"least": 3}, Leaning("heavy")),
        ("mixture", {}, Leaning("heavy")),
        ("mixture", {"tau": 0}, Leaning("nobody", 0)),
        ("mixture", {"explore": 0}, Leaning("heavy", 1)),
        ("activity-schedule", {"from_tau": -1, "to_tau": -2}, Leaning("light")),
        ("activity-schedule", {}, Leaning("heavy")),
        ("activity-schedule", {"to_tau": 1}, Leaning("heavy", 1)),
        ("stratified", {}, Leaning("heavy")),
        ("stratified", {"heavy": 0.1, "medium": 0.4, "light": 0.5}, Leaning("nobody")),
        ("stratified", {"heavy": 0, "medium": 0, "light": 1}, Leaning("light")),
        ("top-k", {}, Leaning("heavy")),
        ("power-of-choice", {}, Leaning("heavy")),
        ("oort", {}, Leaning("heavy")),
        ("active", {}, Leaning("heavy")),
    ],
)
def test_says_whom_it_favours(name, options, leaning):
    assert selector(name, options).leaning() == leaning


def test_threshold_weights():
    levels = Levels.of(COUNTS)
    assert np.isfinite(Threshold(least=3, most=13).log_weights(levels, round=0, rounds=1)).sum() == 4


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"counts": np.array([0.5])}, "give one whole number for each client"),
        ({"counts": np.array([[1]])}, "give one whole number for each client"),
        ({"counts": np.array([3, -1])}, "go down to -1"),
        ({"counts": np.array([3]), "available": np.array([1])}, "booleans"),
        ({"counts": np.array([3]), "available": np.array([True, False])}, "booleans"),
        ({"counts": np.array([3]), "signals": Signals.nothing(2)}, "signals of 2 clients for 1 counts"),
    ],
)
def test_views_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(InputError) as refused:
        View(**parts)
    assert message in str(refused.value)


def test_signals_and_cohorts_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="arrays of different length"):
        Signals(*(np.zeros(length) for length in (2, 2, 3, 2, 2)))
    with pytest.raises(InputError, match="one for each client"):
        Cohort(np.arange(3), np.ones(2), "poisson", "exact")


def test_signals_remember_a_round():
    signals = Signals.nothing(4)
    signals.note(np.array([1, 3]), round=6, loss=np.array([0.5, 2.0]), seconds=np.array([1.0, 9.0]))
    signals.note(np.array([3]), round=7, loss=np.array([1.0]), rms_loss=np.array([1.5]))
    assert signals.last_round.tolist() == [-1, 6, -1, 7]
    assert signals.times.tolist() == [0, 1, 0, 2]
    assert (signals.last_loss[3], signals.rms_loss[1], signals.rms_loss[3], signals.seconds[3]) == (1.0, 0.5, 1.5, 9.0)
    assert np.isnan(signals.last_loss[[0, 2]]).all()
