"""What an audit could find, before it is run."""

import pytest

from holdfast.audit.bounds.one_run import Guesses, one_run_epsilon
from holdfast.audit.bounds.planner import METHODS, plan
from holdfast.core.errors import InputError

# Means on the ideal Gaussian mechanism at delta 1e-5, level .95: (epsilon, canaries) to expected by method, after published tables.
TIGHTNESS = {
    (2, 10_000): {"one-run": 0.93, "one-run-f-dp": 1.27, "clopper-pearson": 0.77, "gaussian": 1.66},
    (4, 1_000): {"one-run-f-dp": 2.36, "clopper-pearson": 0.96, "gaussian": 2.97},
    (4, 10_000): {"one-run": 1.88, "one-run-f-dp": 2.60, "clopper-pearson": 1.73, "gaussian": 3.59},
    (8, 10_000): {"one-run": 3.73, "one-run-f-dp": 5.43, "clopper-pearson": 2.92, "gaussian": 7.49},
}


@pytest.mark.parametrize(("epsilon", "canaries", "method"), [(*key, method) for key, row in TIGHTNESS.items() for method in row])
def test_bounds_are_as_tight_as_known(epsilon, canaries, method):
    found = plan(epsilon=epsilon, delta=1e-5, canaries=canaries, method=method)
    assert found.expected == pytest.approx(TIGHTNESS[epsilon, canaries][method], rel=0.2)
    assert 0 <= found.low <= found.expected <= found.high <= found.cap


@pytest.mark.parametrize("method", METHODS)
def test_a_true_claim_is_seldom_contradicted(method):
    found = plan(epsilon=1, delta=1e-5, canaries=2000, method=method)
    assert found.high <= 1  # the 95th percentile


@pytest.mark.parametrize("method", METHODS)
def test_more_canaries_find_smaller_bugs(method):
    few, many = (plan(epsilon=2, delta=1e-5, canaries=canaries, method=method) for canaries in (300, 3000))
    assert few.expected < many.expected
    assert (few.smallest_bug or 0) < many.smallest_bug < 1
    assert many.bug_epsilon > 2


def test_the_cap_is_that_of_an_audit_without_an_error():
    found = plan(epsilon=4, delta=1e-5, canaries=1000, method="one-run")
    assert found.guessed == 300  # a tenth could prove no more than 3.47
    assert found.cap == one_run_epsilon(Guesses(canaries=1000, guessed=300, correct=300), delta=1e-5, alpha=0.05)


def test_out_of_reach():
    """Twenty canaries cannot contradict epsilon 8 even without any noise."""
    found = plan(epsilon=8, delta=1e-5, canaries=20, method="one-run")
    assert found.smallest_bug is None
    assert found.bug_epsilon is None
    assert found.cap < 8


def test_a_plan_is_the_same_twice():
    assert plan(epsilon=2, delta=1e-5, canaries=200) == plan(epsilon=2, delta=1e-5, canaries=200)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "one-run-fdp"}, "did you mean 'one-run-f-dp'"),
        ({"epsilon": 0}, "epsilon > 0"),
        ({"epsilon": float("inf")}, "epsilon > 0"),
        ({"delta": 0}, "delta in"),
        ({"canaries": 19}, "at least 20"),
        ({"level": 1}, "level is 1"),
        ({"power": 0}, "power is 0"),
    ],
)
def test_bad_input(options, said):
    with pytest.raises(InputError, match=said):
        plan(**{"epsilon": 4, "delta": 1e-5, "canaries": 100, **options})
