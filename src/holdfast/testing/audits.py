"""Auditing a mechanism by canaries: trains with it, guesses which canaries were in the data, and holds its promise to the guesses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from holdfast.audit import Guesses, one_run_epsilon, one_run_gaussian_epsilon, plan, registered_bound
from holdfast.audit.bounds import METHODS, epsilon_of_gaussian, mu_from_errors, mu_of_epsilon
from holdfast.audit.bounds.gaussian import CONDITION, MOST_MU
from holdfast.audit.bounds.one_run import CONDITIONS
from holdfast.audit.bounds.planner import Method
from holdfast.core.claim import Outcome, PrivacyClaim, Verdict
from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Estimate, Evidence
from holdfast.core.randomness import Streams
from holdfast.privacy import Mechanism
from holdfast.testing.canaries import LOUD, Floats, Placement, Truths, trained

AuditKind = Literal["one-run", "alone", "opposed"]
AUDIT_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "one-run": "one training; each of many canaries is in the data by a fair coin of its own, all others are there",
        "alone": "many trainings, every other one with a single canary; nothing else is in the data",
        "opposed": "many trainings, every other one with a single canary, which points against everything else and is far louder",
    }
)
APART = (
    "the trainings are independent of each other",
    "no threshold was set on scores that it was tested on",
)
"""What the bounds from many trainings take for granted."""

PILOTS = 0.25
"""Share of the trainings on whose scores the threshold of the Gaussian bound is set; it is tested on the others."""

SUBJECT = "mechanism under audit"
GAUSSIAN = "the ledger holds Gaussian mechanisms without sampling, so to be Gaussian is promised, and a bound for such mechanisms decides"
SAMPLED = "batches are drawn at random, so the promise is not that of a Gaussian mechanism, and the bound for every mechanism decides"
POWER = 0.8
REPETITIONS = 60
"""Audits that are simulated to tell what could be found."""

FEWEST: Mapping[str, int] = MappingProxyType({"one-run": 20, "alone": 28, "opposed": 28})
"""Canaries, or trainings: of 28 a quarter are pilots, and 20 are tested, the fewest that a plan is made for."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What an audit could find, known before it is run.

    Args:
        detectable: The bound of an audit without an error: no attack could prove more.
        expected: Mean of the bound where the claim is tight, the mechanism Gaussian and every canary as telling as can be.
        bug_epsilon: The least epsilon of a Gaussian mechanism that would be found to break the claim with probability .8; None
            where even one without noise would not.
        guessed: Of one run: how many canaries are guessed, half of them in and half out; None for the others.
    """

    detectable: float
    expected: float
    bug_epsilon: float | None
    guessed: int | None


@dataclass(frozen=True, kw_only=True)
class MechanismAudit:
    """What an audit by canaries made of a mechanism's own promise.

    Args:
        verdict: Contradicted, not contradicted or not testable, with the bound that decides and the most that it could have been.
        claim: What the mechanism accounts for itself.
        kind: One of `AUDIT_KINDS`.
        canaries: Of one run: canaries, each with a coin. Of the others: trainings, half of them with the canary.
        bounds: Lower bounds on epsilon, by the name of the method.
        decides: The method whose bound the verdict rests on, fixed before the training.
        reason: Why this one decides.
        reach: What could have been found.
        correct: Of one run: right guesses; None for the others.
        conditions: What the bounds take for granted, and what the audit did not look at.
        seed: Of all draws.
    """

    verdict: Verdict
    claim: PrivacyClaim
    kind: AuditKind
    canaries: int
    bounds: Mapping[str, float]
    decides: str
    reason: str
    reach: Reach
    correct: int | None
    conditions: tuple[str, ...]
    seed: int

    @property
    def contradicted(self) -> bool:
        """Whether the claim was found to be false."""
        return self.verdict.outcome == "contradicted"

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        found = asdict(self)
        for part in (found, found["claim"]):
            part["conditions"] = list(part["conditions"])
        return found

    def evidence(self) -> Evidence:
        """Bounds, claim and verdict as evidence, which a run store keeps and a report shows."""
        estimates = tuple(
            Estimate(
                name="epsilon_lower_bound",
                subject=self.verdict.subject,
                value=value,
                unit="nats",
                direction="lower is better",
                n=self.canaries,
                conditions={"delta": self.claim.delta, "level": self.verdict.level or 0.0, "decides": method == self.decides},
                method=f"{method}; {AUDIT_KINDS[self.kind]}",
                access="white-box: the weights before and after training",
            )
            for method, value in self.bounds.items()
        )
        return Evidence(estimates=estimates, claims=(self.claim,), verdicts=(self.verdict,), notes=self.conditions)


def audit_mechanism(
    mechanism: Mechanism, *, canaries: int, level: float = 0.95, delta: float | None = None, seed: int, kind: AuditKind = "one-run"
) -> MechanismAudit:
    """Trains with a mechanism and holds its promise to what the weights then show.

    The training loop is the one of this package; sampler, clipper and noise are the mechanism's. The model is an embedding and a
    dense layer with a linear loss, so the gradient of an example is the same at any weights, and a thousand times as long as the
    clip norm; the optimiser is plain gradient descent. A canary's score is how far the weights went along its gradient.

    "one-run" finds most faults, and costs one training: missing or weak noise, clipping that leaves out a layer or takes the batch for
    an example, drawing too often. "alone" looks at one canary with nothing beside it. "opposed" is for faults that need company: one
    example that turns a whole micro-batch round, or a whole batch.

    Args:
        mechanism: With noise; of this package or your own sampler, clipper or subclass. It is run as it is, so make it small: few
            steps, some hundred examples.
        canaries: Of "one-run", how many examples a coin is tossed for, from 20 to all that the mechanism draws from. Of the others,
            the number of trainings, at least 28, an odd one left out. Where the mechanism protects users, a canary is a user with
            one example.
        level: One-sided confidence of the verdict, in (0, 1).
        delta: The delta at which the promise is tested, in (0, 1); None for the mechanism's own.
        seed: Of coins and trainings: the audit says the same every time.
        kind: One of `AUDIT_KINDS`.

    Returns:
        The verdict, with what it rests on and what it could have found.

    Raises:
        InputError: For a mechanism without a promise, or a value outside its range.

    Guarantee:
        A mechanism that keeps its promise is contradicted with probability at most 1 - level. One that is not contradicted may
        still break it: `MechanismAudit.reach` says what would have been found. One method decides, fixed before the training, so
        no chance of error is shared: a bound that holds for every mechanism ("one-run", "clopper-pearson"); or, where every event
        of the ledger is a Gaussian mechanism without sampling, one for Gaussian mechanisms ("one-run-f-dp", "gaussian"), because
        to be Gaussian is then part of what is promised.

    Edge cases:
        Under replace-one neighbouring a canary that is out is replaced by one with the opposite gradient.

    References:
        Steinke, Nasr, Jagielski 2023 (arXiv 2305.08846); Mahloujifar, Melis, Chaudhuri 2024 (arXiv 2410.22235); Nasr et al. 2023
        (arXiv 2302.07956); Jagielski, Ullman, Oprea 2020 (arXiv 2006.07709).

    >>> from holdfast import privacy
    >>> sound = privacy.dp_sgd(
    ...     examples=300, batch_size=300, steps=2, clip_norm=1.0, noise_multiplier=2.0, delta=1e-5, sampler="poisson"
    ... )
    >>> audit_mechanism(sound, canaries=300, seed=0).verdict.outcome
    'not contradicted'
    """
    claim = _claim(mechanism, canaries, level, delta, kind)
    streams = Streams.from_seed(seed).child("audit of a mechanism")
    gaussian = all(event.sampling_probability == 1 for event, _ in mechanism.ledger().entries)
    look = _one_run if kind == "one-run" else partial(_many_runs, opposed=kind == "opposed")
    canaries -= 0 if kind == "one-run" else canaries % 2
    found = look(mechanism, claim, _Test(canaries=canaries, alpha=1 - level, gaussian=gaussian), streams)
    return MechanismAudit(
        verdict=_verdict(claim, found, level),
        claim=claim,
        kind=kind,
        canaries=canaries,
        bounds=found.bounds,
        decides=found.decides,
        reason=GAUSSIAN if gaussian else SAMPLED,
        reach=found.reach,
        correct=found.correct,
        conditions=(
            *found.conditions,
            f"{found.aside} takes for granted that {CONDITION}; {'here that is promised' if gaussian else 'it decides nothing here'}",
        ),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class _Test:
    """How the scores will be judged, fixed before there are any."""

    canaries: int
    alpha: float
    gaussian: bool


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Bounds from the scores, and what could have been found."""

    bounds: dict[str, float]
    decides: str
    aside: str
    reach: Reach
    conditions: tuple[str, ...]
    correct: int | None = None


