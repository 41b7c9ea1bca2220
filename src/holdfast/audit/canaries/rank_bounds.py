"""What the ranks of planted secrets prove about epsilon from below, and what a promise allows them to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.audit.bounds.groups import GroupClaim, group_claim, single_epsilon
from holdfast.audit.canaries.combining import fisher
from holdfast.audit.canaries.exposure import Exposure, null_mean_exposure
from holdfast.core.errors import InputError

CONDITIONS = (
    "each secret was drawn uniformly from its space, independently of all else",
    "what else shaped the model (other rows, vocabulary, settings, when to stop) was chosen without the secret, or the claim covers it",
    "the promise is made for single examples, and all copies of the secret are in the training data",
    "references, where there are any, were drawn independently of the secret",
)
"""What the bounds of this module take for granted."""

ROUNDING = 1e-12
"""Relative error of a rank that was computed from logarithms: a whole number must not fall short of itself by it."""


@dataclass(frozen=True, kw_only=True)
class RankBound:
    """What the rank of a secret, or of several, proves about epsilon from below.

    Args:
        value: With the confidence of `level`, no training with a smaller epsilon for single examples, at this delta, gives
            such a rank. In nats, at least 0.
        detectable: The bound that the best rank would have proved.
        group: The same as `value` for a promise (epsilon, delta) made to all copies together.
        delta: The delta at which epsilon is bounded.
        copies: How many copies enter or leave together.
        level: One-sided confidence, over all tests together.
        tests: How many bounds share the chance of error.
    """

    value: float
    detectable: float
    group: float
    delta: float
    copies: int
    level: float
    tests: int

    @property
    def method(self) -> str:
        """The procedure in one phrase."""
        shared = f", Bonferroni over {self.tests} secrets" if self.tests > 1 else ""
        return f"rank of a uniform secret, group of {self.copies} copies, one-sided level {self.level:g}{shared}"


def p_value_of_claim(p_value: float, claim: GroupClaim) -> float:
    """How likely such a rank or a better one is if a promise to the group of all copies holds.

    Args:
        p_value: How likely it is if the model knows nothing: `Exposure.p_value`, or any valid p-value of that null.
        claim: What is promised to all copies of the secret together, see `bounds.group_claim`.

    Returns:
        ``min(1, e^epsilon p_value + delta)``.

    Raises:
        InputError: For a p-value outside (0, 1].

    Guarantee:
        ``P[result <= t] <= t`` for every t if the promise holds, under `CONDITIONS`.

        *Proof.* Let s be the secret, M(s) what training on the data with its R copies releases, M0 what training without them
        does, and p(m, s) the p-value that the model m gives the secret s. For one fixed s, "p(m, s) <= u" is an event of the
        model alone, so the promise to the group gives ``P[p(M(s), s) <= u] <= e^epsilon P[p(M0, s) <= u] + delta``. The mean of
        this over s, drawn uniformly and independently of M0, is ``P[p <= u] <= e^epsilon u + delta``: in the run without the
        secret it is a uniform draw that the model knows nothing of, where p is valid (`Exposure`). Now
        ``e^epsilon p + delta <= t`` means ``p <= u`` with ``u = (t - delta) / e^epsilon``, which has at most the chance t; for
        t < delta it has none. References only make p random in a way that is independent of the model: the same holds given
        them. So a sampled p-value needs no interval and no share of alpha.

        The run compared with is never made. For an add/remove promise it lacks the R copies; for replace-one it has R other
        rows that do not depend on s in their place, such as copies of another secret; for zero-out it has R blank ones. In
        each the secret is unknown, so the bound holds for each, and speaks of the relation that the promise is made for.

    >>> round(p_value_of_claim(1e-4, GroupClaim(epsilon=2.0, delta=1e-5, copies=1)), 6)
    0.000749
    """
    _check_p_value(p_value)
    return min(1.0, math.exp(min(0.0, math.log(p_value) + claim.epsilon)) + claim.delta)


def group_epsilon(p_value: float, *, delta: float, alpha: float) -> float:
    """The epsilon of a promise to the group of all copies that a p-value proves from below: `p_value_of_claim` solved for it.

    Args:
        p_value: As there.
        delta: Of the promise to the group, in [0, 1].
        alpha: Chance that the result exceeds the true epsilon, in (0, 1).

    Returns:
        ``ln((alpha - delta) / p_value)``, or 0 where that is below 0 or delta is not below alpha.

    Raises:
        InputError: For a value outside its range.

    >>> round(group_epsilon(1e-4, delta=0, alpha=0.05), 3)
    6.215
    """
    _check_p_value(p_value)
    if not 0 <= delta <= 1 or not 0 < alpha < 1:
        raise InputError(f"delta is {delta} and alpha {alpha}; delta lies in [0, 1], alpha in (0, 1)")
    return max(0.0, math.log(alpha - delta) - math.log(p_value)) if delta < alpha else 0.0


def rank_bound(exposure: Exposure, *, delta: float, copies: int, level: float = 0.95) -> RankBound:
    """What the rank of one secret proves, the only one tested or the one chosen before its rank was seen.

    Args:
        exposure: Of the secret, exact or sampled.
        delta: Of the promise for single examples, in [0, 1).
        copies: R, how often the secret stands in the training data, at least 1.
        level: One-sided confidence, in (0, 1).

    Raises:
        InputError: For a value outside its range.

    Guarantee:
        P[value > epsilon] <= 1 - level for every training that keeps (epsilon, delta) for single examples, under `CONDITIONS`;
        see `p_value_of_claim` for the proof and `bounds.single_epsilon` for the step from R copies to one.

    Edge cases:
        A rank that is worse than ``1 - level`` of the space proves nothing: 0. At most ``ln((1 - level - delta) |R|) / R``
        can be proved, so copies are dear: four digits planted once prove up to 6.2 nats, planted ten times up to .62.

    >>> bound = rank_bound(Exposure(space=10_000, at_or_below=1), delta=1e-5, copies=1)
    >>> round(bound.value, 3), round(bound.detectable, 3)
    (6.214, 6.214)
    """
    return _bound(exposure.p_value, 1 / exposure.outcomes, delta=delta, copies=copies, level=level, tests=1)


def rank_bounds(exposures: Sequence[Exposure], *, copies: Sequence[int], delta: float, level: float = 0.95) -> tuple[RankBound, ...]:
    """What the ranks of several secrets of one model prove, each by itself, so that all bounds hold together.

    Args:
        exposures: Of k secrets, at least one.
        copies: How often each stands in the training data, (k,), at least 1; leave out secrets that were not planted.
        delta: Of the promise for single examples, in [0, 1).
        level: One-sided confidence of all bounds together.

    Returns:
        One bound for each secret; the highest is what the run proves.

    Raises:
        InputError: For other lengths, or a value outside its range.

    Guarantee:
        The chance that any of the k values exceeds epsilon is at most 1 - level, however the ranks depend on one another
        (Bonferroni). To each secret the others are part of the data that it was drawn independently of.
    """
    _check_lengths(exposures, copies)
    return tuple(
        _bound(exposure.p_value, 1 / exposure.outcomes, delta=delta, copies=number, level=level, tests=len(exposures))
        for exposure, number in zip(exposures, copies, strict=True)
    )


def joint_rank_bound(exposures: Sequence[Exposure], *, copies: Sequence[int], delta: float, level: float = 0.95) -> RankBound:
    """What the ranks of several secrets prove together: one test of all copies of all secrets as one group.

    In the run without any of them their p-values are independent, so `combining.fisher` is valid there, and what
    `p_value_of_claim` says holds for it with the group of all copies. Nothing is divided among the secrets. Several secrets of
    low rank, each planted once or so, prove more in this way than by the best of `rank_bounds`: at a delta of 0 ten of rank
    1 in 10,000 prove 6.1 instead of 3.9. With many copies in all, or a delta that is not tiny, less, because the group's delta
    grows.

    Args:
        exposures: As in `rank_bounds`; with references, each secret needs its own.
        copies: As there.
        delta: As there.
        level: One-sided confidence.

    Raises:
        InputError: For other lengths, or a value outside its range.

    Guarantee:
        P[value > epsilon] <= 1 - level, under `CONDITIONS` and if the secrets were drawn independently of one another. The
        better of this and `rank_bounds` is no valid bound; choose one before the ranks are seen.
    """
    _check_lengths(exposures, copies)
    found = fisher([exposure.p_value for exposure in exposures])
    best = fisher([1 / exposure.outcomes for exposure in exposures])
    least = math.ulp(0.0)  # so many secrets of so low a rank that no float holds it: a larger p-value proves less, never too much
    return _bound(max(found, least), max(best, least), delta=delta, copies=sum(copies), level=level, tests=1)


@dataclass(frozen=True, kw_only=True)
class AllowedExposure:
    """What a promise allows the exposure of a planted secret to be.

    Args:
        claim: The promise to the group of all copies.
        outcomes: |R|, or N + 1 for an exposure from N references.
        alpha: Chance in (0, 1).
        bits: If the promise holds, exposure is above this with probability at most alpha.
        mean: If the promise holds, exposure is on average at most this.
    """

    claim: GroupClaim
    outcomes: int
    alpha: float
    bits: float
    mean: float

    @property
    def most_bits(self) -> float:
        """What exposure can be at most; where `bits` is no less, the promise excludes nothing at this alpha."""
        return math.log2(self.outcomes)

    def chance(self, bits: float) -> float:
        """The highest chance of an exposure of so many bits or more that the promise allows.

        Args:
            bits: At least 0.

        Returns:
            ``min(1, e^epsilon r / |R| + delta)`` with r the worst rank of such an exposure; 0 above `most_bits`.
        """
        place = math.floor(2.0 ** (self.most_bits - bits) * (1 + ROUNDING))
        return p_value_of_claim(min(1.0, place / self.outcomes), self.claim) if place >= 1 else 0.0


def exposure_allowed(epsilon: float, delta: float, *, copies: int, space: int, alpha: float = 0.05) -> AllowedExposure:
    """What a promise for single examples allows the exposure of a secret to be: what a measured one is compared with.

    Args:
        epsilon: In nats, at least 0.
        delta: In [0, 1).
        copies: R, how often the secret stands in the training data, at least 1.
        space: |R|; N + 1 for an exposure estimated from N references (`Exposure.outcomes`).
        alpha: Chance of an exposure above the allowed, in (0, 1); divide it by k to look at k secrets.

    Raises:
        InputError: For a value outside its range.

    Guarantee:
        Both numbers hold for every training that keeps the promise, under `CONDITIONS`. With one copy and a delta of 0 `bits`
        cannot be lowered: a training exists that reaches it. `rank_bound` refutes epsilon at the level 1 - alpha if and only if
        exposure is above `bits`, up to rounding.

    Edge cases:
        Without a promise (a group's delta of alpha or more) everything is allowed: `bits` is ``log2 |R|``. With epsilon 0 and
        delta 0 the mean is that of a model that knows nothing. In a large space with delta 0 the mean is
        ``(1 + R epsilon) / ln 2``.

    >>> allowed = exposure_allowed(1.0, 1e-6, copies=1, space=10_000)
    >>> round(allowed.bits, 2), round(allowed.mean, 2)
    (5.76, 2.88)
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}; a chance of error lies strictly between 0 and 1, such as .05")
    empty = null_mean_exposure(space)  # also refuses a space of no size
    claim = group_claim(epsilon, delta, copies=copies)
    log_space = math.log(space)
    excluded = 0  # ranks so good that the chance of them or better ones is at most alpha
    if claim.delta < alpha:
        log_excluded = log_space + math.log(alpha - claim.delta) - claim.epsilon
        excluded = math.floor(math.exp(log_excluded) * (1 + ROUNDING))
    bits = max(0.0, math.log2(space) - math.log2(excluded + 1))
    mean = empty if claim.epsilon == claim.delta == 0 else _mean_allowed(claim, space)
    return AllowedExposure(claim=claim, outcomes=space, alpha=alpha, bits=bits, mean=mean)


