"""Aggregation weights by hand, what they refuse, and the sentences on counting twice."""

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import WEIGHTINGS, Cohort, View, counted_twice, selector, weighting

COHORT = Cohort(np.array([2, 5, 5, 9]), np.array([0.1, 0.5, 0.5, 0.8]), "with replacement", "exact")
COUNTS = np.array([1, 10, 10, 79])


def multipliers(name, options=None, *, counts=COUNTS, cohort=COHORT, examples=1000):
    return weighting(name, options).multipliers(counts, cohort, clients=40, examples=examples)


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("examples", {}, [0.01, 0.1, 0.1, 0.79]),
        ("uniform", {}, [0.25] * 4),
        ("capped", {"cap": 10}, [1 / 31, 10 / 31, 10 / 31, 10 / 31]),
        ("inverse-propensity", {}, [0.01, 0.02, 0.02, 0.09875]),
        ("inverse-propensity", {"least": 0.5}, [0.002, 0.02, 0.02, 0.09875]),
        ("inverse-propensity", {"clip": 1}, [0.01, 0.02, 0.02, 0.0371875]),
        ("inverse-propensity", {"clip": 5.0}, [0.01, 0.02, 0.02, 0.09875]),
    ],
)
def test_multipliers_by_hand(name, options, wanted):
    found = multipliers(name, options)
    np.testing.assert_allclose(found, wanted)
    assert found.dtype == np.float64
    if name != "inverse-propensity":
        assert found.sum() == pytest.approx(1)
    else:
        np.testing.assert_allclose(multipliers(name, {**options, "normalise": True}), np.array(wanted) / sum(wanted))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_that_says_that_it_is_normalised_sums_to_one(name):
    for options in ({"cap": 3},) if name == "capped" else ({}, {"normalise": True}) if name == "inverse-propensity" else ({},):
        made = weighting(name, options)
        assert made.normalised == (name != "inverse-propensity" or "normalise" in options)
        assert made.normalised == (abs(multipliers(name, options).sum() - 1) < 1e-12)
        assert "normalised" not in made.describe()


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_an_empty_cohort_has_no_multipliers(name):
    cohort = Cohort(np.zeros(0, dtype=np.int64), np.zeros(0), "poisson", "exact")
    options = {"cap": 3} if name == "capped" else {}
    assert multipliers(name, options, counts=np.zeros(0, dtype=np.int64), cohort=cohort).tolist() == []


@pytest.mark.parametrize("name", ["examples", "capped"])
def test_a_cohort_without_examples_moves_nothing(name):
    found = multipliers(name, {"cap": 3} if name == "capped" else {}, counts=np.zeros(4, dtype=np.int64))
    assert found.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("example", {}, "did you mean 'examples'"),
        ("uniform", {"cap": 1}, "unknown option 'cap'"),
        ("capped", {}, "cap is not given"),
        ("capped", {"cap": 0}, "cap is 0; give a whole number >= 1"),
        ("capped", {"cap": 2.5}, "cap is 2.5"),
        ("inverse-propensity", {"clip": 0.5}, "clip is 0.5; give a number >= 1"),
        ("inverse-propensity", {"least": 0}, "least is 0"),
        ("inverse-propensity", {"least": 1.5}, "least is 1.5"),
        ("inverse-propensity", {"normalise": 1}, "normalise is 1; give true or false"),
        ("inverse-propensity", {"clipp": 2}, "did you mean 'clip'"),
    ],
)
def test_options_out_of_their_bounds_are_refused(name, options, message):
    with pytest.raises(InputError) as refused:
        weighting(name, options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [("top-k", {}), ("threshold", {"least": 3}), ("stratified", {"heavy": 1, "medium": 0, "light": 0}), ("softmax", {"scale": "count"})],
)
def test_inverse_propensity_refuses_where_some_had_no_chance(name, options):
    counts = np.array([1, 1, 2, 2, 3, 4, 5, 90, 1000])
    cohort = selector(name, options).select(View(counts), size=1, round=0, rounds=1, streams=Streams(0))
    with pytest.raises(InputError, match=r"had no chance to be drawn .* 'mixture' with explore=0.1"):
        multipliers("inverse-propensity", counts=counts[cohort.clients], cohort=cohort)


def test_inverse_propensity_refuses_where_chances_are_unknown():
    cohort = selector("active").select(View(COUNTS), size=2, round=0, rounds=1, streams=Streams(0))
    with pytest.raises(InputError, match="does not know how likely its clients were; take a strategy of the activity family"):
        multipliers("inverse-propensity", counts=COUNTS[cohort.clients], cohort=cohort)


@pytest.mark.parametrize(
    ("select", "options", "weigh", "said"),
    [
        ("activity", {}, "examples", "n^2 instead of n"),
        ("activity", {"tau": 0.5}, "examples", "n^1.5 instead of n"),
        ("softmax", {"temperature": 4.0}, "examples", "n^1.25 instead of n"),
        ("activity", {"sampling": "with replacement"}, "capped", "n^1 min(n, cap)"),
        ("mixture", {}, "examples", "leans further to them than n"),
        ("top-k", {}, "examples", "so they count twice"),
        ("oort", {}, "examples", "oort favours active clients"),
        ("activity", {"sampling": "with replacement"}, "uniform", "unbiased estimate of the mean over all examples"),
    ],
)
def test_says_what_counts_twice_and_what_does_not(select, options, weigh, said):
    sentence = counted_twice(selector(select, options), weighting(weigh, {"cap": 9} if weigh == "capped" else {}))
    assert said in sentence
    assert ("count twice" in sentence) == (weigh != "uniform")


@pytest.mark.parametrize(
    ("select", "options", "weigh"),
    [
        ("uniform", {}, "examples"),
        ("activity", {"tau": 0}, "examples"),
        ("activity", {"tau": -1}, "examples"),
        ("threshold", {"most": 4}, "examples"),
        ("activity", {}, "uniform"),
        ("activity", {"sampling": "poisson"}, "inverse-propensity"),
        ("activity", {"tau": 0.5, "sampling": "with replacement"}, "uniform"),
    ],
)
def test_says_nothing_where_nothing_counts_twice(select, options, weigh):
    assert counted_twice(selector(select, options), weighting(weigh)) is None


def test_a_selector_of_somebody_else_need_not_say_whom_it_favours():
    class Mine:
        name = "mine"

        def describe(self):
            return {}

    assert counted_twice(Mine(), weighting("examples")) is None


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_describes_itself_in_plain_data_that_makes_it_again(name):
    options = {"capped": {"cap": 4}, "inverse-propensity": {"clip": 2, "normalise": True}}.get(name, {})
    described = weighting(name, options).describe()
    assert described == {"weighting": name, **options}
