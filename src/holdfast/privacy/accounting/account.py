"""Epsilon of a ledger, by Google's `dp-accounting`. Needs no torch."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, get_args

from holdfast.core.errors import InputError
from holdfast.privacy.accounting.loss_distribution import subsampled_gaussian
from holdfast.privacy.events import Ledger, PrivacyEvent, dp_event_of_one, summand_over_sensitivity

if TYPE_CHECKING:
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

Accountant = Literal["pld", "rdp"]

LARGEST_EPSILON = 1e6
TELLABLE = (1e-3, 1e6)  # noise multipliers: below is hardly any noise; above is accounted for as if it were the bound
LARGEST_GRID, COARSEST_GRID = 2_000_000, 50.0  # cells; nats
LEVELS_AT_FULL_GRID = 10  # of noise; a ledger with more gets a grid that is wider in proportion, three times at most
RARE = 1e-3  # share of delta that capped batches may take off it before they are accounted for one by one


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A target promise.

    Args:
        epsilon: In nats, in (0, 1e6].
        delta: In (0, 1); choose it well below one over the number of examples.

    Raises:
        InputError: For values outside these ranges.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= LARGEST_EPSILON:
            raise InputError(
                f"epsilon is {self.epsilon}; a promise needs one in (0, {LARGEST_EPSILON:g}] (1 is strong, 8 is common, above 10 is weak); "
                "non_private trains without a promise"
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
        Epsilon in nats, >= 0, from above: "pld" works on a grid of losses that errs on the safe side.

    Raises:
        InputError: For a delta outside (0, 1), an unknown accountant, a pair of sampler and accountant without a proof, or
            where no finite epsilon can be told: hardly any noise, or a delta below what the accountant resolves.

    References:
        Koskela et al. 2020 (arXiv 1906.03049); Doroshenko et al. 2022, "Connect the dots" (arXiv 2207.04380); Mironov 2017 for "rdp".
    """
    check_delta(delta)
    if accountant not in get_args(Accountant):
        raise InputError(f"accountant is {accountant!r}; choose one of {get_args(Accountant)}")
    if not ledger.entries:
        return 0.0
    found = spent(ledger, delta, accountant)
    if not math.isfinite(found):
        raise InputError(
            f"no finite epsilon can be told at delta {delta:g} for {ledger.steps} noisy steps at noise multipliers from "
            f"{min(event.noise_multiplier for event, _ in ledger.entries):g}; add noise, or take a delta well above 1e-15 times the steps"
        )
    return found


@functools.lru_cache(maxsize=512)
def spent(ledger: Ledger, delta: float, accountant: Accountant = "pld", coarseness: float = 1.0) -> float:
    """Epsilon as `epsilon` gives it, or infinity where there is no finite one.

    Args:
        ledger: What was released, not empty.
        delta: In (0, 1).
        accountant: "pld" or "rdp".
        coarseness: Width of the grid of "pld" over the usual one, >= 1; a wider one is faster and errs more on the safe side.
    """
    if min(event.noise_multiplier for event, _ in ledger.entries) < TELLABLE[0]:
        return math.inf
    ledger, delta = _without_rare_caps(ledger, delta)
    found = _by_renyi(ledger, delta) if accountant == "rdp" else _by_loss_distributions(ledger, delta, _grid(ledger) * coarseness)
    return max(0.0, found)


def _without_rare_caps(ledger: Ledger, delta: float) -> tuple[Ledger, float]:
    """Takes truncated Poisson events for Poisson events where the cap is hardly ever reached, at a price that delta pays.

    Under zero-out neighbouring it does not depend on the example in question whether the others alone reach the cap, so let
    it be told for every step. Where they do not, the step is a Poisson-subsampled Gaussian mechanism. That they do in any
    step has probability at most the sum over the steps, which is taken off delta (convexity of the hockey-stick divergence).
    The exact event costs several times the time.
    """
    if any(event.sampler == "truncated-poisson" and event.neighbouring != "zero-out" for event, _ in ledger.entries):
        return ledger, delta
    reached = sum(count * _cap_is_reached(event) for event, count in ledger.entries)
    if reached > RARE * delta:
        return ledger, delta
    return Ledger(tuple((_uncapped(event), count) for event, count in ledger.entries)), delta - reached


def _uncapped(event: PrivacyEvent) -> PrivacyEvent:
    return event if event.cap is None else replace(event, sampler="poisson", examples=None, cap=None)


