"""What an attack makes of a privacy claim: contradicted, not contradicted, or not testable with these scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from holdfast.audit.games import MembershipGame
from holdfast.audit.intervals import Floats
from holdfast.audit.lower_bounds import EpsilonBound, examples_needed, registered_bound
from holdfast.core.claim import OUTCOMES, Outcome, PrivacyClaim, Verdict

MOST_EXAMPLES = 10**8
"""More than anyone has for one side of an audit; a test that needs more is called out of reach."""


class Bound(Protocol):
    """A lower bound on epsilon for single examples, as a verdict needs it; see `EpsilonBound` for what each part means."""

    @property
    def value(self) -> float:
        """What is proved, in nats."""
        ...

    @property
    def detectable(self) -> float:
        """What a test without a single error would have proved."""
        ...

    @property
    def delta(self) -> float:
        """The delta at which epsilon is bounded."""
        ...

    @property
    def level(self) -> float:
        """One-sided confidence."""
        ...

    @property
    def method(self) -> str:
        """The procedure in one phrase."""
        ...


@dataclass(frozen=True, kw_only=True)
class Examination:
    """A lower bound on epsilon, or the reason why these scores give none.

    Args:
        bound: The bound, or None.
        obstacle: Why there is none, in one sentence without a full stop; empty where there is one.
        examples: Scores that were used.
    """

    bound: EpsilonBound | None
    obstacle: str
    examples: int


def examine(members: Floats, nonmembers: Floats, game: MembershipGame | None, *, delta: float, level: float) -> Examination:
    """Bounds epsilon from below on the rows that a promise about single examples covers.

    Rows that have a copy are left out: a promise about one example says less about several equal ones. No bound is made where
    the two sides can be told apart without the model, because then a high score need not come from training.

    Args:
        members: Scores (n1,).
        nonmembers: Scores (n0,).
        game: What is known of the rows; None takes every row for lone and both sides for alike.
        delta: In [0, 1).
        level: One-sided confidence.
    """
    if game is not None:
        members, nonmembers = members[game.members_alone], nonmembers[game.nonmembers_alone]
    examples = members.size + nonmembers.size
    if min(members.size, nonmembers.size) < 2:
        obstacle = f"only {members.size} of the members and {nonmembers.size} of the non-members have no copy; two of each are needed"
    elif game is not None and game.told_apart:
        obstacle = f"members and non-members can be told apart without the model ({game.blind_words}); draw both from one population"
    else:
        bound = registered_bound(members, nonmembers, delta=delta, level=level)
        return Examination(bound=bound, obstacle="", examples=examples)
    return Examination(bound=None, obstacle=obstacle, examples=examples)


def judge(examination: Examination, claim: PrivacyClaim) -> Verdict:
    """Holds the bound against the claim.

    Returns:
        "contradicted" where the bound is above the claimed epsilon. "not testable" where the promise is not made for single
        examples, where there is no bound, or where even an attack without an error could not have reached the claimed epsilon
        with so few examples. Else "not contradicted", which is no proof that the claim is true.

    Guarantee:
        A true claim is contradicted with probability at most 1 - level, under the conditions of `registered_bound`.
    """
    bound = examination.bound
    if claim.unit != "example":
        return not_testable(claim, f"the promise is made for each {claim.unit}, the attack tests single examples")
    if bound is None:
        return not_testable(claim, examination.obstacle)
    reach = f"an attack without an error on these {examination.examples:,} examples would show {bound.detectable:.3g}"
    return hold_against(bound, claim, shown="the attack shows", reach=reach, cure=_cure(claim.epsilon, bound))


def hold_against(bound: Bound, claim: PrivacyClaim, *, shown: str, reach: str, cure: str, expected: str = "") -> Verdict:
    """Holds a lower bound for single examples against a promise for single examples.

    Args:
        bound: What was proved.
        claim: The promise.
        shown: Who shows it, such as "the attack shows".
        reach: What a test without an error would have shown, in a clause with a verb.
        cure: What would make an untestable promise testable.
        expected: What was to be expected of a promise that holds, in a clause with a verb, or empty.

    Returns:
        "contradicted" where the bound is above the claimed epsilon, "not testable" where it could not have been; else "not
        contradicted".
    """
    surely = f"{bound.value:.3g} at delta {bound.delta:g} ({bound.level:.0%} confidence)"
    promise = f"the promised {claim.epsilon:.3g}"
    if bound.value > claim.epsilon:
        return _verdict(claim, "contradicted", f"{shown} that epsilon is at least {surely}, above {promise}", bound)
    if bound.detectable <= claim.epsilon:
        return _verdict(claim, "not testable", f"even {reach}, not above {promise}; {cure}", bound)
    also = f"; {expected}" if expected else ""
    return _verdict(claim, "not contradicted", f"the lower bound on epsilon is {surely}, not above {promise}; {reach}{also}", bound)


def not_testable(claim: PrivacyClaim, why: str) -> Verdict:
    """The verdict on a promise that there is no bound to hold against; `why` is one sentence without a full stop."""
    return _verdict(claim, "not testable", why, None)


def judge_together(verdicts: Sequence[Verdict], *, level: float) -> Verdict:
    """One verdict on a claim from those of several attacks, the audit by canaries among them.

    Args:
        verdicts: On one claim, one for each attack, at least one; each made at a chance of error of (1 - level) over their number.
        level: One-sided confidence of all of them together.

    Returns:
        "contradicted" if any attack contradicts the claim, "not testable" if none could have; else "not contradicted". The lower
        bound is the highest, the power that of the strongest test.

    Guarantee:
        A true claim is contradicted with probability at most 1 - level, however the attacks depend on each other (Bonferroni).
    """
    if len(verdicts) == 1:
        return verdicts[0]
    worst = min(verdicts, key=lambda one: (OUTCOMES.index(one.outcome), -(one.lower_bound or 0.0)))
    bounds = [one.lower_bound for one in verdicts if one.lower_bound is not None]
    powers = [one.detectable for one in verdicts if one.detectable is not None]
    return replace(
        worst,
        reason=f"{worst.reason} This is the strongest of {len(verdicts)} attacks, which share one chance of error.",
        lower_bound=max(bounds, default=None),
        detectable=max(powers, default=None),
        level=level if bounds else None,
    )


def _cure(epsilon: float, bound: EpsilonBound) -> str:
    needed = examples_needed(epsilon, delta=bound.delta, level=bound.level)
    if needed > MOST_EXAMPLES:
        return "no number of examples within reach would do"
    return f"{needed:,} members and as many non-members would do"


def _verdict(claim: PrivacyClaim, outcome: Outcome, reason: str, bound: Bound | None) -> Verdict:
    sentence = reason[0].upper() + reason[1:] + "."
    if bound is None:
        return Verdict(subject=claim.subject, outcome=outcome, reason=sentence)
    return Verdict(
        subject=claim.subject,
        outcome=outcome,
        reason=sentence,
        lower_bound=bound.value,
        detectable=bound.detectable,
        level=bound.level,
        method=bound.method,
    )
