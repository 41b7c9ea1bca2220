"""Gaps between groups: of one rate, the worst and the mean of several, and sums of many gaps at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Condition
from holdfast.fairness.groups.rates import RateTable
from holdfast.fairness.inference import Inference, Measured, equivalence, gap_measured
from holdfast.fairness.inference.simultaneous import Kind

Floats = NDArray[np.float64]

LOWER_IS_BETTER = frozenset({"false_positive_rate", "false_negative_rate"})
"""Rates of which the highest group is called the worst; of all others it is the lowest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gap:
    """The gap of one rate between the groups, alone and as one of several.

    Args:
        alone: With an interval at the level asked for.
        shared: With an interval at a level such that those of all gaps of the metric hold at once.
        label: The class that it is of; None where there is one positive side or one for all classes.
        worst: The group at the worse end; "" where there is no gap.
        left_out: Why some groups were left out, in words; () where none was.
        more: Conditions that belong to this gap alone, such as a threshold.
    """

    alone: Measured
    shared: Measured
    label: str | None
    worst: str = ""
    left_out: tuple[str, ...] = ()
    more: Mapping[str, Condition] = field(default_factory=dict)

    @property
    def jointly(self) -> Gap:
        """The same with none but the joint interval."""
        return replace(self, alone=self.shared)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaps:
    """The gaps of several rates, of one kind.

    Args:
        every: Between all groups; missing where a group has no rate, because a group that cannot be estimated never vanishes.
        partial: Between the groups that have a rate, for those who want it and see what was left out; () where `every` is whole.
        kind: "difference", which is best small, or "ratio", which is best large.
    """

    every: tuple[Gap, ...]
    partial: tuple[Gap, ...]
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Combined:
    """What became of several gaps.

    Args:
        measured: The number.
        label: The class of the worst; "" where it is a mean.
        worst: The group at the worse end of the worst.
        left_out: What has no gap and was left out, in words; () where nothing was.
        more: Conditions that belong to the worst alone.
    """

    measured: Measured
    label: str = ""
    worst: str = ""
    left_out: tuple[str, ...] = ()
    more: Mapping[str, Condition] = field(default_factory=dict)


def gaps_of(table: RateTable, replicates_RQG: Floats, *, kind: Kind, inference: Inference, p_values: Sequence[float | None]) -> Gaps:
    """The gap of each rate between the highest and the lowest group.

    Args:
        table: The rates.
        replicates_RQG: Their replicates.
        kind: "difference" or "ratio".
        inference: Level, margin, power.
        p_values: Of each rate, by permuted labels, (Q,).
    """
    places = [np.arange(len(table.groups.names))] * len(table.columns)
    every = _gaps(table, replicates_RQG, places, kind=kind, inference=inference, p_values=p_values)
    partial: tuple[Gap, ...] = ()
    if np.isnan(table.values).any():
        places = [np.flatnonzero(np.isfinite(values)) for values in table.values]
        partial = _gaps(table, replicates_RQG, places, kind=kind, inference=inference, p_values=p_values)
    return Gaps(every=every, partial=partial, kind=kind)


def _gaps(
    table: RateTable,
    replicates_RQG: Floats,
    places: Sequence[NDArray[np.int64]],
    *,
    kind: Kind,
    inference: Inference,
    p_values: Sequence[float | None],
) -> tuple[Gap, ...]:
    strict = replace(inference, level=1 - (1 - inference.level) / len(table.columns))
    found = []
    for column, (rate, label) in enumerate(table.columns):
        kept = places[column]
        names = [table.groups.names[group] for group in kept]
        values, drawn = table.values[column, kept], replicates_RQG[:, column, kept]
        p_value = p_values[column]
        measure = partial(
            gap_measured,
            values,
            drawn,
            names=names,
            sizes=[int(size) for size in table.below[column, kept]],
            kind=kind,
            share=True,
            p_value=p_value,
            test="" if p_value is None else label_test(table, inference),
            units=sum(table.independent(column, int(group)) for group in kept),
            resampled=table.units.what,
            higher_is_better=rate not in LOWER_IS_BETTER,
        )
        alone = measure(inference=inference)
        found.append(
            Gap(
                alone=alone,
                shared=measure(inference=strict) if len(table.columns) > 1 else alone,
                label=label,
                worst="" if alone.value is None else names[int((np.argmax if rate in LOWER_IS_BETTER else np.argmin)(values))],
                left_out=tuple(str(table.why_missing(column, group)) for group in range(len(table.groups.names)) if group not in kept),
            )
        )
    return tuple(found)