def _cap_is_reached(event: PrivacyEvent) -> float:
    """Probability that the other examples alone fill a capped batch."""
    from scipy import stats

    if event.cap is None or event.examples is None:
        return 0.0
    return float(stats.binom.sf(event.cap - 1, event.examples - 1, event.sampling_probability))


def _by_loss_distributions(ledger: Ledger, delta: float, grid: float) -> float:
    from dp_accounting.pld import privacy_loss_distribution

    whole = privacy_loss_distribution.identity(grid)
    for event, count in ledger.entries:
        told = replace(event, noise_multiplier=min(event.noise_multiplier, TELLABLE[1]))
        whole = whole.compose(_distribution(told, count, grid, _relation(ledger)))
    return float(whole.get_epsilon_for_delta(delta))


def _distribution(event: PrivacyEvent, count: int, grid: float, relation: NeighboringRelation) -> PrivacyLossDistribution:
    """The privacy loss distribution of `count` equal events, as the library's own accountant makes it of `to_dp_event`."""
    from dp_accounting.pld import privacy_loss_distribution

    if event.sampler == "shuffled":  # one Gaussian mechanism after the other is a Gaussian mechanism of less noise
        return privacy_loss_distribution.from_gaussian_mechanism(
            event.noise_multiplier / math.sqrt(count), value_discretization_interval=grid
        )
    if event.sampler == "truncated-poisson":
        assert event.examples is not None
        assert event.cap is not None
        return privacy_loss_distribution.from_truncated_subsampled_gaussian_mechanism(
            event.examples,
            event.sampling_probability,
            event.cap,
            event.noise_multiplier * summand_over_sensitivity(event.neighbouring),
            value_discretization_interval=grid,
            neighboring_relation=relation,
        ).self_compose(count)
    if event.neighbouring != "replace-one":
        return subsampled_gaussian(event.noise_multiplier, event.sampling_probability, grid).self_compose(count)
    return privacy_loss_distribution.from_gaussian_mechanism(
        event.noise_multiplier * summand_over_sensitivity(event.neighbouring),
        value_discretization_interval=grid,
        sampling_prob=event.sampling_probability,
        neighboring_relation=relation,
    ).self_compose(count)


def _by_renyi(ledger: Ledger, delta: float) -> float:
    from dp_accounting import rdp

    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns about each order that it leaves out; leaving one out is safe
    accountant = rdp.RdpAccountant(neighboring_relation=_relation(ledger))
    for event, count in ledger.entries:
        step = dp_event_of_one(replace(event, noise_multiplier=min(event.noise_multiplier, TELLABLE[1])))
        if event.neighbouring == "replace-one" or not accountant.supports(step):  # it takes C for 2C there
            raise InputError(
                f"the rdp accountant has no proof for {event.sampler} sampling under {event.neighbouring} neighbouring; use 'pld'"
            )
        accountant.compose(step, count)
    return float(accountant.get_epsilon(delta))


def _relation(ledger: Ledger) -> NeighboringRelation:
    import dp_accounting

    return {
        "add/remove": dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
        "replace-one": dp_accounting.NeighboringRelation.REPLACE_ONE,
        "zero-out": dp_accounting.NeighboringRelation.REPLACE_SPECIAL,
    }[ledger.neighbouring]


def _grid(ledger: Ledger) -> float:
    """Width of the grid of privacy losses: a small part of what one step loses, between 1e-4 and 1e-3.

    At a width of 1e-3 epsilon is within 1e-3 of the figure at 1e-4 where steps lose much, in a tenth of the time; weak
    steps need the finer grid, or its rounding outgrows them. Plans that lose so much that the grid would not fit into
    memory get a coarser one, and so do plans with many levels of noise, each of which costs a distribution of its own; both
    err on the safe side like the others.
    """
    smallest = min(event.sampling_probability / event.noise_multiplier for event, _ in ledger.entries)
    whole = sum(count * min(central_limit(event), 1 / event.noise_multiplier) ** 2 for event, count in ledger.entries)
    reach = whole / 2 + 12 * math.sqrt(whole)
    widening = min(3.0, max(1.0, len(ledger.entries) / LEVELS_AT_FULL_GRID))
    return max(widening * min(1e-3, max(1e-4, 0.05 * smallest)), min(COARSEST_GRID, reach / LARGEST_GRID))


def central_limit(event: PrivacyEvent) -> float:
    """What one step adds to mu of the Gaussian limit (Bu et al. 2020, arXiv 1911.11607), for sizing the grid alone."""
    return event.sampling_probability * math.sqrt(math.expm1(min(300.0, event.noise_multiplier**-2)))
