"""Inclusion probabilities against enumeration, closed forms and each other."""

import itertools
import math

import numpy as np
import pytest

from holdfast.federated.selection import inclusion
from holdfast.federated.selection.levels import TABLE, Levels


@pytest.fixture(autouse=True)
def fresh_integrals():
    inclusion._clocks.cache_clear()
    yield
    inclusion._clocks.cache_clear()


def enumerated(weights: np.ndarray, size: int) -> np.ndarray:
    """The slow twin: every ordered cohort with its probability."""
    chances = np.zeros(len(weights))
    for cohort in itertools.permutations(range(len(weights)), size):
        probability, left = 1.0, list(range(len(weights)))
        for client in cohort:
            probability *= weights[client] / weights[left].sum()
            left.remove(client)
        chances[list(cohort)] += probability
    return chances


def of_weights(weights, size: int) -> inclusion.Chances:
    return inclusion.successive(np.ones(len(weights), dtype=np.int64), np.log(np.asarray(weights, dtype=float)), size)


@pytest.mark.parametrize(
    ("weights", "size"),
    [
        ([1, 2, 3, 10, 50], 2),
        ([1, 2, 3, 4, 5, 6, 7], 6),
        ([1, 1e-6, 1e6, 3, 2, 2], 3),
        ([1, 2, 3, 1e4, 1e8], 4),
        ([5, 1, 1, 1, 1, 1, 1], 2),
        ([1, 2], 1),
    ],
)
def test_successive_draws_by_enumeration(weights, size):
    found = of_weights(weights, size)
    assert found.exactness == "exact"
    np.testing.assert_allclose(found.values, enumerated(np.array(weights, dtype=float), size), rtol=1e-8)


def test_successive_draws_of_weights_of_any_range_by_enumeration():
    generator = np.random.default_rng(1)
    for spread in (0.3, 1.0, 3.0, 10.0, 25.0):
        for size in (2, 3, 4):
            logs = generator.normal(size=6) * spread
            found = inclusion.successive(np.ones(6, dtype=np.int64), logs, size)
            assert found.exactness == "exact"
            np.testing.assert_allclose(found.values, enumerated(np.exp(logs), size), atol=1e-9)


def test_a_known_answer():
    """Two of weights 1, 1, 2: the heavy one is left out with probability (1/4)(1/3) twice."""
    np.testing.assert_allclose(of_weights([1, 1, 2], 2).values, [7 / 12, 7 / 12, 10 / 12], rtol=1e-10)


def test_clients_of_equal_weight_may_be_grouped():
    grouped = inclusion.successive(np.array([3, 1, 2]), np.log([1.0, 4.0, 9.0]), 3).values
    single = of_weights([1, 1, 1, 4, 9, 9], 3).values
    np.testing.assert_allclose(grouped[[0, 0, 0, 1, 2, 2]], single, rtol=1e-10)


def test_edges_of_successive_draws():
    numbers, logs = np.array([2, 3]), np.array([0.0, -np.inf])
    assert inclusion.successive(numbers, logs, 2).values.tolist() == [1, 0]  # all that can be drawn
    assert inclusion.successive(numbers, logs, 1).values.tolist() == [0.5, 0]
    assert inclusion.successive(numbers, np.zeros(2), 2).values.tolist() == [0.4, 0.4]  # uniform: m / N
    assert inclusion.successive(numbers[:0], logs[:0], 2).values.tolist() == []


def test_weights_too_far_apart_for_floats_stay_logarithms():
    """Three clients are certain, and the fourth place is shared among two of weight exp(-2000)."""
    logs = np.array([0.0, -1.0, -1000.0, -2000.0, -2000.0])
    found = inclusion.successive(np.ones(5, dtype=np.int64), logs, 4)
    np.testing.assert_allclose(found.values, [1, 1, 1, 0.5, 0.5], atol=1e-6)


def test_places_that_end_where_the_weights_fall_away_are_certain():
    for gap in (61.0, 400.0, 5000.0):
        logs = np.array([-gap, 0.0, -gap - 1, -1.0])
        found = inclusion.successive(np.array([3, 1, 2, 4]), logs, 5)
        assert (found.values.tolist(), found.exactness) == ([0, 1, 0, 1], "exact")


def zipf_levels(clients: int, seed: int = 0) -> Levels:
    return Levels.of(np.minimum(np.random.default_rng(seed).zipf(1.7, clients), 5000))


