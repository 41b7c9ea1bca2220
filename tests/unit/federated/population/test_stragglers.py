"""Slow and failing clients: medians, deadlines and shares that are known beforehand."""

import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.population import Stragglers, stragglers

STREAMS = Streams.from_seed(4)
CLIENTS = np.arange(20_000)
TEN = np.full(len(CLIENTS), 10)


def outcome(made, clients=CLIENTS, examples=TEN, number=0, streams=STREAMS):
    return made.outcome(clients, examples, round=number, streams=streams)


def test_seconds_are_lognormal_around_the_median():
    seconds = outcome(Stragglers(median=0.5, spread=0.7)).seconds
    logarithm = np.log(seconds / 10)
    assert abs(np.median(seconds) / 5 - 1) < 0.03
    assert abs(logarithm.std() - 0.7) < 0.015
    assert abs(logarithm.mean() - math.log(0.5)) < 0.02


def test_speed_stays_with_a_client_and_jitter_does_not():
    steady = Stragglers(spread=1.0)
    assert (outcome(steady).seconds == outcome(steady, number=9).seconds).all()
    shaky = Stragglers(spread=1.0, jitter=0.5)
    ratio = np.log(outcome(shaky, number=0).seconds / outcome(shaky, number=1).seconds)
    assert abs(ratio.std() - 0.5 * math.sqrt(2)) < 0.02


def test_seconds_grow_with_examples_from_a_start():
    made = Stragglers(median=2.0, spread=0.0, start=30.0)
    assert made.seconds_of(np.array([0, 1, 2]), np.array([0, 1, 5]), round=0, streams=STREAMS).tolist() == [30.0, 32.0, 40.0]


def test_a_deadline_leaves_out_those_that_are_later():
    made = Stragglers(median=1.0, spread=1.0, deadline=10.0)
    found = outcome(made)
    late = found.left_out["too slow"]
    assert (late == (found.seconds > 10.0)).all()
    assert abs(late.mean() - 0.5) < 0.015, "the median client needs just 10 seconds"
    assert (found.kept == ~late).all()
    assert not found.left_out["failed"].any()


def test_some_fail_by_chance_and_some_always():
    made = Stragglers(failure=0.1, failing=(3, 17), deadline=0.0001)
    found = outcome(made)
    failed = found.left_out["failed"]
    assert failed[[3, 17]].all()
    assert abs(failed.mean() - 0.1) < 4 * math.sqrt(0.09 / len(CLIENTS)) + 1e-4
    assert not (failed & found.left_out["too slow"]).any(), "one reason each"
    assert not found.kept.any()
    both = failed & outcome(made, number=1).left_out["failed"]
    assert abs(both.mean() - 0.01) < 0.004, "another round, another draw"


def test_without_deadline_and_failure_everybody_is_kept():
    found = outcome(Stragglers(spread=3.0))
    assert found.kept.all()
    assert set(found.left_out) == {"failed", "too slow"}
    assert not any(out.any() for out in found.left_out.values())


def test_the_outcome_of_a_client_does_not_depend_on_the_cohort():
    made = Stragglers(jitter=0.3, deadline=0.2, failure=0.2)
    everyone, some = outcome(made), np.array([90, 5, 90, 0])
    few = outcome(made, some, np.full(4, 10))
    assert (few.seconds == everyone.seconds[some]).all()
    assert (few.kept == everyone.kept[some]).all()


def test_options_of_a_study_file():
    made = stragglers({"median": 0.2, "failing": [1, 2]})
    assert made.failing == (1, 2)
    assert made.describe()["failing"] == [1, 2]
    assert stragglers() == Stragglers()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dedline": 3}, "did you mean 'deadline'"),
        ({"median": 0}, "give median > 0"),
        ({"failure": 1.5}, r"failure is 1.5; give median > 0 and failure in \[0, 1\]"),
        ({"spread": -1}, "spread is -1"),
        ({"deadline": -1}, "deadline is -1"),
        ({"failing": [-2]}, "failing is -2"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    with pytest.raises(InputError, match=message):
        stragglers(options)