def _claim(mechanism: Mechanism, canaries: int, level: float, delta: float | None, kind: str) -> PrivacyClaim:
    """What the mechanism promises, once the question makes sense."""
    if kind not in AUDIT_KINDS:
        raise InputError(f"there is no audit kind {kind!r}; {nearest(kind, get_args(AuditKind))}")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it must lie in (0, 1), such as .95")
    examples = mechanism.sampler.examples
    fewest = FEWEST[kind]
    if canaries < fewest or (kind == "one-run" and canaries > examples):
        bound = f"between {fewest} and the {examples} that the mechanism draws from" if kind == "one-run" else f"at least {fewest}"
        raise InputError(f"canaries is {canaries}; it must be {bound}")
    asked = mechanism if delta is None else replace(mechanism, delta=delta)
    claim = asked.claim(SUBJECT)
    if claim is None:
        raise InputError("the mechanism adds no noise, so it makes no promise that an audit could contradict; use one with noise")
    return claim


def _one_run(mechanism: Mechanism, claim: PrivacyClaim, test: _Test, streams: Streams) -> _Found:
    decides = "one-run-f-dp" if test.gaussian else "one-run"
    reach = _reach(claim.epsilon, claim.delta, test.canaries, test.alpha, decides)
    assert reach.guessed is not None
    examples, unit = mechanism.sampler.examples, mechanism.clipper.clip_norm or 1.0
    included = streams.generator("coins").random(test.canaries) < 0.5
    present = np.concatenate([included, np.ones(examples - test.canaries, dtype=bool)])
    scores = trained(mechanism, Placement.orthogonal(examples, norm=LOUD * unit), present, streams=streams.child("training"))
    each = reach.guessed // 2
    guesses = Guesses.ranked(scores[: test.canaries], included, most_likely=each, least_likely=each)
    bounds = {
        "one-run": one_run_epsilon(guesses, delta=claim.delta, alpha=test.alpha),
        "one-run-f-dp": one_run_gaussian_epsilon(guesses, delta=claim.delta, alpha=test.alpha),
    }
    return _Found(bounds=bounds, decides=decides, aside="one-run-f-dp", reach=reach, conditions=CONDITIONS, correct=guesses.correct)


