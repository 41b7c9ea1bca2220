"""What the metrics of decisions look at: labels, predictions, scores, and who belongs to which group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.inference.settings import Units


@dataclass(frozen=True, eq=False)
class Groups:
    """Who belongs to which group; a row may belong to several, or to none.

    Args:
        attribute: What the groups are values of, such as "dialect".
        names: The G groups, in the order in which they are shown.
        members: Who belongs to which, (n, G), bool.
    """

    attribute: str
    names: tuple[str, ...]
    members: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.members.ndim != 2 or self.members.shape[1] != len(self.names):
            raise InputError(f"groups {self.attribute!r}: members of shape {self.members.shape} for {len(self.names)} names; give (n, G)")
        if len(set(self.names)) != len(self.names):
            raise InputError(f"groups {self.attribute!r}: a name stands twice in {self.names}")

    @classmethod
    def of_values(cls, values: Sequence[str], *, attribute: str, names: Sequence[str] | None = None, separator: str | None = None) -> Self:
        """Reads groups off one value for each row.

        Args:
            values: The value of each row.
            attribute: What it is a value of.
            names: The groups to look at, some of which may have no row; those that stand in the values, sorted, where None.
            separator: What stands between several groups of one row, such as "+"; None where a row has one. "" is a row of no group.

        Raises:
            InputError: For an empty separator.
        """
        if separator == "":
            raise InputError(f"groups {attribute!r}: the separator is empty; give what stands between two groups, such as '+', or None")
        parts = [[part for part in ([value] if separator is None else value.split(separator)) if part] for value in values]
        order = tuple(sorted({part for row in parts for part in row})) if names is None else tuple(names)
        place = {name: index for index, name in enumerate(order)}
        members = np.zeros((len(parts), len(order)), dtype=bool)
        for row, row_parts in enumerate(parts):
            for part in row_parts:
                if part in place:
                    members[row, place[part]] = True
        return cls(attribute, order, members)

    @property
    def disjoint(self) -> bool:
        """Whether no row belongs to two groups."""
        return bool((self.members.sum(1) <= 1).all())

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many rows each group has, (G,)."""
        counts: NDArray[np.int64] = self.members.sum(0).astype(np.int64)
        return counts

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model decided about some rows.

    Args:
        y_true: The right class of each row, as its place in `classes`, (n,), int64.
        y_pred: The predicted one, (n,), int64.
        classes: Names of the K classes.
        groups: Who belongs to which group.
        units: Which rows hang together.
        scores: The probability of each class, (n, K), or None where only decisions are known.
        positive: Names of the classes that count as positive, such as ("hatespeech", "offensive"), for metrics of two classes; None
            where there is no such thing: each class is then looked at against all others.
        text: What was predicted, such as "hatexplain, test".
    """

    y_true: NDArray[np.int64]
    y_pred: NDArray[np.int64]
    classes: tuple[str, ...]
    groups: Groups
    units: Units
    scores: NDArray[np.float64] | None = None
    positive: tuple[str, ...] | None = None
    text: str = ""

    def __post_init__(self) -> None:
        n = len(self.y_true)
        lengths = {"y_pred": len(self.y_pred), "groups": len(self.groups), "units": len(self.units)}
        if self.scores is not None:
            lengths["scores"] = len(self.scores)
        wrong = [f"{name} has {length}" for name, length in lengths.items() if length != n]
        if wrong:
            raise InputError(f"predictions: y_true has {n} rows but {', '.join(wrong)}; give one for each row")
        if self.scores is not None and self.scores.shape != (n, len(self.classes)):
            raise InputError(f"predictions: scores of shape {self.scores.shape}; give (n, K) = ({n}, {len(self.classes)})")
        for name, places in (("y_true", self.y_true), ("y_pred", self.y_pred)):
            if n and not 0 <= int(places.min()) <= int(places.max()) < len(self.classes):
                raise InputError(
                    f"predictions: {name} holds {places.min()} to {places.max()}; give places in the {len(self.classes)} classes"
                )
        unknown = sorted(set(self.positive or ()) - set(self.classes))
        if unknown:
            raise InputError(f"predictions: positive class {unknown[0]!r} is none of the classes {', '.join(self.classes)}")
        if self.positive is not None and not 0 < len(set(self.positive)) < len(self.classes):
            raise InputError(f"predictions: positive classes {self.positive}; give at least one and not all of {', '.join(self.classes)}")

    @classmethod
    def of_names(
        cls,
        y_true: Sequence[str],
        y_pred: Sequence[str],
        *,
        groups: Groups,
        units: Units | None = None,
        scores: NDArray[np.float64] | None = None,
        classes: Sequence[str] | None = None,
        positive: Sequence[str] | None = None,
        text: str = "",
    ) -> Self:
        """Makes predictions of class names.

        Raises:
            InputError: For a label outside the classes, by name and row.
        """
        order = tuple(sorted({*y_true, *y_pred})) if classes is None else tuple(classes)
        place = {name: index for index, name in enumerate(order)}
        for what, names in (("y_true", y_true), ("y_pred", y_pred)):
            for row, name in enumerate(names):
                if name not in place:
                    raise InputError(f"predictions: {what} of row {row} is {name!r}, which is none of the classes {', '.join(order)}")
        coded = [np.array([place[name] for name in names], dtype=np.int64) for names in (y_true, y_pred)]
        kept = None if positive is None else tuple(positive)
        return cls(coded[0], coded[1], order, groups, units or Units.rows(len(y_true)), scores, kept, text)

    def __len__(self) -> int:
        return len(self.y_true)
