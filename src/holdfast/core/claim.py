"""A privacy claim: what is promised, to whom, under which conditions, and what a test made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from holdfast.core.errors import InputError

Kind = Literal["proved", "conditional", "disputed", "unproved"]
Unit = Literal["example", "user"]
Neighbouring = Literal["add/remove", "replace-one", "zero-out"]
Outcome = Literal["contradicted", "not contradicted", "not testable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""What a test may make of a claim; what a reader must hear first comes first."""


@dataclass(frozen=True, kw_only=True)
class PrivacyClaim:
    """An (epsilon, delta) promise with everything that gives it a meaning.

    Args:
        subject: The run that it speaks of.
        epsilon: The promise, in nats, at least 0.
        delta: In (0, 1).
        unit: Whose data is protected: one "example" or one "user".
        neighbouring: Which two data sets must look alike.
        sampler: How batches were drawn, in words with its probability.
        accountant: Name and version of what computed epsilon.
        kind: "proved", "conditional", "disputed" or "unproved".
        steps: Noisy updates that were composed.
        conditions: Sentences that must hold for the promise to hold.
        other_accounts: Epsilon by other ways of accounting, by name, such as
            ``{"naive (ignores that micro-batch clipping has sensitivity 2C)": 5.8}``.
    """

    subject: str
    epsilon: float
    delta: float
    unit: Unit
    neighbouring: Neighbouring
    sampler: str
    accountant: str
    kind: Kind
    steps: int
    conditions: tuple[str, ...] = ()
    other_accounts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise InputError(f"claim: epsilon {self.epsilon} is not a finite number >= 0; a run without noise has no claim")
        if not 0 < self.delta < 1:
            raise InputError(f"claim: delta {self.delta} is outside (0, 1)")
        for name, epsilon in self.other_accounts.items():
            if not math.isfinite(epsilon):
                raise InputError(f"claim: the account {name!r} gives epsilon {epsilon}; leave out an account that gives no finite number")
        for value, kind in ((self.kind, Kind), (self.unit, Unit), (self.neighbouring, Neighbouring)):
            if value not in get_args(kind):
                raise InputError(f"claim: {value!r} is none of {get_args(kind)}")

    def __str__(self) -> str:
        """One line that carries unit, relation, sampler, delta, accountant and kind."""
        return (
            f"epsilon = {self.epsilon:.3g} at delta = {self.delta:g} per {self.unit} ({self.neighbouring} neighbouring; {self.sampler}; "
            f"{self.accountant}; {self.steps} steps; {self.kind})"
        )

    def cap(self, fpr: float) -> float:
        """The highest true positive rate that the promise allows any membership attack at this false positive rate.

        Args:
            fpr: False positive rate in [0, 1].

        Raises:
            InputError: For a rate outside [0, 1].

        References:
            Kairouz, Oh, Viswanath 2015, "The composition theorem for differential privacy", Theorem 2.1.
        """
        if not 0 <= fpr <= 1:
            raise InputError(f"cap: false positive rate {fpr} is outside [0, 1]")
        forward = math.exp(min(self.epsilon, 700)) * fpr + self.delta  # beyond 700 the exponential overflows
        backward = 1 - math.exp(-self.epsilon) * (1 - self.delta - fpr)
        return max(0.0, min(1.0, forward, backward))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a test made of a claim.

    Args:
        subject: The run whose claim was tested.
        outcome: "contradicted", "not contradicted" or "not testable".
        reason: One sentence in plain words, with the numbers.
        lower_bound: Epsilon that the attack proves from below, in nats, or None.
        detectable: The largest lower bound that this test could have given with a perfect attack: its power.
        level: Confidence of the lower bound, such as .95.
        method: How the bound was made.
    """

    subject: str
    outcome: Outcome
    reason: str
    lower_bound: float | None = None
    detectable: float | None = None
    level: float | None = None
    method: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in get_args(Outcome):
            raise InputError(f"verdict: {self.outcome!r} is none of {get_args(Outcome)}")
        for name, value in (("lower bound", self.lower_bound), ("detectable", self.detectable)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"verdict: {name} {value} is not a finite number >= 0; leave it out and say why in the reason")
        if self.level is not None and not 0 < self.level < 1:
            raise InputError(f"verdict: level {self.level} is outside (0, 1)")
