"""The gap of true positive rates between two groups, class by class, as for occupations in biographies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.groups.gaps import norm_interval, sized
from holdfast.fairness.groups.rates import RateTable, class_views, demand_disjoint, demand_rows
from holdfast.fairness.groups.telling import NOTES, Teller
from holdfast.fairness.inference import Band, Fairness, Inference, Measured, cohen_h, equivalence, holm, max_t_band, ratio_replicates
from holdfast.fairness.metric import Needs
from holdfast.fairness.predictions import Groups, Predictions

Floats = NDArray[np.float64]

FEWEST_CLASSES = 3
"""Classes that a correlation needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassGaps:
    """True positive rates of two groups in every class.

    Args:
        table: The rates, first and second group, (K, 2).
        gaps_K: First minus second; NaN where one of both has no row of the class. A rate of 0 is a rate.
        share_K: Share of the first group among the rows of the class that belong to one of both; NaN where there is none.
    """

    table: RateTable
    gaps_K: Floats
    share_K: Floats

    @property
    def defined(self) -> NDArray[np.int64]:
        """Classes that have a gap."""
        return np.flatnonzero(np.isfinite(self.gaps_K))

    @property
    def root_mean_square(self) -> float:
        """Over the classes that have a gap; NaN where none has."""
        return math.sqrt(float(np.mean(self.gaps_K[self.defined] ** 2))) if len(self.defined) else math.nan

    @property
    def correlation(self) -> float:
        """Pearson's, of gaps with shares, over the classes that have a gap; NaN below three classes or where one side is constant."""
        return float(_correlations(self.gaps_K[None, self.defined], self.share_K[None, self.defined])[0])


