"""How far clients differ, on populations whose distance is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

import holdfast
from holdfast.data import Dataset, DataSplits, Example
from holdfast.federated import Population
from holdfast.federated.findings import spread
from holdfast.federated.findings.spread import spread_found
from holdfast.federated.population import Clients
from holdfast.tasks import Classification, LanguageModel

APART = math.sqrt(math.log(2))


def population(users: dict[str, str], *, task=None, model="bag") -> Population:
    """Users with the label of each of their examples, one letter each."""
    rows = [Example(tokens=(label, "said"), label=label, user_id=user) for user, labels in users.items() for label in labels]
    data = {name: Dataset.from_examples(rows, name="tiny", split=name) for name in ("train", "validation", "test")}
    return Population.of(task or Classification(), DataSplits("tiny", **data), model=model)


def test_two_clients_of_one_label_each_are_as_far_apart_as_can_be():
    found = spread_found("run", population({"ann": "xxx", "bob": "y"}))
    told = found.estimate("mean_js_distance", "run")
    assert told.value == pytest.approx(APART)
    assert told.conditions == {"of": "labels", "partition": "users", "log": "e", "pairs": 1}
    assert (told.n, told.interval) == (2, None)
    (curve,) = found.curves
    assert curve.name == "js_map"
    np.testing.assert_allclose(np.array(curve.y).reshape(2, 2), [[0, APART], [APART, 0]])
    assert curve.conditions == {"clients": 2, "shown_of": 2, "of": "labels"}


def test_the_same_shares_are_at_no_distance_whatever_the_counts():
    assert spread_found("run", population({"ann": "xy", "bob": "xxxyyy"})).estimate("mean_js_distance", "run").value == pytest.approx(0)


def test_the_mean_is_over_pairs():
    found = spread_found("run", population({"ann": "xx", "bob": "yy", "cid": "xy"})).estimate("mean_js_distance", "run")
    half = jensenshannon([1, 0], [0.5, 0.5])
    assert found.value == pytest.approx((APART + 2 * half) / 3)
    assert found.conditions["pairs"] == 3


def test_a_mixed_population_has_the_distance_of_scipy():
    shares = {"ann": [0.75, 0.25], "bob": [0.25, 0.75]}
    found = spread_found("run", population({"ann": "xxxy", "bob": "xyyy"})).estimate("mean_js_distance", "run")
    assert found.value == pytest.approx(jensenshannon(*shares.values()))


def test_clients_without_examples_are_left_out():
    made = population({"ann": "xx", "bob": "yy"})
    wider = replace(made, clients=Clients(np.array([0, 2, 2, 4]), made.clients.examples))
    found = spread_found("run", wider)
    assert found.estimate("mean_js_distance", "run").value == pytest.approx(APART)
    assert found.estimate("mean_js_distance", "run").n == 2
    assert found.curves[0].conditions["shown_of"] == 2


def test_one_client_alone_is_at_no_distance_from_anybody():
    found = spread_found("run", population({"ann": "xxy"}))
    assert (found.estimates, found.curves) == ((), ())


def texts(monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> Population:
    if most is not None:
        monkeypatch.setattr(spread, "MOST_EXAMPLES", most)
    monkeypatch.setattr(spread, "CLUSTERS", 2)
    model = holdfast.models.settings("lstm-lm", {"embedding": 4, "hidden": 4, "dropout": 0.0})
    return population({"ann": "xxxx", "bob": "yyyy"}, task=LanguageModel(), model=model)


def test_texts_without_labels_are_clustered(monkeypatch: pytest.MonkeyPatch):
    """Two kinds of sentence, one for each user, make two clusters: the users are as far apart as can be."""
    found = spread_found("run", texts(monkeypatch)).estimate("mean_js_distance", "run")
    assert found.conditions["of"] == "clusters"
    assert found.value == pytest.approx(APART)


def test_too_many_texts_are_said_to_be_too_many(monkeypatch: pytest.MonkeyPatch):
    found = spread_found("run", texts(monkeypatch, most=7))
    told = found.estimate("mean_js_distance", "run")
    assert told.value is None
    assert "up to 7 examples only" in told.missing
    assert found.curves == ()
