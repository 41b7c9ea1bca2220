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
LARGEST_GRID = 2_000_000


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
    return _epsilon(ledger, delta, accountant)


@functools.lru_cache(maxsize=512)
def _epsilon(ledger: Ledger, delta: float, accountant: Accountant) -> float:
    counter = _accountant(accountant, ledger)
    for event, count in ledger.entries:
        step = _dp_event(event)
        if not counter.supports(step):
            raise InputError(
                f"the {accountant} accountant has no proof for {event.sampler} sampling under {event.neighbouring} neighbouring; use 'pld'"
            )
        counter.compose(step, count)
    return float(counter.get_epsilon(delta))


def _accountant(accountant: Accountant, ledger: Ledger) -> Any:
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
    return pld.PLDAccountant(relation, value_discretization_interval=_grid(ledger))


def _grid(ledger: Ledger) -> float:
    """Width of the grid of privacy losses: a small part of what one step loses, between 1e-4 and 1e-3.

    At a width of 1e-3 epsilon is within 1e-3 of the figure at 1e-4 where steps lose much, in a tenth of the time; weak
    steps need the finer grid, or its rounding outgrows them. Plans that lose so much that the grid would not fit into
    memory get a coarser one, which errs on the safe side like the others.
    """
    smallest = min(event.sampling_probability / event.noise_multiplier for event, _ in ledger.entries)
    whole = sum(count * _central_limit(event) ** 2 for event, count in ledger.entries)
    reach = whole / 2 + 12 * math.sqrt(whole)
    return max(min(1e-3, max(1e-4, 0.05 * smallest)), reach / LARGEST_GRID)


def _central_limit(event: PrivacyEvent) -> float:
    """What one step adds to mu of the Gaussian limit (Bu et al. 2020, arXiv 1911.11607), for sizing the grid alone."""
    return event.sampling_probability * math.sqrt(math.expm1(min(50.0, event.noise_multiplier**-2)))


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
    """The smallest noise multiplier, to a relative tolerance, whose ledger stays within the target.

    Args:
        ledger_for: Gives the ledger of the whole training for a noise multiplier.
        target: The promise to keep.
        tolerance: Relative width at which the search stops, in (0, 1).

    Returns:
        A noise multiplier whose epsilon by the fine accountant is at most ``target.epsilon``.

    Raises:
        InputError: If no noise multiplier up to 10,000 keeps the promise.
    """
    from scipy.optimize import brentq

    def excess(log_multiplier: float) -> float:
        return math.log(max(epsilon(ledger_for(math.exp(log_multiplier)), target.delta), 1e-12) / target.epsilon)

    if excess(math.log(LARGEST_MULTIPLIER)) > 0:
        raise InputError(
            f"no noise multiplier up to {LARGEST_MULTIPLIER:g} gives epsilon {target.epsilon} at delta {target.delta}; "
            "take fewer epochs, smaller batches or a larger epsilon"
        )
    high = 0.0
    while excess(high) > 0:
        high += math.log(2)
    low = high - math.log(2)
    while excess(low) <= 0:
        low, high = low - math.log(2), low
        if low < math.log(SMALLEST_MULTIPLIER):
            return SMALLEST_MULTIPLIER
    multiplier = math.exp(brentq(excess, low, high, xtol=tolerance / 2))
    while excess(math.log(multiplier)) > 0:
        multiplier *= 1 + tolerance / 2
    return multiplier
