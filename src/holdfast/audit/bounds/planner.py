"""What an audit could find before it is run: the bound to expect, and the smallest bug that it would show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.audit.bounds.gaussian import MOST_MU, epsilon_of_gaussian, mu_from_errors, mu_of_epsilon
from holdfast.audit.bounds.one_run import Guesses, one_run_epsilon, one_run_gaussian_epsilon, proves
from holdfast.audit.intervals import Floats
from holdfast.audit.lower_bounds import epsilon_from_errors
from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams

Method = Literal["one-run", "one-run-f-dp", "clopper-pearson", "gaussian"]
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "one-run": "one training run, valid for every mechanism (Steinke et al. 2023)",
        "one-run-f-dp": "one training run, valid if the mechanism is Gaussian (Mahloujifar et al. 2024)",
        "clopper-pearson": "independent scores, one threshold fixed beforehand, valid for every mechanism (Jagielski et al. 2020)",
        "gaussian": "independent scores, one threshold fixed beforehand, valid if the mechanism is Gaussian (Nasr et al. 2023)",
    }
)
GUESSED = (0.1, 0.3, 1.0)
"""Shares of the canaries that the one-run methods may guess, half of them in and half out; the plan chooses one."""

FALSE_POSITIVES = 0.01
"""False positive rate at which the threshold of "clopper-pearson" stands; that of "gaussian" stands midway, where mu is measured best."""

FEWEST_CANARIES = 20
REPETITIONS = 200
MOST_NODES = 12


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What to expect of an audit whose canaries are as telling as a Gaussian mechanism with this claim allows.

    Args:
        epsilon: The claim.
        delta: Of the claim.
        canaries: m, each in or out by a fair coin.
        method: One of `METHODS`.
        level: One-sided confidence of the bound.
        expected: Mean of the lower bound where the claim is tight.
        low: Its 5th percentile.
        high: Its 95th percentile.
        cap: The bound of an audit without an error: no attack can prove more.
        guessed: How many canaries the one-run methods are to guess, which must be fixed before the run; None for the others.
        power: Chance of showing a bug that `smallest_bug` refers to.
        smallest_bug: The largest share of the promised noise that is still found too little with this power; None where even a
            run without noise would not be found.
        bug_epsilon: Epsilon of a run with that share of the noise.
    """

    epsilon: float
    delta: float
    canaries: int
    method: str
    level: float
    expected: float
    low: float
    high: float
    cap: float
    guessed: int | None
    power: float
    smallest_bug: float | None
    bug_epsilon: float | None


def plan(
    *, epsilon: float, delta: float, canaries: int, method: Method = "one-run-f-dp", level: float = 0.95, power: float = 0.8, seed: int = 0
) -> AuditPlan:
    """Simulates audits of a Gaussian mechanism that is exactly as private as claimed, and of ones with less noise.

    A score is standard normal for a canary that was left out, and has mean mu for one that was included: that is what an
    auditor sees who knows each canary's direction, and the best that any auditor of such a mechanism can do. Real attacks on
    trained models see less, so their bounds are lower.

    Args:
        epsilon: Of the claim, > 0.
        delta: In (0, 1).
        canaries: m, at least 20.
        method: One of `METHODS`.
        level: One-sided confidence of the bound, in (0, 1).
        power: Chance with which a bug is to be shown, in (0, 1).
        seed: Of the simulation.

    Raises:
        InputError: For a value outside its range, or an unknown method.

    >>> plan(epsilon=4, delta=1e-5, canaries=1000).expected > 1.5
    True
    """
    _check(epsilon, delta, canaries, method, level, power)
    mu = mu_of_epsilon(epsilon, delta)
    fixed = _Fixed(canaries=canaries, delta=delta, alpha=1 - level, gaussian=method in ("one-run-f-dp", "gaussian"), seed=seed)
    one_run = method in ("one-run", "one-run-f-dp")
    audits = [_OneRun(fixed, _even(share * canaries)) for share in GUESSED] if one_run else [_Threshold(fixed, mu)]
    found = [(_smallest_bug(audit, mu, epsilon, power) or 0.0, audit.bounds(mu), audit) for audit in audits]
    share, bounds, audit = max(found, key=lambda one: (one[0], float(one[1].mean())))
    return AuditPlan(
        epsilon=epsilon,
        delta=delta,
        canaries=canaries,
        method=method,
        level=level,
        expected=float(bounds.mean()),
        low=float(np.quantile(bounds, 0.05)),
        high=float(np.quantile(bounds, 0.95)),
        cap=audit.cap,
        guessed=audit.guessed if isinstance(audit, _OneRun) else None,
        power=power,
        smallest_bug=share or None,
        bug_epsilon=epsilon_of_gaussian(mu / share, delta) if share else None,
    )


def _even(number: float) -> int:
    return 2 * max(5, math.floor(number / 2))


def _check(epsilon: float, delta: float, canaries: int, method: str, level: float, power: float) -> None:
    if method not in get_args(Method):
        raise InputError(f"there is no audit method {method!r}; {nearest(method, get_args(Method))}")
    if not (math.isfinite(epsilon) and epsilon > 0) or not 0 < delta < 1:
        raise InputError(f"epsilon is {epsilon} and delta {delta}; give a finite epsilon > 0 and a delta in (0, 1)")
    if canaries < FEWEST_CANARIES:
        raise InputError(f"{canaries} canaries prove next to nothing; give at least {FEWEST_CANARIES}")
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}; it must lie in (0, 1), such as .95")


