"""The words of a grid are made from its numbers, and turn when the numbers turn."""

import pytest
from tests.reproducing import flat, records, rising

from holdfast.core.evidence import Evidence
from holdfast.report.reproductions.edp_sgd import readings
from holdfast.report.reproductions.edp_sgd.reading import at_one_promise, loosest, range_of, together, unproved
from holdfast.study.reproductions.edp_sgd.summary import summarise


def falling(method: str, noise: float, seed: int) -> float:
    return 1.1 - rising(method, noise, seed)


@pytest.fixture(scope="module")
def rose() -> Evidence:
    return summarise(records(rising))


def test_promises_and_leakage_at_both_ends_are_named(rose: Evidence):
    sentence = range_of(rose, "dp-sgd")
    assert sentence.startswith("A promised ε of 80 and one of 10 differ 8-fold; the attack's AUC was 0.583 and 0.513")


def test_the_correlation_is_worded_by_its_interval(rose: Evidence):
    assert together(rose, "dp-sgd").startswith("A smaller promised ε went with a smaller AUC: rank correlation 1.0 (0")
    assert together(summarise(records(falling)), "dp-sgd").startswith("A smaller promised ε went with a larger AUC, against what")
    untold = together(summarise(records(flat)), "dp-sgd")
    assert untold.startswith("Whether a smaller promised ε went with a smaller AUC cannot be told")
    assert untold.endswith("an interval that holds 0.")


def test_a_correlation_that_could_not_be_had_says_why():
    sentence = together(summarise(records(rising, seeds=(1,))), "dp-sgd")
    assert sentence.startswith("How promise and measurement go together was not found: measured has the shape (1, 4)")
    assert "not resolvable" not in sentence


def test_the_loosest_promise_is_held_against_no_privacy(rose: Evidence):
    assert ", below the 0.706" in loosest(rose, "dp-sgd")
    assert ", above the 0.706" in loosest(summarise(records(lambda method, noise, seed: 0.8 + 0.01 / noise + 0.001 * seed)), "dp-sgd")
    assert ", not to be told from the 0.706" in loosest(
        summarise(records(lambda method, noise, seed: 0.7 + 0.01 / noise + 0.001 * seed)), "dp-sgd"
    )
    assert loosest(summarise(records(rising, methods=("dp-sgd",))), "dp-sgd") == ""


def test_naive_accounting_is_called_unproved_where_there_is_some(rose: Evidence):
    assert unproved(rose, "edp-sgd") == "Naive accounting, which is unproved, would have claimed an ε 4 times smaller."
    assert unproved(rose, "dp-sgd") == ""


def test_two_methods_are_compared_at_the_loosest_promise_that_both_make(rose: Evidence):
    sentence = at_one_promise(rose).replace("\N{NO-BREAK SPACE}", " ")
    assert sentence.startswith("At the same promise (ε = 80) the AUC was 0.523")
    assert sentence.endswith("with DP-SGD: one promise of two methods is not one leakage.")
    alike = at_one_promise(summarise(records(lambda method, noise, seed: 0.6 + 0.001 * seed + 0.0001 / noise)))
    assert "At the same promise" in alike
    assert "not one leakage" not in alike
    assert at_one_promise(summarise(records(rising, noises=(1.0, 1.1, 1.2)))) == ""
    assert at_one_promise(summarise(records(rising, methods=("none", "dp-sgd")))) == ""


def test_each_method_has_its_reading_and_both_have_one(rose: Evidence):
    assert [(one.lead, one.colour) for one in readings(rose)] == [("eDP-SGD:", 1), ("DP-SGD:", 2), ("Both methods:", None)]
    assert [one.lead for one in readings(summarise(records(rising, methods=("none", "dp-sgd"))))] == ["DP-SGD:"]
