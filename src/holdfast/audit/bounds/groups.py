"""What a promise for single examples says of several equal ones, and what a lower bound for such a group says of single ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.audit.bounds.one_run import MOST_EPSILON
from holdfast.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class GroupClaim:
    """What is promised to a group of examples that enter or leave together, such as the copies of one canary.

    Args:
        epsilon: In nats.
        delta: In [0, 1]; at 1 nothing is promised.
        copies: Size of the group.
    """

    epsilon: float
    delta: float
    copies: int


def group_claim(epsilon: float, delta: float, *, copies: int) -> GroupClaim:
    """What an (epsilon, delta) promise for single examples promises to a group.

    Args:
        epsilon: For single examples, in nats, at least 0.
        delta: For single examples, in [0, 1).
        copies: k, how many examples the group has, at least 1.

    Returns:
        ``(k epsilon, delta (e^(k epsilon) - 1) / (e^epsilon - 1))``, the delta formed from logarithms and held to 1.

    Raises:
        InputError: For a value outside its range.

    Guarantee:
        Every mechanism that keeps (epsilon, delta) for single examples keeps the result for groups of k.

    Edge cases:
        At epsilon 0 the delta is k delta. Nothing overflows: a delta that would be above 1 is 1.

    References:
        Vadhan 2017, "The complexity of differential privacy", lemma 2.2, with the geometric sum left as it is.

    >>> promised = group_claim(1.0, 1e-5, copies=3)
    >>> promised.epsilon, round(promised.delta, 8)
    (3.0, 0.00011107)
    """
    if not (math.isfinite(epsilon) and epsilon >= 0) or not 0 <= delta < 1:
        raise InputError(f"epsilon is {epsilon} and delta {delta}; give a finite epsilon >= 0 and a delta in [0, 1)")
    _check_copies(copies)
    if copies == 1 or delta == 0:
        return GroupClaim(epsilon=copies * epsilon, delta=delta, copies=copies)
    if epsilon == 0:
        return GroupClaim(epsilon=0.0, delta=min(1.0, copies * delta), copies=copies)
    log_delta = math.log(delta) + _log_expm1(copies * epsilon) - _log_expm1(epsilon)
    return GroupClaim(epsilon=copies * epsilon, delta=math.exp(min(0.0, log_delta)), copies=copies)


def single_epsilon(group_bound: Callable[[float], float], *, delta: float, copies: int) -> float:
    """The epsilon for single examples that a lower bound for groups of equal ones proves.

    A canary that is in the data k times, or not at all, tests the promise to a group of k. An (epsilon, delta) promise for
    single examples is refuted where what `group_claim` makes of it is: where the bound at the group's delta, which is larger
    than delta and grows with epsilon, lies above k epsilon.

    Args:
        group_bound: Takes a delta in [0, 1) and gives the lower bound on epsilon that the scores prove at this delta, such as
            ``lambda delta: epsilon_from_errors(0, 500, 0, 500, delta=delta, alpha=0.05)``. It must never rise with delta, and
            what it proves at all deltas must hold together, as it does for every bound of this package.
        delta: Of the promise for single examples, in [0, 1).
        copies: k, how often the canary is in the data, at least 1.

    Returns:
        The largest epsilon for single examples that is refuted, to 1e-9; 0 where none is. In nats, at least 0.

    Raises:
        InputError: For a value outside its range.

    Guarantee:
        P[result > epsilon] is at most the chance of error that `group_bound` was made with.

    Edge cases:
        With many copies the group's delta grows so fast that the result is far below the bound divided by k. With delta 0 it
        is that.

    >>> round(single_epsilon(lambda delta: 4.0, delta=0, copies=2), 6)
    2.0
    """
    _check_copies(copies)
    if not 0 <= delta < 1:
        raise InputError(f"delta is {delta}; it must lie in [0, 1)")

    def refuted(epsilon: float) -> bool:
        promised = group_claim(epsilon, delta, copies=copies)
        return promised.delta < 1 and promised.epsilon < group_bound(promised.delta)

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, MOST_EPSILON
    if refuted(high):
        return high
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _log_expm1(value: float) -> float:
    """``log(e^value - 1)`` for a value above 0, however large or small."""
    return value + math.log(-math.expm1(-value))


def _check_copies(copies: int) -> None:
    if copies < 1:
        raise InputError(f"copies is {copies}; a group has at least 1 example")
