"""Parity of rates between groups: demographic parity, equal opportunity, equalised odds, predictive parity, accuracy parity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Direction, Estimate, Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.gaps import Gap, Gaps, gaps_of, merged
from holdfast.fairness.groups.rates import RateTable, demand_disjoint, demand_rows
from holdfast.fairness.groups.telling import NOTES, Teller
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Needs
from holdfast.fairness.predictions import Predictions

Floats = NDArray[np.float64]

IMPOSSIBLE = (
    "Where base rates differ, precision, true and false positive rates cannot all be equal, save in special cases such as perfect "
    "prediction (Chouldechova 2017)."
)
APART = (
    "Where base rates differ, it and equal error rates cannot both hold, unless decisions say nothing of the label "
    "(Barocas, Hardt and Narayanan 2023)."
)
FRAGILE = "Equal averages of groups hide what happens to subgroups within them (Kearns, Neel, Roth and Wu 2018)."
FROZEN = (
    "A gap between rates invites a mechanical fix that can leave those worse off whom it should help "
    "(Liu, Dean, Rolf, Simchowitz and Hardt 2018; Corbett-Davies and Goel 2018)."
)


How = Literal["worst", "mean"]
VARIANTS: dict[How, str] = {"worst": "worst of true and false positives", "mean": "mean of true and false positives"}
DIRECTIONS: dict[str, Direction] = {
    "true_positive_rate": "higher is better",
    "precision": "higher is better",
    "accuracy": "higher is better",
    "false_positive_rate": "lower is better",
}
"""Which way is better; a selection rate has no such way."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Rates of all groups with what inference says of them.

    Args:
        table: The rates.
        band: Ends of intervals that hold for all of them at once, (Q, G) each.
        differences: Highest minus lowest group.
        ratios: Lowest over highest group.
    """

    table: RateTable
    band: tuple[Floats, Floats]
    differences: Gaps
    ratios: Gaps


def compare(predictions: Predictions, rates: tuple[str, ...], *, metric: str, inference: Inference) -> Compared:
    """Compares rates between groups.

    Args:
        predictions: Of a model.
        rates: Names in `RATES`.
        metric: Name of the card, which gives the random streams their name.
        inference: How intervals and tests are made.

    Raises:
        InputError: For groups that share a member.
    """
    demand_rows(predictions, metric)
    demand_disjoint(predictions.groups, metric)
    table, streams = RateTable.of(predictions, rates), inference.streams(metric)
    drawn = table.replicates(inference, streams.generator("bootstrap"))
    p_values = [
        table.p_value(column, inference=inference, generator=streams.generator("permutation", column))
        for column in range(len(table.columns))
    ]
    differences, ratios = (gaps_of(table, drawn, kind=kind, inference=inference, p_values=p_values) for kind in ("difference", "ratio"))
    return Compared(table, table.band(drawn, inference), differences, ratios)


def _measure(rate: str, prefix: str, predictions: Predictions, *, card: MetricCard, subject: str, inference: Inference) -> Evidence:
    found = compare(predictions, (rate,), metric=card.name, inference=inference)
    sides = replace(predictions, positive=None) if rate == "accuracy" else predictions  # accuracy is of all classes, whatever is positive
    teller = Teller.of(card, subject, inference=inference, predictions=sides)
    words = rate.replace("_", " ")
    told: list[Estimate] = [
        *teller.gaps(f"{prefix}_difference", found.differences, method=f"{words}, highest minus lowest group"),
        *teller.gaps(f"{prefix}_ratio", found.ratios, method=f"{words}, lowest over highest group"),
    ]
    told += teller.rates(found.table, found.band, directions=DIRECTIONS)
    return Evidence(estimates=tuple(told), notes=NOTES)


@dataclass(frozen=True, kw_only=True)
class DemographicParity:
    """Whether each group is given the positive decision, or each class, equally often."""

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="demographic-parity",
        title="Demographic parity (equal selection rates)",
        notion="independence of decision and group",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Looks at no label, so that a lazy decision for one group can satisfy it (Dwork, Hardt, Pitassi, Reingold and Zemel 2012).",
            "Rules out the perfect predictor where base rates differ (Hardt, Price and Srebro 2016).",
            APART,
            FROZEN,
            FRAGILE,
        ),
        harms="A group that is selected less often gets less of what the decision hands out, or more of what it takes away (allocation).",
        reference="Calders, Kamiran and Pechenizkiy 2009; Dwork et al. 2012",
    )

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures selection rates, their difference and their ratio.

        Raises:
            InputError: For groups that share a member.
        """
        return _measure("selection_rate", "demographic_parity", given, card=self.card, subject=subject, inference=inference)