@pytest.mark.parametrize(
    ("clients", "size", "tau", "bound"),
    [
        (50, 5, 1.0, 2e-3),
        (200, 20, 1.0, 2e-4),
        (1000, 20, 1.0, 2e-4),
        (1000, 20, 0.5, 2e-4),
        (1000, 20, 2.0, 2e-3),
        (1000, 100, 1.0, 2e-5),
        (20_000, 2, 1.0, 1e-3),
    ],
)
def test_the_approximation_against_the_exact_values(monkeypatch, clients, size, tau, bound):
    levels = zipf_levels(clients)
    logs = tau * np.log(levels.counts)
    monkeypatch.setattr(inclusion, "EXACT_WORK", 10**9)
    exact = inclusion.successive(levels.clients, logs, size)
    monkeypatch.setattr(inclusion, "EXACT_WORK", 0)
    inclusion._clocks.cache_clear()
    near = inclusion.successive(levels.clients, logs, size)
    assert (exact.exactness, near.exactness) == ("exact", "approximate")
    assert abs(levels.clients @ exact.values - size) < 1e-9 * size
    assert abs(levels.clients @ near.values - size) < 1e-4 * size
    worst = np.abs(near.values / exact.values - 1).max()
    assert worst < bound
    first = -np.expm1(-np.exp(logs + inclusion.threshold(levels.clients, logs, size)))
    if clients <= 1000:
        assert np.abs(first / exact.values - 1).max() > 3 * worst  # the second order is worth its while


def test_large_populations_are_approximated_and_small_ones_are_not():
    levels = zipf_levels(300_000)
    assert inclusion.successive(levels.clients, np.log(levels.counts), 1000).exactness == "approximate"
    small = zipf_levels(500)
    assert inclusion.successive(small.clients, np.log(small.counts), 10).exactness == "exact"


def test_a_guess_from_bins_is_near_the_guess_from_single_weights():
    logs = np.random.default_rng(0).normal(size=5000)
    binned = inclusion.first_order(logs, 100)
    time = inclusion.threshold(np.ones(5000, dtype=np.int64), logs, 100)
    np.testing.assert_allclose(binned, -np.expm1(-np.exp(logs + time)), rtol=1e-3)
    assert inclusion.first_order(logs[:3], 5).tolist() == [1, 1, 1]


def water_filled(weights: np.ndarray, size: int) -> np.ndarray:
    """The slow twin: who would exceed 1 is taken for certain, and the rest is shared out again."""
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        shares = (size - certain.sum()) * weights / weights[~certain].sum()
        if not (over := ~certain & (shares > 1 + 1e-12)).any():
            return np.where(certain, 1.0, shares)
        certain |= over


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("tau", [0.0, 1.0, 3.0, -2.0])
def test_water_filling_against_its_slow_twin(size, tau):
    counts = np.array([1, 2, 2, 3, 5, 8, 40, 41, 300, 1000])
    levels = Levels.of(counts)
    values = inclusion.poisson(levels.clients, tau * np.log(levels.counts), size)
    each = levels.lookup(values)(counts)
    np.testing.assert_allclose(each, water_filled(counts.astype(float) ** tau, size), rtol=1e-9)
    assert math.isclose(each.sum(), size, rel_tol=1e-9)
    assert each.max() <= 1


def test_water_filling_at_its_edges():
    assert inclusion.poisson(np.array([2, 1]), np.array([0.0, -np.inf]), 5).tolist() == [1, 0]
    steep = inclusion.poisson(np.array([1, 4]), np.array([0.0, -5000.0]), 3)
    np.testing.assert_allclose(steep, [1, 0.5])


def test_expected_draws_with_replacement():
    np.testing.assert_allclose(inclusion.with_replacement(np.array([2, 1]), np.log([1.0, 6.0]), 4), [0.5, 3])


def test_levels_group_without_sorting_and_find_counts_beyond_the_table():
    counts = np.array([0, TABLE + 7, 3, 1, 3, 0, 5 * TABLE, TABLE - 1, TABLE + 7])
    levels = Levels.of(counts)
    assert levels.counts.tolist() == [1, 3, TABLE - 1, TABLE + 7, 5 * TABLE]
    assert levels.clients.tolist() == [1, 2, 1, 2, 1]
    assert levels.total == 7
    look = levels.lookup(np.arange(1.0, 6.0), fill=-1)
    assert look(counts).tolist() == [-1, 4, 2, 1, 2, -1, 5, 3, 4]


def test_nobody_is_on_no_level():
    for counts in (np.zeros(0, dtype=np.int64), np.zeros(4, dtype=np.int64)):
        levels = Levels.of(counts)
        assert levels.total == 0
        assert levels.lookup(np.zeros(0))(counts).tolist() == [0] * len(counts)
