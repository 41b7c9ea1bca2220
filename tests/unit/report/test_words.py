"""Sentences about promises are true: each is held against the definition that it puts in words."""

import math
from collections.abc import Callable

import pytest

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.report import words

Make = Callable[..., PrivacyClaim]


def test_the_promise_is_the_definition_in_words(claim: Make):
    assert words.promise(claim(8.0), model="this model") == (
        "Whoever sees this model reaches any given conclusion about one training example at most e^8 ≈ 2,980 times as often as if "
        "that example had been left out of training, plus a chance of one in 100,000 (δ)."
    )


@pytest.mark.parametrize("epsilon", [0.3, 1.9991, 7.9996, 31.7])
def test_the_factor_belongs_to_the_epsilon_that_is_shown(claim: Make, epsilon: float):
    sentence = words.promise(claim(epsilon), model="it")
    shown = float(sentence.split("e^")[1].split(" ")[0])
    factor = sentence.split("≈ ")[1].split(" times")[0]
    assert shown == pytest.approx(epsilon, rel=5e-3)
    named = {"trillion": 1e12}
    value = float(factor.split()[0].replace(",", "")) * named.get(factor.split()[-1], 1.0)
    assert value == pytest.approx(math.exp(shown), rel=2e-2)


@pytest.mark.parametrize(
    ("unit", "neighbouring", "clause"),
    [
        ("example", "add/remove", "as if that example had been left out of training"),
        ("example", "replace-one", "as if another example had stood in its place"),
        ("example", "zero-out", "as if that example had had no part in any step of training"),
        (
            "user",
            "add/remove",
            "about one user at most e^2 ≈ 7.39 times as often as if all examples of that user had been left out",
        ),
        ("user", "replace-one", "as if the examples of another user had stood in their place"),
        ("user", "zero-out", "as if the examples of that user had had no part in any step of training"),
    ],
)
def test_the_unit_and_the_neighbouring_decide_what_is_compared(claim: Make, unit: str, neighbouring: str, clause: str):
    assert clause in words.promise(claim(2.0, unit=unit, neighbouring=neighbouring), model="it")


@pytest.mark.parametrize(
    ("kind", "opening"),
    [
        ("proved", "Whoever sees it"),
        ("conditional", "If its conditions hold, then: whoever sees it"),
        ("disputed", "It is claimed, and disputed: whoever sees it"),
        ("unproved", "It is claimed without a proof: whoever sees it"),
    ],
)
def test_what_is_not_proved_is_not_said_as_if_it_were(claim: Make, kind: str, opening: str):
    assert words.promise(claim(1.0, kind=kind), model="it").startswith(opening)


@pytest.mark.parametrize(
    ("epsilon", "strength"), [(0.5, "strong"), (1.0, "strong"), (2.0, "moderate"), (3.0, "moderate"), (4.0, "weak"), (8.0, "weak")]
)
def test_strength_follows_what_the_promise_allows(claim: Make, epsilon: float, strength: str):
    assert words.strength(claim(epsilon)) == strength


@pytest.mark.parametrize("epsilon", [10.0, 31.7, 900.0])
def test_a_large_epsilon_is_called_very_weak(claim: Make, epsilon: float):
    assert words.strength(claim(epsilon)) == "very weak"
    assert words.in_words(claim(epsilon)) == (
        "As a worst-case promise this is very weak: an attack that wrongly accuses 1% of outsiders may find nearly all the training "
        "examples."
    )


def test_the_share_that_may_be_found_is_the_cap(claim: Make):
    made = claim(2.0, unit="user")
    assert f"{100 * made.cap(0.01):.1f}% of the users" in words.in_words(made)


def test_a_promise_of_nothing_learnt_is_told_too(claim: Make):
    assert "at most e^0 ≈ 1 times as often" in words.promise(claim(0.0), model="it")


def test_several_promises_in_a_few_words(claim: Make):
    claims = [claim(31.7), claim(2.0), claim(2.0001, kind="unproved")]
    assert words.span(claims).replace("\N{NO-BREAK SPACE}", " ") == "ε = 2 to 31.7"
    assert words.span(claims[1:]).replace("\N{NO-BREAK SPACE}", " ") == "ε = 2"
    assert words.strengths(claims) == "very weak to moderate"
    assert words.strengths(claims[1:]) == "moderate"
    assert words.kinds(claims) == "proved, unproved"


def test_verdicts_in_a_few_words():
    held, beyond, broken = (
        Verdict(subject="a", outcome=outcome, reason=".") for outcome in ("not contradicted", "not testable", "contradicted")
    )
    assert words.verdicts([]) == "not tested"
    assert words.verdicts([None, None]) == "not tested"
    assert words.verdicts([held, held]) == "not contradicted"
    assert words.verdicts([held, None]) == "1 not contradicted, 1 not tested"
    assert words.verdicts([beyond, held, broken, held]) == "1 contradicted, 2 not contradicted, 1 not testable"
