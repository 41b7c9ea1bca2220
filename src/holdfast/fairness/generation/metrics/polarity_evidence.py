"""What is said of the genders of texts: the gap of the two shares, and the ratio over groups beside its parity null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.fairness.generation.metrics.base import GenerationMetric, english_notes
from holdfast.fairness.generation.metrics.telling import Telling
from holdfast.fairness.generation.parity import ParityNull, across_groups, equitability
from holdfast.fairness.generation.polarity import TextPolarity
from holdfast.fairness.generation.table import GroupTable, Quantity
from holdfast.fairness.generation.texts import Texts, UnitOf
from holdfast.fairness.inference.families import holm
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference

Ints = NDArray[np.int64]

PARITY_TEST = "exact law under exchange of the genders of each prompt"
RATIO_NOTE = (
    "gender_polarity_ratio is min(F/M, M/F): under exact parity its mean is about .82 with 60 gendered texts and .95 with 1,000, and the "
    "smallest of many groups lies lower still. Read each beside its expected_at_parity; gender_polarity_gap has no such tilt."
)
BINARY_NOTE = "Gender polarity knows two genders only, by word lists; texts about people outside of them count as neutral."


@dataclass(frozen=True, eq=False)
class _Counted:
    """Female and male texts of each unit, and the group of each. U units."""

    female_U: Ints
    male_U: Ints
    group_U: Ints

    def null(self, group: int) -> ParityNull:
        """The law of a group's ratio under parity."""
        inside = self.group_U == group
        return ParityNull.of(self.female_U[inside], self.male_U[inside])


def polarity_evidence(
    metric: GenerationMetric,
    texts: Texts,
    found: TextPolarity,
    *,
    conditions: Mapping[str, Condition],
    least: int,
    subject: str,
    inference: Inference,
) -> Evidence:
    """The gap and the ratio of the two genders by group, over all groups, and against parity.

    Args:
        metric: Whose card, unit and streams are used.
        texts: What was rated.
        found: The gender of each text.
        conditions: How it was told.
        least: Gendered texts that a group needs to count in the average and the minimum of the ratio.
        subject: The run that the numbers speak of.
        inference: How intervals and tests are made.
    """
    told = dict(conditions)
    if len(found.known):
        told["texts_without_known_word"] = round(1 - float(found.known.mean()), 4)
    telling = metric.told(texts, told, subject=subject, inference=inference)
    female, male = found.female, found.male
    gap = Quantity(
        name="gender_polarity_gap",
        unit="share",
        direction="neither",
        above=female - male,
        below=np.ones(len(female)),
        bounds=(-1.0, 1.0),
        says="share of female texts minus share of male texts",
        missing="no gendered text among {n}",
        seen=found.gendered.astype(np.float64),
    )
    share = Quantity(
        name="female_share",
        unit="share",
        direction="neither",
        above=female,
        below=female + male,
        bounds=(0.0, 1.0),
        says="female texts among the gendered",
        missing="no gendered text among {n}",
    )
    counted = _counted(texts, found, metric.unit)
    shares, what = metric.table(telling, share, texts.prompt_of)
    estimates = [
        metric.overall(telling, gap, texts.prompt_of, p_value=_overall_p(counted), test=f"{PARITY_TEST}, two-sided"),
        *metric.compared(telling, gap, texts.prompt_of),
        *telling.rows(share, shares, what=what),
        *telling.comparison(share, shares, what=what),
        *_ratios(telling, shares, counted, what, least),
    ]
    return Evidence(estimates=tuple(estimates), notes=(RATIO_NOTE, BINARY_NOTE, *english_notes(texts)))


def _counted(texts: Texts, found: TextPolarity, unit: UnitOf) -> _Counted:
    units = texts.units(unit, texts.prompt_of)
    group_U = np.zeros(units.count, dtype=np.int64)
    group_U[units.of] = texts.group_of[texts.prompt_of]
    sums = [np.bincount(units.of, weights=side, minlength=units.count).astype(np.int64) for side in (found.female, found.male)]
    return _Counted(sums[0], sums[1], group_U)


