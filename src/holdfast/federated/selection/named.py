"""Selectors by name, as study files give them; and how likely they make a client, for privacy accounting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.selection import rules
from holdfast.federated.selection.activity import ByActivity, Stratified, TopK
from holdfast.federated.selection.contract import Selector, StatesChances, View
from holdfast.federated.selection.losses import Active, Oort, PowerOfChoice
from holdfast.federated.selection.signal import CountSignal
from holdfast.models import checks

RULES: dict[str, type[Any]] = {
    "uniform": rules.Uniform,
    "activity": rules.Power,
    "softmax": rules.Softmax,
    "threshold": rules.Threshold,
    "mixture": rules.Mixture,
    "activity-schedule": rules.Schedule,
}
OTHERS: dict[str, type[Any]] = {
    "stratified": Stratified,
    "top-k": TopK,
    "power-of-choice": PowerOfChoice,
    "oort": Oort,
    "active": Active,
}
SELECTORS = (*RULES, *OTHERS)


def selector(name: str, options: Mapping[str, Any] | None = None) -> Selector:
    """Makes a selector.

    Args:
        name: "uniform", "activity" (tau), "softmax" (temperature, scale), "threshold" (least, most), "mixture" (tau, explore),
            "activity-schedule" (from_tau, to_tau, shape), "stratified", "top-k", "power-of-choice", "oort" or "active".
        options: Those of the strategy; for the activity family also sampling ("without replacement", "with replacement",
            "poisson") and signal (options of `CountSignal`, such as ``{"buckets": "powers of two"}``).

    Raises:
        InputError: For an unknown name or option, with the nearest one, or a value out of its bounds.

    >>> selector("activity", {"tau": 0.5, "sampling": "poisson"}).describe()
    {'strategy': 'activity', 'tau': 0.5, 'sampling': 'poisson'}
    """
    if name not in SELECTORS:
        raise InputError(f"there is no selection {name!r}; {nearest(name, SELECTORS)}")
    given = dict(options or {})
    if "signal" in given:
        if not isinstance(given["signal"], Mapping):
            raise InputError(f"selection {name}: signal is {given['signal']!r}; give a table, such as {{noise = 'geometric', ...}}")
        checks.known_options(f"signal of selection {name}", CountSignal, given["signal"])
        given["signal"] = CountSignal(**given["signal"])
    made: Selector
    if name in OTHERS:
        checks.known_options(f"selection {name}", OTHERS[name], given)
        made = OTHERS[name](**given)
        return made
    shared = {key: given.pop(key) for key in ("sampling", "signal") if key in given}
    _known(name, given)
    return ByActivity(name=name, rule=RULES[name](**given), **shared)


def _known(name: str, given: Mapping[str, Any]) -> None:
    """Refuses options that neither the rule nor every selector of the family has."""
    valid = [*RULES[name].__dataclass_fields__, "sampling", "signal"]
    for option in given:
        if option not in valid:
            raise InputError(f"selection {name}: unknown option {option!r}; {nearest(option, valid)}")


def inclusion_of(selector: Selector, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> NDArray[np.float64]:
    """How likely each client is to be drawn in a round, before anybody is, (N,); with replacement the expected number of times.

    Args:
        selector: A selector of the activity family.
        view: The clients.
        size: m.
        round: Counted from 0.
        rounds: How many there are in all.
        streams: Of the run; noise on the counts belongs to them.

    Raises:
        InputError: For a selector that does not know.
    """
    if not isinstance(selector, StatesChances):
        raise InputError(
            f"{selector.name}: how likely a client is cannot be computed, since it hangs on losses; account with probability 1, "
            "or take a strategy of the activity family"
        )
    return selector.chances(view, size=size, round=round, rounds=rounds, streams=streams).inclusion


def most_inclusion(selector: Selector, view: View, *, size: int, round: int, rounds: int, streams: Streams) -> float:
    """The largest probability that a client takes part in a round: what accounting must use where clients are not equally likely.

    Args:
        selector: Any selector; one that looks at losses counts as 1, without amplification by sampling.
        view: The clients.
        size: m.
        round: Counted from 0.
        rounds: How many there are in all.
        streams: Of the run.

    Returns:
        In [0, 1]. With replacement the probability of being drawn at least once.

    Guarantee:
        A bound for every client's probability, exact with "poisson". It is enough for an accountant of Poisson sampling only where
        each client joins by itself (sampling="poisson") and where the probabilities are public: they hang on the counts of
        all clients, so either these are public or they are told with noise, and that is paid for. Without replacement the
        accountant must be one for samples of fixed size; with replacement a client may be drawn, and so add, several times.

    Edge cases:
        Of an "approximate" inclusion, 1 part in 1,000 more is taken, which is more than its error.
    """
    if not isinstance(selector, StatesChances):
        return 1.0
    stated = selector.chances(view, size=size, round=round, rounds=rounds, streams=streams)
    largest = float(stated.inclusion.max(initial=0.0))
    if stated.sampling == "with replacement":
        return float(-np.expm1(size * np.log1p(-min(largest / size, 1 - 1e-16))))
    return min(1.0, largest * (1.001 if stated.exactness == "approximate" else 1.0))