def label_test(table: RateTable, inference: Inference) -> str:
    """The permutation test of `RateTable.p_value` in words."""
    how = f"among rows below the line, largest studentised difference, up to {inference.permutations} permutations"
    return f"labels permuted by unit ({table.units.what}) {how}"


def worst_of(gaps: Sequence[Gap], *, kind: Kind, inference: Inference) -> Combined:
    """The worst of several gaps: the largest difference, or the smallest ratio.

    The end towards parity is that of intervals which hold for all gaps at once; the end away from parity may be that of each alone,
    because only the truly worst gap can pass it. The p-value is the smallest one, times the number of gaps (Bonferroni).

    Args:
        gaps: Of one kind.
        kind: Their kind.
        inference: Level and margin.
    """
    if len(gaps) == 1:
        return Combined(measured=gaps[0].alone, label=gaps[0].label or "", worst=gaps[0].worst, more=gaps[0].more)
    absent = _absent(gaps)
    if absent:
        return Combined(measured=_missing(gaps, absent), left_out=absent)
    sign = 1.0 if kind == "difference" else -1.0
    place = int(np.argmax([sign * _value(gap) for gap in gaps]))
    most = gaps[place]
    choose = max if kind == "difference" else min
    near, far = ("low", "high") if kind == "difference" else ("high", "low")
    ends = {near: _end([getattr(gap.shared, near) for gap in gaps], choose), far: _end([getattr(gap.alone, far) for gap in gaps], choose)}
    p_values = [gap.alone.p_value for gap in gaps if gap.alone.p_value is not None]
    measured = replace(
        most.alone,
        low=ends["low"],
        high=ends["high"],
        interval=f"{most.shared.interval}, shared out among {len(gaps)} gaps (Bonferroni)",
        p_value=min(1.0, min(p_values) * len(gaps)) if len(p_values) == len(gaps) else None,
        test=f"{most.alone.test}; smallest of {len(gaps)}, Bonferroni" if len(p_values) == len(gaps) else "",
        minimum_detectable=_end([gap.shared.minimum_detectable for gap in gaps], max),
        verdict=_verdict(gaps, kind, inference),
    )
    return Combined(measured=measured, label=most.label or "", worst=most.worst, more=most.more)


def mean_of(gaps: Sequence[Gap], *, inference: Inference, kind: Kind = "difference") -> Combined:
    """The mean of several gaps, with the means of ends of intervals that hold for all gaps at once.

    Args:
        gaps: Of one kind.
        inference: Level and margin.
        kind: Their kind. Only a difference has a verdict, and only where each of them has one.
    """
    absent = _absent(gaps)
    if absent:
        return Combined(measured=_missing(gaps, absent), left_out=absent)
    low, high = (_end([getattr(gap.shared, end) for gap in gaps], _mean) for end in ("low", "high"))
    first = gaps[0].shared
    p_values = [gap.alone.p_value for gap in gaps if gap.alone.p_value is not None]
    full = len(p_values) == len(gaps)
    measured = Measured(
        value=_mean([_value(gap) for gap in gaps]),
        low=low,
        high=high,
        interval=f"mean of ends: {first.interval}, shared out among {len(gaps)} gaps (Bonferroni)" if len(gaps) > 1 else first.interval,
        p_value=min(1.0, min(p_values) * len(gaps)) if full else None,
        test=f"{gaps[0].alone.test}; smallest of {len(gaps)}, Bonferroni" if full else "",
        minimum_detectable=_end([gap.shared.minimum_detectable for gap in gaps], _mean),
        verdict=_mean_verdict(gaps, (low, high), kind, inference),
        units=first.units,
        resampled=first.resampled,
        sizes=first.sizes if len(gaps) == 1 else {},
    )
    return Combined(measured=measured)


def merged(parts: Sequence[Gap], *, kind: Kind, how: Literal["worst", "mean"], inference: Inference) -> Gap:
    """Makes one gap of several of one class, such as of true and of false positives, to be combined further.

    Args:
        parts: The gaps, whose joint intervals hold at once.
        kind: Their kind.
        how: The worst of them, or their mean.
        inference: Level and margin.
    """
    left_out = tuple(dict.fromkeys(reason for part in parts for reason in part.left_out))
    if how == "mean":
        joint = mean_of(parts, kind=kind, inference=inference)
        return Gap(alone=joint.measured, shared=joint.measured, label=parts[0].label, left_out=left_out)
    alone = worst_of(parts, kind=kind, inference=inference)
    joint = worst_of([part.jointly for part in parts], kind=kind, inference=inference)
    return Gap(alone=alone.measured, shared=joint.measured, label=parts[0].label, worst=alone.worst, left_out=left_out)