def _many_runs(mechanism: Mechanism, claim: PrivacyClaim, test: _Test, streams: Streams, *, opposed: bool) -> _Found:
    examples, unit = mechanism.sampler.examples, mechanism.clipper.clip_norm or 1.0
    others = 2 * mechanism.sampler.batch_size * unit  # one of them fills the ball, though it be divided by a whole batch
    placement = Placement.opposed(examples, norm=max(LOUD * unit, 2 * examples * others), others=others)
    half = test.canaries // 2

    def scores(inside: bool) -> Floats:
        present: Truths = np.full(examples, opposed)
        present[0] = inside
        part = streams.child("with" if inside else "without")
        return np.array([trained(mechanism, placement, present, streams=part.child("training", number))[0] for number in range(half)])

    inside, outside = scores(True), scores(False)
    bounds = {
        "clopper-pearson": registered_bound(inside, outside, delta=claim.delta, level=1 - test.alpha).value,
        "gaussian": _gaussian_bound(inside, outside, delta=claim.delta, alpha=test.alpha),
    }
    if test.gaussian:
        tested = 2 * (half - math.ceil(PILOTS * half))
        reach = _reach(claim.epsilon, claim.delta, tested, test.alpha, "gaussian")
    else:
        reach = _reach_of_registered(claim.epsilon, claim.delta, half, test.alpha)
    return _Found(
        bounds=bounds, decides="gaussian" if test.gaussian else "clopper-pearson", aside="gaussian", reach=reach, conditions=APART
    )