@dataclass(frozen=True, kw_only=True)
class _Fixed:
    """What all audits of a plan have in common."""

    canaries: int
    delta: float
    alpha: float
    gaussian: bool
    seed: int

    @property
    def repetitions(self) -> int:
        return max(100, min(REPETITIONS, 2_000_000 // self.canaries))

    def generator(self) -> np.random.Generator:
        """The same randomness at every mu."""
        return Streams(self.seed).generator("audit plan", self.canaries)

    @lru_cache(maxsize=64)  # noqa: B019  # a plan is short-lived
    def ranked(self, mu: float) -> NDArray[np.int32]:
        """Of each repetition, how many of the k lowest scores belong to included canaries, (repetitions, m + 1)."""
        rng, found = self.generator(), np.zeros((self.repetitions, self.canaries + 1), dtype=np.int32)
        for row in found:
            included = rng.random(self.canaries) < 0.5
            np.cumsum(included[np.argsort(rng.standard_normal(self.canaries) + mu * included)], out=row[1:])
        return found


@dataclass(frozen=True)
class _OneRun:
    """Ranks the canaries of one run, guesses at both ends, abstains between."""

    fixed: _Fixed
    guessed: int

    def _guesses(self, correct: int) -> Guesses:
        return Guesses(canaries=self.fixed.canaries, guessed=self.guessed, correct=correct)

    def _bound(self, correct: int) -> float:
        bound = one_run_gaussian_epsilon if self.fixed.gaussian else one_run_epsilon
        return bound(self._guesses(correct), delta=self.fixed.delta, alpha=self.fixed.alpha)

    @property
    def cap(self) -> float:
        return self._bound(self.guessed)

    def _correct(self, mu: float) -> NDArray[np.int32]:
        below, each = self.fixed.ranked(mu), self.guessed // 2
        return each - below[:, each] + below[:, -1] - below[:, -1 - each]

    def bounds(self, mu: float) -> Floats:
        """The bound of each repetition; where there are many numbers of right guesses, it is interpolated between some."""
        right = self._correct(mu)
        nodes = np.unique(right)
        if nodes.size > MOST_NODES:
            nodes = np.unique(np.linspace(nodes[0], nodes[-1], MOST_NODES).astype(int))
        return np.interp(right, nodes, [self._bound(int(node)) for node in nodes])

    def found(self, mu: float, epsilon: float) -> float:
        """How often more than this epsilon is proved."""
        fixed = self.fixed
        low, high = -1, self.guessed + 1  # the least number of right guesses that proves it lies above one and not above the other
        while high - low > 1:
            middle = (low + high) // 2
            proved = proves(self._guesses(middle), epsilon, delta=fixed.delta, alpha=fixed.alpha, gaussian=fixed.gaussian)
            low, high = (low, middle) if proved else (middle, high)
        return float(np.mean(self._correct(mu) >= high))


@dataclass(frozen=True)
class _Threshold:
    """Accuses whoever scores above a threshold that was fixed before; half of the canaries are members."""

    fixed: _Fixed
    claimed: float

    def _bound(self, missed: int, accused: int) -> float:
        fixed, nonmembers = self.fixed, self.fixed.canaries // 2
        members = fixed.canaries - nonmembers
        if not fixed.gaussian:
            return epsilon_from_errors(missed, members, accused, nonmembers, delta=fixed.delta, alpha=fixed.alpha)
        return epsilon_of_gaussian(mu_from_errors(missed, members, accused, nonmembers, alpha=fixed.alpha), fixed.delta)

    @property
    def cap(self) -> float:
        return self._bound(0, 0)

    def bounds(self, mu: float) -> Floats:
        """The bound of each repetition."""
        from scipy import stats  # heavy

        chances, nonmembers = self.fixed.generator().random((2, self.fixed.repetitions)), self.fixed.canaries // 2
        rate = float(special.ndtr(-self.claimed / 2)) if self.fixed.gaussian else FALSE_POSITIVES
        miss = special.ndtr(special.ndtri(1 - rate) - mu)
        missed = stats.binom.ppf(chances[0], self.fixed.canaries - nonmembers, miss).astype(int)
        accused = stats.binom.ppf(chances[1], nonmembers, rate).astype(int)
        return np.array([self._bound(int(one), int(other)) for one, other in zip(missed, accused, strict=True)])

    def found(self, mu: float, epsilon: float) -> float:
        """How often more than this epsilon is proved."""
        return float(np.mean(self.bounds(mu) > epsilon))


def _smallest_bug(audit: _OneRun | _Threshold, mu: float, epsilon: float, power: float) -> float | None:
    """The largest share of the promised noise at which a bug is found with this power."""
    low, high = 1e-3, 1.0
    if audit.found(min(MOST_MU, mu / low), epsilon) < power:
        return None
    while high - low > 0.02 * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if audit.found(min(MOST_MU, mu / middle), epsilon) >= power else (low, middle)
    return low
