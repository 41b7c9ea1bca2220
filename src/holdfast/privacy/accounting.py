"""Epsilon of a ledger, and noise for a target epsilon, by Google's `dp-accounting`. Needs no torch."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, get_args

from holdfast.core.errors import InputError
from holdfast.privacy.events import Ledger, PrivacyEvent

Accountant = Literal["pld", "rdp"]

SMALLEST_MULTIPLIER, LARGEST_MULTIPLIER = 0.02, 1e4
LARGEST_GRID, COARSEST_GRID = 2_000_000, 50.0  # cells; nats
LARGEST_SEARCH = 30
COARSE = 4.0  # times the grid, while searching: errs a little more on the safe side, at a quarter of the time


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A target promise.

    Args:
        epsilon: In nats, > 0.
        delta: In (0, 1); choose it well below one over the number of examples.

    Raises:
        InputError: For values outside these ranges.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise InputError(
                f"epsilon is {self.epsilon}; a promise needs a finite epsilon > 0 (1 is strong, 8 is common, above 10 is weak)"
            )
        check_delta(self.delta)


def check_delta(delta: float) -> None:
    """Refuses a delta outside (0, 1).

    Raises:
        InputError: If it is.
    """
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}; it must lie in (0, 1), well below one over the number of examples (such as 1e-5)")


def accountant_name(accountant: Accountant = "pld") -> str:
    """Name and version of what computes epsilon, for the claim."""
    return f"dp-accounting {version('dp-accounting')} {accountant.upper()}"


def epsilon(ledger: Ledger, delta: float, *, accountant: Accountant = "pld") -> float:
    """The epsilon that the whole ledger spends at this delta.

    Heterogeneous noise is composed event by event, never averaged.

    Args:
        ledger: What was released. An empty one spends nothing.
        delta: In (0, 1).
        accountant: "pld" (privacy loss distributions, tight) or "rdp" (Renyi, a looser second opinion).

    Returns:
        Epsilon in nats, from above: "pld" works on a grid of losses that errs on the safe side.

    Raises:
        InputError: For a delta outside (0, 1), an unknown accountant or a pair of sampler and accountant without a proof.

    References:
        Koskela et al. 2020 (arXiv 1906.03049); Doroshenko et al. 2022, "Connect the dots" (arXiv 2207.04380); Mironov 2017 for "rdp".
    """
    check_delta(delta)
    if accountant not in get_args(Accountant):
        raise InputError(f"accountant is {accountant!r}; choose one of {get_args(Accountant)}")
    if not ledger.entries:
        return 0.0
    return _epsilon(ledger, delta, accountant, 1.0)


@functools.lru_cache(maxsize=512)
def _epsilon(ledger: Ledger, delta: float, accountant: Accountant, coarseness: float) -> float:
    counter = _accountant(accountant, ledger, coarseness)
    for event, count in ledger.entries:
        step = _dp_event(event)
        if not counter.supports(step):
            raise InputError(
                f"the {accountant} accountant has no proof for {event.sampler} sampling under {event.neighbouring} neighbouring; use 'pld'"
            )
        counter.compose(step, count)
    return float(counter.get_epsilon(delta))


def _accountant(accountant: Accountant, ledger: Ledger, coarseness: float) -> Any:
    import dp_accounting
    from dp_accounting import pld, rdp

    logging.getLogger("absl").setLevel(logging.ERROR)  # RDP warns about each order that it leaves out; leaving one out is safe
    relation = {
        "add/remove": dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
        "replace-one": dp_accounting.NeighboringRelation.REPLACE_ONE,
        "zero-out": dp_accounting.NeighboringRelation.REPLACE_SPECIAL,
    }[ledger.neighbouring]
    if accountant == "rdp":
        return rdp.RdpAccountant(neighboring_relation=relation)
    return pld.PLDAccountant(relation, value_discretization_interval=_grid(ledger) * coarseness)


def _grid(ledger: Ledger) -> float:
    """Width of the grid of privacy losses: a small part of what one step loses, between 1e-4 and 1e-3.

    At a width of 1e-3 epsilon is within 1e-3 of the figure at 1e-4 where steps lose much, in a tenth of the time; weak
    steps need the finer grid, or its rounding outgrows them. Plans that lose so much that the grid would not fit into
    memory get a coarser one, which errs on the safe side like the others.
    """
    smallest = min(event.sampling_probability / event.noise_multiplier for event, _ in ledger.entries)
    whole = sum(count * min(_central_limit(event), 1 / event.noise_multiplier) ** 2 for event, count in ledger.entries)
    reach = whole / 2 + 12 * math.sqrt(whole)
    return max(min(1e-3, max(1e-4, 0.05 * smallest)), min(COARSEST_GRID, reach / LARGEST_GRID))


def _central_limit(event: PrivacyEvent) -> float:
    """What one step adds to mu of the Gaussian limit (Bu et al. 2020, arXiv 1911.11607), for sizing the grid alone."""
    return event.sampling_probability * math.sqrt(math.expm1(min(300.0, event.noise_multiplier**-2)))


def _dp_event(event: PrivacyEvent) -> Any:
    import dp_accounting

    if event.sampler == "poisson":
        return dp_accounting.PoissonSampledDpEvent(event.sampling_probability, dp_accounting.GaussianDpEvent(event.noise_multiplier))
    return dp_accounting.dp_event.TruncatedSubsampledGaussianDpEvent(
        dataset_size=event.examples,
        sampling_probability=event.sampling_probability,
        truncated_batch_size=event.cap,
        noise_multiplier=event.noise_multiplier,
    )


def calibrate(ledger_for: Callable[[float], Ledger], target: Budget, *, tolerance: float = 2e-3) -> float:
    """The smallest noise multiplier, to a relative tolerance in epsilon, whose ledger stays within the target.

    The Gaussian limit gives a first guess, which the accountant then corrects: a few accounts instead of a bisection.

    Args:
        ledger_for: Gives the ledger of the whole training for a noise multiplier.
        target: The promise to keep.
        tolerance: How much of epsilon may be left unused, as a share in (0, 1).

    Returns:
        A noise multiplier, at least .02, whose epsilon is at most ``target.epsilon``.

    Raises:
        InputError: If no noise multiplier up to 10,000 keeps the promise.
    """

    def spent(multiplier: float, coarseness: float = COARSE) -> float:
        return max(_epsilon(ledger_for(multiplier), target.delta, "pld", coarseness), 1e-9)

    if spent(LARGEST_MULTIPLIER) > target.epsilon:
        raise InputError(
            f"no noise multiplier up to {LARGEST_MULTIPLIER:g} gives epsilon {target.epsilon} at delta {target.delta}; "
            "take fewer epochs, smaller batches or a larger epsilon"
        )
    multiplier = _search(spent, _by_the_limit(ledger_for, target.epsilon, target.delta), target.epsilon, tolerance)
    while spent(multiplier, coarseness=1.0) > target.epsilon:
        multiplier *= 1 + tolerance / 4
    return multiplier


def _search(spent: Callable[[float], float], guess: float, target: float, tolerance: float) -> float:
    """Secant steps on log epsilon against log multiplier, which is nearly a line, inside a bracket that only shrinks."""
    low, high = math.log(SMALLEST_MULTIPLIER), math.log(LARGEST_MULTIPLIER)
    aim = math.log(target * (1 - tolerance / 2))
    x, slope, last = math.log(guess), -1.0, None
    for _ in range(LARGEST_SEARCH):
        y = math.log(spent(math.exp(x)))
        if abs(y - aim) <= tolerance / 2 or high - low < tolerance / 4:
            break
        low, high = (x, high) if y > aim else (low, x)
        if last is not None and x != last[0] and y < math.inf:
            slope = min(-0.2, (y - last[1]) / (x - last[0]))
        last = (x, y)
        step = x + (aim - y) / slope
        x = step if low < step < high else (low + high) / 2
    return math.exp(x)


def _by_the_limit(ledger_for: Callable[[float], Ledger], target: float, delta: float) -> float:
    """The noise multiplier that the Gaussian limit would take for this epsilon: a guess, never a promise."""
    from scipy.optimize import brentq

    def excess(log_multiplier: float) -> float:
        ledger = ledger_for(math.exp(log_multiplier))
        mu = math.sqrt(sum(count * _central_limit(event) ** 2 for event, count in ledger.entries))
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