@dataclass(frozen=True)
class NormResult:
    """The length of a vector of gaps.

    Args:
        value: The length.
        low: Lower end.
        high: Upper end.
        p_value: Of the test that all gaps are 0.
        at_parity: How long it is on average where all gaps are 0, since noise alone makes it positive.
        method: How the interval was made.
    """

    value: float
    low: float
    high: float
    p_value: float
    at_parity: float
    method: str


def norm_interval(gaps_P: Floats, replicates_RP: Floats, *, weights_P: Floats, level: float, power: int = 1) -> NormResult | None:
    """Bounds a weighted sum of absolute gaps, or the root of a weighted sum of squares.

    Noise makes such a length positive, so that a bootstrap of the length itself never covers 0. The length of the *error* is
    bootstrapped instead: by the triangle inequality the true length is no further from the seen one than the error is long.

    Args:
        gaps_P: The gaps, without NaN.
        replicates_RP: Their replicates.
        weights_P: The weight of each.
        level: Coverage, in (0, 1).
        power: 1 for the sum of absolute values, 2 for the root of the sum of squares.

    Returns:
        None where fewer than half of the replicates are defined.

    Guarantee:
        Coverage is at least `level` wherever the bootstrap finds the law of the error, at parity too.
    """
    known = np.isfinite(replicates_RP).all(1)
    if known.sum() < max(50, 0.5 * len(replicates_RP)):
        return None
    drawn = replicates_RP[known]
    place = drawn.mean(0)  # replicates of rates are smoothed: what they spread around is compared with their spread
    errors = _length(drawn - place, weights_P, power)
    value, centre = (float(_length(gaps[None], weights_P, power)[0]) for gaps in (gaps_P, place))
    reach = float(np.quantile(errors, level))
    p_value = float((1 + (errors >= centre - 1e-12).sum()) / (1 + len(errors)))
    method = f"length of the error by the triangle inequality, {len(drawn)} bootstrap replicates"
    return NormResult(value, min(max(0.0, centre - reach), value), max(centre + reach, value), p_value, float(errors.mean()), method)


def sized(norm: NormResult | None, value: float, about: Measured, *, test: str, margin: float | None = None) -> Measured:
    """Puts a length and its interval into what is known about it.

    The verdict rests on both ends at the level itself: a length is further from the truth than its error is long with chance 1 - level
    at most, to either side. That noise alone makes a length positive is in that error, so it makes none unfair.

    Args:
        norm: The length; None where its spread cannot be told.
        value: The length itself.
        about: Units and sizes.
        test: What the p-value is of.
        margin: Up to which length is fair enough; None for no verdict.
    """
    ends = (None, None) if norm is None else (norm.low, norm.high)
    about = replace(about, verdict=None if margin is None else equivalence(*ends, margin=margin))
    if norm is None:
        return replace(about, value=value, interval="the spread cannot be told")
    return replace(about, value=norm.value, low=norm.low, high=norm.high, interval=norm.method, p_value=norm.p_value, test=test)


def _length(gaps_RP: Floats, weights_P: Floats, power: int) -> Floats:
    summed: Floats = (np.abs(gaps_RP) ** power) @ weights_P
    return np.asarray(summed ** (1 / power))


def _absent(gaps: Sequence[Gap]) -> tuple[str, ...]:
    return tuple(f"{f'class {gap.label!r}: ' if gap.label else ''}{gap.alone.missing}" for gap in gaps if gap.alone.value is None)


def _missing(gaps: Sequence[Gap], absent: tuple[str, ...]) -> Measured:
    more = f"; and {len(absent) - 3} more" if len(absent) > 3 else ""
    why = f"{len(absent)} of {len(gaps)} gaps are undefined: {'; '.join(absent[:3])}{more}"
    return Measured(value=None, missing=why, units=gaps[0].alone.units, resampled=gaps[0].alone.resampled)


def _value(gap: Gap) -> float:
    return math.nan if gap.alone.value is None else gap.alone.value


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _end(values: Sequence[float | None], choose: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if len(known) == len(values) else None


def _mean_verdict(gaps: Sequence[Gap], ends: tuple[float | None, float | None], kind: Kind, inference: Inference) -> str | None:
    if inference.margin is None or kind == "ratio" or any(gap.shared.verdict is None for gap in gaps):
        return None
    return equivalence(*ends, margin=inference.margin)


def _verdict(gaps: Sequence[Gap], kind: Kind, inference: Inference) -> str | None:
    if inference.margin is None or kind == "ratio" or any(gap.shared.verdict is None for gap in gaps):
        return None
    if any(gap.shared.verdict == "unfair" for gap in gaps):
        return "unfair"
    return "fair within the margin" if all(gap.alone.verdict == "fair within the margin" for gap in gaps) else "not enough data"
