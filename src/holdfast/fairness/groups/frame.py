"""Rates by group for Python users: predictions from plain lists or columns, and one table of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from holdfast.core.errors import InputError, nearest
from holdfast.fairness.groups.rates import RATES, RateTable
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

CROSS = " & "
"""Between the values of several attributes in the name of an intersection."""

POSITIVE = {frozenset(pair): pair[1] for pair in (("0", "1"), ("-1", "1"), ("False", "True"))}
"""Which of two labels is positive where that is beyond doubt."""

TOLD = tuple(RATES)


def predictions_of(
    y_true: Iterable[Any],
    y_pred: Iterable[Any],
    *,
    sensitive_features: Any,
    scores: ArrayLike | None = None,
    units: Iterable[Any] | None = None,
    units_are: str = "users",
    positive: str | Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    attribute: str | None = None,
    text: str = "",
) -> Predictions:
    """Makes predictions of what Fairlearn's functions take.

    Args:
        y_true: The right label of each row: a list, an array or a column of a table. Labels of any kind are named by `str`.
        y_pred: The predicted one.
        sensitive_features: The group of each row: a list, a column, or several of them as a dictionary or a table, whose intersections
            are then compared. None or NaN is a row of no group.
        scores: Probabilities (n, K) in the order of `classes`, or (n,), those of the second of two classes.
        units: What each row hangs together with, such as its user; each row stands alone where None.
        units_are: What these are, in the plural.
        positive: The class or classes that count as positive. Where None, 1 of 0 and 1, or of -1 and 1, and True of False and True; for
            other labels each class is looked at against the rest.
        classes: All classes, in order; those that occur, sorted, where None.
        attribute: What the groups are values of; the name of the column, or "group", where None.
        text: What was predicted.

    Raises:
        InputError: For lengths that differ, a label that is missing, or an unknown class.

    >>> given = predictions_of([1, 0, 1, 1], [1, 0, 0, 1], sensitive_features={"age": ["old", "old", "young", "young"]})
    >>> given.positive, given.groups.names
    (('1',), ('old', 'young'))
    """
    true, pred = _labels(y_true, "y_true"), _labels(y_pred, "y_pred")
    order = sorted({*true, *pred}) if classes is None else [_name(name) for name in classes]
    groups = _groups(sensitive_features, attribute, len(true))
    side: tuple[str, ...] | None = (positive,) if isinstance(positive, str) else None if positive is None else tuple(map(_name, positive))
    if side is None and set(order) <= {"0", "1"} and classes is None:
        order = ["0", "1"]  # also where only one of them occurs
    if side is None and frozenset(order) in POSITIVE:
        side = (POSITIVE[frozenset(order)],)
    given = None if scores is None else _scores(scores, len(order))
    together = None if units is None else Units.named([_name(unit) for unit in units], what=units_are)
    return Predictions.of_names(true, pred, groups=groups, units=together, scores=given, classes=order, positive=side, text=text)


def _name(value: Any) -> str:
    """The name of a label or a group: 1, 1.0 and numpy's 1 are one and the same."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))


def _labels(values: Iterable[Any], what: str) -> list[str]:
    listed = list(values)
    for row, value in enumerate(listed):
        if _absent(value):
            raise InputError(f"predictions: {what} of row {row} is missing; leave the row out or give its label")
    return [_name(value) for value in listed]


