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
def test_a_metric_says_whether_its_groups_must_share_no_member(metric, random_predictions, quick):
    """A study asks before it trains; what is said must be what happens."""
    shared = named(random_predictions(60, groups=2, overlapping=True))
    assert not shared.groups.disjoint
    if metric.groups_apart:
        with pytest.raises(InputError, match="belong to more than one group"):
            metric.measure(shared, subject="run", inference=quick)
    else:
        assert metric.measure(shared, subject="run", inference=quick).estimates
    assert metric.groups_apart == ("share no member" in metric.card.groups)


JUDGED = {
    "demographic-parity": {"demographic_parity_difference"},
    "equal-opportunity": {"equal_opportunity_difference"},
    "equalised-odds": {"equalised_odds_difference"},
    "predictive-parity": {"predictive_parity_difference"},
    "accuracy-parity": {"accuracy_parity_difference"},
    "calibration": {"calibration_in_the_large_difference"},
    "error-rate-equality": {"false_positive_equality_difference", "false_negative_equality_difference"},
    "unintended-bias-auc": set(),
    "hatexplain-bias": set(),
    "tpr-gap": {"true_positive_rate_gap"},
}


@every_metric
@pytest.mark.parametrize("positive", [None, ("hatespeech",)], ids=["all classes", "one side"])
def test_with_a_margin_every_number_has_a_verdict_or_the_reason_why_it_has_none(metric, positive, random_predictions, quick):
    given = dataclasses.replace(named(random_predictions(150)), positive=positive)
    plain = metric.measure(given, subject="run", inference=quick).estimates
    assert not any("verdict" in one.conditions or "no verdict" in one.method for one in plain)
    judged = metric.measure(given, subject="run", inference=dataclasses.replace(quick, margin=0.05)).estimates
    assert all(("verdict" in one.conditions) != ("; no verdict: " in one.method) for one in judged)
    assert {one.name for one in judged if "verdict" in one.conditions} == JUDGED[metric.card.name]
    assert [one.value for one in judged] == [one.value for one in plain]
    of_groups = [one for one in judged if "group" in one.conditions]
    assert not any("verdict" in one.conditions for one in of_groups)


@every_metric
def test_without_a_value_there_is_no_verdict_and_that_is_the_reason(metric, random_predictions, quick):
    given = named(random_predictions(150))
    given.groups.members[:, :2] = False
    evidence = metric.measure(given, subject="run", inference=dataclasses.replace(quick, margin=0.05))
    missing = [one for one in evidence.estimates if one.value is None]
    assert missing
    assert all(one.method.endswith("; no verdict: there is no value") for one in missing)


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
