"""Any function of labels and predictions, measured by group with intervals: your own, or one of another library."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.inference.bootstrap import ratio_replicates, unit_weights
from holdfast.fairness.inference.measured import Measured, gap_measured
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.inference.simultaneous import Band, max_t_band

if TYPE_CHECKING:  # the predictions know of units, so this package cannot import them first
    from holdfast.fairness.predictions import Groups

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Array = NDArray[Any]
Function = Callable[[Array, Array], Any]

PROBES = 8
"""Resamples of each group on which a function is looked at before it is taken for a mean over rows."""


@dataclass(frozen=True, kw_only=True)
class ByGroup:
    """What one function says of all rows, of every group and of their gap.

    Args:
        name: Of the function.
        groups: The value of each group, with intervals that hold together.
        overall: The value of all rows.
        gap: The difference between the highest and the lowest group.
        calls: How often the function was called.
    """

    name: str
    groups: Mapping[str, Measured]
    overall: Measured
    gap: Measured
    calls: int = 0


def from_function(
    f: Function, y_true: ArrayLike, y_pred: ArrayLike, *, groups: Groups, units: Units | None = None, inference: Inference | None = None
) -> ByGroup:
    """Measures any function of labels and predictions by group, such as one of scikit-learn.

    Args:
        f: Takes labels and predictions of some rows, (m,) each, and returns a number. Its name is taken from its ``__name__``.
        y_true: Labels, (n,), of any kind that `f` understands.
        y_pred: Predictions or scores, (n,) or (n, K).
        groups: Who belongs to which group.
        units: Which rows hang together; each row by itself where None.
        inference: Level, replicates, margin; `Inference()` where None.

    Returns:
        The value of each group with simultaneous intervals, that of all rows, and the gap.

    Raises:
        InputError: For lengths that do not fit, or a function that returns no number.

    Guarantee:
        None for finite n, and none at all for a function that the bootstrap cannot follow, such as a maximum over rows. Replicates are
        those of the cluster bootstrap, stretched by u / (u - 1) in variance for u units.

    Edge cases:
        Where the function raises an error on the rows of a group, or returns NaN, the group has no value, `missing` says why, and the gap
        is undefined. A group of one unit has a value but no interval, and so has one on which all replicates agree.
        A function that is a mean over rows, as accuracy is, is told by resamples of every group, called once for each kind of row and
        then measured by `ratio_replicates`; any other is called once for each group and replicate.
    """
    settings, seen, guessed = inference or Inference(), np.asarray(y_true), np.asarray(y_pred)
    whole = units or Units.rows(len(seen))
    lengths = {"y_true": len(seen), "y_pred": len(guessed), "groups": len(groups), "units": len(whole)}
    if len(set(lengths.values())) > 1 or not len(seen):
        raise InputError(f"rows that do not fit: {lengths}; give one of each for every row, and at least one row")
    name = str(getattr(f, "__name__", type(f).__name__))
    called = _Called(f, seen, guessed, name)
    members = np.concatenate([groups.members, np.ones((len(seen), 1), dtype=bool)], axis=1)
    values = np.array([called(np.flatnonzero(column)) for column in members.T])
    reasons = list(called.reasons)
    replicates = _replicates(called, members, values, whole, settings, settings.streams(f"function {name}").generator("units"))
    counts = np.array([len(np.unique(whole.of[column])) for column in members.T])
    told = _Told(name, tuple(groups.names), members.sum(0), counts, whole, settings)
    return told.by_group(values, replicates, reasons, called.calls)


def from_functions(
    functions: Mapping[str, Function],
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    groups: Groups,
    units: Units | None = None,
    inference: Inference | None = None,
) -> dict[str, ByGroup]:
    """Measures several functions, as `from_function` does each: the dictionary that Fairlearn's ``MetricFrame`` takes works as it is."""
    found = {}
    for name, f in functions.items():
        one = from_function(f, y_true, y_pred, groups=groups, units=units, inference=inference)
        found[name] = ByGroup(name=name, groups=one.groups, overall=one.overall, gap=one.gap, calls=one.calls)
    return found


def from_metric_frame(frame: Any) -> dict[str, ByGroup]:
    """Reads the values out of a ``MetricFrame`` of Fairlearn, which carries no rows, so that no interval can be made.

    Args:
        frame: Anything with ``by_group`` and ``overall`` as a ``MetricFrame`` has: series for one metric, tables for several.

    Returns:
        Values and gap of each metric by name ("metric" where it has none), each saying that it has no interval. For intervals hand
        the functions and the rows to `from_functions`.

    Raises:
        InputError: For an object without those two.
    """
    by_group, overall = getattr(frame, "by_group", None), getattr(frame, "overall", None)
    if by_group is None or overall is None:
        raise InputError(f"{type(frame).__name__} has no by_group and overall; give a MetricFrame of Fairlearn")
    if hasattr(by_group, "columns"):
        columns = {str(column): (by_group[column], overall[column]) for column in by_group.columns}
    else:
        columns = {str(getattr(by_group, "name", None) or "metric"): (by_group, overall)}
    return {name: _values_alone(name, dict(series.items()), whole) for name, (series, whole) in columns.items()}


def _values_alone(name: str, values: Mapping[Any, Any], overall: Any) -> ByGroup:
    alone = "values alone were given, without their rows"
    told = {" and ".join(map(str, key)) if isinstance(key, tuple) else str(key): float(value) for key, value in values.items()}
    groups = {group: _bare(value, alone) for group, value in told.items()}
    absent = [group for group, value in told.items() if math.isnan(value)]
    gap = math.nan if absent else max(told.values()) - min(told.values())
    return ByGroup(
        name=name, groups=groups, overall=_bare(float(overall), alone), gap=_bare(gap, alone, f"no value for {', '.join(absent)}")
    )


