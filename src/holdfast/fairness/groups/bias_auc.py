"""Unintended bias after Borkan and others, and the bias of HateXplain: areas under ROC curves by group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.area_telling import AUC_UNIT, AreaTeller, areas_of
from holdfast.fairness.groups.rates import demand_rows, demand_scores, views
from holdfast.fairness.groups.telling import Teller
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Needs
from holdfast.fairness.predictions import Groups, Predictions

NOTES = (
    "An area looks at the order of scores and at no threshold: the decisions of a group may be worse, or better, than its areas.",
    "The background of a group are all rows outside it, of other groups or of none, so that areas of groups hang on the mix of the data.",
)


@dataclass(frozen=True, kw_only=True)
class UnintendedBiasAUC:
    """Subgroup, BPSN and BNSP areas and average equality gaps of every group against its background.

    Args:
        power: Of the generalised mean over groups, below 0.
        final: Whether to tell the final score of the Kaggle competition as well.

    Raises:
        InputError: For a power that is not below 0.

    References:
        Borkan, Dixon, Sorensen, Thain and Vasserman 2019, sections 3 and 4.
    """

    power: float = -5.0
    final: bool = False

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = False
    card: ClassVar[MetricCard] = MetricCard(
        name="unintended-bias-auc",
        title="Unintended bias AUCs (subgroup, BPSN, BNSP) and average equality gaps (Borkan et al. 2019)",
        notion="scores order positive above negative rows as well for a group, and across its border, as for everybody",
        groups="any attribute; groups may share members",
        source_text="the data that were predicted",
        level="decision",
        kind="extrinsic",
        unit=AUC_UNIT,
        ideal=1.0,
        direction="higher is better",
        criticism=(
            "It looks at no threshold, by design, while users meet decisions (Borkan et al. 2019 call it threshold agnostic).",
            "What metrics of this kind say differs by their parameters, such as what groups are compared with (Czarnowska et al. 2021).",
            "Comparing models by areas leaves open questions of thresholds, class balance and doubt (Kwegyir-Aggrey et al. 2023).",
        ),
        harms="A low BPSN area: harmless texts that mention the group are ranked among attacks, and the group is silenced.",
        reference="Borkan, Dixon, Sorensen, Thain and Vasserman 2019, Nuanced metrics for measuring unintended bias",
    )

    def __post_init__(self) -> None:
        _below_zero(self.power, self.card.name)

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures five areas of every group and sums up the first three.

        Raises:
            InputError: For predictions without scores.
        """
        demand_rows(given, self.card.name)
        demand_scores(given, self.card.name)
        return _measure(given, self.card, subject, inference, power=self.power, final=self.final, summary="unintended_bias_auc")


@dataclass(frozen=True, kw_only=True)
class HateXplainBias:
    """The three areas over the largest communities, background restricted to posts of one of these, and their generalised mean (GMB).

    Which post belongs to which community comes with the groups; after the paper, where two of three annotators named it.

    Args:
        toxic: Classes that count as toxic where the predictions name no positive side.
        communities: How many of the largest communities are looked at, at least 1.
        power: Of the generalised mean, below 0.

    Raises:
        InputError: For a number out of its bounds.

    References:
        Mathew et al. 2021, section "Bias based metrics"; the notebook of its authors leaves out posts of none of the ten communities.
    """

    toxic: tuple[str, ...] = ("hatespeech", "offensive")
    communities: int = 10
    power: float = -5.0

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = False
    card: ClassVar[MetricCard] = MetricCard(
        name="hatexplain-bias",
        title="HateXplain bias: generalised means of subgroup, BPSN and BNSP AUC (Mathew et al. 2021)",
        notion="scores order toxic above other posts as well for each target community as for the others",
        groups="target communities, as annotators named them; they may share posts",
        source_text="posts of Twitter and Gab that target one of the communities",
        level="decision",
        kind="extrinsic",
        unit=AUC_UNIT,
        ideal=1.0,
        direction="higher is better",
        criticism=(
            "One number for many communities hides which one is served badly (Borkan et al. 2019 show them side by side).",
            "Annotators of hate speech may disagree systematically, which a majority vote hides (Davani, Diaz and Prabhakaran 2022).",
            "Groups by target leave out who wrote the text: tweets in African American English are flagged more often (Sap et al. 2019).",
        ),
        harms="Harmless posts about a community are ranked among attacks on it, and attacks on it are overlooked.",
        reference="Mathew, Saha, Yimam, Biemann, Goyal and Mukherjee 2021, HateXplain; Borkan et al. 2019",
    )

    def __post_init__(self) -> None:
        _below_zero(self.power, self.card.name)
        if not isinstance(self.communities, int) or self.communities < 1:
            raise InputError(f"hatexplain-bias: communities {self.communities!r}; give a whole number of at least 1, 10 after the paper")
        if not self.toxic:
            raise InputError("hatexplain-bias: toxic names no class; give at least one, such as 'hatespeech'")

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures areas of every community and their generalised means.

        Raises:
            InputError: For predictions without scores, or without a toxic class.
        """
        demand_rows(given, self.card.name)
        demand_scores(given, self.card.name)
        positive = tuple(name for name in self.toxic if name in given.classes) if given.positive is None else given.positive
        if not positive:
            raise InputError(
                f"hatexplain-bias: none of {', '.join(self.toxic)} is among the classes {', '.join(given.classes)}; set `toxic`"
            )
        kept = restricted(replace(given, positive=positive), self.communities)
        demand_rows(kept, self.card.name)
        told: dict[str, Condition] = {"communities": len(kept.groups.names), "posts": len(kept)}
        return _measure(kept, self.card, subject, inference, power=self.power, final=False, summary="hatexplain_bias", conditions=told)


def restricted(predictions: Predictions, count: int) -> Predictions:
    """Keeps the largest groups, and of the rows those that belong to one of them.

    Args:
        predictions: Of a model.
        count: How many groups; of two equally large ones the first is kept.
    """
    groups = predictions.groups
    largest = np.sort(np.argsort(-groups.sizes, kind="stable")[:count])
    members = groups.members[:, largest]
    rows = members.any(1)
    found, of = np.unique(predictions.units.of[rows], return_inverse=True)
    return replace(
        predictions,
        y_true=predictions.y_true[rows],
        y_pred=predictions.y_pred[rows],
        scores=None if predictions.scores is None else predictions.scores[rows],
        groups=Groups(groups.attribute, tuple(groups.names[place] for place in largest), members[rows]),
        units=replace(predictions.units, of=of.astype(np.int64), count=len(found)),
    )


def _below_zero(power: float, metric: str) -> None:
    if not power < 0 or not math.isfinite(power):
        raise InputError(f"{metric}: power {power} is not below 0; -5 is usual, and leans towards the worst group")


def _measure(
    given: Predictions,
    card: MetricCard,
    subject: str,
    inference: Inference,
    *,
    power: float,
    final: bool,
    summary: str,
    conditions: Mapping[str, Condition] | None = None,
) -> Evidence:
    streams = inference.streams(card.name)
    found = tuple(
        areas_of(view, given, inference=inference, generator=streams.generator("bootstrap", place))
        for place, view in enumerate(views(given))
    )
    teller = Teller.of(card, subject, inference=inference, predictions=given, conditions=conditions)
    telling = AreaTeller(teller=teller, found=found, summary=summary, power=power)
    return Evidence(estimates=(*telling.summaries(final=final), *telling.rows()), notes=NOTES)
