"""What is said of clients, decile by decile, against counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
from tests.oracles.federations import tiny_population

from holdfast.core.evidence import Evidence
from holdfast.federated.findings.clients import LEAST, ClientsFound
from holdfast.federated.findings.scores import ExampleScores
from holdfast.federated.selection import Signals

SIZES = [10, 1, 20, 2, 3, 4, 5, 6, 7, 8, 9, 30]
CLIENTS = len(SIZES)


@pytest.fixture(scope="module")
def population():
    """Twelve users, numbered as they first appear, whose counts are those of `SIZES` in another order."""
    return tiny_population(SIZES)


def found(population, *, times=None, norms=None) -> ClientsFound:
    signals = Signals.nothing(CLIENTS)
    signals.times[:] = 0 if times is None else times
    return ClientsFound("run", population, signals, np.zeros(CLIENTS) if norms is None else np.asarray(norms, dtype=float))


def served(population, owners, scores: ExampleScores, **options) -> Evidence:
    """What is said where single clients are tested on examples of these owners."""
    told = replace(population, own=replace(population.own, owners=np.array(owners)))
    return Evidence(estimates=tuple(found(told, **options).served(scores)))


def by_rank(population) -> np.ndarray:
    """Clients from the lightest to the heaviest."""
    return np.argsort(population.clients.counts, kind="stable")


def accuracy(right: list[float]) -> ExampleScores:
    return ExampleScores("accuracy", "share", "higher is better", np.array(right, dtype=float), np.ones(len(right)))


def test_clients_and_examples_are_counted(population):
    told = Evidence(estimates=tuple(found(population).activity()))
    assert told.estimate("clients", "run").value == 12
    assert told.estimate("examples", "run").value == sum(SIZES) == 105
    assert told.estimate("clients", "run").conditions == {"partition": "users"}
    pairs = np.abs(np.subtract.outer(SIZES, SIZES)).sum()
    assert told.estimate("activity_gini", "run").value == pytest.approx(pairs / (2 * 12 * 105))
    assert told.estimate("participation_gini", "run").value == 0


def test_participation_is_a_mean_over_the_clients_of_a_decile(population):
    ranks = by_rank(population)
    times = np.zeros(CLIENTS)
    times[ranks] = np.arange(CLIENTS)  # the lightest never, the heaviest eleven times
    told = Evidence(estimates=tuple(found(population, times=times).activity()))
    rows = {one.conditions["decile"]: one for one in told.estimates if one.name == "participation_decile"}
    assert [rows[decile].value for decile in range(1, 11)] == [0.5, 2.5, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [rows[decile].conditions["clients"] for decile in range(1, 11)] == [2, 2, *[1] * 8]
    assert rows[1].unit == "rounds"
    assert told.estimate("participation_gini", "run").value == pytest.approx(13 / 36)


def test_shares_of_the_update_norm_sum_to_one(population):
    ranks = by_rank(population)
    norms = np.zeros(CLIENTS)
    norms[ranks[:2]], norms[ranks[-1]] = 1.0, 6.0
    told = Evidence(estimates=tuple(found(population, norms=norms).activity()))
    rows = [one for one in told.estimates if one.name == "update_norm_decile"]
    assert [one.value for one in rows] == [0.25, *[0] * 8, 0.75]
    assert sum(one.value for one in rows) == 1


def test_nothing_is_said_of_norms_where_nobody_moved(population):
    assert not [one for one in found(population).activity() if one.name == "update_norm_decile"]


def test_a_decile_is_served_as_the_mean_of_its_clients(population):
    ranks = by_rank(population)
    owners = [ranks[0], ranks[0], ranks[0], ranks[0], ranks[1], ranks[11], -1]
    told = served(population, owners, accuracy([1, 1, 0, 0, 1, 0, 1]))
    rows = {one.conditions["decile"]: one for one in told.estimates if one.name == "client_score_decile"}
    assert sorted(rows) == [1, 10]  # nobody else has a test example
    assert rows[1].value == 0.75  # clients count alike: (2/4 + 1/1) / 2, and not 3/5
    assert rows[1].conditions == {"decile": 1, "measure": "accuracy", "clients": 2, "examples": 5}
    assert rows[10].value == 0
    assert (rows[10].unit, rows[10].direction, rows[10].n) == ("share", "higher is better", 1)


def test_the_worst_served_clients_need_enough_examples(population):
    owners = [*[0] * LEAST, *[1] * LEAST, *[2] * (LEAST - 1)]
    right = [*[1] * 4, 0, *[1] * LEAST, *[0] * (LEAST - 1)]
    told = served(population, owners, accuracy(right))
    rows = {one.conditions["percentile"]: one for one in told.estimates if one.name == "client_score_percentile"}
    assert {percentile: one.value for percentile, one in rows.items()} == pytest.approx({0: 0.8, 10: 0.82, 50: 0.9, 90: 0.98})
    assert rows[0].conditions == {"percentile": 0, "measure": "accuracy", "clients": 2, "least_examples": LEAST}


def test_without_such_clients_no_worst_one_is_named(population):
    told = served(population, [0, 1], accuracy([1, 0]))
    assert not [one for one in told.estimates if one.name == "client_score_percentile"]


def test_of_a_perplexity_the_worst_is_the_highest(population):
    owners = [*[0] * LEAST, *[1] * LEAST, *[2] * LEAST]
    nats = np.repeat(np.log([10.0, 30.0, 20.0]), LEAST)
    scores = ExampleScores("perplexity", "words", "lower is better", nats, np.ones(3 * LEAST))
    told = served(population, owners, scores)
    rows = {one.conditions["percentile"]: one.value for one in told.estimates if one.name == "client_score_percentile"}
    assert rows == pytest.approx({0: 30, 10: 28, 50: 20, 90: 12})


def test_a_perplexity_of_a_client_is_of_its_words(population):
    """A client with a long and a short text: neither the mean of two perplexities nor of two mean losses."""
    scores = ExampleScores("perplexity", "words", "lower is better", np.array([9.0, 0.0]), np.array([3.0, 1.0]))
    told = served(population, [4, 4], scores)
    (row,) = [one for one in told.estimates if one.name == "client_score_decile"]
    assert row.value == pytest.approx(np.exp(9 / 4))


def test_curves_end_at_one(population):
    times = np.arange(CLIENTS)
    curves = {curve.name: curve for curve in found(population, times=times).curves()}
    activity = curves["activity_lorenz"]
    assert len(activity.x) == 13
    np.testing.assert_allclose(activity.y, np.concatenate([[0], np.cumsum(sorted(SIZES))]) / 105)
    np.testing.assert_allclose(curves["participation_lorenz"].y, np.concatenate([[0], np.cumsum(range(12))]) / 66)


def test_clients_without_examples_are_left_out_of_both_indices(population):
    counts = np.concatenate([population.clients.counts, [0, 0]])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    empty = replace(population, clients=replace(population.clients, offsets=offsets, names=None))
    signals = Signals.nothing(14)
    signals.times[:12] = 1
    told = Evidence(estimates=tuple(ClientsFound("run", empty, signals, np.zeros(14)).activity()))
    assert told.estimate("clients", "run").value == 14
    assert told.estimate("participation_gini", "run").value == 0
    assert told.estimate("participation_gini", "run").n == 12
    before = Evidence(estimates=tuple(found(population).activity()))
    assert told.estimate("activity_gini", "run").value == before.estimate("activity_gini", "run").value


def test_clients_without_a_finite_score_are_counted_in_words(population):
    owners = [*[0] * LEAST, *[1] * LEAST, *[2] * LEAST]
    nats = np.repeat([2.0, 1e4, 3.0], LEAST)  # exp(10,000) is no number
    told = served(population, owners, ExampleScores("perplexity", "words", "lower is better", nats, np.ones(3 * LEAST)))
    rows = [one for one in told.estimates if one.name in ("client_score_decile", "client_score_percentile")]
    assert all("1 clients whose score is not finite are left out" in one.method for one in rows)
    assert {one.conditions["clients"] for one in rows if one.name == "client_score_percentile"} == {2}