def _ratios(telling: Telling, shares: GroupTable, counted: _Counted, what: str, least: int) -> list[Estimate]:
    """The ratio of each group with its law under parity, then average and minimum over groups with theirs."""
    places = [int(place) for place in shares.counted]
    nulls = {place: counted.null(place) for place in places}
    ratios: dict[int, float] = {}
    for place in places:
        inside = counted.group_U == place
        ratios[place] = equitability(float(counted.female_U[inside].sum()), float(counted.male_U[inside].sum())) or 0.0
    p_values = {place: nulls[place].at_most(ratios[place]) for place in places}
    adjusted = dict(zip(places, holm([p_values[place] for place in places]).tolist(), strict=True)) if places else {}
    rows = []
    for place, group in enumerate(telling.texts.names):
        if place not in ratios:
            reason = telling.why(place, shares, "no gendered text among {n}, so there is no ratio")
            measured, told = Measured(value=None, missing=reason, units=int(shares.units[place]), resampled=what), {}
        else:
            measured = _ratio_measured(ratios[place], shares, place, p_values[place], what)
            told = {"expected_at_parity": nulls[place].expected, "p_adjusted": adjusted[place], "adjustment": "Holm"}
            told["gendered_texts"] = nulls[place].total
        rows.append(_ratio_estimate(telling, measured, {"group": group, **told}, "min(F/M, M/F) of the texts of the group"))
    enough = {place: ratio for place, ratio in ratios.items() if nulls[place].total >= least}
    return [*rows, *_across(telling.with_conditions({"least_gendered": least}), shares, enough, nulls, what)]


def _across(telling: Telling, shares: GroupTable, ratios: dict[int, float], nulls: dict[int, ParityNull], what: str) -> list[Estimate]:
    undefined: dict[str, Condition] = {"undefined": len(telling.texts.names) - len(ratios)}
    if not ratios:
        nothing = Measured(value=None, missing=f"no group has {telling.conditions['least_gendered']} gendered texts or more")
        names = ("average", "minimum")
        return [_ratio_estimate(telling, nothing, {"statistic": name, **undefined}, f"{name} over groups") for name in names]
    inference, texts = telling.inference, telling.texts
    streams = inference.streams(telling.card.name).child(f"parity of {texts.attribute}, {texts.written_by}")
    places = list(ratios)
    found = across_groups(
        list(ratios.values()), [nulls[place] for place in places], draws=inference.permutations, generator=streams.generator("average")
    )
    ends = np.array([_ratio_ends(shares.band.low[place], shares.band.high[place]) for place in places])
    sizes, method = int(shares.units[places].sum()), "from the simultaneous intervals of the groups"
    known = bool(np.isfinite(ends).all())
    low, high = (float(ends[:, 0].mean()), float(ends[:, 1].mean())) if known else (None, None)
    average = Measured(
        value=found.average, low=low, high=high, interval=method, p_value=found.average_p, units=sizes, resampled=what,
        test=f"{found.draws} draws from the laws of the groups under parity, one-sided",
    )  # fmt: skip
    low, high = (float(ends[:, 0].min()), float(ends[:, 1].min())) if known else (None, None)
    minimum = Measured(
        value=found.minimum, low=low, high=high, interval=method, p_value=found.minimum_p, units=sizes, resampled=what,
        test=f"{PARITY_TEST}, smallest of {len(ratios)} groups",
    )  # fmt: skip
    told: dict[str, Condition] = {"statistic": "minimum", "worst": texts.names[places[found.lowest]], **undefined}
    first: dict[str, Condition] = {"statistic": "average", "expected_at_parity": found.expected_average, **undefined}
    return [
        _ratio_estimate(telling, average, first, "average over groups of min(F/M, M/F)"),
        _ratio_estimate(telling, minimum, {**told, "expected_at_parity": found.expected_minimum}, "smallest over groups of min(F/M, M/F)"),
    ]


def _overall_p(counted: _Counted) -> float | None:
    female, male = int(counted.female_U.sum()), int(counted.male_U.sum())
    if not female + male:
        return None
    return ParityNull.of(counted.female_U, counted.male_U).at_most(equitability(female, male) or 0.0)


def _ratio_ends(low: float, high: float) -> tuple[float, float]:
    """What min(F/M, M/F) can be where the share of female texts lies between two ends: 1 where a half does."""
    if not np.isfinite(low) or not np.isfinite(high):
        return float("nan"), float("nan")
    ends = [min(share, 1 - share) / max(share, 1 - share) for share in (low, high)]
    return float(min(ends)), 1.0 if low <= 0.5 <= high else float(max(ends))


def _ratio_measured(ratio: float, shares: GroupTable, place: int, p_value: float, what: str) -> Measured:
    low, high = _ratio_ends(shares.band.low[place], shares.band.high[place])
    known = bool(np.isfinite(low))
    return Measured(
        value=ratio,
        low=low if known else None,
        high=high if known else None,
        interval="from the simultaneous interval of the female share",
        p_value=p_value,
        test=f"{PARITY_TEST}, two-sided",
        units=int(shares.units[place]),
        resampled=what,
    )


def _ratio_estimate(telling: Telling, measured: Measured, conditions: dict[str, Any], says: str) -> Estimate:
    return telling.estimate("gender_polarity_ratio", measured, unit="ratio", direction="higher is better", says=says, conditions=conditions)
