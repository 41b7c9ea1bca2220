"""Calibration: the least noise whose account stays within a target promise. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from holdfast.core.errors import InputError
from holdfast.privacy.accounting.account import Budget, central_limit, spent
from holdfast.privacy.events import Ledger, PrivacyEvent

SMALLEST_MULTIPLIER, LARGEST_MULTIPLIER = 0.02, 1e4
LARGEST_SEARCH = 30
COARSE = 4.0  # times the grid, while searching: errs a little more on the safe side, at a quarter of the time
LEVELS = 8  # of noise, while searching


def calibrate(ledger_for: Callable[[float], Ledger], target: Budget, *, tolerance: float = 2e-3) -> float:
    """The smallest noise multiplier, to a relative tolerance in epsilon, whose ledger stays within the target.

    The Gaussian limit gives a first guess, an account of a sketch of the ledger a second one, which the account of the
    ledger itself corrects until it fits. Whatever the guesses are worth, the last word is that of the account.

    Args:
        ledger_for: Gives the ledger of the whole training for a noise multiplier.
        target: The promise to keep.
        tolerance: How much of epsilon may be left unused, as a share in (0, 1).

    Returns:
        A noise multiplier, at least .02, whose epsilon is at most ``target.epsilon``.

    Raises:
        InputError: If no noise multiplier up to 10,000 keeps the promise, or delta is below what the accountant resolves.
    """

    def rough(multiplier: float) -> float:
        return spent(_sketch(ledger_for(multiplier)), target.delta, coarseness=COARSE)

    def exact(multiplier: float) -> float:
        return spent(ledger_for(multiplier), target.delta)

    if not math.isfinite(rough(LARGEST_MULTIPLIER)):
        raise InputError(f"delta {target.delta:g} is below what the accountant resolves; take one well above 1e-15 times the steps")
    if rough(LARGEST_MULTIPLIER) > target.epsilon and exact(LARGEST_MULTIPLIER) > target.epsilon:
        raise InputError(
            f"no noise multiplier up to {LARGEST_MULTIPLIER:g} gives epsilon {target.epsilon} at delta {target.delta}; "
            "take fewer epochs, smaller batches or a larger epsilon"
        )
    guess = _Guess(_by_the_limit(ledger_for, target.epsilon, target.delta), slope=-1.0)
    found = _search(exact, _search(rough, guess, target.epsilon * (1 - tolerance / 4), tolerance), target.epsilon, tolerance).multiplier
    while exact(found) > target.epsilon:
        found *= 1 + tolerance / 4
    return found


def _sketch(ledger: Ledger) -> Ledger:
    """A ledger of few levels of noise whose account is close, for searching: levels that lie side by side become one.

    Each group adds about as much to the Gaussian limit as any other, and the joined level keeps that sum, so that the
    sketch is off in the second order only.
    """
    if len(ledger.entries) <= LEVELS:
        return ledger
    entries = sorted(ledger.entries, key=lambda entry: entry[0].noise_multiplier)
    shares = np.cumsum([count * central_limit(event) ** 2 for event, count in entries])
    group_of = np.minimum(np.ceil(shares / shares[-1] * LEVELS), LEVELS)
    groups = [[entry for entry, group in zip(entries, group_of, strict=True) if group == wanted] for wanted in np.unique(group_of)]
    return Ledger(tuple(map(_joined, groups)))


def _joined(group: list[tuple[PrivacyEvent, int]]) -> tuple[PrivacyEvent, int]:
    steps = sum(count for _, count in group)
    excess = sum(count * math.expm1(min(300.0, event.noise_multiplier**-2)) for event, count in group) / steps
    return replace(group[0][0], noise_multiplier=math.log1p(excess) ** -0.5), steps


@dataclass(frozen=True)
class _Guess:
    """A noise multiplier, and the slope of log epsilon against its logarithm."""

    multiplier: float
    slope: float


def _search(spent_at: Callable[[float], float], guess: _Guess, target: float, tolerance: float) -> _Guess:
    """Secant steps on log epsilon against log multiplier, which is nearly a line, inside a bracket that only shrinks."""
    low, high = math.log(SMALLEST_MULTIPLIER), math.log(LARGEST_MULTIPLIER)
    aim = math.log(target * (1 - tolerance / 2))
    x, slope, last = math.log(guess.multiplier), guess.slope, None
    for _ in range(LARGEST_SEARCH):
        y = math.log(max(spent_at(math.exp(x)), 1e-9))
        if abs(y - aim) <= tolerance / 2 or high - low < tolerance / 4:
            break
        low, high = (x, high) if y > aim else (low, x)
        if last is not None and x != last[0] and y < math.inf:
            slope = min(-0.2, (y - last[1]) / (x - last[0]))
        last = (x, y)
        step = x + (aim - y) / slope
        x = step if low < step < high else (low + high) / 2
    return _Guess(math.exp(x), slope)


def _by_the_limit(ledger_for: Callable[[float], Ledger], target: float, delta: float) -> float:
    """The noise multiplier that the Gaussian limit would take for this epsilon: a guess, never a promise."""
    from scipy.optimize import brentq

    def excess(log_multiplier: float) -> float:
        ledger = ledger_for(math.exp(log_multiplier))
        mu = math.sqrt(sum(count * central_limit(event) ** 2 for event, count in ledger.entries))
        return mu - wanted

    wanted = _gaussian_mu(target, delta)
    low, high = math.log(SMALLEST_MULTIPLIER), math.log(LARGEST_MULTIPLIER)
    if excess(low) <= 0 or excess(high) >= 0:
        return SMALLEST_MULTIPLIER if excess(low) <= 0 else LARGEST_MULTIPLIER
    return math.exp(brentq(excess, low, high, xtol=1e-5))


def _gaussian_mu(target: float, delta: float) -> float:
    """The mu of the Gaussian mechanism that is (target, delta)-private (Dong, Roth, Su 2022, corollary 2.13)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def excess(mu: float) -> float:
        return float(norm.cdf(mu / 2 - target / mu) - math.exp(min(target + norm.logcdf(-mu / 2 - target / mu), 0.0)) - delta)

    return float(brentq(excess, 1e-9, 10 * (1 + math.sqrt(target)) + target, xtol=1e-9))