def class_gaps(predictions: Predictions, first: str, second: str) -> ClassGaps:
    """Measures the gap of every class, also of those that nobody was found in.

    Args:
        predictions: Of a model.
        first: The group whose rate the other is taken from, such as "female".
        second: The other.

    Raises:
        InputError: For an unknown group, twice the same, or two groups that share a member.
    """
    names = predictions.groups.names
    for name in (first, second):
        if name not in names:
            raise InputError(f"tpr-gap: {name!r} is no group of {predictions.groups.attribute!r}; {nearest(name, names)}")
    if first == second:
        raise InputError(f"tpr-gap: first and second group are both {first!r}; name two")
    places = [names.index(first), names.index(second)]
    groups = Groups(predictions.groups.attribute, (first, second), predictions.groups.members[:, places])
    demand_disjoint(groups, "tpr-gap")
    counted = RateTable.of(predictions, ("true_positive_rate",), looked_at=class_views(predictions))
    table = RateTable(counted.columns, groups, counted.units, counted.above_nQ, counted.below_nQ)
    rows = table.below.sum(1)
    share = np.divide(table.below[:, 0], rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return ClassGaps(table=table, gaps_K=table.values[:, 0] - table.values[:, 1], share_K=share)


def _correlations(gaps_RK: Floats, shares_RK: Floats) -> Floats:
    """Pearson's correlation of each row; NaN where it is undefined."""
    if gaps_RK.shape[1] < FEWEST_CLASSES:
        return np.full(len(gaps_RK), np.nan)
    one, other = (side - side.mean(1, keepdims=True) for side in (gaps_RK, shares_RK))
    below = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    found: Floats = np.divide((one * other).sum(1), below, out=np.full(len(below), np.nan), where=below > 1e-12)
    return found


@dataclass(frozen=True, kw_only=True)
class TPRGap:
    """True positive rate of one group minus that of another in every class, their root mean square, and what it goes along with.

    Args:
        first: The group whose rate the other is taken from; where both are "", the data must have two groups, the first of which it is.
        second: The other.

    Raises:
        InputError: Where one is named and the other is not, or both are the same.
    """

    first: str = ""
    second: str = ""

    needs: ClassVar[Needs] = "predictions"
    groups_apart: ClassVar[bool] = True
    card: ClassVar[MetricCard] = MetricCard(
        name="tpr-gap",
        title="True positive rate gap by class, as for occupations in biographies (De-Arteaga et al. 2019)",
        notion="equal opportunity in every class",
        groups="two groups that share no member, such as women and men",
        source_text="the data that were predicted, such as biographies of the web",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=(
            "Two groups only: in biographies gender was read off pronouns, which leaves out everybody else (De-Arteaga et al. 2019).",
            "The root mean square hides the direction, and what is found differs by the metric chosen (Orgad and Belinkov 2022).",
            "One number hides whether gaps go along with shares, by which imbalance is compounded (De-Arteaga et al. 2019).",
        ),
        harms="People who are few in an occupation are less often recognised in it, so that imbalance grows (allocation).",
        reference="De-Arteaga et al. 2019, Bias in bios; Romanov et al. 2019; Ravfogel et al. 2020 (root mean square)",
    )

    def __post_init__(self) -> None:
        if bool(self.first) != bool(self.second) or (self.first and self.first == self.second):
            raise InputError(f"tpr-gap: first {self.first!r} and second {self.second!r}; name two groups, or none where the data have two")

    def measure(self, given: Predictions, *, subject: str, inference: Inference) -> Evidence:
        """Measures gaps, their root mean square and their correlation with the share of the first group.

        Raises:
            InputError: Where it is not clear which two groups are meant, or where both share a member.
        """
        demand_rows(given, self.card.name)
        names = given.groups.names
        if not self.first and len(names) != 2:
            raise InputError(f"tpr-gap: there are {len(names)} groups ({', '.join(names[:10])}); say which two by `first` and `second`")
        found = class_gaps(given, *((self.first, self.second) if self.first else names))
        streams = inference.streams(self.card.name)
        drawn, shares = _replicates(found, inference, streams.generator("bootstrap"))
        told: dict[str, Condition] = {"first": found.table.groups.names[0], "second": found.table.groups.names[1]}
        teller = Teller.of(self.card, subject, inference=inference, predictions=given, conditions=told)
        gaps_RK = drawn[:, :, 0] - drawn[:, :, 1]
        p_values = [
            found.table.p_value(place, inference=inference, generator=streams.generator("permutation", place))
            for place in range(len(found.gaps_K))
        ]
        estimates = [
            _root_mean_square(found, gaps_RK, teller),
            _correlation(found, gaps_RK, shares, teller),
            *_by_class(found, gaps_RK, p_values, teller),
            *teller.rates(found.table, found.table.band(drawn, inference), directions={"true_positive_rate": "higher is better"}),
        ]
        return Evidence(estimates=tuple(estimates), notes=NOTES)


def _replicates(found: ClassGaps, inference: Inference, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Replicates of rates, (R, K, 2), and of shares of the first group, (R, K), from the same draws of units."""
    table, members = found.table, found.table.groups.members
    in_class = table.below_nQ
    rates_above, rates_below = (
        (side[:, :, None] & members[:, None, :]).reshape(len(table.units), -1) for side in (table.above_nQ, table.below_nQ)
    )
    above = np.concatenate([rates_above, in_class & members[:, :1]], axis=1)
    below = np.concatenate([rates_below, in_class & (members[:, :1] | members[:, 1:])], axis=1)
    drawn = ratio_replicates(above, below, table.units, replicates=inference.replicates, generator=generator)
    return drawn[:, : rates_above.shape[1]].reshape(inference.replicates, -1, 2), drawn[:, rates_above.shape[1] :]


def _about(found: ClassGaps) -> tuple[Measured, dict[str, Condition | None]]:
    """What is known beside a summary, and which classes have no gap."""
    table = found.table
    sizes = dict(zip(table.groups.names, map(int, table.groups.sizes), strict=True))
    absent = [str(table.columns[place][1]) for place in np.flatnonzero(np.isnan(found.gaps_K))]
    about = Measured(value=None, missing=f"none of {len(found.gaps_K)} classes has rows of both groups", units=table.units.count,
                     resampled=table.units.what, sizes=sizes)  # fmt: skip
    return about, {"undefined": len(absent), "left out": ", ".join(absent), "number of classes": len(found.defined)}


def _root_mean_square(found: ClassGaps, gaps_RK: Floats, teller: Teller) -> Estimate:
    about, more = _about(found)
    if len(found.defined):
        weights, level = np.full(len(found.defined), 1 / len(found.defined)), teller.inference.level
        norm = norm_interval(found.gaps_K[found.defined], gaps_RK[:, found.defined], weights_P=weights, level=level, power=2)
        test, margin = "no gap in any class, length of the error", teller.inference.margin
        about = sized(norm, found.root_mean_square, about, test=test, margin=margin)
        more = more if norm is None else {**more, "at_parity": norm.at_parity}
    method = "root mean square over classes of the true positive rate of the first group minus that of the second"
    return teller.tell("true_positive_rate_gap", about, method=method, conditions={"statistic": "root mean square", **more})


def _correlation(found: ClassGaps, gaps_RK: Floats, shares_RK: Floats, teller: Teller) -> Estimate:
    about, more = _about(found)
    value, name = found.correlation, "true_positive_rate_gap_correlation"
    method = "Pearson correlation over classes of the gap with the share of the first group among the rows of the class"
    more, unjudged = {"statistic": "correlation", **more}, "a correlation is no difference, of which the margin is"
    if math.isnan(value):
        count = len(found.defined)
        why = f"{count} classes have a gap; a correlation needs {FEWEST_CLASSES}, and gaps and shares that vary"
        missing = Measured(value=None, missing=why, units=about.units, resampled=about.resampled, sizes=about.sizes)
        return teller.tell(name, missing, method=method, direction="neither", unit="correlation", conditions=more)
    drawn = _correlations(gaps_RK[:, found.defined], shares_RK[:, found.defined])
    band = max_t_band(np.array([value]), drawn[:, None], level=teller.inference.level, bounds=(-1.0, 1.0))
    low, high = float(band.low[0]), float(band.high[0])
    sure = math.isfinite(low)
    interval = (
        f"bootstrap of {about.resampled}, studentised, {len(drawn)} replicates; for these classes" if sure else "the spread cannot be told"
    )
    measured = Measured(value=value, low=low if sure else None, high=high if sure else None, interval=interval, units=about.units,
                        resampled=about.resampled, sizes=about.sizes)  # fmt: skip
    return teller.tell(name, measured, method=method, direction="neither", unit="correlation", conditions=more, unjudged=unjudged)


def _by_class(found: ClassGaps, gaps_RK: Floats, p_values: list[float | None], teller: Teller) -> list[Estimate]:
    """The gap of every class; intervals hold for all classes at once."""
    level = teller.inference.level
    bands = [max_t_band(found.gaps_K, gaps_RK, level=at, bounds=(-1.0, 1.0)) for at in (level, max(2 * level - 1, 0.01))]
    adjusted = holm([math.nan if p_value is None else p_value for p_value in p_values])
    told = []
    for place, (_, label) in enumerate(found.table.columns):
        known: dict[str, Condition | None] = {"class": label}
        if math.isfinite(found.share_K[place]):
            known["share of the first group"] = float(found.share_K[place])
        if math.isfinite(adjusted[place]):
            known |= {"p_adjusted": float(adjusted[place]), "adjustment": f"Holm, {len(p_values)} classes"}
        measured = _class_gap(found, place, bands, p_values[place], teller)
        method = "true positive rate of the first group minus that of the second"
        told.append(teller.tell("true_positive_rate_gap", measured, method=method, direction="neither", conditions=known))
    return told


def _class_gap(found: ClassGaps, place: int, bands: list[Band], p_value: float | None, teller: Teller) -> Measured:
    table, band, margin = found.table, bands[0], teller.inference.margin
    low, high = float(band.low[place]), float(band.high[place])
    sure = math.isfinite(low) and math.isfinite(high)
    absent = [why for group in (0, 1) if (why := table.why_missing(place, group)) is not None]
    return Measured(
        value=None if absent else float(found.gaps_K[place]),
        low=low if sure else None,
        high=high if sure else None,
        interval=teller.simultaneous(len(table.columns)) if sure else "the spread cannot be told",
        p_value=p_value,
        test="" if p_value is None else f"labels permuted by unit ({table.units.what}) within the class",
        effect_size=None if absent else cohen_h(float(table.values[place, 0]), float(table.values[place, 1])),
        effect="" if absent else "Cohen's h",
        verdict=None if absent or margin is None else _class_verdict(place, bands, margin),
        units=sum(table.independent(place, group) for group in (0, 1)),
        resampled=table.units.what,
        sizes={name: int(table.below[place, group]) for group, name in enumerate(table.groups.names)},
        missing="; ".join(absent) or None,
    )


def _class_verdict(place: int, bands: list[Band], margin: float) -> Fairness:
    """Unfair by the interval that is shown, fair by the shorter one of two one-sided tests."""
    shown, shorter = (equivalence(float(band.low[place]), float(band.high[place]), margin=margin) for band in bands)
    return shorter if shown != "unfair" and shorter == "fair within the margin" else shown
