"""Lower bounds on epsilon from attack scores: what an attack proves against a privacy claim, never for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from holdfast.audit.intervals import Floats, rate_at_most
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

REGISTERED_RATES = (0.0, 0.01, 0.1, 0.5)
"""Error rates at which thresholds are set on the calibration halves; fixed before any score is seen."""

TESTS = 2 * len(REGISTERED_RATES)
"""Thresholds tried: at each rate one set on non-members, one set on members."""


@dataclass(frozen=True, kw_only=True)
class EpsilonBound:
    """What an attack proves about epsilon from below.

    Args:
        value: With the confidence of `level`, no mechanism with a smaller epsilon at this delta gives such scores. In nats,
            at least 0.
        detectable: The bound that an attack without a single error would have reached with as many scores.
        delta: The delta at which epsilon is bounded.
        level: One-sided confidence over all tests together.
        tests: How many thresholds share the chance of error.
    """

    value: float
    detectable: float
    delta: float
    level: float
    tests: int

    @property
    def method(self) -> str:
        """The procedure in one phrase."""
        return (
            f"Clopper-Pearson at {self.tests} thresholds registered on calibration halves, "
            f"Bonferroni-corrected, one-sided level {self.level:g}"
        )


def epsilon_from_errors(missed: int, members: int, accused: int, nonmembers: int, *, delta: float, alpha: float) -> float:
    """The epsilon that the error counts of one attack rule prove from below.

    An (epsilon, delta) promise forces ``1 - delta <= FNR + e^epsilon FPR`` and the same with the two rates exchanged. Both
    rates are bounded from above by Clopper-Pearson, each with a chance of error of alpha / 2, so both directions hold together.

    Args:
        missed: Members that the rule took for non-members.
        members: Members tried, at least 1.
        accused: Non-members that the rule took for members.
        nonmembers: Non-members tried, at least 1.
        delta: In [0, 1).
        alpha: Chance that the result exceeds the true epsilon, in (0, 1).

    Returns:
        A lower bound in nats, at least 0.

    Guarantee:
        If the rule was fixed before these scores were seen and the scores are independent given the side they come from,
        then P[result > epsilon] <= alpha for every mechanism that keeps the promise.

    References:
        Jagielski, Ullman, Oprea 2020, "Auditing differentially private machine learning", arXiv 2006.07709.

    >>> round(epsilon_from_errors(0, 1000, 0, 1000, delta=0, alpha=0.05), 3)
    5.601
    """
    fnr = float(rate_at_most(missed, members, alpha=alpha / 2))
    fpr = float(rate_at_most(accused, nonmembers, alpha=alpha / 2))
    return math.log(max(1.0, (1 - fnr - delta) / fpr, (1 - fpr - delta) / fnr))


def registered_bound(members: Floats, nonmembers: Floats, *, delta: float, level: float = 0.95) -> EpsilonBound:
    """A lower bound on epsilon whose thresholds were not chosen on the scores that they are tested on.

    Both sides are halved by a fixed permutation. At each of `REGISTERED_RATES` one threshold is set so that this share of the
    calibration half of the *non-members* lies strictly above it, and tested on all members and the other non-members; another
    so that this share of the calibration half of the *members* lies strictly below it, and tested on all non-members and the
    other members. The best of the `TESTS` bounds is kept, each made at a chance of error of (1 - level) / TESTS.

    Args:
        members: Scores (n1,), higher = more likely a member, n1 >= 2.
        nonmembers: Scores (n0,), n0 >= 2.
        delta: In [0, 1); that of the claim.
        level: One-sided confidence of the result, in (0, 1).

    Returns:
        The bound, and the one that a perfect attack would have reached.

    Raises:
        InputError: For fewer than two scores on a side, or delta outside [0, 1).

    Guarantee:
        P[value > epsilon] <= 1 - level under the conditions of `epsilon_from_errors`. Taking the best of all thresholds on the
        same 1,000 scores a side without correction gives false alarms in 7 % of cases at a nominal 5 %, and in 13 % if the
        attack may also be turned round.

    Edge cases:
        Equal scores stay together on one side of a threshold, so ties never lend power that the attack has not. An attack that
        gives members *lower* scores is not tested: its bound is 0.
    """
    if not 0 <= delta < 1:
        raise InputError(f"delta is {delta}; it must lie in [0, 1)")
    if min(members.size, nonmembers.size) < 2:
        raise InputError(f"{members.size} members and {nonmembers.size} non-members; a lower bound needs at least two of each")
    alpha = (1 - level) / TESTS
    sides = ((members, nonmembers, "nonmembers"), (-nonmembers, -members, "members"))
    bounds, caps = [], []
    for hits, errors, name in sides:
        calibration, trial = _halves(errors, name)
        caps.append(epsilon_from_errors(0, hits.size, 0, trial.size, delta=delta, alpha=alpha))
        for rate in REGISTERED_RATES:
            threshold = _threshold(calibration, rate)
            missed, accused = int(np.sum(hits <= threshold)), int(np.sum(trial > threshold))
            bounds.append(epsilon_from_errors(missed, hits.size, accused, trial.size, delta=delta, alpha=alpha))
    return EpsilonBound(value=max(bounds), detectable=max(caps), delta=delta, level=level, tests=TESTS)


def examples_needed(epsilon: float, *, delta: float, level: float = 0.95) -> int:
    """How many members, and as many non-members, `registered_bound` needs so that a perfect attack gets above this epsilon.

    Args:
        epsilon: In nats, at least 0.
        delta: In [0, 1).
        level: As there.

    Returns:
        A number that is enough, and nearly the least from an epsilon of 1 on.

    >>> examples_needed(2.0, delta=1e-5)
    55
    """
    # Without an error a rate tried on n examples is bounded by log(1 / a) / n, where a is half the chance of error of one test.
    # One side is tried whole and the other by half: (1 - 2 log(1 / a) / n - delta) / (log(1 / a) / n) must exceed e^epsilon.
    return math.ceil(math.log(2 * TESTS / (1 - level)) * (2 + math.exp(min(epsilon, 700))) / (1 - delta))


def advantage_cap(epsilon: float, delta: float) -> float:
    """The highest TPR - FPR that an (epsilon, delta) promise allows any attack.

    Args:
        epsilon: In nats, at least 0.
        delta: In [0, 1].

    Returns:
        ``(e^epsilon - 1 + 2 delta) / (e^epsilon + 1)``, in [0, 1].

    References:
        Kairouz, Oh, Viswanath 2015, "The composition theorem for differential privacy", Theorem 2.1: the corner of its region.

    >>> round(advantage_cap(1.0, 0.0), 4)
    0.4621
    """
    return math.tanh(epsilon / 2) + 2 * delta / (1 + math.exp(min(epsilon, 700)))


def _halves(scores: Floats, name: str) -> tuple[Floats, Floats]:
    """Cuts the scores in two by a permutation that depends on their number alone."""
    order = Streams(0).generator("audit calibration " + name, scores.size).permutation(scores.size)
    half = scores.size // 2
    return scores[order[:half]], scores[order[half:]]


def _threshold(scores: Floats, rate: float) -> float:
    """The smallest score with at most this share of all scores strictly above it."""
    above = math.floor(rate * scores.size + 1e-9)
    return float(np.sort(scores)[::-1][above])
