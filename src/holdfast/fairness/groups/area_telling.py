"""Areas of all groups become evidence: a row for each, generalised means and worst groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.core.errors import InputError
from holdfast.core.evidence import Direction, Estimate
from holdfast.fairness.groups.areas import AREAS, AreasByGroup, RankedScores
from holdfast.fairness.groups.gaps import Gap, Gaps
from holdfast.fairness.groups.rates import View
from holdfast.fairness.groups.telling import Teller
from holdfast.fairness.inference import Inference, Measured, max_t_band, worst_group
from holdfast.fairness.predictions import Groups, Predictions

Floats = NDArray[np.float64]

SIDES = {
    "subgroup_auc": ("positive rows of the group", "negative rows of the group"),
    "bpsn_auc": ("positive rows of the background", "negative rows of the group"),
    "bnsp_auc": ("positive rows of the group", "negative rows of the background"),
    "positive_aeg": ("positive rows of the group", "positive rows of the background"),
    "negative_aeg": ("negative rows of the group", "negative rows of the background"),
}
"""Which rows each area sets against which."""
OF_AUC = AREAS[:3]
NO_GAP = "areas are no differences between groups, of which the margin is"
"""Why no area has a verdict."""
AUC_UNIT, GAP_UNIT = "area", "area minus 1/2"


def generalised_mean(values: Sequence[float] | Floats, power: float) -> float:
    """The power mean, which for a negative power leans towards the smallest value.

    Args:
        values: Above 0 for a negative power; a 0 makes the mean 0 then.
        power: Not 0.

    References:
        Borkan et al. 2019 used it in the Kaggle competition with a power of -5.

    >>> round(generalised_mean([0.5, 1.0], -5.0), 6)
    0.570825
    """
    return float(_power_means(np.asarray(values, dtype=np.float64)[None], power)[0])


def _power_means(values_RG: Floats, power: float) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.mean(values_RG**power, axis=1) ** (1 / power))


@dataclass(frozen=True, kw_only=True, eq=False)
class Areas:
    """Areas of all groups for one positive side, with replicates.

    Args:
        view: The positive side.
        seen: What the data give, one weighting.
        drawn: Bootstrap replicates.
        sizes: Rows of each group that are positive and negative, (G, 2).
        units: Units of the smaller of the two sides of each area, (A, G).
    """

    view: View
    seen: AreasByGroup
    drawn: AreasByGroup
    sizes: NDArray[np.int64]
    units: NDArray[np.int64]

    def band(self, level: float) -> tuple[Floats, Floats]:
        """Ends of intervals that hold for all areas of all groups at once, (A, G) each; NaN where there is none.

        They are made on the logit scale, where areas near 1 are not skewed, and widened where one side has few units, as Student's
        distribution is wider than the normal one.
        """
        middle = np.array([0.0 if area in OF_AUC else 0.5 for area in AREAS])
        values = np.stack([self.seen.by_group[area][0] for area in AREAS]) + middle[:, None]
        drawn = np.stack([self.drawn.by_group[area] for area in AREAS], axis=1) + middle[:, None]
        edge = 0.5 / np.maximum(self.units, 1) ** 2
        places, spread = (special.logit(np.clip(side, edge, 1 - edge)) for side in (values, drawn))
        centre = np.nanmean(np.where(np.isnan(values), 0.0, spread), axis=0)
        stretched = centre + (spread - centre) * _few(self.units, level)
        found = max_t_band(places.ravel(), stretched.reshape(len(drawn), -1), level=level)
        ends = (special.expit(end.reshape(values.shape)) for end in (found.low, found.high))
        low, high = ends
        return np.minimum(low, values) - middle[:, None], np.maximum(high, values) - middle[:, None]

    def why_missing(self, area: str, name: str, place: int) -> str | None:
        """Why a group has no area, or None where it has one."""
        if not math.isnan(self.seen.by_group[area][0, place]):
            return None
        positive, negative = self.sizes[place]
        total = (int(self.view.y_true.sum()), int((~self.view.y_true).sum()))
        rest = f"{total[0] - positive} positive and {total[1] - negative} negative"
        return (
            f"no pair of {' and '.join(SIDES[area])}: {name!r} has {positive} positive and {negative} negative rows, the background {rest}"
        )


def areas_of(view: View, predictions: Predictions, *, inference: Inference, generator: np.random.Generator) -> Areas:
    """Measures and resamples the areas of all groups.

    Args:
        view: The positive side, with scores.
        predictions: Its groups and units.
        inference: How many replicates.
        generator: Where they come from.

    Raises:
        InputError: Without scores.
    """
    if view.score is None:
        raise InputError("areas need the probability of the positive side, and only decisions are known; give `scores`")
    members = predictions.groups.members
    ranked = RankedScores.of(view.score, view.y_true, members)
    drawn = ranked.replicates(predictions.units, replicates=inference.replicates, generator=generator)
    sizes = np.stack([(members & side[:, None]).sum(0) for side in (view.y_true, ~view.y_true)], axis=1)
    return Areas(view=view, seen=ranked.areas(), drawn=drawn, sizes=sizes, units=_smaller_sides(view, predictions))


def _smaller_sides(view: View, predictions: Predictions) -> NDArray[np.int64]:
    """How many units the smaller side of each area has, (A, G)."""
    members, units = predictions.groups.members, predictions.units

    def count(rows_nG: NDArray[np.bool_]) -> NDArray[np.int64]:
        if units.single:
            return np.asarray(rows_nG.sum(0), dtype=np.int64)
        return np.array([len(np.unique(units.of[column])) for column in rows_nG.T], dtype=np.int64)

    positive = view.y_true[:, None]
    sides = {
        "positive rows of the group": count(members & positive),
        "negative rows of the group": count(members & ~positive),
        "positive rows of the background": count(~members & positive),
        "negative rows of the background": count(~members & ~positive),
    }
    return np.stack([np.minimum(*(sides[side] for side in SIDES[area])) for area in AREAS])


def _few(units: NDArray[np.int64], level: float) -> Floats:
    """By how much intervals of few units are wider than the bootstrap says: its variance is too small, and it is an estimate itself."""
    free = np.maximum(units - 1, 1)
    found: Floats = np.sqrt((free + 1) / free) * special.stdtrit(free, (1 + level) / 2) / special.ndtri((1 + level) / 2)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class AreaTeller:
    """Tells areas of one or more positive sides.

    Args:
        teller: Gives names and conditions.
        found: One for each positive side.
        summary: Name of the summary.
        power: Of the generalised mean.
    """

    teller: Teller
    found: tuple[Areas, ...]
    summary: str
    power: float

    @property
    def groups(self) -> Groups:
        """Whose areas they are."""
        return self.teller.predictions.groups

    def rows(self) -> list[Estimate]:
        """Every area of every group, with intervals that hold for all groups and areas of one positive side at once."""
        told: list[Estimate] = []
        for areas in self.found:
            low, high = areas.band(self.teller.inference.level)
            for place, name in enumerate(self.groups.names):
                told += [self._row(areas, at, place, name, (low[at, place], high[at, place])) for at in range(len(AREAS))]
            told.append(self._overall(areas))
        return told

    def _row(self, areas: Areas, at: int, place: int, name: str, ends: tuple[float, float]) -> Estimate:
        area = AREAS[at]
        value = float(areas.seen.by_group[area][0, place])
        sure = all(map(math.isfinite, ends))
        measured = Measured(
            value=None if math.isnan(value) else value,
            low=float(ends[0]) if sure else None,
            high=float(ends[1]) if sure else None,
            interval=f"{self.teller.simultaneous(len(AREAS) * len(self.groups.names))}, on the logit scale"
            if sure
            else "the spread cannot be told",
            units=self._units(place),
            resampled=self.teller.predictions.units.what,
            sizes={f"positive {name}": int(areas.sizes[place, 0]), f"negative {name}": int(areas.sizes[place, 1])},
            missing=areas.why_missing(area, name, place),
        )
        auc = area in OF_AUC
        direction: Direction = "higher is better" if auc else "neither"
        method = (
            f"how often the scores of {SIDES[area][0]} lie above those of {SIDES[area][1]}, ties count half{'' if auc else ', minus 1/2'}"
        )
        about = {"group": name, "class": areas.view.label}
        unit = AUC_UNIT if auc else GAP_UNIT
        return self.teller.tell(area, measured, method=method, direction=direction, unit=unit, conditions=about, unjudged=NO_GAP)

    def _units(self, place: int) -> int:
        units = self.teller.predictions.units
        return len(np.unique(units.of[self.groups.members[:, place]]))

    def _overall(self, areas: Areas) -> Estimate:
        value = float(areas.seen.overall[0])
        measured = _single(value, areas.drawn.overall, self.teller, level=self.teller.inference.level)
        about = {"statistic": "all rows", "class": areas.view.label}
        method = "area of all rows, of a group or not"
        return self.teller.tell("overall_auc", measured, method=method, unit=AUC_UNIT, conditions=about, unjudged=NO_GAP)

    def summaries(self, *, final: bool) -> list[Estimate]:
        """Generalised mean and worst group of each kind of area, over classes where there are several."""
        told: list[Estimate] = []
        if final:
            told += self._told("Kaggle final", None, [self._final(areas) for areas in self.found], [])
        means = f"generalised mean, p = {self.power:g}"
        for statistic, worst in ((means, False), ("worst group", True)):
            for area in OF_AUC:
                every = [self._summary(areas, area, worst=worst, leave_out=False) for areas in self.found]
                partial = [self._summary(areas, area, worst=worst, leave_out=True) for areas in self.found]
                told += self._told(statistic, area, every, partial)
        return told

    def _told(self, statistic: str, area: str | None, every: list[Gap], partial: list[Gap]) -> list[Estimate]:
        missing = any(gap.alone.value is None for gap in every)
        gaps = Gaps(every=tuple(every), partial=tuple(partial) if missing else (), kind="ratio")
        method = "over groups, of areas under ROC curves" if area else "a quarter each: area of all rows and the three generalised means"
        return self.teller.gaps(self.summary, gaps, method=method, statistic=statistic, variant=area, unit=AUC_UNIT, unjudged=NO_GAP)

    def _summary(self, areas: Areas, area: str, *, worst: bool, leave_out: bool) -> Gap:
        values, drawn = areas.seen.by_group[area][0], areas.drawn.by_group[area]
        names = self.groups.names
        kept = np.flatnonzero(np.isfinite(values)) if leave_out else np.arange(len(names))
        why = [areas.why_missing(area, name, place) for place, name in enumerate(names)]
        absent = tuple(reason for reason in why if reason is not None)
        if not len(kept) or (absent and not leave_out):
            missing = Measured(value=None, missing="; ".join(absent) or "there is no group", resampled=self.teller.predictions.units.what)
            return Gap(alone=missing, shared=missing, label=areas.view.label, left_out=absent)
        lowest = names[int(kept[int(np.argmin(values[kept]))])]
        ends = [
            _lowest(values[kept], drawn[:, kept], self.teller, level=level)
            if worst
            else _single(generalised_mean(values[kept], self.power), _power_means(drawn[:, kept], self.power), self.teller, level=level)
            for level in self._levels
        ]
        return Gap(alone=ends[0], shared=ends[1], label=areas.view.label, worst=lowest, left_out=absent if leave_out else ())

    def _final(self, areas: Areas) -> Gap:
        """The score of the Kaggle competition: a quarter each of the area of all rows and of the three generalised means."""
        means = [areas.seen.overall[0], *(generalised_mean(areas.seen.by_group[area][0], self.power) for area in OF_AUC)]
        parts = [areas.drawn.overall, *(_power_means(areas.drawn.by_group[area], self.power) for area in OF_AUC)]
        value, drawn = float(np.mean(means)), np.mean(parts, axis=0)
        if math.isnan(value):
            missing = Measured(value=None, missing="a group lacks an area: see its rows", resampled=self.teller.predictions.units.what)
            return Gap(alone=missing, shared=missing, label=areas.view.label)
        alone, shared = (_single(value, drawn, self.teller, level=level) for level in self._levels)
        return Gap(alone=alone, shared=shared, label=areas.view.label)

    @property
    def _levels(self) -> tuple[float, float]:
        """Of one interval alone, and so that those of all classes hold at once."""
        level = self.teller.inference.level
        return level, 1 - (1 - level) / len(self.found)


def _single(value: float, drawn_R: Floats, teller: Teller, *, level: float) -> Measured:
    """One number with its studentised interval, kept within [0, 1]."""
    units = teller.predictions.units
    if math.isnan(value):
        return Measured(value=None, missing="there are not rows of both kinds", units=units.count, resampled=units.what)
    band = max_t_band(np.array([value]), drawn_R[:, None], level=level, bounds=(0.0, 1.0))
    sure = math.isfinite(float(band.low[0]))
    interval = f"bootstrap of {units.what}, studentised, {len(drawn_R)} replicates" if sure else "the spread cannot be told"
    low, high = (float(band.low[0]), float(band.high[0])) if sure else (None, None)
    return Measured(value=value, low=low, high=high, interval=interval, units=units.count, resampled=units.what)


def _lowest(values_G: Floats, drawn_RG: Floats, teller: Teller, *, level: float) -> Measured:
    """The lowest area, with an interval that knows that it was chosen."""
    units, found = teller.predictions.units, worst_group(values_G, drawn_RG, level=level, higher_is_better=True)
    sure = math.isfinite(found.low)
    low, high = (max(0.0, found.low), min(1.0, found.high)) if sure else (None, None)
    return Measured(value=found.value, low=low, high=high, interval=found.method, units=units.count, resampled=units.what)