@dataclass(frozen=True, kw_only=True)
class EqualOpportunity:
    """Whether those who are truly positive are found equally often in each group."""

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="equal-opportunity",
        title="Equal opportunity (equal true positive rates)",
        notion="equal opportunity",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Trusts the labels, which are measurements that may miss what they stand for (Jacobs and Wallach 2021).",
            "Is a relaxation of equalised odds, which leaves out false positives (Hardt, Price and Srebro 2016).",
            "Rates at one threshold hang on how risk is spread within a group as well as on the rule (Corbett-Davies and Goel 2018).",
            IMPOSSIBLE,
            FRAGILE,
        ),
        harms="In a group with a lower rate more of those who should get the positive decision are passed over (allocation).",
        reference="Hardt, Price and Srebro 2016, Equality of opportunity in supervised learning",
    )

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures true positive rates, their difference and their ratio.

        Raises:
            InputError: For groups that share a member.
        """
        return _measure("true_positive_rate", "equal_opportunity", given, card=self.card, subject=subject, inference=inference)


@dataclass(frozen=True, kw_only=True)
class PredictiveParity:
    """Whether a positive prediction is right equally often in each group."""

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="predictive-parity",
        title="Predictive parity (equal precision)",
        notion="sufficiency, at one threshold",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Can hold while error rates differ, as in the dispute about COMPAS (Angwin et al. 2016; Chouldechova 2017).",
            "At the same error rates precision moves with the base rate, so that a gap need not come from the model (Chouldechova 2017).",
            "Even calibration, which asks for more, does not guarantee equitable decisions (Corbett-Davies and Goel 2018).",
            IMPOSSIBLE,
            FRAGILE,
        ),
        harms="In a group with lower precision more people bear the consequences of a positive decision that is wrong.",
        reference="Chouldechova 2017, Fair prediction with disparate impact",
    )

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures precision, its difference and its ratio.

        Raises:
            InputError: For groups that share a member.
        """
        return _measure("precision", "predictive_parity", given, card=self.card, subject=subject, inference=inference)


@dataclass(frozen=True, kw_only=True)
class AccuracyParity:
    """Whether predictions are right equally often in each group, over all classes together."""

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="accuracy-parity",
        title="Accuracy parity (overall accuracy equality)",
        notion="equal quality of service",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Counts a false positive and a false negative alike, which seldom cost the same (Berk et al. 2021).",
            "A gap may come from noise or from too little data in a group as well as from the model (Chen, Johansson and Sontag 2018).",
            FRAGILE,
        ),
        harms="A group with lower accuracy is served worse by the same product (quality of service).",
        reference="Berk et al. 2021, Fairness in criminal justice risk assessments; Buolamwini and Gebru 2018, Gender shades",
    )

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures accuracy, its difference and its ratio.

        Raises:
            InputError: For groups that share a member.
        """
        return _measure("accuracy", "accuracy_parity", given, card=self.card, subject=subject, inference=inference)


@dataclass(frozen=True, kw_only=True)
class EqualisedOdds:
    """Whether right and false alarms are equally frequent in each group: the larger of both gaps, and their mean.

    References:
        Hardt, Price and Srebro 2016, definition 2.1. The larger of two gaps is what Fairlearn calls "worst case", the mean "mean".
    """

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="equalised-odds",
        title="Equalised odds (equal true and false positive rates)",
        notion="separation of decision and group, given the label",
        groups="any attribute whose groups share no member",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Trusts the labels, which are measurements that may miss what they stand for (Jacobs and Wallach 2021).",
            "Correcting a finished predictor until it holds can be far from the best that is possible "
            "(Woodworth, Gunasekar, Ohannessian and Srebro 2017).",
            "Rates at one threshold hang on how risk is spread within a group as well as on the rule (Corbett-Davies and Goel 2018).",
            IMPOSSIBLE,
            FRAGILE,
        ),
        harms="One group bears more false alarms, or more misses, than another.",
        reference="Hardt, Price and Srebro 2016, Equality of opportunity in supervised learning, definition 2.1",
    )

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures both rates, their differences and their ratios.

        Raises:
            InputError: For groups that share a member.
        """
        found = compare(given, ("true_positive_rate", "false_positive_rate"), metric=self.card.name, inference=inference)
        teller = Teller.of(self.card, subject, inference=inference, predictions=given)
        told: list[Estimate] = []
        for gaps in (found.differences, found.ratios):
            for how, variant in VARIANTS.items():
                joined = _joined(gaps, how, inference)
                told += teller.gaps(f"equalised_odds_{gaps.kind}", joined, method=f"{variant}, {gaps.kind} of groups", variant=variant)
        told += teller.rates(found.table, found.band, directions=DIRECTIONS)
        return Evidence(estimates=tuple(told), notes=NOTES)


def _joined(gaps: Gaps, how: How, inference: Inference) -> Gaps:
    """Makes one gap of the two of each class."""

    def join(parts: tuple[Gap, ...]) -> tuple[Gap, ...]:
        half = len(parts) // 2  # the true positive rates of all classes come first
        pairs = zip(parts[:half], parts[half:], strict=True)
        return tuple(merged(pair, kind=gaps.kind, how=how, inference=inference) for pair in pairs)

    return Gaps(every=join(gaps.every), partial=join(gaps.partial), kind=gaps.kind)
