"""Bounds from one training run, by known answers and by brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from holdfast.audit.bounds.gaussian import delta_of_gaussian, epsilon_of_gaussian, mu_from_errors, mu_of_epsilon
from holdfast.audit.bounds.one_run import MOST_EPSILON, Guesses, one_run_epsilon, one_run_gaussian_epsilon, one_run_mu, proves
from holdfast.core.errors import InputError


def bound(m: int, r: int, v: int, delta: float = 0.0) -> float:
    return one_run_epsilon(Guesses(canaries=m, guessed=r, correct=v), delta=delta, alpha=0.05)


@pytest.mark.parametrize(
    ("canaries", "guessed", "correct", "delta", "expected"),
    [
        *[(100, 100, 100, 0, 3.493), (1000, 1000, 1000, 0, 5.809), (1000, 1000, 1000, 1e-5, 5.782)],
        *[(10_000, 10_000, 10_000, 0, 8.113), (10_000, 10_000, 10_000, 1e-5, 7.834)],
        *[(1000, 200, 160, 0, 1.087), (1000, 200, 160, 1e-5, 1.085), (1000, 200, 160, 1e-4, 1.070)],
        *[(1000, 100, 100, 0, 3.493), (1000, 100, 100, 1e-5, 3.465), (1000, 100, 100, 1e-4, 3.202)],
    ],
)
def test_known_answers(canaries, guessed, correct, delta, expected):
    assert bound(canaries, guessed, correct, delta) == pytest.approx(expected, abs=6e-4)


def test_all_right_is_the_closed_form():
    for m in (7, 100, 2500):
        root = 0.05 ** (1 / m)
        assert bound(m, m, m) == pytest.approx(math.log(root / (1 - root)), abs=1e-5)


@pytest.mark.parametrize(("m", "r", "v", "epsilon", "delta"), [(40, 20, 15, 0.7, 1e-3), (300, 120, 100, 1.5, 1e-4), (50, 50, 1, 0.1, 0.01)])
def test_the_p_value_is_that_of_the_theorem(m, r, v, epsilon, delta):
    """Written out term by term: P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i."""
    law = stats.binom(r, 1 / (1 + math.exp(-epsilon)))
    terms = [sum(law.pmf(k) for k in range(v - i, v)) / i for i in range(1, v + 1)]
    p = float(law.sf(v - 1) + 2 * m * delta * max(terms))
    guesses = Guesses(canaries=m, guessed=r, correct=v)
    for factor, expected in ((1.001, True), (0.999, False)):
        assert proves(guesses, epsilon, delta=delta, alpha=p * factor, gaussian=False) is expected


def test_more_right_guesses_prove_more():
    for gaussian in (False, True):
        one = one_run_gaussian_epsilon if gaussian else one_run_epsilon
        found = [one(Guesses(canaries=500, guessed=100, correct=v), delta=1e-5, alpha=0.05) for v in range(0, 101, 5)]
        assert found[0] == 0
        assert all(low <= high for low, high in itertools.pairwise(found))
        assert found[-1] > 2


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_quick_question_agrees_with_the_bound(gaussian, epsilon):
    one = one_run_gaussian_epsilon if gaussian else one_run_epsilon
    for v in range(50, 101, 3):
        guesses = Guesses(canaries=400, guessed=100, correct=v)
        proved = proves(guesses, epsilon, delta=1e-5, alpha=0.05, gaussian=gaussian)
        assert proved == (one(guesses, delta=1e-5, alpha=0.05) > epsilon)


def test_a_gaussian_mechanism_is_bounded_more_tightly():
    guesses = Guesses(canaries=1000, guessed=200, correct=160)
    assert one_run_gaussian_epsilon(guesses, delta=1e-5, alpha=0.05) > 1.3 * one_run_epsilon(guesses, delta=1e-5, alpha=0.05)


def test_nothing_is_proved_by_no_guess_or_by_chance():
    assert bound(100, 0, 0) == 0
    assert bound(1000, 200, 100, 1e-5) == 0
    assert one_run_mu(Guesses(canaries=1000, guessed=200, correct=100), alpha=0.05) == 0


def test_no_bound_is_without_end():
    assert bound(10**9, 10**9, 10**9) < MOST_EPSILON


def test_guesses_at_both_ends():
    scores, included = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0, 1, 0], dtype=bool)
    assert Guesses.ranked(scores, included, most_likely=2, least_likely=1) == Guesses(canaries=6, guessed=3, correct=2)
    assert Guesses.ranked(scores, included, most_likely=0, least_likely=0) == Guesses(canaries=6, guessed=0, correct=0)
    assert Guesses.ranked(scores, included, most_likely=6, least_likely=0).correct == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scores": [1.0, np.nan]}, "one finite number"),
        ({"included": [True]}, "one truth for each canary"),
        ({"most_likely": 2}, "together at most one"),
        ({"least_likely": -1}, "together at most one"),
    ],
)
def test_bad_scores_are_refused(options, said):
    given = {"scores": [1.0, 2.0], "included": [True, False], "most_likely": 1, "least_likely": 1, **options}
    with pytest.raises(InputError, match=said):
        Guesses.ranked(**given)


def test_bad_counts_are_refused():
    for counts in ((10, 11, 3), (10, 5, 6), (0, 0, 0), (10, 5, -1)):
        with pytest.raises(InputError, match="right <= guessed <= canaries"):
            Guesses(**dict(zip(("canaries", "guessed", "correct"), counts, strict=True)))
    with pytest.raises(InputError, match="alpha"):
        one_run_epsilon(Guesses(canaries=3, guessed=2, correct=1), delta=0, alpha=1.0)
    with pytest.raises(InputError, match="delta"):
        one_run_epsilon(Guesses(canaries=3, guessed=2, correct=1), delta=1.0, alpha=0.05)


def test_the_gaussian_law_by_integration():
    """delta(epsilon) is the largest excess of one normal law over e^epsilon times the other."""
    for mu, epsilon in ((0.5, 0.2), (1.0, 1.0), (3.0, 4.0)):
        x = np.linspace(-12, 16, 400_001)
        excess = np.maximum(stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x), 0)
        assert delta_of_gaussian(epsilon, mu) == pytest.approx(float(np.trapezoid(excess, x)), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 8.0, 60.0, 400.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
def test_epsilon_and_mu_are_inverse(epsilon, delta):
    assert epsilon_of_gaussian(mu_of_epsilon(epsilon, delta), delta) == pytest.approx(epsilon, rel=1e-6)


def test_edges_of_the_gaussian_law():
    assert epsilon_of_gaussian(0.0, 1e-5) == 0
    assert epsilon_of_gaussian(1e-7, 1e-5) == 0  # delta alone covers so little
    assert math.isfinite(epsilon_of_gaussian(1e9, 1e-5))
    assert delta_of_gaussian(1.0, 0.0) == 0
    for delta in (0.0, 1.0):
        with pytest.raises(InputError, match="delta"):
            epsilon_of_gaussian(1.0, delta)
        with pytest.raises(InputError, match="delta"):
            mu_of_epsilon(1.0, delta)


def test_mu_from_errors():
    assert mu_from_errors(50, 100, 50, 100, alpha=0.05) == 0
    assert mu_from_errors(0, 1000, 0, 1000, alpha=0.05) == pytest.approx(2 * stats.norm.isf(1 - 0.025 ** (1 / 1000)), rel=1e-9)
