"""Error rate equality after Dixon and others: how far the error rates of groups lie from those of everybody, summed up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.gaps import Gap, Gaps, norm_interval, sized
from holdfast.fairness.groups.rates import RateTable, View, demand_rows, demand_scores, views
from holdfast.fairness.groups.telling import NOTES, Teller
from holdfast.fairness.inference import Inference, Measured, ratio_replicates
from holdfast.fairness.metric import Needs
from holdfast.fairness.predictions import Predictions

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

NAMES = {"false_positive_rate": "false_positive_equality_difference", "false_negative_rate": "false_negative_equality_difference"}
STATISTICS = ("sum of absolute differences", "mean absolute difference")
OWN_NOTES = (
    "The sum grows with the number of groups, and noise alone makes it positive: read it beside `at_parity`, what it would be on average "
    "if all groups had the error rates of everybody.",
)
OF_A_SUM = "a sum grows with the number of groups, and the margin is of one difference; the mean has a verdict"


@dataclass(frozen=True)
class EqualityDifference:
    """How far the rates of groups lie from the rate of all rows.

    Args:
        total: Sum of the distances; NaN where a rate is undefined.
        mean: Their mean.
        distances_G: Rate of everybody minus rate of the group.
    """

    total: float
    mean: float
    distances_G: Floats


def equality_difference(overall: float, rates_G: Floats) -> EqualityDifference:
    """Sums up distances: FPED for false positive rates, FNED for false negative rates.

    Args:
        overall: The rate of all rows.
        rates_G: The rate of each group.

    References:
        Dixon, Li, Sorensen, Thain and Vasserman 2018, section 4.3.

    >>> round(equality_difference(0.2, np.array([0.1, 0.2, 0.5])).total, 12)
    0.4
    """
    distances = overall - np.asarray(rates_G, dtype=np.float64)
    return EqualityDifference(float(np.abs(distances).sum()), float(np.abs(distances).mean()) if len(distances) else math.nan, distances)


def equal_error_threshold(scores_n: Floats, positive_n: Bools) -> float:
    """The threshold at which false positives and false negatives are equally frequent, as nearly as the scores allow.

    Args:
        scores_n: Higher means more likely positive; a row counts as predicted positive at the threshold and above.
        positive_n: Who is truly positive.

    Returns:
        The lowest score whose false negative rate is closest to its false positive rate; NaN without a positive or a negative row.
    """
    if positive_n.all() or not positive_n.any():
        return math.nan
    candidates = np.unique(scores_n)
    missed = np.searchsorted(np.sort(scores_n[positive_n]), candidates, "left") / positive_n.sum()
    alarmed = 1 - np.searchsorted(np.sort(scores_n[~positive_n]), candidates, "left") / (~positive_n).sum()
    return float(candidates[int(np.argmin(np.abs(missed - alarmed)))])


@dataclass(frozen=True, kw_only=True)
class ErrorRateEquality:
    """False positive and false negative equality difference (FPED, FNED) at one threshold for all groups.

    Groups may share members: each is compared with all rows, also those of no group.

    Args:
        threshold: "decisions" for the decisions as they are, "equal error rate" for the threshold at which both kinds of error are
            equally frequent over all rows, or a number that the score of the positive side must reach.

    Raises:
        InputError: For another word, or a number that is not finite.
    """

    threshold: float | Literal["decisions", "equal error rate"] = "decisions"

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = False
    card: ClassVar[MetricCard] = MetricCard(
        name="error-rate-equality",
        title="Error rate equality differences (FPED and FNED, Dixon et al. 2018)",
        notion="equality of error rates, each group against everybody",
        groups="any attribute; groups may share members",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="sum of shares",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "It hangs on one threshold; four of its authors later put forward measures that need none (Borkan et al. 2019).",
            "A sum of absolute differences hides which group is hurt, and in which direction (by its definition, Dixon et al. 2018).",
            "What metrics of this kind say differs by their parameters, such as what groups are compared with (Czarnowska et al. 2021).",
        ),
        harms="Groups whose harmless texts are flagged more often are silenced; those for whom attacks are missed are left exposed.",
        reference="Dixon, Li, Sorensen, Thain and Vasserman 2018, Measuring and mitigating unintended bias in text classification",
    )

    def __post_init__(self) -> None:
        word = isinstance(self.threshold, str)
        if word and self.threshold not in ("decisions", "equal error rate"):
            raise InputError(f"error-rate-equality: threshold {self.threshold!r}; give 'decisions', 'equal error rate' or a number")
        if not word and not math.isfinite(float(self.threshold)):
            raise InputError(f"error-rate-equality: threshold {self.threshold} is not finite")

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures both rates of every group, and the sum of their distances to the rate of everybody.

        Raises:
            InputError: For a threshold on scores where there are none.
        """
        demand_rows(given, self.card.name)
        if self.threshold != "decisions":
            demand_scores(given, self.card.name)
        looked_at = views(given)
        strict = replace(inference, level=1 - (1 - inference.level) / len(looked_at))
        rows: list[Estimate] = []
        found: dict[tuple[int, str], list[tuple[Gap, Gap]]] = {}
        for place, view in enumerate(looked_at):
            decided, told = self._decided(view)
            table = RateTable.of(given, tuple(NAMES), looked_at=(decided,))
            drawn, of_all = _replicates(table, inference, inference.streams(self.card.name).generator("bootstrap", place))
            teller = Teller.of(self.card, subject, inference=inference, predictions=given, conditions=told)
            rows += teller.rates(table, table.band(drawn, inference), directions=dict.fromkeys(NAMES, "lower is better"))
            for column in range(len(NAMES)):
                for statistic in STATISTICS:
                    distances = drawn[:, column] - of_all[:, column, None]
                    pair = _pair(table, distances, column, statistic, rules=(inference, strict), more=told)
                    found.setdefault((column, statistic), []).append(pair)
        teller = Teller.of(self.card, subject, inference=inference, predictions=given)
        sums = [e for (column, statistic), pairs in found.items() for e in _told(teller, tuple(NAMES.values())[column], statistic, pairs)]
        return Evidence(estimates=(*sums, *rows), notes=NOTES + OWN_NOTES)

    def _decided(self, view: View) -> tuple[View, dict[str, Condition]]:
        """The view with decisions at the threshold."""
        if self.threshold == "decisions" or view.score is None:
            return View(view.label, view.y_true, view.y_pred, view.score), {"variant": "decisions as they are"}
        at_equal = self.threshold == "equal error rate"
        threshold = equal_error_threshold(view.score, view.y_true) if at_equal else float(self.threshold)
        told: dict[str, Condition] = {"variant": "threshold of equal error rates" if at_equal else "threshold"}
        if math.isfinite(threshold):
            told["threshold"] = threshold
        return View(view.label, view.y_true, view.score >= threshold, view.score), told


