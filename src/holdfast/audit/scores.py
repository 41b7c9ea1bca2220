"""Scores of a membership attack, and what they say: AUC, true positive rates, advantage, ROC and the test of a claim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from holdfast.audit.games import MembershipGame
from holdfast.audit.intervals import Area, Floats, tpr_band
from holdfast.audit.lower_bounds import advantage_cap
from holdfast.audit.roc import Advantage, OperatingPoints
from holdfast.audit.verdicts import Examination, examine, judge
from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Curve, Estimate, Evidence, Interval

FPRS = (0.1, 0.01, 0.001)
"""False positive rates at which the true positive rate is reported."""

FEWEST_FALSE_POSITIVES = 10
"""A false positive rate is resolvable where at least so many non-members are expected above its threshold."""

NOTES = (
    "A membership attack that finds little proves nothing about privacy: a stronger one may find more. Only a proof bounds all attacks.",
    "The attack speaks of single examples, not of all examples of one user.",
    "The attack figures rest on one training run. They take members and non-members for draws from one population and their scores for "
    "independent given the model; a bound that needs no such assumption takes many runs, or canaries planted at random.",
    "The attack saw the final model alone: checkpoints, and the choice of this run among others, may leak more.",
)
"""What no membership attack on one run can show."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One number for each member and each non-member; higher = more likely a member.

    Args:
        members: Scores (n1,), finite, at least two.
        nonmembers: Scores (n0,), finite, at least two.
        attack: Name of the attack, such as "loss threshold".
        access: What the attack was allowed to see, such as "black-box: losses".
        reference: Where the attack is described.
        game: What is known of the rows behind the scores; None where there is nothing but scores, and then the caller vouches
            that both sides were drawn alike and that no row has a copy.

    Raises:
        InputError: For fewer than two scores on a side, scores that are not finite, or a game of another size.

    >>> scores = Scores(members=[3.0, 2.0, 1.5], nonmembers=[1.0, 2.0, 0.5], attack="toy", access="none", reference="none")
    >>> round(scores.auc().value, 3)
    0.833
    """

    members: Floats
    nonmembers: Floats
    attack: str
    access: str
    reference: str
    game: MembershipGame | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members, "members"))
        object.__setattr__(self, "nonmembers", _checked(self.nonmembers, "non-members"))
        if self.game is not None:
            sizes = (self.game.members_alone.size, self.game.nonmembers_alone.size)
            if sizes != (self.members.size, self.nonmembers.size):
                raise InputError(f"{self.members.size} and {self.nonmembers.size} scores, but the game has {sizes[0]} and {sizes[1]} rows")

    def auc(self, *, subject: str = "", level: float = 0.95) -> Estimate:
        """The chance that a random member scores above a random non-member: one half where nothing leaks.

        Plain Mann-Whitney with ties counting half, not the area under the convex hull, which can never fall below one half.

        Args:
            subject: The run that the estimate speaks of.
            level: Confidence of the interval: Clopper-Pearson on as many pairs as DeLong's variance is worth; see
                `Area.interval`.
        """
        area, interval = self._area.value, self._area.interval(level=level)
        return self._estimate("membership_auc", subject, "Mann-Whitney", "DeLong et al. 1988", value=area, interval=interval)

    def tpr_at_fpr(self, fpr: float, *, subject: str = "", level: float = 0.95) -> Estimate:
        """The share of members found when at most this share of the non-members is accused.

        Args:
            fpr: False positive rate in (0, 1).
            subject: The run that the estimate speaks of.
            level: Confidence of the interval, which covers the place of the threshold and the share of members; see `tpr_band`.

        Returns:
            The estimate `tpr_at_fpr` with the condition "fpr". It is missing where fewer than ten non-members are expected above
            the threshold, because then the false positive rate itself is hardly known.

        Raises:
            InputError: For a rate outside (0, 1).
        """
        if not 0 < fpr < 1:
            raise InputError(f"false positive rate {fpr} is outside (0, 1); give a share such as .01")
        expected = fpr * self.nonmembers.size + 1e-9  # .29 * 100 is 28.999...
        method, reference = "threshold at that rate on the non-members", "Carlini et al. 2022, arXiv 2112.03570"
        if expected < FEWEST_FALSE_POSITIVES:
            missing = (
                f"not resolvable: {self.nonmembers.size:,} non-members give {expected:.3g} expected false positives at a rate of {fpr:g}; "
                f"{FEWEST_FALSE_POSITIVES} are needed, so at least {math.ceil(FEWEST_FALSE_POSITIVES / fpr - 1e-9):,} non-members"
            )
            return self._estimate("tpr_at_fpr", subject, method, reference, missing=missing, conditions={"fpr": fpr})
        threshold = np.sort(self.nonmembers)[::-1][math.floor(expected)]
        band = tpr_band(self.members, self.nonmembers, np.array([fpr]), level=level)
        how = "binomial interval for the threshold joined with Clopper-Pearson for the members"
        interval = Interval(low=float(band.low[0]), high=float(band.high[0]), level=level, method=how)
        value = float(np.mean(self.members > threshold))
        return self._estimate("tpr_at_fpr", subject, method, reference, value=value, interval=interval, conditions={"fpr": fpr})

    def advantage(self, claim: PrivacyClaim | None = None, *, subject: str = "", level: float = 0.95) -> Estimate:
        """The largest TPR - FPR over all thresholds.

        The largest of many is above zero even where nothing leaks. The conditions tell by how much: `null_mean` and `null_p95`
        are its mean and 95th percentile then, `p_value` the chance of a value as large.

        Args:
            claim: A promise; the most that it allows any attack goes into the conditions as `cap`.
            subject: The run that the estimate speaks of.
            level: Confidence of the interval; see `Advantage.interval`.
        """
        advantage = Advantage.of(self._points)
        conditions = advantage.null() | ({} if claim is None else {"cap": advantage_cap(claim.epsilon, claim.delta)})
        return self._estimate(
            "membership_advantage",
            subject,
            "largest TPR - FPR over all thresholds, chosen on these scores: biased upwards",
            "Yeom et al. 2018, arXiv 1709.01604",
            value=advantage.value,
            interval=advantage.interval(level=level),
            conditions=conditions,
        )

    def roc(self, *, subject: str = "", level: float = 0.95) -> Curve:
        """The ROC curve as at most 400 corners, from a false positive rate of 0 to (1, 1), with a pointwise band.

        Args:
            subject: The run that the curve speaks of.
            level: Confidence of the band at each point by itself; see `tpr_band`.
        """
        points = self._points
        kept = points.corners()
        band = tpr_band(self.members, self.nonmembers, points.fprs[kept], level=level)
        return Curve(
            name="roc",
            subject=subject,
            x=tuple(points.fprs[kept]),
            y=tuple(points.tprs[kept]),
            x_label="false positive rate",
            y_label="true positive rate",
            low=tuple(band.low),
            high=tuple(band.high),
            conditions={**self._conditions, "level": level},
            method="corners of the empirical curve, level between two of them: draw as steps; pointwise band",
        )

    def evidence(
        self, claim: PrivacyClaim | None = None, *, subject: str, level: float = 0.95, bound_level: float | None = None
    ) -> Evidence:
        """All that these scores say of one run, and of the promise that it makes.

        Args:
            claim: The promise; its delta is that of the lower bound. None for a run without one: the bound is then at delta 0.
            subject: The run that was attacked.
            level: Confidence of the intervals and of the lower bound.
            bound_level: Confidence of the lower bound where it is another, as when several attacks share one chance of error.

        Returns:
            Estimates `membership_auc`, `tpr_at_fpr` (at .1, .01, .001), `membership_advantage`, `epsilon_lower_bound` and, where
            the rows are known, `blind_auc`; the curve `roc`; a verdict if there is a claim; notes on what this does not show.
            The claim itself is not repeated.

        Raises:
            InputError: For a claim that speaks of another run.
        """
        if claim is not None and claim.subject != subject:
            raise InputError(
                f"the claim speaks of {claim.subject!r}, the scores of {subject!r}; give the claim of the run that was attacked"
            )
        delta = 0.0 if claim is None else claim.delta
        found = examine(self.members, self.nonmembers, self.game, delta=delta, level=level if bound_level is None else bound_level)
        estimates = (
            self.auc(subject=subject, level=level),
            *(self.tpr_at_fpr(fpr, subject=subject, level=level) for fpr in FPRS),
            self.advantage(claim, subject=subject, level=level),
            self._lower_bound(found, subject),
        )
        return Evidence(
            estimates=estimates if self.game is None else (*estimates, replace(self.game.blind, subject=subject)),
            curves=(self.roc(subject=subject, level=level),),
            verdicts=() if claim is None else (judge(found, claim),),
            notes=NOTES if self.game is None else NOTES + self.game.notes(),
        )

    @property
    def _area(self) -> Area:
        return Area.between(self.members, self.nonmembers)

    @property
    def _points(self) -> OperatingPoints:
        return OperatingPoints.of(self.members, self.nonmembers)

    @property
    def _conditions(self) -> dict[str, Condition]:
        return {"attack": self.attack, "members": self.members.size, "nonmembers": self.nonmembers.size, "training_runs": 1}

    def _lower_bound(self, found: Examination, subject: str) -> Estimate:
        reference = "Jagielski, Ullman, Oprea 2020, arXiv 2006.07709"
        if found.bound is None:
            return self._estimate("epsilon_lower_bound", subject, "", reference, missing=found.obstacle, unit="nats")
        bound = found.bound
        conditions = {"delta": bound.delta, "level": bound.level, "detectable": bound.detectable, "examples": found.examples}
        return self._estimate(
            "epsilon_lower_bound", subject, bound.method, reference, value=bound.value, conditions=conditions, unit="nats"
        )

    def _estimate(
        self,
        name: str,
        subject: str,
        method: str,
        reference: str,
        *,
        value: float | None = None,
        missing: str | None = None,
        interval: Interval | None = None,
        conditions: Mapping[str, Condition] | None = None,
        unit: str = "share",
    ) -> Estimate:
        return Estimate(
            name=name,
            subject=subject,
            value=value,
            unit=unit,
            direction="lower is better",
            interval=interval,
            n=self.members.size + self.nonmembers.size,
            conditions={**self._conditions, **(conditions or {})},
            method=method,
            reference=f"attack: {self.reference}; figure: {reference}",
            access=self.access,
            missing=missing,
        )


def _checked(values: ArrayLike, side: str) -> Floats:
    """Scores as a read-only array of its own."""
    scores = np.array(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size < 2:
        raise InputError(f"scores of the {side} have shape {scores.shape}; give one number for each of at least two examples")
    broken = int(np.sum(~np.isfinite(scores)))
    if broken:
        raise InputError(
            f"{broken} of {scores.size} scores of the {side} are not finite; mend the model or leave those examples out of both sides by a "
            "rule that does not look at the model"
        )
    scores.setflags(write=False)
    return scores
