"""Cohorts held to the probabilities they state, and weightings to what they promise of them."""

import time
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from holdfast.core.randomness import Streams
from holdfast.federated.selection import View, inclusion_of, selector, weighting

pytestmark = pytest.mark.slow

COUNTS = np.array([1] * 10 + [2] * 6 + [3] * 4 + [5, 8, 8, 13, 20, 40])
SIZE, ROUNDS = 6, 1000
STREAMS = Streams.from_seed(11)
STATED = [
    *(("activity", {"sampling": sampling}) for sampling in ("without replacement", "with replacement", "poisson")),
    ("uniform", {}),
    ("uniform", {"sampling": "poisson"}),
    ("activity", {"tau": 0.5}),
    ("activity", {"tau": -1}),
    ("softmax", {"temperature": 3.0}),
    ("softmax", {"scale": "count", "temperature": 10.0}),
    ("threshold", {"least": 2}),
    ("threshold", {"most": 3, "sampling": "with replacement"}),
    ("mixture", {"tau": 2.0, "explore": 0.3}),
    ("mixture", {"sampling": "poisson"}),
    ("stratified", {}),
    ("stratified", {"inside": "activity", "sampling": "poisson"}),
    ("stratified", {"inside": "activity"}),
    ("activity-schedule", {"from_tau": 1.0, "to_tau": 1.0, "shape": "cosine"}),
    ("activity", {"signal": {"noise": "geometric", "epsilon": 1.0, "sensitivity": 2}}),
    ("activity", {"signal": {"buckets": "powers of two"}}),
]


def taken(name: str, options: dict, *, rounds: int = ROUNDS, counts: np.ndarray = COUNTS, streams: Streams = STREAMS) -> np.ndarray:
    """How often each client was drawn in each round, (rounds, N)."""
    chosen, times = selector(name, options), np.zeros((rounds, len(counts)))
    for round in range(rounds):
        np.add.at(times[round], chosen.select(View(counts), size=SIZE, round=round, rounds=rounds, streams=streams).clients, 1)
    return times


def p_value(times_RN: np.ndarray, stated: np.ndarray) -> float:
    """Chi-square (Hotelling's) of mean participation against what is stated, with the covariance that the rounds show.

    A plain chi-square would take the clients of a cohort for independent. Directions that never vary (the size of the cohort, a
    client without a chance) must fit exactly.
    """
    rounds, gap = len(times_RN), times_RN.mean(0) - stated
    variances, directions = np.linalg.eigh(np.cov(times_RN.T))
    along, varies = directions.T @ gap, variances > 1e-9
    if np.abs(along[~varies]).max(initial=0) > 1e-6:
        return 0.0
    statistic, k = rounds * (along[varies] ** 2 / variances[varies]).sum(), int(varies.sum())
    return float(stats.f.sf(statistic * (rounds - k) / (k * (rounds - 1)), k, rounds - k))


@pytest.mark.parametrize(("name", "options"), STATED, ids=str)
def test_clients_are_drawn_as_often_as_is_stated(name, options):
    times = taken(name, options)
    view = View(COUNTS)
    stated = inclusion_of(selector(name, options), view, size=SIZE, round=0, rounds=ROUNDS, streams=STREAMS)
    assert p_value(times, stated) > 1e-3
    cohort = selector(name, options).select(view, size=SIZE, round=0, rounds=ROUNDS, streams=STREAMS)
    np.testing.assert_allclose(cohort.inclusion, stated[cohort.clients], rtol=1e-12)
    assert cohort.exactness == "exact"


def test_the_p_value_is_one_under_the_null():
    values = [p_value(taken("activity", {"tau": 0.5}, rounds=300, streams=Streams(seed)), TRUE) for seed in range(20)]
    assert stats.kstest(values, "uniform").pvalue > 1e-3


TRUE = inclusion_of(selector("activity", {"tau": 0.5}), View(COUNTS), size=SIZE, round=0, rounds=1, streams=STREAMS)


def test_wrong_probabilities_are_rejected():
    times = taken("activity", {})
    weights = COUNTS / COUNTS.sum()
    right = inclusion_of(selector("activity"), View(COUNTS), size=SIZE, round=0, rounds=1, streams=STREAMS)
    poisson = inclusion_of(selector("activity", {"sampling": "poisson"}), View(COUNTS), size=SIZE, round=0, rounds=1, streams=STREAMS)
    assert p_value(times, right) > 1e-3
    assert p_value(times, SIZE * weights) < 1e-6  # the formula for draws with replacement
    assert p_value(times, 1 - (1 - weights) ** SIZE) < 1e-6  # the formula of one draw after another, put back
    assert p_value(times, poisson) < 1e-6
    tilted = right * np.where(COUNTS == 1, 1.15, 1)
    assert p_value(times, tilted * SIZE / tilted.sum()) < 1e-3
    assert p_value(times, right * 1.01) < 1e-3  # no longer six clients in all


