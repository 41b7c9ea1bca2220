"""Evidence: numbers that are missing say why, none is infinite, and damaged documents are refused by name."""

import json
import math
from typing import Any

import numpy as np
import pytest

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.errors import InputError
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval


def estimate(**changes: Any) -> Estimate:
    settings: dict[str, Any] = {"name": "intent_accuracy", "subject": "a", "value": 0.9, "unit": "share", "direction": "higher is better"}
    return Estimate(**{**settings, **changes})


def curve(**changes: Any) -> Curve:
    return Curve(**{"name": "roc", "subject": "a", "x": (0, 1), "y": (0, 1), "x_label": "FPR", "y_label": "TPR", **changes})


@pytest.fixture
def full() -> Evidence:
    interval = Interval(low=0.1, high=0.30000000000000004, level=0.95, method="Wilson")
    claim = PrivacyClaim(
        subject="b",
        epsilon=8.0,
        delta=1e-5,
        unit="example",
        neighbouring="add/remove",
        sampler="Poisson",
        accountant="PLD",
        kind="conditional",
        steps=3,
        conditions=("the clipper is right", "so is the noise"),
        other_accounts={"naive (ignores that micro-batch clipping has sensitivity 2C)": 5.8},
    )
    return Evidence(
        estimates=(
            estimate(interval=interval, n=700, conditions={"fpr": 0.1, "delta": 1e-5, "runs": 1, "private": True, "attack": "loss"}),
            estimate(subject="b", value=None, missing="nobody looked"),
        ),
        curves=(curve(low=(0, 0), high=(1, 1), conditions={"level": 0.95}), curve(subject="b", x=(), y=())),
        claims=(claim,),
        verdicts=(Verdict(subject="b", outcome="not contradicted", reason="Because.", lower_bound=0.25, detectable=6.0, level=0.95),),
        notes=("It shows little.", "Umlauts survive: Zürich."),
    )


def test_a_value_or_a_reason_never_both_never_neither():
    with pytest.raises(InputError, match="either a value or the reason"):
        estimate(value=None)
    with pytest.raises(InputError, match="either a value or the reason"):
        estimate(missing="but it is there")
    assert estimate(value=None, missing="not measured").value is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_everywhere(number: float):
    with pytest.raises(InputError, match="finite"):
        estimate(value=number)
    with pytest.raises(InputError, match="fpr is"):
        estimate(conditions={"fpr": number})
    with pytest.raises(InputError, match="finite"):
        Interval(low=number, high=1, level=0.95, method="x")
    with pytest.raises(InputError, match="finite"):
        curve(y=(0, number))
    with pytest.raises(InputError, match="level is"):
        curve(conditions={"level": number})


@pytest.mark.parametrize(("low", "high", "level"), [(1, 0, 0.95), (0, 1, 0), (0, 1, 1), (0, 1, 95)])
def test_an_interval_without_a_meaning_is_refused(low: float, high: float, level: float):
    with pytest.raises(InputError):
        Interval(low=low, high=high, level=level, method="x")


def test_an_unknown_direction_is_refused():
    with pytest.raises(InputError, match="'up' is none of"):
        estimate(direction="up")


@pytest.mark.parametrize("change", [{"x": (0,)}, {"low": (0, 0)}, {"high": (0, 0)}, {"low": (0,), "high": (1,)}])
def test_a_curve_of_unequal_lengths_is_refused(change: dict[str, Any]):
    with pytest.raises(InputError, match="one length"):
        curve(**change)


def test_a_curve_takes_arrays_and_keeps_plain_floats():
    made = curve(x=np.array([0, 1]), y=np.array([0.5, 1.0], dtype=np.float32))
    assert made.x == (0.0, 1.0)
    assert {type(value) for value in made.x + made.y} == {float}


def test_json_gives_the_same_evidence_back(full: Evidence):
    text = json.dumps(full.to_json(), allow_nan=False)
    again = Evidence.from_json(json.loads(text))
    assert again == full
    assert json.dumps(again.to_json()) == text


