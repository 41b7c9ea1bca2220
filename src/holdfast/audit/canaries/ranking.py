"""Ranks planted secrets among all that they might have been, and holds a promise to the ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from holdfast.audit.canaries.combining import fisher
from holdfast.audit.canaries.exposure import Exposure, exact_exposure, sampled_exposure
from holdfast.audit.canaries.fills import place_of, random_fills
from holdfast.audit.canaries.rank_bounds import CONDITIONS, RankBound, exposure_allowed, rank_bounds
from holdfast.audit.canaries.tables import SecretTables
from holdfast.audit.intervals import Floats
from holdfast.audit.verdicts import hold_against, not_testable
from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Curve, Direction, Estimate, Evidence, Interval
from holdfast.core.progress import OnProgress, silent
from holdfast.core.randomness import Streams
from holdfast.data.secrets import Secret

ATTACK = "canary"
"""What the figures of this attack name as their attack."""

ACCESS = "black-box: losses of chosen inputs"

SAMPLES = 100_000
"""Fills that are drawn where there are too many to enumerate: enough for a p-value of 1e-5."""

TOLERANCE = 1e-6
"""Nats by which a drawn fill may lie above the secret and still count as tied: a batch of another size rounds otherwise."""

BINS = 60
"""Of the histogram of losses."""

MOST_SPACE = 10**9
"""More fills than anyone ranks a secret among; a test that needs more is called out of reach."""

CARLINI = "Carlini, Liu, Erlingsson, Kos, Song 2019, arXiv 1802.08232"

NOTES = (
    f"The ranking of secrets stands on this: {'; '.join(CONDITIONS)}. That uniform draws, not choice, decided the secrets is the word of "
    "whoever planted them.",
    "The attacker knows the words around a secret, its candidates, its label and its tags, and asks the final model in evaluation mode for "
    "losses. Checkpoints that are released, or an attack that sees more than losses, may tell more.",
    "A secret that ranks no better than chance proves nothing about other sentences: an invented one may be easier or harder to learn.",
)
"""What a ranking takes for granted, and what it cannot show."""


def rank_secrets(
    model: Any,
    secrets: Sequence[Secret],
    *,
    subject: str,
    claim: PrivacyClaim | None = None,
    level: float = 0.95,
    bound_level: float | None = None,
    streams: Streams | None = None,
    samples: int = SAMPLES,
    tables: SecretTables | None = None,
    on_progress: OnProgress = silent,
) -> Evidence:
    """Ranks each secret by its loss among all fills of its pattern, or among some drawn at random where there are too many.

    Args:
        model: An open model, or whatever gives one loss for each example, in evaluation mode.
        secrets: Planted ones, and controls that were not (repetitions 0), each drawn uniformly (`data.draw_secrets`).
        subject: The run that was trained.
        claim: The promise; its delta is that of the bounds. None for a run without one: the bounds are then at delta 0.
        level: Coverage of the intervals of sampled ranks, and confidence of the lower bounds together.
        bound_level: Confidence of the lower bounds where it is another, as when several tests share one chance of error.
        streams: Randomness of the draws, independent of that of the secrets; from seed 0 where left out.
        samples: Fills drawn at most for a pattern that has more than `tables.most`, at least 1; never more than `tables.most` itself,
            unless that is 0.
        tables: Losses that were enumerated before; made here where left out, up to a million fills of a pattern.
        on_progress: Told how far an enumeration is; an error that it raises stops it.

    Returns:
        For each secret the estimates `secret_rank`, `secret_exposure`, `secret_p_value` and, where it was planted,
        `secret_epsilon`, and the curve `fill_losses`; for all planted ones `secrets_p_value`; one verdict if there is a claim;
        notes on what was taken for granted. The method says whether a rank is exact or sampled.

    Raises:
        InputError: For no secret, two of one name, a claim of another run, a level outside (0, 1), losses that are no numbers, and
            whatever `fills.open_fills` refuses.

    Guarantee:
        A true claim is contradicted with probability at most 1 - bound_level, under `rank_bounds.CONDITIONS` (Bonferroni over the
        planted secrets). R copies are a group of R examples, and the bound for single examples is that of the group, converted;
        for a claim about users they are one user's, and nothing is converted.

    Edge cases:
        Controls take no part in the bounds, the joint p-value and the verdict. With controls alone a claim is not testable.

    References:
        Carlini, Liu, Erlingsson, Kos, Song 2019, "The secret sharer: evaluating and testing unintended memorization in neural
        networks", arXiv 1802.08232.
    """
    if claim is not None and claim.subject != subject:
        raise InputError(f"the claim speaks of {claim.subject!r}, the secrets of {subject!r}; give the claim of the run that was trained")
    check_secrets(secrets)
    made = tables or SecretTables(model, on_progress=on_progress)
    draws = (streams or Streams.from_seed(0)).child("ranking")
    ranked = [_ranked(one, made, samples=samples, level=level, streams=draws.child(one.name)) for one in secrets]
    test = _Test(claim=claim, level=level if bound_level is None else bound_level, ranked=tuple(ranked))
    return Evidence(
        estimates=tuple(estimate for one in ranked for estimate in test.estimates(one, subject)) + test.together(subject),
        curves=tuple(one.histogram(subject) for one in ranked),
        verdicts=test.verdicts(),
        notes=NOTES,
    )


def check_secrets(secrets: Sequence[Secret]) -> None:
    """Refuses no secret, and two of one name, whose figures could not be told apart.

    Raises:
        InputError: Naming the secret.
    """
    if not secrets:
        raise InputError("no secret is given; draw some (data.draw_secrets) and plant them before training")
    names = [secret.name for secret in secrets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two secrets are called {twice[0]!r}; give each a name of its own, or their figures could not be told apart")


def conditions_of(secret: Secret, *, attack: str) -> dict[str, Condition]:
    """What every figure about a secret says of it."""
    pattern = secret.pattern
    return {
        "attack": attack,
        "secret": secret.name,
        "length": pattern.length,
        "candidates": len(pattern.candidates),
        "repetitions": secret.repetitions,
        "space": pattern.size,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ranked:
    """A secret, its loss, and the losses that it was ranked among."""

    secret: Secret
    exposure: Exposure
    truth: float
    others: Floats

    @property
    def conditions(self) -> dict[str, Condition]:
        return conditions_of(self.secret, attack=ATTACK)

    def histogram(self, subject: str) -> Curve:
        """How the losses of the fills are spread."""
        finite = self.others[np.isfinite(self.others)]
        counts, edges = np.histogram(finite, bins=BINS)
        told = {"truth": self.truth} if math.isfinite(self.truth) else {}
        return Curve(
            name="fill_losses",
            subject=subject,
            x=tuple((edges[1:] + edges[:-1]) / 2),
            y=tuple(counts / self.others.size),
            x_label="loss of a fill (nats)",
            y_label="share of the fills",
            conditions=self.conditions | told,
            method=self.exposure.method,
        )


def _ranked(secret: Secret, tables: SecretTables, *, samples: int, level: float, streams: Streams) -> _Ranked:
    table = tables.table(secret.pattern)
    if table is not None:
        truth = place_of(secret.places, secret.pattern)
        exposure = exact_exposure(table.every, truth=truth)
        return _Ranked(secret=secret, exposure=replace(exposure, level=level), truth=float(table.every[truth]), others=table.every)
    count = min(samples, tables.most or samples, secret.pattern.size - 1)
    drawn = random_fills(secret.pattern, count=count, generator=streams.generator("fills"))
    losses = tables.fills(secret.pattern).losses(np.concatenate([[secret.places], drawn]))
    exposure = sampled_exposure(float(losses[0]), losses[1:], space=secret.pattern.size, tolerance=TOLERANCE, level=level)
    return _Ranked(secret=secret, exposure=exposure, truth=float(losses[0]), others=losses[1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Test:
    """What the ranks of the planted secrets say of the promise.

    Args:
        claim: The promise, or None.
        level: One-sided confidence of all bounds together.
        ranked: All secrets, controls too.
    """

    claim: PrivacyClaim | None
    level: float
    ranked: tuple[_Ranked, ...]

    @property
    def planted(self) -> list[_Ranked]:
        return [one for one in self.ranked if one.secret.repetitions]

    @property
    def delta(self) -> float:
        return 0.0 if self.claim is None else self.claim.delta

    def copies(self, one: _Ranked) -> int:
        """How many units of the promise a secret is: as many examples as copies, but one user."""
        return 1 if self.claim is not None and self.claim.unit == "user" else one.secret.repetitions

    def bounds(self) -> tuple[RankBound, ...]:
        """What each planted secret proves, all of them together at the level."""
        copies = [self.copies(one) for one in self.planted]
        return rank_bounds([one.exposure for one in self.planted], copies=copies, delta=self.delta, level=self.level)

    def estimates(self, one: _Ranked, subject: str) -> list[Estimate]:
        """The figures of one secret."""
        make, found = _maker(one, subject), one.exposure
        known: dict[str, Condition] = {"null_mean": found.null_mean, "most": found.most_bits}
        if self.claim is not None and one.secret.repetitions:
            alpha = (1 - self.level) / len(self.planted)
            copies, epsilon = self.copies(one), self.claim.epsilon
            allowed = exposure_allowed(epsilon, self.delta, copies=copies, space=found.outcomes, alpha=alpha)
            known |= {"cap": allowed.bits, "cap_level": 1 - alpha}
        made = [
            make("secret_rank", "rank", "higher is better", found.rank, interval=found.rank_interval),
            make("secret_exposure", "bits", "lower is better", found.bits, interval=found.bits_interval, conditions=known),
            make("secret_p_value", "probability", "neither", found.p_value),
        ]
        if one.secret.repetitions:
            made.append(self._epsilon(one, make))
        return made

    def _epsilon(self, one: _Ranked, make: Callable[..., Estimate]) -> Estimate:
        bound = self.bounds()[self.planted.index(one)]
        conditions: dict[str, Condition] = {
            "delta": bound.delta,
            "level": bound.level,
            "detectable": bound.detectable,
            "unit": "example" if self.claim is None else self.claim.unit,
        }
        method = f"{bound.method}; {one.exposure.method}"
        return make("secret_epsilon", "nats", "lower is better", bound.value, conditions=conditions, method=method)

    def together(self, subject: str) -> tuple[Estimate, ...]:
        """One p-value for all planted secrets; nothing without any."""
        planted = self.planted
        if not planted:
            return ()
        return (
            Estimate(
                name="secrets_p_value",
                subject=subject,
                value=fisher([one.exposure.p_value for one in planted]),
                unit="probability",
                direction="neither",
                n=len(planted),
                conditions={"attack": ATTACK, "secrets": len(planted), "combination": "Fisher"},
                method="Fisher's product of the p-values of all planted secrets: the chance of such ranks if the model knew none of them",
                reference=CARLINI,
                access=ACCESS,
            ),
        )

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict on the promise, by the highest of the bounds; none without a promise."""
        if self.claim is None:
            return ()
        if not self.planted:
            return (not_testable(self.claim, "no secret was planted; plant one at least once"),)
        bounds = self.bounds()
        best = max(bounds, key=lambda bound: bound.value)
        name = self.planted[bounds.index(best)].secret.name
        bound = replace(best, detectable=max(each.detectable for each in bounds))
        how = f"the best rank of {'this secret' if len(bounds) == 1 else f'these {len(bounds)} secrets'}"
        reach = f"{how} would show {bound.detectable:.3g}"
        return (hold_against(bound, self.claim, shown=f"the rank of secret {name!r} shows", reach=reach, cure=self._cure(self.claim)),)

    def _cure(self, claim: PrivacyClaim) -> str:
        """How large a space would make the promise testable by one secret that is planted once."""
        spare = 1 - self.level - claim.delta
        if spare > 0 and claim.epsilon < math.log(MOST_SPACE * spare):
            return f"one secret, planted once and ranked among {math.ceil(math.exp(claim.epsilon) / spare) + 1:,} fills, would do"
        return "no number of fills within reach would do"


def _maker(one: _Ranked, subject: str) -> Callable[..., Estimate]:
    def make(
        name: str,
        unit: str,
        direction: Direction,
        value: float,
        *,
        interval: Interval | None = None,
        conditions: dict[str, Condition] | None = None,
        method: str = "",
    ) -> Estimate:
        return Estimate(
            name=name,
            subject=subject,
            value=value,
            unit=unit,
            direction=direction,
            interval=interval,
            n=one.others.size,
            conditions=one.conditions | (conditions or {}),
            method=method or one.exposure.method,
            reference=CARLINI,
            access=ACCESS,
        )

    return make
