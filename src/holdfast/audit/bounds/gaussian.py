"""Gaussian differential privacy: epsilon of a mu, mu of an epsilon, and a lower bound that takes the mechanism for Gaussian."""

from __future__ import annotations

import math

from scipy import special

from holdfast.audit.intervals import rate_at_most
from holdfast.core.errors import InputError

CONDITION = "the trade-off between the two errors is that of a Gaussian mechanism, which no test of one attack can show"
"""What a bound by way of mu takes for granted."""

MOST_MU = 100.0
"""Beyond it nothing is promised, and nothing can be measured."""


def delta_of_gaussian(epsilon: float, mu: float) -> float:
    """The least delta at which a mu-GDP mechanism keeps this epsilon.

    Args:
        epsilon: In nats, at least 0.
        mu: Distance of the two normal laws, at least 0.

    Returns:
        ``Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu)``, formed from logarithms.

    References:
        Balle and Wang 2018 (arXiv 1805.06530), theorem 8; Dong, Roth, Su 2022 (arXiv 1905.02383), corollary 2.13.

    >>> round(delta_of_gaussian(1.0, 1.0), 4)
    0.1269
    """
    if mu == 0:
        return 0.0
    first, second = special.log_ndtr(mu / 2 - epsilon / mu), epsilon + special.log_ndtr(-mu / 2 - epsilon / mu)
    return float(math.exp(first) * -math.expm1(min(0.0, second - first)))


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """The least epsilon that a mu-GDP mechanism keeps at this delta.

    Args:
        mu: At least 0, at most `MOST_MU`.
        delta: In (0, 1).

    Raises:
        InputError: For a delta outside (0, 1): a Gaussian mechanism keeps no finite epsilon at delta 0.

    >>> round(epsilon_of_gaussian(1.0, 1e-5), 3)
    4.377
    """
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}; a Gaussian mechanism has an epsilon at a delta in (0, 1) only, such as 1e-5")
    from scipy import optimize  # heavy

    mu = min(mu, MOST_MU)
    if delta_of_gaussian(0.0, mu) <= delta:
        return 0.0
    most = mu * (mu / 2 + 40.0)  # 40 standard deviations out: delta there is below every float
    return float(optimize.brentq(lambda epsilon: delta_of_gaussian(epsilon, mu) - delta, 0.0, most, xtol=1e-10))


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """The mu of the Gaussian mechanism that keeps exactly this epsilon at this delta.

    Args:
        epsilon: In nats, at least 0.
        delta: In (0, 1).

    >>> round(mu_of_epsilon(4.377, 1e-5), 3)
    1.0
    """
    if not 0 < delta < 1 or epsilon < 0:
        raise InputError(f"epsilon is {epsilon} and delta {delta}; give an epsilon >= 0 and a delta in (0, 1)")
    from scipy import optimize  # heavy

    if delta_of_gaussian(epsilon, MOST_MU) <= delta:
        return MOST_MU
    return float(optimize.brentq(lambda mu: delta_of_gaussian(epsilon, mu) - delta, 0.0, MOST_MU, xtol=1e-12))


def mu_from_errors(missed: int, members: int, accused: int, nonmembers: int, *, alpha: float) -> float:
    """The mu that the error counts of one rule prove from below, *if* the mechanism is Gaussian.

    Both error rates are bounded from above by Clopper-Pearson at alpha / 2 each; mu is at least ``Phi^-1(1 - FPR) - Phi^-1(FNR)``.

    Args:
        missed: Members that the rule took for non-members.
        members: Members tried, at least 1.
        accused: Non-members that the rule took for members.
        nonmembers: Non-members tried, at least 1.
        alpha: Chance that the result exceeds the true mu, in (0, 1).

    Returns:
        At least 0.

    References:
        Nasr et al. 2023, "Tight auditing of differentially private machine learning", arXiv 2302.07956, section 4.
    """
    fnr = float(rate_at_most(missed, members, alpha=alpha / 2))
    fpr = float(rate_at_most(accused, nonmembers, alpha=alpha / 2))
    return max(0.0, float(special.ndtri(1 - fpr) - special.ndtri(fnr)))