def _gaussian_bound(inside: Floats, outside: Floats, *, delta: float, alpha: float) -> float:
    """Epsilon of the mu that one threshold proves, which stands midway between the means of the first scores of both sides."""
    pilots = math.ceil(PILOTS * inside.size)
    threshold = (inside[:pilots].mean() + outside[:pilots].mean()) / 2
    missed, accused = int(np.sum(inside[pilots:] <= threshold)), int(np.sum(outside[pilots:] > threshold))
    mu = mu_from_errors(missed, inside.size - pilots, accused, outside.size - pilots, alpha=alpha)
    return epsilon_of_gaussian(mu, delta)


@lru_cache(maxsize=128)
def _reach(epsilon: float, delta: float, canaries: int, alpha: float, method: Method) -> Reach:
    found = plan(epsilon=epsilon, delta=delta, canaries=canaries, method=method, level=1 - alpha, power=POWER)
    return Reach(detectable=found.cap, expected=found.expected, bug_epsilon=found.bug_epsilon, guessed=found.guessed)


@lru_cache(maxsize=128)
def _reach_of_registered(epsilon: float, delta: float, half: int, alpha: float) -> Reach:
    """Simulates audits of Gaussian mechanisms, the same randomness at every mu."""
    generator = Streams(0).generator("audit of a mechanism", half)
    inside, outside = generator.standard_normal((2, REPETITIONS, half))

    def bounds(mu: float) -> Floats:
        pairs = zip(inside + mu, outside, strict=True)
        return np.array([registered_bound(one, other, delta=delta, level=1 - alpha).value for one, other in pairs])

    def found(mu: float) -> bool:
        return bool(np.mean(bounds(mu) > epsilon) >= POWER)

    claimed = mu_of_epsilon(epsilon, delta)
    low, high = claimed, MOST_MU
    loudest = found(high)
    while loudest and high - low > 0.02 * high:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if found(middle) else (middle, high)
    apart = np.arange(float(half))
    return Reach(
        detectable=registered_bound(apart + half, apart, delta=delta, level=1 - alpha).detectable,
        expected=float(bounds(claimed).mean()),
        bug_epsilon=epsilon_of_gaussian(high, delta) if loudest else None,
        guessed=None,
    )


def _verdict(claim: PrivacyClaim, found: _Found, level: float) -> Verdict:
    bound, reach = found.bounds[found.decides], found.reach
    surely = f"epsilon is at least {bound:.3g} at delta {claim.delta:g} ({level:.0%} confidence)"
    promise, most = f"the accounted {claim.epsilon:.3g}", f"no canaries could have shown more than {reach.detectable:.3g}"
    outcome: Outcome
    if bound > claim.epsilon:
        outcome, reason = "contradicted", f"Canaries show that {surely}, above {promise}."
    elif reach.detectable <= claim.epsilon:
        outcome, reason = "not testable", f"N{most[1:]}, not above {promise}; take more canaries, or a mechanism that promises more."
    else:
        least = "no Gaussian mechanism" if reach.bug_epsilon is None else f"a Gaussian mechanism with epsilon {reach.bug_epsilon:.3g}"
        found_out = f"{least} would have been contradicted in 4 of 5 audits"
        outcome, reason = "not contradicted", f"Canaries show that {surely}, not above {promise}; {most}, and {found_out}."
    return Verdict(
        subject=claim.subject,
        outcome=outcome,
        reason=reason,
        lower_bound=bound,
        detectable=reach.detectable,
        level=level,
        method=METHODS[found.decides],
    )
