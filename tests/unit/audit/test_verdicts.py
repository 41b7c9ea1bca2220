"""Verdicts: each of the three, and every way not to reach one."""

import numpy as np
import pytest

from holdfast.audit.games import MembershipGame
from holdfast.audit.lower_bounds import EpsilonBound
from holdfast.audit.verdicts import Examination, examine, judge
from holdfast.core.evidence import Estimate, Interval


def blind(low: float | None) -> Estimate:
    common = {"name": "blind_auc", "subject": "", "unit": "share", "direction": "neither"}
    if low is None:
        return Estimate(**common, value=None, missing="too few")
    return Estimate(**common, value=low + 0.05, interval=Interval(low=low, high=low + 0.1, level=0.95, method="DeLong"))


def game(n1: int, n0: int, *, low: float | None = 0.45, copies: int = 0) -> MembershipGame:
    alone = [np.arange(n) >= copies for n in (n1, n0)]
    return MembershipGame(members_alone=alone[0], nonmembers_alone=alone[1], overlap=0, blind=blind(low))


def examination(value: float, detectable: float) -> Examination:
    return Examination(bound=EpsilonBound(value=value, detectable=detectable, delta=1e-5, level=0.95, tests=8), obstacle="", examples=3000)


def test_a_bound_above_the_promise_contradicts_it(claim):
    verdict = judge(examination(3.214, 5.6), claim(2.0))
    assert (verdict.outcome, verdict.lower_bound, verdict.detectable, verdict.level) == ("contradicted", 3.214, 5.6, 0.95)
    assert verdict.reason == "The attack shows that epsilon is at least 3.21 at delta 1e-05 (95% confidence), above the promised 2."
    assert verdict.subject == "dp-sgd"


def test_a_bound_equal_to_the_promise_does_not_contradict_it(claim):
    assert judge(examination(2.0, 5.6), claim(2.0)).outcome == "not contradicted"


def test_a_bound_below_the_promise_tells_the_power(claim):
    verdict = judge(examination(0.5, 5.6), claim(2.0))
    assert verdict.outcome == "not contradicted"
    assert verdict.reason == (
        "The lower bound on epsilon is 0.5 at delta 1e-05 (95% confidence), not above the promised 2; "
        "an attack without an error on these 3,000 examples would show 5.6."
    )


@pytest.mark.parametrize("epsilon", [5.6, 8.0])
def test_a_promise_beyond_the_reach_of_any_attack_is_not_testable(claim, epsilon: float):
    verdict = judge(examination(0.5, 5.6), claim(epsilon))
    assert verdict.outcome == "not testable"
    assert (verdict.lower_bound, verdict.detectable) == (0.5, 5.6)
    assert "members and as many non-members would do" in verdict.reason


def test_a_promise_that_no_audit_can_reach_says_so(claim):
    assert "no number of examples within reach" in judge(examination(0.5, 5.6), claim(31.7)).reason
    assert "no number of examples within reach" in judge(examination(0.5, 5.6), claim(1e6)).reason


def test_a_promise_for_users_is_not_testable_by_examples(claim):
    verdict = judge(examination(9.0, 9.5), claim(1.0, unit="user"))
    assert (verdict.outcome, verdict.lower_bound, verdict.detectable) == ("not testable", None, None)
    assert "for each user" in verdict.reason


def test_sides_that_can_be_told_apart_give_no_bound(claim):
    found = examine(np.arange(500.0) + 900, np.arange(500.0), game(500, 500, low=0.51), delta=1e-5, level=0.95)
    assert found.bound is None
    verdict = judge(found, claim(1.0))
    assert (verdict.outcome, verdict.lower_bound) == ("not testable", None)
    assert "AUC 0.560 [0.510, 0.610]" in verdict.reason


@pytest.mark.parametrize("low", [0.45, 0.5, None])
def test_sides_that_cannot_be_told_apart_give_one(claim, low: float | None):
    found = examine(np.arange(500.0) + 900, np.arange(500.0), game(500, 500, low=low), delta=1e-5, level=0.95)
    assert judge(found, claim(1.0)).outcome == "contradicted"


def test_copies_do_not_count_against_a_promise(claim):
    members = np.concatenate([np.full(300, 9.0), np.linspace(0, 1, 200)])  # 300 copies that the model knows by heart
    nonmembers = np.concatenate([np.full(300, -9.0), np.linspace(0, 1, 200)])
    with_copies = examine(members, nonmembers, None, delta=1e-5, level=0.95)
    without = examine(members, nonmembers, game(500, 500, copies=300), delta=1e-5, level=0.95)
    assert judge(with_copies, claim(0.5)).outcome == "contradicted"
    assert without.bound.value == 0
    assert without.examples == 400


def test_nothing_but_copies_gives_no_bound(claim):
    found = examine(np.arange(10.0), np.arange(10.0), game(10, 10, copies=9), delta=1e-5, level=0.95)
    assert found.bound is None
    assert judge(found, claim(1.0)).reason == "Only 1 of the members and 1 of the non-members have no copy; two of each are needed."


def test_every_reason_is_one_sentence(claim):
    told = examine(np.arange(50.0), np.arange(50.0), game(50, 50, low=0.6), delta=1e-5, level=0.95)
    verdicts = [
        judge(examination(3.0, 5.6), claim(2.0)),
        judge(examination(0.5, 5.6), claim(2.0)),
        judge(examination(0.5, 5.6), claim(9.0)),
        judge(examination(0.5, 5.6), claim(2.0, unit="user")),
        judge(told, claim(2.0)),
    ]
    for verdict in verdicts:
        assert verdict.reason[0].isupper()
        assert verdict.reason.endswith(".")
        assert ". " not in verdict.reason
