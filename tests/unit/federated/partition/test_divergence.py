"""Distances between clients: scipy's, known values, sampled means that cover the exact one, and a picture in an order."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from holdfast.core.errors import InputError
from holdfast.federated.partition import divergence, js_distances, js_map, label_shares, mean_pairwise
from holdfast.federated.partition.divergence import js_of_pairs
from holdfast.federated.population import Clients

LARGEST = math.sqrt(math.log(2))


def shares(clients, labels=7, concentration=0.3, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(labels, concentration), clients)


def test_shares_of_labels():
    clients = Clients.of_assignment(np.array([0, 2, 0, 2, 2, 0]), 4)
    found = label_shares(["a", "b", "a", "b", "a", "c"], clients)
    assert found == pytest.approx(np.array([[2 / 3, 0, 1 / 3], [0, 0, 0], [1 / 3, 2 / 3, 0], [0, 0, 0]]))
    codes = label_shares(np.array([0, 1, 0, -100, 0, 2]), clients, labels=4)
    assert codes == pytest.approx(np.array([[2 / 3, 0, 1 / 3, 0], [0] * 4, [0.5, 0.5, 0, 0], [0] * 4])), "negative ones do not count"
    assert label_shares(np.array([0, 0, 1]), Clients(np.array([0, 1, 3]), None)).tolist() == [[1, 0], [0.5, 0.5]]


def test_labels_that_do_not_fit_are_refused():
    clients = Clients(np.array([0, 3]), None)
    with pytest.raises(InputError, match="a label is 5, but labels is 4; give at least 6"):
        label_shares(np.array([0, 5, 1]), clients, labels=4)
    with pytest.raises(InputError, match="give a label for each"):
        label_shares(np.array([0, 1]), clients)


@pytest.mark.parametrize("base", [math.e, 2.0])
def test_distances_are_those_of_scipy(base, monkeypatch):
    monkeypatch.setattr(divergence, "_CELLS", 500)  # several blocks
    rows = np.vstack([shares(40), np.eye(7)[:2], shares(1, seed=9)])
    rows[5] = rows[6]
    found = js_distances(rows, base=base)
    slow = np.array([[jensenshannon(p, q, base=base) for q in rows] for p in rows])
    assert np.abs(found - slow).max() < 1e-7
    assert (found == found.T).all()
    assert (np.diag(found) == 0).all()
    assert found[5, 6] == 0
    assert found[40, 41] == pytest.approx(math.sqrt(math.log(2) / math.log(base)), abs=1e-12)
    pairs = js_of_pairs(rows[:10], rows[10:20], base=base)
    assert pairs == pytest.approx(found[np.arange(10), np.arange(10, 20)], abs=1e-9)


def test_a_client_without_labels_has_no_distance():
    found = js_distances(np.array([[1.0, 0], [0, 0], [0, 1.0]]))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert found[0, 2] == pytest.approx(LARGEST)


def test_the_mean_is_over_pairs_of_different_clients():
    found = mean_pairwise(np.array([[1.0, 0], [0, 1.0], [1.0, 0], [0, 0]]))
    assert found.value == found.low == found.high == pytest.approx(2 / 3 * LARGEST)
    assert (found.pairs, found.clients, found.exact) == (3, 3, True)
    assert mean_pairwise(np.eye(5)).value == pytest.approx(LARGEST)
    with pytest.raises(InputError, match="1 clients have labelled examples; give at least 2"):
        mean_pairwise(np.array([[1.0, 0], [0, 0]]))


def test_a_sample_of_pairs_covers_the_mean_of_all():
    rows = shares(120)
    truth = mean_pairwise(rows)
    assert truth.exact
    sampled = [mean_pairwise(rows, seed=seed, exact=10, pairs=400) for seed in range(300)]
    assert all(not found.exact and found.pairs == 400 for found in sampled)
    covered = sum(found.low <= truth.value <= found.high for found in sampled)
    assert 271 <= covered <= 299, "95% of 300 within four standard errors"
    mean = np.mean([found.value for found in sampled])
    assert abs(mean - truth.value) < 4 * np.std([found.value for found in sampled]) / math.sqrt(300)
    assert mean_pairwise(rows, seed=1, exact=10, pairs=400) == sampled[1]
    with pytest.raises(InputError, match="pairs is 99"):
        mean_pairwise(rows, pairs=99)


def test_the_map_puts_alike_clients_side_by_side():
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 3, 500)
    rows = 0.8 * np.eye(3)[kinds] + 0.2 * rng.dirichlet(np.ones(3), 500)
    rows[7] = 0
    found = js_map(rows, most=30)
    assert found.shown_of == 499
    assert len(found.clients) == len(set(found.clients.tolist())) == 30
    assert 7 not in found.clients
    shown = kinds[found.clients]
    assert (np.diff(shown) >= 0).all(), "sorted by commonest label"
    assert np.abs(np.bincount(shown, minlength=3) / 30 - np.bincount(kinds, minlength=3) / 500).max() < 0.05
    commonest = rows[found.clients].max(1)
    assert all((np.diff(commonest[shown == kind]) <= 0).all() for kind in range(3))
    beside, apart = found.distances[shown[:, None] == shown], found.distances[shown[:, None] != shown]
    assert beside.max() < apart.min()
    assert found.distances == pytest.approx(js_distances(rows[found.clients]))


def test_a_small_population_is_shown_whole():
    assert sorted(js_map(shares(5)).clients.tolist()) == [0, 1, 2, 3, 4]
    assert js_map(shares(1)).distances.tolist() == [[0.0]]
    with pytest.raises(InputError, match="no client has labelled examples"):
        js_map(np.zeros((3, 2)))
    with pytest.raises(InputError, match="most is 0"):
        js_map(shares(3), most=0)
