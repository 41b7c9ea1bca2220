"""The audit of one training run: which canaries were in it is guessed from their losses, and the guesses test the promise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.audit.bounds.gaussian import CONDITION, epsilon_of_gaussian
from holdfast.audit.bounds.groups import GroupClaim, group_claim, single_epsilon
from holdfast.audit.bounds.one_run import CONDITIONS, Guesses, one_run_epsilon, one_run_mu, proves
from holdfast.audit.bounds.planner import FEWEST_CANARIES, plan
from holdfast.audit.intervals import rate_at_least, rate_at_most
from holdfast.audit.membership import checked_losses
from holdfast.audit.verdicts import hold_against, not_testable
from holdfast.core.access import Losses
from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence, Interval
from holdfast.data.dataset import Dataset

ATTACK = "canaries by fair coins"
"""What the figures of this audit name as their attack."""

UNFAIR = 1e-6
"""Coins that fair ones would be less likely to show than this are refused."""

GUESSED = 0.3
"""Share of the canaries that is guessed where no promise says what to look for."""

MOST_CANARIES = 10**6
"""More than anyone plants; a test that needs more is called out of reach."""

STEINKE = "Steinke, Nasr, Jagielski 2023, arXiv 2305.08846"
MAHLOUJIFAR = "Mahloujifar, Melis, Chaudhuri 2024, arXiv 2410.22235"

NOTES = (
    f"The audit by canaries stands on this: {'; '.join(CONDITIONS)}. That no canary has a copy and that the number of heads is one that "
    "fair coins give was checked; that coins, not choice, decided is the word of whoever planted them.",
    "The canaries were guessed by the losses of the final model in evaluation mode. Checkpoints that are released, and the choice of "
    "this run or its settings among others, may tell more, and were not audited.",
    "Canaries that are guessed badly prove nothing about privacy: what tells more than a loss may guess better. Only a proof bounds all "
    "attacks.",
    "How many examples the run was trained on tells how many canaries were in; it counts as public, as in the promise.",
)
"""What an audit by canaries takes for granted, and what it cannot show."""


def one_run_audit(
    fitted: Losses,
    *,
    canaries: Dataset,
    included: ArrayLike,
    claim: PrivacyClaim | None,
    subject: str,
    level: float = 0.95,
    bound_level: float | None = None,
    copies: int = 1,
) -> Evidence:
    """Guesses by their losses which canaries were in the training data, and holds the promise to how many guesses are right.

    The canaries with the lowest losses are guessed to be in, as many with the highest to be out, the rest is left. How many is
    decided by `holdfast.audit.plan` from their number, the promise and the level, before a loss is asked for.

    Args:
        fitted: Whatever gives one loss for each example, in evaluation mode.
        canaries: All m of them, those that stayed out too, from `holdfast.data.coin_canaries`.
        included: Whether each was in, (m,): what its own fair coin said.
        claim: The promise; its delta is that of the bounds. None for a run without one: the bound is then at delta 0.
        subject: The run that was trained.
        level: Confidence of the interval and of the lower bounds, in (0, 1).
        bound_level: Confidence of the lower bounds where it is another, as when several tests share one chance of error.
        copies: How many times each included canary was planted, at least 1; more test what is promised to a group of so many.

    Returns:
        Estimates `one_run_epsilon` (a lower bound, valid for every mechanism), `one_run_gaussian_epsilon` (another, valid if the
        mechanism is Gaussian; no verdict rests on it) and `one_run_accuracy`; a verdict if there is a claim; notes on what was
        taken for granted.

    Raises:
        InputError: For fewer than 20 canaries, canaries that are equal, coins that are not one truth each or that fair ones would
            hardly show, a claim of another run, or losses that cannot be scores (see `loss_threshold`).

    Guarantee:
        A true claim is contradicted with probability at most 1 - level, under `bounds.one_run.CONDITIONS`. The number of examples
        counts as public.

    Edge cases:
        A promise for users, or one that compares data of one size (replace-one), is not testable: a coin adds one example.

    References:
        Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", arXiv 2305.08846, algorithm 1, theorem 5.2.
    """
    if claim is not None and claim.subject != subject:
        raise InputError(f"the claim speaks of {claim.subject!r}, the canaries of {subject!r}; give the claim of the run that was trained")
    for name, value in (("level", level), ("bound_level", level if bound_level is None else bound_level)):
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}; a confidence lies strictly between 0 and 1, such as .95")
    coins = _coins(included, canaries)
    test = _Test.planned(claim, canaries=len(canaries), level=level if bound_level is None else bound_level, copies=copies)
    losses = checked_losses(fitted, canaries, what="canaries")
    guesses = Guesses.ranked(-losses, coins, most_likely=test.guessed // 2, least_likely=test.guessed // 2)
    return Evidence(
        estimates=(test.lower_bound(guesses, subject), test.gaussian_bound(guesses, subject), test.accuracy(guesses, subject, level)),
        verdicts=() if claim is None else (test.judge(guesses, claim),),
        notes=NOTES,
    )


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """What the guesses prove about epsilon from below; see `verdicts.Bound`."""

    value: float
    detectable: float
    delta: float
    level: float
    method: str


@dataclass(frozen=True, kw_only=True)
class _Test:
    """All that is fixed before a loss is seen.

    Args:
        canaries: m.
        guessed: r, half of them in and half out.
        delta: Of the promise, 0 where there is none.
        level: One-sided confidence of the bounds.
        copies: How many times an included canary was planted.
        promised: What the promise says of so many copies; None where there is none.
        expected: The mean bound of the best auditor of a Gaussian mechanism that just keeps the promise; None where not known.
    """

    canaries: int
    guessed: int
    delta: float
    level: float
    copies: int
    promised: GroupClaim | None
    expected: float | None

    @classmethod
    def planned(cls, claim: PrivacyClaim | None, *, canaries: int, level: float, copies: int) -> Self:
        """Decides how many guesses to make."""
        promised = group_claim(0.0 if claim is None else claim.epsilon, 0.0 if claim is None else claim.delta, copies=copies)
        fixed: dict[str, Any] = {"canaries": canaries, "level": level, "copies": copies}
        if claim is None or promised.delta >= 1:
            delta, vain = (0.0, None) if claim is None else (claim.delta, promised)
            return cls(guessed=2 * round(GUESSED * canaries / 2), delta=delta, promised=vain, expected=None, **fixed)
        # the plan wants an epsilon above 0; which of its shares it takes hardly depends on so small a one
        planned = plan(epsilon=max(promised.epsilon, 1e-3), delta=promised.delta, canaries=canaries, method="one-run", level=level)
        assert planned.guessed is not None, "a plan of one run says how many to guess"
        expected = planned.expected if copies == 1 else None
        return cls(guessed=planned.guessed, delta=claim.delta, promised=promised, expected=expected, **fixed)

    def bound(self, guesses: Guesses) -> _Bound:
        """What the guesses prove of every mechanism, and what they would have proved had all been right."""
        perfect = Guesses(canaries=self.canaries, guessed=self.guessed, correct=self.guessed)
        method = f"{self.guessed} of {self.canaries} canaries guessed by their losses, their number fixed beforehand, "
        method += f"one-sided level {self.level:g}"
        if self.copies > 1:
            method += f"; each canary planted {self.copies} times, converted by group privacy"
        value, detectable = self._epsilon(guesses), self._epsilon(perfect)
        return _Bound(value=value, detectable=detectable, delta=self.delta, level=self.level, method=method)

    def _epsilon(self, guesses: Guesses) -> float:
        alpha = 1 - self.level
        if self.copies == 1:
            return one_run_epsilon(guesses, delta=self.delta, alpha=alpha)
        return single_epsilon(lambda delta: one_run_epsilon(guesses, delta=delta, alpha=alpha), delta=self.delta, copies=self.copies)

    def judge(self, guesses: Guesses, claim: PrivacyClaim) -> Verdict:
        """The verdict on the promise, by the bound that holds for every mechanism."""
        if claim.unit != "example":
            return not_testable(claim, f"the promise is made for each {claim.unit}, the canaries test single examples")
        if claim.neighbouring == "replace-one":
            return not_testable(claim, "the promise compares data of one size, but a coin adds a canary or leaves it out")
        if self.promised is not None and self.promised.delta >= 1:
            return not_testable(claim, f"the promise says nothing of a canary that was planted {self.copies} times; plant fewer copies")
        bound = self.bound(guesses)
        reach = f"{self.guessed:,} right guesses of {self.guessed:,} at these {self.canaries:,} canaries would show {bound.detectable:.3g}"
        best = "the best auditor of a Gaussian mechanism that just keeps the promise would show"
        expected = "" if self.expected is None else f"{best} {self.expected:.2g} on average"
        return hold_against(bound, claim, shown="the guesses at the canaries show", reach=reach, cure=self._cure(), expected=expected)

    def _cure(self) -> str:
        """How many canaries would make the promise testable."""
        assert self.promised is not None, "there is a promise wherever there is a verdict"
        share, needed = self.guessed / self.canaries, self.canaries
        while needed <= MOST_CANARIES:
            all_right = Guesses(canaries=needed, guessed=math.ceil(share * needed), correct=math.ceil(share * needed))
            if proves(all_right, self.promised.epsilon, delta=self.promised.delta, alpha=1 - self.level, gaussian=False):
                return f"{needed:,} canaries would do"
            needed *= 2
        return "no number of canaries within reach would do"

    def lower_bound(self, guesses: Guesses, subject: str) -> Estimate:
        """The bound that holds for every mechanism."""
        bound = self.bound(guesses)
        known = {"delta": bound.delta, "level": bound.level, "detectable": bound.detectable}
        known |= {} if self.expected is None else {"expected": self.expected}
        return self._estimate("one_run_epsilon", guesses, subject, bound.method, STEINKE, unit="nats", value=bound.value, conditions=known)

    def gaussian_bound(self, guesses: Guesses, subject: str) -> Estimate:
        """The bound that holds if the mechanism is Gaussian: k copies of a canary tell what one would at k times the mu."""
        known: dict[str, Condition] = {"delta": self.delta, "level": self.level, "kind": "conditional", "condition": CONDITION}
        method = f"{self.guessed} of {self.canaries} canaries guessed as before, the trade-off curve taken for Gaussian"
        value, missing = None, "a Gaussian mechanism has no epsilon at delta 0, and without a promise there is no other delta"
        if self.delta > 0:
            value = epsilon_of_gaussian(one_run_mu(guesses, alpha=1 - self.level) / self.copies, self.delta)
        return self._estimate(
            *("one_run_gaussian_epsilon", guesses, subject, method, MAHLOUJIFAR),
            unit="nats",
            value=value,
            missing=None if value is not None else missing,
            conditions=known,
        )

    def accuracy(self, guesses: Guesses, subject: str, level: float) -> Estimate:
        """The share of right guesses, beside the largest that the promise lets anyone expect."""
        v, r = guesses.correct, guesses.guessed
        low, high = (float(side(v, r, alpha=(1 - level) / 2)) for side in (rate_at_least, rate_at_most))
        interval = Interval(low=low, high=high, level=level, method="Clopper-Pearson, as if guesses were independent")
        return self._estimate(
            *("one_run_accuracy", guesses, subject, "right guesses over all guesses; .5 by chance", STEINKE),
            unit="share",
            value=v / r,
            interval=interval,
            conditions={} if self.promised is None else {"cap": accuracy_cap(self.promised, canaries=self.canaries, guessed=r)},
        )

    def _estimate(
        self,
        name: str,
        guesses: Guesses,
        subject: str,
        method: str,
        reference: str,
        *,
        unit: str,
        value: float | None,
        conditions: Mapping[str, Condition],
        missing: str | None = None,
        interval: Interval | None = None,
    ) -> Estimate:
        counts = {"canaries": self.canaries, "guessed": guesses.guessed, "correct": guesses.correct, "copies": self.copies}
        return Estimate(
            name=name,
            subject=subject,
            value=value,
            unit=unit,
            direction="lower is better",
            interval=interval,
            n=self.canaries,
            conditions={"attack": ATTACK, "training_runs": 1, **counts, **conditions},
            method=method,
            reference=reference,
            access="black-box: losses",
            missing=missing,
        )


def accuracy_cap(promised: GroupClaim, *, canaries: int, guessed: int) -> float:
    """The largest share of right guesses that a promise lets anyone expect, however the canaries to guess are chosen.

    A right guess at a canary has probability c, a wrong one w. The promise forces ``c <= e^epsilon w + delta``; summed over all
    m canaries, of which r are guessed, that is an expected share of right guesses of at most
    ``(e^epsilon + delta m / r) / (1 + e^epsilon)``.

    Args:
        promised: Epsilon and delta of what a coin adds or leaves out.
        canaries: m.
        guessed: r, at least 1.

    >>> round(accuracy_cap(GroupClaim(epsilon=1.0, delta=1e-5, copies=1), canaries=1000, guessed=100), 4)
    0.7311
    """
    truth = float(special.expit(promised.epsilon))
    return min(1.0, truth + (1 - truth) * promised.delta * canaries / guessed)


def _coins(included: ArrayLike, canaries: Dataset) -> NDArray[np.bool_]:
    """What the coins said, refused where fair coins of distinct canaries can hardly have said it."""
    given, m = np.asarray(included), len(canaries)
    if given.shape != (m,) or not np.isin(given, (0, 1)).all():
        raise InputError(f"included has shape {given.shape} for {m} canaries; give one truth for each: whether it was in")
    if m < FEWEST_CANARIES:
        raise InputError(f"{m} canaries prove next to nothing; give at least {FEWEST_CANARIES}")
    coins = given.astype(bool)
    heads = int(coins.sum())
    chance = 2 * min(special.bdtr(heads, m, 0.5), special.bdtrc(heads - 1, m, 0.5))
    if chance < UNFAIR:
        found = {m: "all canaries are in", 0: "no canary is in"}.get(heads, f"{heads:,} of {m:,} canaries are in")
        raise InputError(f"these coins are not fair: {found}; include each canary by a fair coin of its own (data.coin_canaries)")
    copies = m - len(Counter((one.tokens, one.label, one.tags) for one in canaries))
    if copies:
        raise InputError(f"{copies:,} of {m:,} canaries are equal to another one; make each different, or one coin speaks of two")
    return coins