def test_json_keeps_its_form(full: Evidence):
    document = full.to_json()
    assert list(document) == ["schema", "schema_version", "estimates", "curves", "claims", "verdicts", "notes"]
    assert (document["schema"], document["schema_version"]) == ("holdfast.evidence", 1)
    assert document["estimates"][0]["interval"] == {"low": 0.1, "high": 0.30000000000000004, "level": 0.95, "method": "Wilson"}
    assert document["estimates"][1]["value"] is None


def test_numbers_of_numpy_become_numbers_of_python():
    made = Evidence(estimates=(estimate(value=np.float32(0.1), n=np.int64(7), conditions={"fpr": np.float64(0.1), "on": np.bool_(True)}),))
    again = Evidence.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert type(again.estimates[0].n) is int
    assert again.estimates[0].value == float(np.float32(0.1))


def test_keys_beside_those_of_evidence_are_left_to_the_caller(full: Evidence):
    assert Evidence.from_json({**full.to_json(), "title": "A report", "runs": []}) == full


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other"}, "not a holdfast evidence document"),
        ({"schema": None}, "not a holdfast evidence document"),
        ({"schema_version": 2}, "schema version 2, this holdfast reads 1"),
    ],
)
def test_another_schema_is_refused(full: Evidence, change: dict[str, Any], words: str):
    with pytest.raises(InputError, match=words):
        Evidence.from_json({**full.to_json(), **change})


def test_a_document_that_was_cut_short_is_refused(full: Evidence):
    document = full.to_json()
    del document["curves"], document["notes"]
    with pytest.raises(InputError, match="no curves, notes"):
        Evidence.from_json(document)


def test_an_estimate_that_lacks_a_field_is_refused(full: Evidence):
    document = full.to_json()
    del document["estimates"][0]["unit"]
    with pytest.raises(InputError, match=r"Estimate is not complete.*unit"):
        Evidence.from_json(document)


def test_an_unknown_field_is_refused_with_the_nearest(full: Evidence):
    document = full.to_json()
    document["claims"][0]["epsilom"] = 0.1
    with pytest.raises(InputError, match="PrivacyClaim has no 'epsilom'; did you mean 'epsilon'"):
        Evidence.from_json(document)


def test_a_document_cannot_smuggle_in_what_a_constructor_refuses(full: Evidence):
    document = full.to_json()
    document["estimates"][0]["value"] = math.nan
    with pytest.raises(InputError, match="finite"):
        Evidence.from_json(document)


def test_evidence_is_found_by_name_subject_and_conditions(full: Evidence):
    assert full.estimate("intent_accuracy").subject == "a"
    assert full.estimate("intent_accuracy", "b").missing == "nobody looked"
    assert full.estimate("intent_accuracy", "a", conditions={"fpr": 0.1}) is full.estimates[0]
    assert full.estimate("intent_accuracy", "a", conditions={"fpr": 0.2}) is None
    assert full.estimate("slot_f1") is None
    assert full.curve("roc", "b").x == ()
    assert full.curve("roc", "c") is None


def test_evidence_adds_up_and_says_each_note_once(full: Evidence):
    both = full + Evidence(estimates=(estimate(subject="c"),), notes=("It shows little.", "And this."))
    assert [one.subject for one in both.estimates] == ["a", "b", "c"]
    assert both.notes == ("It shows little.", "Umlauts survive: Zürich.", "And this.")
    assert full + Evidence() == full == Evidence() + full


def test_evidence_about_one_run_leaves_the_others_out(full: Evidence):
    about = full.about("b")
    assert {item.subject for item in about.estimates + about.curves + about.claims + about.verdicts} == {"b"}
    assert (len(about.estimates), len(about.curves), len(about.claims), len(about.verdicts)) == (1, 1, 1, 1)
    assert about.notes == full.notes


def test_renaming_changes_the_subject_and_nothing_else(full: Evidence):
    renamed = full.about("b").renamed("c")
    assert {item.subject for item in renamed.estimates + renamed.curves + renamed.claims + renamed.verdicts} == {"c"}
    assert renamed.renamed("b") == full.about("b")