def _scores(scores: ArrayLike, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    given = np.asarray(scores, dtype=np.float64)
    if given.ndim == 1 and count == 2:
        given = np.stack([1 - given, given], axis=1)
    if given.ndim != 2:
        raise InputError(f"predictions: scores of shape {given.shape} for {count} classes; give (n, K), or (n,) for two classes")
    return given


def _groups(given: Any, attribute: str | None, count: int) -> Groups:
    """Groups of one column, or of the intersections of several."""
    if isinstance(given, Groups):
        return given
    columns = _columns(given, attribute)
    wrong = [f"{name!r} has {len(values)}" for name, values in columns.items() if len(values) != count]
    if wrong:
        raise InputError(f"predictions: y_true has {count} rows but sensitive feature {', '.join(wrong)}; give one value for each row")
    named = {name: [None if _absent(value) else _name(value) for value in values] for name, values in columns.items()}
    levels = [sorted({value for value in values if value is not None}) for values in named.values()]
    names = tuple(CROSS.join(parts) for parts in product(*levels))  # an intersection that nobody is in stays visible
    place = {name: index for index, name in enumerate(names)}
    members = np.zeros((count, len(names)), dtype=bool)
    for row, parts in enumerate(zip(*named.values(), strict=True)):
        if None not in parts:
            members[row, place[CROSS.join(map(str, parts))]] = True
    return Groups(attribute or CROSS.join(named), names, members)


def _columns(given: Any, attribute: str | None) -> dict[str, list[Any]]:
    if isinstance(given, Mapping):
        return {str(name): list(values) for name, values in given.items()}
    if hasattr(given, "columns"):  # a table of pandas or alike, without importing it
        return {str(name): list(given[name]) for name in given.columns}
    array = np.asarray(given, dtype=object) if not hasattr(given, "name") else None
    if array is not None and array.ndim == 2:
        return {f"feature {place}": list(array[:, place]) for place in range(array.shape[1])}
    name = getattr(given, "name", None)
    return {attribute or (str(name) if name is not None else "group"): list(given)}


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """One rate of one group.

    Args:
        rate: Its name, such as "selection_rate".
        group: The group; "" for all rows.
        label: The class that it is of; None where there is a positive side, or for all classes together.
        value: The rate; None where nothing stands below the line.
        low: Lower end of an interval that holds for all rates of all groups at once; None without one.
        high: Upper end.
        above: Rows above the line.
        below: Rows below.
        units: Independent units below the line.
        missing: Why there is no value.
    """

    rate: str
    group: str
    label: str | None
    value: float | None
    low: float | None
    high: float | None
    above: int
    below: int
    units: int
    missing: str | None


@dataclass(frozen=True)
class GroupTable:
    """All rates of all groups.

    Args:
        attribute: What the groups are values of.
        groups: The groups, also those without a row.
        sizes: Rows of each group, by name.
        rows: One for each rate and group, and one for all rows.
    """

    attribute: str
    groups: tuple[str, ...]
    sizes: Mapping[str, int]
    rows: tuple[GroupRate, ...]

    def of(self, rate: str, *, label: str | None = None) -> dict[str, float | None]:
        """One rate of every group, by name.

        Args:
            rate: Its name.
            label: The class, where there are several.

        Raises:
            InputError: For a rate that is not in the table.
        """
        found = {row.group: row.value for row in self.rows if row.rate == rate and row.label == label and row.group}
        if not found:
            there = sorted({row.rate + ("" if row.label is None else f" of {row.label}") for row in self.rows})
            raise InputError(f"the table has no {rate!r}{'' if label is None else f' of class {label!r}'}; {nearest(rate, there)}")
        return found

    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each row, as tables of other libraries take them."""
        return [{self.attribute: row.group, **{key: value for key, value in vars(row).items() if key != "group"}} for row in self.rows]


def group_table(predictions: Predictions, *, rates: Sequence[str] = TOLD, inference: Inference | None = None) -> GroupTable:
    """Tells all rates of all groups, with intervals that hold at once; groups may share members.

    Args:
        predictions: Of a model.
        rates: Names in `RATES`; all where not given.
        inference: How the intervals are made; the usual way where None.

    Raises:
        InputError: For an unknown rate.
    """
    rules = inference or Inference()
    table = RateTable.of(predictions, rates)
    low, high = table.band(table.replicates(rules, rules.streams("group-table").generator("bootstrap")), rules)
    rows: list[GroupRate] = []
    for column, (rate, label) in enumerate(table.columns):
        for group, name in enumerate(table.groups.names):
            ends = [None if np.isnan(end[column, group]) else float(end[column, group]) for end in (low, high)]
            below = int(table.below[column, group])
            rows.append(
                GroupRate(
                    rate=rate, group=name, label=label, value=float(table.values[column, group]) if below else None,
                    low=ends[0] if below > 1 else None, high=ends[1] if below > 1 else None, above=int(table.above[column, group]),
                    below=below, units=table.independent(column, group), missing=table.why_missing(column, group),
                )
            )  # fmt: skip
        rows.append(_everybody(table, column, rate, label))
    sizes = dict(zip(table.groups.names, map(int, table.groups.sizes), strict=True))
    return GroupTable(table.groups.attribute, table.groups.names, sizes, tuple(rows))


def _everybody(table: RateTable, column: int, rate: str, label: str | None) -> GroupRate:
    counted = table.below_nQ[:, column]
    below = int(counted.sum())
    return GroupRate(
        rate=rate, group="", label=label, value=float(table.overall[column]) if below else None, low=None, high=None,
        above=int((table.above_nQ[:, column] & counted).sum()), below=below, units=len(np.unique(table.units.of[counted])),
        missing=None if below else "0/0: no row counts below the line",
    )  # fmt: skip
