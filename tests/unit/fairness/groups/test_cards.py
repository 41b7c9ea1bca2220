"""What every metric of this room must be: a card in full, a frozen object, errors that help, rows for all groups."""

import dataclasses
import re

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness import groups as room
from holdfast.fairness.groups import TPRGap
from holdfast.fairness.inference import Units
from holdfast.fairness.metric import Metric
from holdfast.fairness.predictions import Groups, Predictions

KINDS = [kind for name in room.__all__ if hasattr(kind := getattr(room, name), "card")]
METRICS = [kind(**({"first": "g0", "second": "g1"} if kind is TPRGap else {})) for kind in KINDS]
NAMES = {
    "demographic-parity", "equal-opportunity", "equalised-odds", "predictive-parity", "accuracy-parity",
    "calibration", "error-rate-equality", "unintended-bias-auc", "hatexplain-bias", "tpr-gap",
}  # fmt: skip
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.card.name)


def test_their_names():
    assert {metric.card.name for metric in METRICS} == NAMES


@every_metric
def test_a_card_is_full_and_criticism_has_authors(metric):
    assert isinstance(metric, Metric)
    assert metric.needs == "predictions"
    told = metric.card.describe()
    assert all(value for key, value in told.items() if key not in ("ideal", "criticism"))
    assert metric.card.ideal in (0.0, 1.0)
    assert len(metric.card.criticism) >= 3
    for sentence in metric.card.criticism:
        assert re.search(r"\(.*[A-Z].*\)\.$", sentence), sentence
    assert sum(bool(re.search(r"(19|20)\d\d", sentence)) for sentence in metric.card.criticism) >= 3
    assert re.search(r"(19|20)\d\d", metric.card.reference)


@every_metric
def test_it_is_frozen_and_takes_keywords_only(metric):
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.needs_more = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        type(metric)("worst")


def named(given: Predictions) -> Predictions:
    """The same with the classes of HateXplain, which all metrics take."""
    return dataclasses.replace(given, classes=("hatespeech", "normal", "offensive"))


@every_metric
def test_every_group_has_a_row_and_no_number_lacks_an_interval_without_a_reason(metric, random_predictions, quick):
    given = named(random_predictions(150))
    given.groups.members[:, 2] = False  # nobody is left in g2
    evidence = metric.measure(given, subject="run", inference=quick)
    shown = {estimate.conditions.get("group") for estimate in evidence.estimates} - {None}
    assert shown >= ({"g0", "g1"} if isinstance(metric, TPRGap) else {"g0", "g1", "g2"})
    for estimate in evidence.estimates:
        assert estimate.interval is not None or estimate.value is None or "no interval" in estimate.method, estimate
        if estimate.conditions.get("group") == "g2":
            assert estimate.value is None
            assert "g2" in estimate.missing
    assert Evidence.from_json(evidence.to_json()) == evidence


@every_metric
@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_rows(metric, n, quick):
    members = np.zeros((n, 2), dtype=bool)
    members[:, 0] = True
    members[-1] = [False, True]
    given = Predictions(
        np.arange(n) % 2,
        np.arange(n) % 2,
        ("normal", "hatespeech"),
        Groups("a", ("g0", "g1"), members),
        Units.rows(n),
        np.full((n, 2), 0.5),
    )
    evidence = metric.measure(given, subject="run", inference=quick)
    assert evidence.estimates
    assert Evidence.from_json(evidence.to_json()) == evidence


@every_metric
def test_no_rows_and_no_groups_are_refused(metric, quick):
    empty = Predictions(
        np.zeros(0, int), np.zeros(0, int), ("normal", "hatespeech"), Groups("a", ("g0", "g1"), np.zeros((0, 2), bool)), Units.rows(0),
        np.zeros((0, 2)),
    )  # fmt: skip
    with pytest.raises(InputError, match="there are no predictions"):
        metric.measure(empty, subject="run", inference=quick)
    nobody = Predictions(
        np.zeros(2, int),
        np.zeros(2, int),
        ("normal", "hatespeech"),
        Groups("a", (), np.zeros((2, 0), bool)),
        Units.rows(2),
        np.full((2, 2), 0.5),
    )
    with pytest.raises(InputError, match="no group"):
        metric.measure(nobody, subject="run", inference=quick)
