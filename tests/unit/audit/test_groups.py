"""Promises to groups of equal examples, and what a bound for a group says of single ones."""

import itertools
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.audit import Guesses, epsilon_from_errors, one_run_epsilon
from holdfast.audit.bounds import group_claim, single_epsilon
from holdfast.core.errors import InputError


def errorless(delta: float) -> float:
    return epsilon_from_errors(0, 500, 0, 500, delta=delta, alpha=0.05)


@pytest.mark.parametrize(
    ("epsilon", "delta", "copies", "expected"),
    [
        (1.0, 1e-5, 1, (1.0, 1e-5)),
        (1.0, 1e-5, 2, (2.0, 1e-5 * (1 + math.e))),
        (math.log(2), 1e-6, 10, (10 * math.log(2), 1023e-6)),  # 1 + 2 + 4 + ... + 512
        (0.0, 1e-5, 7, (0.0, 7e-5)),
        (2.0, 0.0, 5, (10.0, 0.0)),
        (3.0, 1e-5, 5, (15.0, 1.0)),  # a delta above 1 promises nothing
    ],
)
def test_known_answers(epsilon, delta, copies, expected):
    found = group_claim(epsilon, delta, copies=copies)
    assert (found.epsilon, found.delta) == pytest.approx(expected, rel=1e-12)
    assert found.copies == copies


@given(epsilon=st.floats(0, 3), delta=st.floats(0, 1e-6), copies=st.integers(1, 6))
def test_delta_is_the_geometric_sum(epsilon: float, delta: float, copies: int):
    terms = (delta * math.exp(j * epsilon) for j in range(copies))
    assert group_claim(epsilon, delta, copies=copies).delta == pytest.approx(min(1.0, sum(terms)), rel=1e-9, abs=5e-324)


@given(epsilon=st.floats(0, 5), delta=st.floats(0, 0.1), copies=st.integers(1, 30))
def test_more_of_anything_promises_less(epsilon: float, delta: float, copies: int):
    found = group_claim(epsilon, delta, copies=copies)
    for other in (
        group_claim(epsilon + 0.1, delta, copies=copies),
        group_claim(epsilon, delta * 1.5, copies=copies),
        group_claim(epsilon, delta, copies=copies + 1),
    ):
        assert other.epsilon >= found.epsilon
        assert other.delta >= found.delta * (1 - 1e-12)


def test_steps_of_one_compose():
    """A group of a times b is b groups of a."""
    inner = group_claim(0.3, 1e-7, copies=4)
    outer = group_claim(inner.epsilon, inner.delta, copies=3)
    whole = group_claim(0.3, 1e-7, copies=12)
    assert (outer.epsilon, outer.delta) == pytest.approx((whole.epsilon, whole.delta), rel=1e-12)


@pytest.mark.parametrize(("epsilon", "copies"), [(1e-300, 3), (5e-324, 9), (700.0, 2), (1e6, 10**6), (1e300, 10**9), (50.0, 10**12)])
def test_nothing_overflows(epsilon, copies):
    found = group_claim(epsilon, 1e-5, copies=copies)
    assert 0 <= found.delta <= 1
    assert found.epsilon == copies * epsilon
    if epsilon < 1e-200:
        assert found.delta == pytest.approx(copies * 1e-5, rel=1e-9)


def test_a_single_copy_is_the_bound_itself():
    assert single_epsilon(errorless, delta=1e-5, copies=1) == pytest.approx(errorless(1e-5), abs=1e-8)


def test_without_delta_the_bound_is_divided():
    for copies in (2, 5, 100):
        assert single_epsilon(errorless, delta=0, copies=copies) == pytest.approx(errorless(0) / copies, abs=1e-8)


def test_the_solution_is_where_the_groups_promise_meets_the_bound():
    for copies, delta in itertools.product((2, 4, 9), (1e-5, 1e-3)):
        found = single_epsilon(errorless, delta=delta, copies=copies)
        promised = group_claim(found, delta, copies=copies)
        assert promised.epsilon == pytest.approx(errorless(promised.delta), abs=1e-6)
        assert found < errorless(delta) / copies  # which forgets that delta grows


def test_more_copies_or_more_delta_prove_less_of_single_ones():
    by_copies = [single_epsilon(errorless, delta=1e-4, copies=copies) for copies in range(1, 12)]
    by_delta = [single_epsilon(errorless, delta=delta, copies=4) for delta in (0, 1e-6, 1e-4, 1e-2, 0.1)]
    for found in (by_copies, by_delta):
        assert found == sorted(found, reverse=True)
        assert found[-1] < found[0]


def test_it_takes_the_bound_of_one_run_too():
    guesses = Guesses(canaries=1000, guessed=200, correct=190)

    def bound(delta: float) -> float:
        return one_run_epsilon(guesses, delta=delta, alpha=0.05)

    assert 0 < single_epsilon(bound, delta=1e-5, copies=3) < bound(1e-5) / 3


def test_a_true_promise_is_not_refuted_by_the_error_rates_that_it_allows():
    """A canary k times under randomised response at epsilon: the group keeps k epsilon, so exact rates prove no more than epsilon."""
    for epsilon, copies in ((0.5, 2), (0.2, 8)):
        wrong = 1 / (1 + math.exp(copies * epsilon))
        exact = math.log((1 - wrong) / wrong)
        assert single_epsilon(lambda delta, exact=exact: exact, delta=0, copies=copies) == pytest.approx(epsilon, abs=1e-8)


@pytest.mark.parametrize("bound", [0.0, -1.0])
def test_nothing_comes_of_nothing(bound):
    assert single_epsilon(lambda delta: bound, delta=1e-5, copies=3) == 0


def test_a_group_whose_promise_is_void_refutes_nothing():
    assert single_epsilon(lambda delta: 50.0, delta=0.4, copies=3) == 0  # three times 0.4 is above 1 at epsilon 0 already


def test_no_bound_is_without_end():
    assert single_epsilon(lambda delta: math.inf, delta=0, copies=1) == 50


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: group_claim(-1.0, 1e-5, copies=2), "epsilon is -1.0"),
        (lambda: group_claim(math.inf, 1e-5, copies=2), "finite epsilon"),
        (lambda: group_claim(math.nan, 1e-5, copies=2), "finite epsilon"),
        (lambda: group_claim(1.0, 1.0, copies=2), "delta 1.0"),
        (lambda: group_claim(1.0, 1e-5, copies=0), "copies is 0"),
        (lambda: single_epsilon(errorless, delta=1.0, copies=2), "delta is 1.0"),
        (lambda: single_epsilon(errorless, delta=-sys.float_info.min, copies=2), "must lie in"),
        (lambda: single_epsilon(errorless, delta=0, copies=0), "copies is 0"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()
