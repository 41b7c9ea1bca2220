"""Lower bounds on epsilon from one training run, in which each of m canaries was included or not by a fair coin of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.audit.bounds.gaussian import MOST_MU, epsilon_of_gaussian, mu_of_epsilon
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError

MOST_EPSILON = 50.0
"""No bound goes beyond: e^50 tells nobody anything."""

CONDITIONS = (
    "each canary was included by a fair coin of its own, before training",
    "no two canaries are equal, and the promise is made for single examples",
    "how many canaries are guessed was fixed before their scores were seen",
)
"""What the bounds of this module take for granted."""


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """What an auditor made of m canaries: in, out, or no guess.

    Args:
        canaries: m, all of them.
        guessed: r, those that a guess was made of.
        correct: v, right guesses among these.
    """

    canaries: int
    guessed: int
    correct: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.guessed <= self.canaries or self.canaries < 1:
            raise InputError(
                f"{self.correct} right guesses of {self.guessed} among {self.canaries} canaries; give right <= guessed <= canaries >= 1"
            )

    @classmethod
    def ranked(cls, scores: ArrayLike, included: ArrayLike, *, most_likely: int, least_likely: int) -> Self:
        """Guesses that the highest scores are in and the lowest out, and abstains from the rest.

        Args:
            scores: (m,), higher = more likely included, finite.
            included: (m,), whether the coin said so.
            most_likely: How many are guessed to be in.
            least_likely: How many are guessed to be out.

        Raises:
            InputError: For other shapes, scores that are not finite, or more guesses than canaries.
        """
        values, inside = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=bool)
        if values.ndim != 1 or values.shape != inside.shape or not np.isfinite(values).all():
            raise InputError(f"scores {values.shape} and included {inside.shape} must be one finite number and one truth for each canary")
        if most_likely < 0 or least_likely < 0 or most_likely + least_likely > values.size:
            raise InputError(f"{most_likely} and {least_likely} guesses for {values.size} canaries; together at most one for each")
        order = np.argsort(values, kind="stable")
        right = int(inside[order[values.size - most_likely :]].sum()) + int((~inside[order[:least_likely]]).sum())
        return cls(canaries=values.size, guessed=most_likely + least_likely, correct=right)


def one_run_epsilon(guesses: Guesses, *, delta: float, alpha: float) -> float:
    """The epsilon that the guesses prove from below.

    Args:
        guesses: How many were made, and how many were right.
        delta: In [0, 1); that of the claim.
        alpha: Chance that the result exceeds the true epsilon, in (0, 1).

    Returns:
        A lower bound in nats, between 0 and `MOST_EPSILON`.

    Guarantee:
        P[result > epsilon] <= alpha for every mechanism that keeps (epsilon, delta) for single examples, under `CONDITIONS`.

    References:
        Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", arXiv 2305.08846, theorem 5.2.

    >>> round(one_run_epsilon(Guesses(canaries=1000, guessed=200, correct=160), delta=0, alpha=0.05), 3)
    1.087
    """
    _check(delta, alpha)
    return _largest(lambda epsilon: _steinke_p(guesses, epsilon, delta) < alpha, MOST_EPSILON)


def _steinke_p(guesses: Guesses, epsilon: float, delta: float) -> float:
    """The most probable that so many right guesses can be under (epsilon, delta)."""
    r, v = guesses.guessed, guesses.correct
    if v == 0:
        return 1.0
    q = special.expit(epsilon)
    beaten = float(_at_least(r, np.array(v), q))
    if delta == 0:
        return beaten
    spread = 12 * math.sqrt(r * q * (1 - q)) + 12  # further down all of the law is counted, and dividing by more only lessens it
    steps = np.arange(1, v - max(0, min(v - 1, math.floor(r * q - spread))) + 1)
    between = _at_least(r, v - steps, q) - beaten
    return float(beaten + 2 * guesses.canaries * delta * np.max(between / steps))


def _at_least(trials: int, successes: NDArray[np.int64], q: float) -> Floats:
    """P[Binomial(trials, q) >= successes]."""
    some = np.maximum(successes, 1).astype(np.float64)  # the beta law below has no meaning at 0 successes
    return np.where(successes <= 0, 1.0, special.betainc(some, trials - some + 1, q))


def one_run_mu(guesses: Guesses, *, alpha: float) -> float:
    """The mu that the guesses prove from below, *if* the mechanism is mu-GDP for some mu.

    Args:
        guesses: How many were made, and how many were right.
        alpha: Chance that the result exceeds the true mu, in (0, 1).

    Returns:
        At least 0, at most `MOST_MU`.

    Guarantee:
        P[result > mu] <= alpha for every mechanism that is mu-GDP for single examples, under `CONDITIONS`.

    References:
        Mahloujifar, Melis, Chaudhuri 2024, "Auditing f-differential privacy in one run", arXiv 2410.22235, algorithm 3.
    """
    _check(0.0, alpha)
    return _largest(lambda mu: _rejects(guesses, mu, alpha), MOST_MU)


def one_run_gaussian_epsilon(guesses: Guesses, *, delta: float, alpha: float) -> float:
    """Epsilon at this delta of the mu that the guesses prove from below; see `one_run_mu`.

    >>> round(one_run_gaussian_epsilon(Guesses(canaries=1000, guessed=200, correct=160), delta=1e-5, alpha=0.05), 2)
    1.73
    """
    _check(delta, alpha)
    mu = one_run_mu(guesses, alpha=alpha)
    return epsilon_of_gaussian(mu, delta) if mu else 0.0


def proves(guesses: Guesses, epsilon: float, *, delta: float, alpha: float, gaussian: bool) -> bool:
    """Whether the guesses prove more than this epsilon: quicker than the bound itself.

    Args:
        guesses: How many were made, and how many were right.
        epsilon: In nats.
        delta: In [0, 1), above 0 where `gaussian`.
        alpha: Chance of error, in (0, 1).
        gaussian: Whether as in `one_run_gaussian_epsilon` instead of `one_run_epsilon`.
    """
    return _rejects(guesses, mu_of_epsilon(epsilon, delta), alpha) if gaussian else bool(_steinke_p(guesses, epsilon, delta) < alpha)


def _rejects(guesses: Guesses, mu: float, alpha: float) -> bool:
    """Whether so many right guesses are too many for a mu-GDP mechanism."""
    m, r, v = guesses.canaries, guesses.guessed, guesses.correct
    right, wrong = alpha * v / m, alpha * (r - v) / m
    for i in range(v - 1, -1, -1):
        more = max(wrong, float(special.ndtr(special.ndtri(right) - mu))) if right < 1 else 1.0
        right += i / (r - i) * (more - wrong)
        wrong = more
        if right + wrong > r / m:
            return True
    return False


def _largest(rejected: Callable[[float], bool], most: float) -> float:
    """The largest value up to `most` that is rejected, by bisection; any that is rejected bounds the truth from below."""
    if not rejected(0.0):
        return 0.0
    if rejected(most):
        return most
    low, high = 0.0, most
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def _check(delta: float, alpha: float) -> None:
    if not 0 <= delta < 1 or not 0 < alpha < 1:
        raise InputError(f"delta is {delta} and alpha {alpha}; delta lies in [0, 1), alpha in (0, 1)")