def _mean_allowed(claim: GroupClaim, space: int) -> float:
    """The sum of ``log2((r + 1) / r) min(1, e^epsilon r / |R| + delta)`` over the ranks r below |R|.

    Up to the rank K at which the least is 1 the terms add up by parts to the null mean of a space of K fills, and from there
    on to log2(|R| / K).
    """
    if claim.delta >= 1:
        return math.log2(space)
    certain = math.exp(math.log(1 - claim.delta) + math.log(space) - claim.epsilon)  # the rank of which the chance is 1
    K = min(space, max(1, math.ceil(certain * (1 - ROUNDING))))
    share = math.exp(math.log(K) - math.log(space) + claim.epsilon) if K > 1 else 1.0  # below 2, since K - 1 is below `certain`
    return share * null_mean_exposure(K) + claim.delta * math.log2(K) + math.log2(space) - math.log2(K)


def _bound(p_value: float, best: float, *, delta: float, copies: int, level: float, tests: int) -> RankBound:
    if not 0 < level < 1:
        raise InputError(f"level is {level}; a confidence lies strictly between 0 and 1, such as .95")
    alpha = (1 - level) / tests

    def single(p: float) -> float:
        return single_epsilon(lambda at: group_epsilon(p, delta=at, alpha=alpha), delta=delta, copies=copies)

    group = group_epsilon(p_value, delta=delta, alpha=alpha)
    return RankBound(value=single(p_value), detectable=single(best), group=group, delta=delta, copies=copies, level=level, tests=tests)


def _check_lengths(exposures: Sequence[Exposure], copies: Sequence[int]) -> None:
    if not exposures or len(exposures) != len(copies):
        raise InputError(f"{len(exposures)} exposures and {len(copies)} numbers of copies; give one number for each of at least one secret")


def _check_p_value(p_value: float) -> None:
    if not 0 < p_value <= 1:
        raise InputError(f"the p-value is {p_value}; it must be above 0 and at most 1")
