"""A table of labels and predictions of any model, read as predictions about the groups of each attribute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.documents import table_rows
from holdfast.fairness.inference import Units
from holdfast.fairness.predictions import Groups, Predictions
from holdfast.study.fairness.plan import FairnessTable

MOST_NAMED = 40
"""Values that an error lists at most."""


@dataclass(frozen=True)
class Columns:
    """A table with a heading.

    Args:
        path: Of the file, for errors.
        cells: The cells of each column, by its heading, n each.
        lines: The line that each row ends on, n.
    """

    path: Path
    cells: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    @classmethod
    def read(cls, path: Path) -> Columns:
        """Reads CSV with a heading, gzipped or not, with or without a byte order mark.

        Raises:
            DataError: For a file that cannot be read, without rows, with a heading twice or a row of another length.
        """
        rows = list(table_rows(path, ()))
        if not rows:
            raise DataError("holds no rows below its heading", path=path)
        return cls(path, {name: [row[name] for _, row in rows] for name in rows[0][1]}, [line for line, _ in rows])

    def column(self, name: str) -> Sequence[str]:
        """The cells of a column.

        Raises:
            DataError: Where there is none, with the nearest.
        """
        if name not in self.cells:
            raise DataError(f"no column {name!r}; {nearest(name, self.cells)}", path=self.path)
        return self.cells[name]

    def filled(self, name: str) -> Sequence[str]:
        """The cells of a column none of which may be empty.

        Raises:
            DataError: For an empty one, with its line.
        """
        cells = self.column(name)
        for line, cell in zip(self.lines, cells, strict=True):
            if not cell.strip():
                raise DataError(f"column {name!r} is empty; leave such rows out, or give what is missing a name", path=self.path, line=line)
        return cells

    def shares(self, name: str) -> NDArray[np.float64]:
        """The cells of a column of probabilities, (n,).

        Raises:
            DataError: For a cell that is no number from 0 to 1, with its line.
        """
        found = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(self.column(name)):
            with contextlib.suppress(ValueError):  # what is no number is told below, with all else that is no probability
                found[row] = float(cell)
            if not 0 <= found[row] <= 1:
                raise DataError(f"column {name!r} is {cell!r}; give a probability from 0 to 1", path=self.path, line=self.lines[row])
        return found


def predictions_of_table(
    path: Path,
    table: FairnessTable,
    *,
    true: str,
    predicted: str,
    unit: str | None = None,
    scores: Mapping[str, str] | None = None,
) -> list[Predictions]:
    """Reads a table of labels and predictions.

    Args:
        path: CSV with a heading.
        table: Which columns are attributes, how groups are written, which labels are positive.
        true: Column of the right labels.
        predicted: Column of the predicted ones.
        unit: Column whose equal values hang together; None for rows that stand alone.
        scores: Label to the column of its probability; empty where only decisions are known.

    Returns:
        One for each attribute.

    Raises:
        DataError: For a file that cannot be read, or a column or cell that is not there.
        InputError: For scores of some labels only, or a value that is called no group and stands nowhere.
    """
    columns = Columns.read(path)
    y_true, y_pred = columns.filled(true), columns.filled(predicted)
    units = Units.rows(len(y_true), what="rows") if unit is None else Units.named(columns.filled(unit), what=unit)
    classes = tuple(sorted({*y_true, *y_pred, *(scores or {})}))
    matrix = None
    if scores:
        absent = [name for name in classes if name not in scores]
        if absent:
            raise InputError(f"--score is given for some labels but not for {absent[0]!r}; give the probability of every label")
        matrix = np.stack([columns.shares(scores[name]) for name in classes], axis=1)
    values = {attribute: columns.column(attribute) for attribute in table.groups}
    check_no_group(table, values)
    return [
        Predictions.of_names(
            y_true,
            y_pred,
            groups=groups_of_values(table, values[attribute], attribute),
            units=units,
            scores=matrix,
            classes=classes,
            positive=table.positive or None,
            text=path.name,
        )
        for attribute in table.groups
    ]


def groups_of_values(table: FairnessTable, values: Sequence[str], attribute: str) -> Groups:
    """Reads groups off values as a study writes them: what stands between several, and what is none.

    Args:
        table: Separator and values that are no group.
        values: Of each row; "" is a row of no group.
        attribute: What they are values of.
    """
    mark = table.separator
    kept = ["" if mark is None and value in table.no_group else value for value in values]
    if mark is not None:
        kept = [mark.join(part for part in value.split(mark) if part and part not in table.no_group) for value in values]
    return Groups.of_values(kept, attribute=attribute, separator=mark)


def check_no_group(table: FairnessTable, values: Mapping[str, Iterable[str]]) -> None:
    """Refuses a value that is called no group and stands nowhere: misspelt, it would leave a group that is none.

    Args:
        table: What is called no group.
        values: Of each attribute.

    Raises:
        InputError: With the nearest value.
    """
    if not table.no_group:
        return
    there = {
        part for some in values.values() for value in some for part in (value.split(table.separator) if table.separator else [value])
    } - {""}
    for value in table.no_group:
        if value not in there:
            hint = nearest(value, there) if len(there) <= MOST_NAMED else "take one that does"
            raise InputError(f"no group {value!r}: no row of {', '.join(values)} has this value; {hint}")