def _replicates(table: RateTable, inference: Inference, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Replicates of the rates of groups, (R, 2, G), and of everybody, (R, 2), from the same draws of units."""
    members = np.concatenate([table.groups.members, np.ones((len(table.units), 1), dtype=bool)], axis=1)[:, None, :]
    above, below = ((side[:, :, None] & members).reshape(len(table.units), -1) for side in (table.above_nQ, table.below_nQ))
    drawn = ratio_replicates(above, below, table.units, replicates=inference.replicates, generator=generator)
    cube = drawn.reshape(inference.replicates, 2, -1)
    return cube[:, :, :-1], cube[:, :, -1]


def _pair(
    table: RateTable,
    drawn_RG: Floats,
    column: int,
    statistic: str,
    *,
    rules: tuple[Inference, Inference],
    more: Mapping[str, Condition],
) -> tuple[Gap, Gap]:
    """The distance over all groups, missing where one has no rate, and over the groups that have a rate."""
    count = len(table.groups.names)
    known = np.flatnonzero(np.isfinite(table.values[column]))
    return _distance(table, drawn_RG, column, statistic, kept=np.arange(count), rules=rules, more=more), _distance(
        table, drawn_RG, column, statistic, kept=known, rules=rules, more=more
    )


def _distance(
    table: RateTable,
    drawn_RG: Floats,
    column: int,
    statistic: str,
    *,
    kept: NDArray[np.int64],
    rules: tuple[Inference, Inference],
    more: Mapping[str, Condition],
) -> Gap:
    """One sum or mean of distances, with intervals at both levels."""
    label, names = table.columns[column][1], table.groups.names
    sizes = {names[group]: int(table.below[column, group]) for group in kept}
    about = Measured(value=None, units=table.units.count, resampled=table.units.what, sizes=sizes)
    left_out = tuple(str(table.why_missing(column, group)) for group in range(len(names)) if group not in kept)
    difference = equality_difference(float(table.overall[column]), table.values[column, kept])
    if not len(kept) or not math.isfinite(difference.total):
        absent = [why for group in kept if (why := table.why_missing(column, int(group))) is not None]
        missing = replace(about, missing="; ".join(absent) or "0/0: no row of any group counts below the line")
        return Gap(alone=missing, shared=missing, label=label, left_out=left_out, more=more)
    summed = statistic == STATISTICS[0]
    weights = np.full(len(kept), 1.0 if summed else 1 / len(kept))
    norms = [norm_interval(difference.distances_G, drawn_RG[:, kept], weights_P=weights, level=rule.level) for rule in rules]
    value = difference.total if summed else difference.mean
    margin, test = None if summed else rules[0].margin, "all groups have the rate of everybody, length of the error"
    alone, shared = (sized(norm, value, about, test=test, margin=margin) for norm in norms)
    worst = names[int(kept[int(np.argmin(difference.distances_G))])]  # its rate lies highest above that of everybody
    at_parity: dict[str, Condition] = {} if norms[0] is None else {"at_parity": norms[0].at_parity}
    return Gap(alone=alone, shared=shared, label=label, worst=worst, left_out=left_out, more={**more, **at_parity})


def _told(teller: Teller, name: str, statistic: str, pairs: list[tuple[Gap, Gap]]) -> list[Estimate]:
    every, known = zip(*pairs, strict=True)
    partial = known if any(gap.alone.value is None for gap in every) else ()
    unit = "sum of shares" if statistic == STATISTICS[0] else "share"
    method = "distances of group rates to the rate of all rows"
    gaps = Gaps(every=every, partial=partial, kind="difference")
    return teller.gaps(name, gaps, method=method, statistic=statistic, unit=unit, unjudged=OF_A_SUM)