def _bare(value: float, interval: str, missing: str = "undefined on these rows") -> Measured:
    return Measured(value=None, missing=missing) if math.isnan(value) else Measured(value=value, interval=interval)


class _Called:
    """The function on some of the rows, by their places; NaN where it has nothing to say, with the reason kept."""

    def __init__(self, f: Function, y_true: Array, y_pred: Array, name: str) -> None:
        self.f, self.y_true, self.y_pred, self.name = f, y_true, y_pred, name
        self.reasons: list[str] = []
        self.calls = 0

    def __call__(self, rows: Integers) -> float:
        value, reason = math.nan, "it has no row"
        if len(rows):
            self.calls += 1
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of undefined values, which are looked for below
                    value, reason = float(self.f(self.y_true[rows], self.y_pred[rows])), f"{self.name} gives no finite number on its rows"
            except TypeError as error:
                raise InputError(f"{self.name} on {len(rows)} rows returned no number: {error}; give f(y_true, y_pred) -> float") from error
            except (ValueError, ArithmeticError) as error:
                reason = f"{self.name} cannot be computed on its rows: {error}"
        self.reasons.append(reason)
        return value if math.isfinite(value) else math.nan


def _replicates(
    called: _Called, members: NDArray[np.bool_], values: Floats, units: Units, inference: Inference, generator: np.random.Generator
) -> Floats:
    """Replicates of each column of members, (R, G + 1), spread as the unbiased variance is; NaN for fewer than two units."""
    losses = _row_means(called, members, values, generator)
    if losses is not None:
        return ratio_replicates(members * losses[:, None], members, units, replicates=inference.replicates, generator=generator)
    found: list[list[float]] = []
    for weights in unit_weights(units, replicates=inference.replicates, generator=generator):
        for counts in weights:
            times_n = counts[units.of]
            found.append([called(np.repeat(rows, times_n[rows])) for rows in map(np.flatnonzero, members.T)])
    counted = np.array([len(np.unique(units.of[column])) for column in members.T], dtype=np.float64)
    stretch = np.sqrt(counted / np.where(counted < 2, np.nan, counted - 1))
    return np.asarray(values + (np.array(found) - values) * stretch)


def _row_means(called: _Called, members: NDArray[np.bool_], values: Floats, generator: np.random.Generator) -> Floats | None:
    """What each row adds where the function is a mean over rows, (n,); None where it is not, or has too many kinds of row to tell."""
    kinds = _kinds(called.y_true, called.y_pred)
    if kinds is None:
        return None
    first, kind_n = kinds
    told = np.empty(len(first))
    for place, row in enumerate(first):
        told[place] = called(np.array([row]))
        if math.isnan(told[place]):
            return None
    losses = told[kind_n]
    for column, value in zip(members.T, values, strict=True):
        rows = np.flatnonzero(column)
        tries = [(rows, value)] if len(rows) else []
        for _ in range(PROBES if len(rows) else 0):
            some = generator.choice(rows, len(rows))
            tries.append((some, called(some)))
        if any(not math.isclose(losses[some].mean(), seen, rel_tol=1e-9, abs_tol=1e-12) for some, seen in tries):
            return None
    return losses


def _kinds(y_true: Array, y_pred: Array) -> tuple[Integers, Integers] | None:
    """One row of each kind, and the kind of each row; None where rows are of more kinds than calls would save."""
    if y_pred.ndim != 1 or y_true.ndim != 1:
        return None
    codes = [np.unique(side, return_inverse=True)[1].astype(np.int64) for side in (y_true, y_pred)]
    _, first, kind_n = np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_index=True, return_inverse=True)
    return (first, kind_n.reshape(-1)) if len(first) <= 1000 else None


@dataclass(frozen=True, eq=False)
class _Told:
    """Turns numbers into what is handed back."""

    name: str
    groups: tuple[str, ...]
    sizes: Integers
    counts: Integers
    units: Units
    inference: Inference

    def by_group(self, values: Floats, replicates: Floats, reasons: list[str], calls: int) -> ByGroup:
        count, level = len(self.groups), self.inference.level
        band = max_t_band(values[:count], replicates[:, :count], level=level) if count else Band(np.empty(0), np.empty(0), math.nan)
        alone = max_t_band(values[count:], replicates[:, count:], level=level)
        how = f"max-T over {count} groups, {len(replicates)} bootstrap replicates of {self.units.what}"
        groups = {g: self._one(values[i], band.low[i], band.high[i], how, i, reasons[i]) for i, g in enumerate(self.groups)}
        overall = self._one(values[count], alone.low[0], alone.high[0], f"bootstrap of {self.units.what}", count, reasons[count])
        gap = gap_measured(
            values[:count],
            replicates[:, :count],
            names=self.groups,
            sizes=self.sizes[:count].tolist(),
            inference=self.inference,
            units=self.units.count,
            resampled=self.units.what,
        )
        return ByGroup(name=self.name, groups=groups, overall=overall, gap=gap, calls=calls)

    def _one(self, value: float, low: float, high: float, how: str, place: int, reason: str) -> Measured:
        about = {self.groups[place]: int(self.sizes[place])} if place < len(self.groups) else {}
        if math.isnan(value):
            return Measured(value=None, missing=reason, resampled=self.units.what, sizes=about)
        if math.isnan(low):
            return Measured(value=float(value), interval="its spread cannot be told", resampled=self.units.what, sizes=about)
        return Measured(
            value=float(value),
            low=float(low),
            high=float(high),
            interval=how,
            units=int(self.counts[place]),
            resampled=self.units.what,
            sizes=about,
        )
