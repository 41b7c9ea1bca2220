"""What promises and verdicts mean, in sentences that are true: for whoever never trained a model, and for whoever checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.report.numbers import factor, named, one_in, significant

Strength = Literal["strong", "moderate", "weak", "very weak"]
ALARM = 0.01  # the false positive rate at which a promise is put in words
_RARE = 1e-4  # one at which even a weak promise may rule something out

_KINDS = {
    "proved": "",
    "conditional": "If its conditions hold, then: ",
    "disputed": "It is claimed, and disputed: ",
    "unproved": "It is claimed without a proof: ",
}
_WITHOUT = {
    ("example", "add/remove"): "that example had been left out of training",
    ("example", "zero-out"): "that example had had no part in any step of training",
    ("example", "replace-one"): "another example had stood in its place",
    ("user", "add/remove"): "all examples of that user had been left out of training",
    ("user", "zero-out"): "the examples of that user had had no part in any step of training",
    ("user", "replace-one"): "the examples of another user had stood in their place",
}


def promise(claim: PrivacyClaim, *, model: str) -> str:
    """What a promise says, in one sentence.

    The sentence is the definition of differential privacy: for every set of outcomes, its probability with the unit in the
    data is at most e^epsilon times the probability without, plus delta.

    Args:
        claim: The promise.
        model: What to call the model, such as "this model".

    References:
        Dwork and Roth 2014, "The Algorithmic Foundations of Differential Privacy", definition 2.4.
    """
    epsilon = significant(claim.epsilon)
    unit = "training example" if claim.unit == "example" else "user"
    times = f"at most e^{epsilon} ≈ {factor(float(f'{claim.epsilon:.3g}'))} times as often as if {_WITHOUT[claim.unit, claim.neighbouring]}"
    sentence = f"whoever sees {model} reaches any given conclusion about one {unit} {times}"
    opening = _KINDS[claim.kind]
    sentence = opening + sentence if opening else sentence[0].upper() + sentence[1:]
    return f"{sentence}, plus a chance of {one_in(claim.delta)} (δ)."


def strength(claim: PrivacyClaim) -> Strength:
    """How much a promise rules out, judged by what it allows an attack at a false positive rate of 1% and of 0.01%.

    Strong: at most 3% of the members may be found at 1% false positives (epsilon up to about 1.1). Moderate: at most 25% (3.2).
    Weak: at 1% it may allow to find all (from 4.6 on). Very weak: it rules out nothing even at 0.01% (from 9.2 on).
    """
    allowed = claim.cap(ALARM)
    if allowed <= 0.03:
        return "strong"
    if allowed <= 0.25:
        return "moderate"
    return "weak" if claim.cap(_RARE) < 1 - 1e-3 else "very weak"


def in_words(claim: PrivacyClaim, *, opening: str = "As a worst-case promise this is") -> str:
    """How much a promise rules out, in one sentence that begins with `opening`."""
    allowed, whose = claim.cap(ALARM), "training examples" if claim.unit == "example" else "users"
    most = f"at most {significant(100 * allowed, 2)}% of" if allowed < 0.995 else "nearly all"
    return f"{opening} {strength(claim)}: an attack that wrongly accuses 1% of outsiders may find {most} the {whose}."


def short(claim: PrivacyClaim) -> str:
    """The promise in a few signs."""
    return named("ε", claim.epsilon)


def span(claims: Sequence[PrivacyClaim]) -> str:
    """The promises of several runs in a few signs."""
    epsilons = sorted({significant(claim.epsilon): claim.epsilon for claim in claims}.items(), key=lambda pair: pair[1])
    ends = [text for text, _ in epsilons]
    return named("ε", epsilons[0][1]) if len(ends) == 1 else f"{named('ε', epsilons[0][1])} to {ends[-1]}"


def strengths(claims: Sequence[PrivacyClaim]) -> str:
    """How much several promises rule out, from the weakest to the strongest."""
    ordered = sorted(claims, key=lambda claim: -claim.epsilon)
    weakest, strongest = strength(ordered[0]), strength(ordered[-1])
    return weakest if weakest == strongest else f"{weakest} to {strongest}"


def kinds(claims: Sequence[PrivacyClaim]) -> str:
    """How well founded several promises are."""
    found = list(dict.fromkeys(claim.kind for claim in claims))
    return found[0] if len(found) == 1 else ", ".join(found)


def verdicts(found: Sequence[Verdict | None]) -> str:
    """What tests made of several promises, in a few words."""
    outcomes = [verdict.outcome for verdict in found if verdict is not None]
    if not outcomes:
        return "not tested"
    if len(set(outcomes)) == 1 and len(outcomes) == len(found):
        return outcomes[0]
    counts = [
        f"{outcomes.count(outcome)} {outcome}" for outcome in ("contradicted", "not contradicted", "not testable") if outcome in outcomes
    ]
    untested = len(found) - len(outcomes)
    return ", ".join([*counts, f"{untested} not tested"] if untested else counts)


def listed(names: Sequence[str]) -> str:
    """Names in a row, as in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