def test_top_k_is_certain():
    times = taken("top-k", {}, rounds=3)
    assert (times == inclusion_of(selector("top-k"), View(COUNTS), size=SIZE, round=0, rounds=1, streams=STREAMS)).all()


def test_poisson_cohorts_have_the_mean_and_variance_of_their_probabilities():
    sizes = taken("activity", {"sampling": "poisson", "tau": 0.5}).sum(1)
    chances = inclusion_of(
        selector("activity", {"sampling": "poisson", "tau": 0.5}), View(COUNTS), size=SIZE, round=0, rounds=1, streams=STREAMS
    )
    variance = (chances * (1 - chances)).sum()
    assert abs(sizes.mean() - SIZE) < 4 * np.sqrt(variance / ROUNDS)
    assert abs(sizes.var() / variance - 1) < 4 * np.sqrt(2 / ROUNDS)


# A toy quadratic: client i pulls towards its own target a_i, more active clients towards larger ones. The gradient at 0 of the
# mean over all examples of |x - a|^2 / 2 is minus the mean of the targets, each as often as its client has examples.
TARGETS = np.stack([np.log(COUNTS), np.cos(np.arange(len(COUNTS)))], axis=1)
FULL = COUNTS @ TARGETS / COUNTS.sum()


def pulls(
    select: str, options: dict, weigh: str, weigh_options: dict | None = None, *, size: int = SIZE, rounds: int = ROUNDS
) -> np.ndarray:
    """The weighted sum of the pulls of a cohort, for each round, (rounds, 2)."""
    chosen, weights, found = selector(select, options), weighting(weigh, weigh_options), np.zeros((rounds, 2))
    for round in range(rounds):
        cohort = chosen.select(View(COUNTS), size=size, round=round, rounds=rounds, streams=STREAMS)
        found[round] = (
            weights.multipliers(COUNTS[cohort.clients], cohort, clients=len(COUNTS), examples=int(COUNTS.sum())) @ TARGETS[cohort.clients]
        )
    return found


def z_scores(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.abs(found.mean(0) - wanted) / (found.std(0, ddof=1) / np.sqrt(len(found)))


@pytest.mark.parametrize("sampling", ["without replacement", "with replacement", "poisson"])
@pytest.mark.parametrize(
    ("name", "options"), [("activity", {}), ("activity", {"tau": -0.5}), ("mixture", {"explore": 0.3}), ("stratified", {})]
)
def test_inverse_propensity_is_unbiased_whoever_is_favoured(name, options, sampling):
    found = pulls(name, {**options, "sampling": sampling}, "inverse-propensity")
    assert z_scores(found, FULL).max() < 4


def test_clipped_multipliers_are_biased():
    found = pulls("activity", {"tau": -2}, "inverse-propensity", {"clip": 1.5})
    assert z_scores(found, FULL).max() > 8


def test_proportional_draws_with_replacement_and_equal_weights_are_unbiased():
    options = {"sampling": "with replacement"}
    assert z_scores(pulls("activity", options, "uniform"), FULL).max() < 4
    assert z_scores(pulls("activity", {}, "uniform"), FULL).max() > 8  # not so without replacement in so small a population


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_examples_as_weights_under_activity_count_heavy_clients_twice(tau):
    """With many draws the mean tends to that of weights n^(1 + tau), and not to that of n."""
    found = pulls("activity", {"tau": tau, "sampling": "with replacement"}, "examples", size=2000, rounds=200)
    twice = COUNTS ** (1 + tau) @ TARGETS / (COUNTS ** (1 + tau)).sum()
    assert np.abs(found.mean(0) - twice).max() < 0.004
    assert np.abs(FULL - twice).max() > 0.25
    assert z_scores(found, FULL).max() > 50


def test_a_million_clients_are_quick():
    generator = np.random.default_rng(0)
    counts = np.minimum(generator.zipf(1.8, 10**6), 20_000) - (generator.random(10**6) < 0.1)
    view = View(counts, generator.random(10**6) < 0.8)
    chosen = selector("activity")
    tracemalloc.start()
    begin = time.perf_counter()
    cohort = chosen.select(view, size=1000, round=0, rounds=1, streams=STREAMS)
    seconds, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cohort) == 1000
    assert seconds < 2  # about 0.1 on a quiet machine
    assert peak < 80 * 2**20
