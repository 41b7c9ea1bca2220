"""What is said of periods, from scores that are given."""

import numpy as np
import pytest

from holdfast.core.evidence import Evidence
from holdfast.federated.findings.periods import periods_found
from holdfast.federated.findings.scores import ExampleScores
from holdfast.federated.simulation.state import History

ACCURACY = ExampleScores("accuracy", "share", "higher is better", np.ones(1), np.ones(1))
PERPLEXITY = ExampleScores("perplexity", "words", "lower is better", np.ones(1), np.ones(1))
ROWS = [
    (0, 0, 0.9),
    (0, 1, 0.4),
    (1, 0, 0.7),
    (1, 1, 0.8),
    (1, 2, 0.5),
    (2, 0, 0.6),
    (2, 1, 0.9),
    (2, 2, 0.7),
]


def told(rows=ROWS, measured=ACCURACY, periods=3) -> Evidence:
    return periods_found("run", History(periods=list(rows)), measured, periods=periods)


def test_a_clock_of_one_period_says_nothing():
    assert told([(0, 0, 0.9)], periods=1) == Evidence()


def test_prequential_is_the_mean_of_the_scores_ahead_of_time():
    found = told().estimate("prequential_score", "run")
    assert found.value == pytest.approx((0.4 + 0.5) / 2)
    assert (found.n, found.unit, found.direction) == (2, "share", "higher is better")
    assert found.conditions == {"measure": "accuracy"}


def test_forgetting_is_from_the_best_so_far():
    found = told().estimate("forgetting", "run")
    assert found.value == pytest.approx(((0.9 - 0.6) + (0.8 - 0.9)) / 2)
    assert (found.n, found.direction) == (2, "lower is better")


def test_of_a_perplexity_both_turn_about():
    found = told([(after, on, 100 * score) for after, on, score in ROWS], PERPLEXITY)
    assert found.estimate("forgetting", "run").value == pytest.approx(((60 - 70) + (90 - 80)) / 2)
    assert found.estimate("prequential_score", "run").direction == "lower is better"
    assert found.estimate("forgetting", "run").direction == "lower is better"
    assert found.estimate("forgetting", "run").unit == "words"


def test_curves_hold_what_was_measured():
    curves = {curve.conditions.get("period", -1): curve for curve in told().curves}
    assert (curves[-1].name, curves[-1].x, curves[-1].y) == ("prequential", (1.0, 2.0), (0.4, 0.5))
    assert (curves[0].name, curves[0].x, curves[0].y) == ("period_scores", (0.0, 1.0, 2.0), (0.9, 0.7, 0.6))
    assert (curves[1].x, curves[1].y) == ((0.0, 1.0, 2.0), (0.4, 0.8, 0.9))
    assert (curves[2].x, curves[2].y) == ((1.0, 2.0), (0.5, 0.7))


def test_a_run_that_ended_in_its_first_period_has_forgotten_nothing():
    found = told([(0, 0, 0.9)])
    assert found.estimate("forgetting", "run") is None
    assert found.estimate("prequential_score", "run") is None


def test_a_run_that_ended_before_its_last_period_is_measured_so_far():
    found = told(ROWS[:4], periods=3)
    assert found.estimate("forgetting", "run").value == pytest.approx(0.9 - 0.7)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_period_without_events_takes_nothing_from_the_others(gone):
    """Spans of one length may hold nothing; then there is no score on them, and the rest is still told."""
    found = told([row for row in ROWS if row[1] != gone])
    other = 1 - gone
    lost = {0: 0.9 - 0.6, 1: 0.8 - 0.9}[other]
    assert found.estimate("forgetting", "run").value == pytest.approx(lost)
    assert found.estimate("forgetting", "run").n == 1


def test_events_in_the_last_period_alone_leave_nothing_to_forget():
    found = told([(1, 2, 0.3), (2, 2, 0.4)])
    assert found.estimate("forgetting", "run") is None
    assert found.estimate("prequential_score", "run").value == 0.3
