"""Rates of each group, such as the share of true positives, for one positive side or for each class against the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.fairness.inference import Inference, Units, max_t_band, rate_label_test, ratio_replicates
from holdfast.fairness.predictions import Groups, Predictions

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
ROUNDING = 1e-6
"""How far a probability may lie outside [0, 1] by rounding."""


@dataclass(frozen=True, eq=False)
class View:
    """Two classes made of K: a positive side and the rest.

    Args:
        label: The class that is positive; None where the predictions name a positive side themselves.
        y_true: Who is truly positive, (n,).
        y_pred: Who is predicted positive, (n,).
        score: The probability of the positive side, (n,); None where only decisions are known.
    """

    label: str | None
    y_true: Bools
    y_pred: Bools
    score: Floats | None


def views(predictions: Predictions) -> tuple[View, ...]:
    """One view where there is a positive side, else one for each class against all others."""
    if predictions.positive is not None:
        return (_view(predictions, None, predictions.positive),)
    return class_views(predictions)


def class_views(predictions: Predictions) -> tuple[View, ...]:
    """One view for each class against all others, whether or not there is a positive side."""
    return tuple(_view(predictions, name, (name,)) for name in predictions.classes)


def _view(predictions: Predictions, label: str | None, positive: Sequence[str]) -> View:
    places = [predictions.classes.index(name) for name in positive]
    score = None if predictions.scores is None else predictions.scores[:, places].sum(1)
    return View(label, np.isin(predictions.y_true, places), np.isin(predictions.y_pred, places), score)


Sides = Callable[[View], tuple[Bools, Bools]]
"""Of each row: whether it counts above the line, and whether below."""

RATES: dict[str, Sides] = {
    "selection_rate": lambda view: (view.y_pred, np.ones_like(view.y_pred)),
    "true_positive_rate": lambda view: (view.y_pred & view.y_true, view.y_true),
    "false_positive_rate": lambda view: (view.y_pred & ~view.y_true, ~view.y_true),
    "false_negative_rate": lambda view: (~view.y_pred & view.y_true, view.y_true),
    "true_negative_rate": lambda view: (~view.y_pred & ~view.y_true, ~view.y_true),
    "precision": lambda view: (view.y_pred & view.y_true, view.y_pred),
    "base_rate": lambda view: (view.y_true, np.ones_like(view.y_true)),
    "accuracy": lambda view: (view.y_true == view.y_pred, np.ones_like(view.y_true)),
}
"""What each rate counts. That without a row below is undefined, also where nothing stands above: 0/0 is missing and not 1."""

BELOW = {
    "true_positive_rate": "that is truly positive",
    "false_negative_rate": "that is truly positive",
    "false_positive_rate": "that is truly negative",
    "true_negative_rate": "that is truly negative",
    "precision": "that is predicted positive",
}
"""What a row must be to count below the line; any row does where nothing stands here."""


@dataclass(frozen=True, eq=False)
class RateTable:
    """Rates of all groups.

    Args:
        columns: Name of each rate and the class that it is of, None for the positive side or for all classes together, Q of them.
        groups: Who belongs to which group.
        units: Which rows hang together.
        above_nQ: Which rows count above the line.
        below_nQ: Which rows count below.
    """

    columns: tuple[tuple[str, str | None], ...]
    groups: Groups
    units: Units
    above_nQ: Bools
    below_nQ: Bools

    @classmethod
    def of(cls, predictions: Predictions, rates: Sequence[str], *, looked_at: Sequence[View] | None = None) -> Self:
        """Counts.

        Args:
            predictions: Of a model.
            rates: Names in `RATES`.
            looked_at: The views; those of `views` where None. "accuracy" is one rate over all classes, whatever the views.

        Raises:
            InputError: For an unknown rate.
        """
        columns: list[tuple[str, str | None]] = []
        sides: list[tuple[Bools, Bools]] = []
        for rate in rates:
            if rate not in RATES:
                raise InputError(f"there is no rate {rate!r}; {nearest(rate, RATES)}")
            if rate == "accuracy":
                columns.append((rate, None))
                sides.append((predictions.y_true == predictions.y_pred, np.ones(len(predictions), dtype=bool)))
                continue
            for view in views(predictions) if looked_at is None else looked_at:
                columns.append((rate, view.label))
                sides.append(RATES[rate](view))
        above, below = (np.stack([side[place] for side in sides], axis=1) for place in (0, 1))
        return cls(tuple(columns), predictions.groups, predictions.units, above, below)

    @cached_property
    def above(self) -> Integers:
        """Rows above the line, (Q, G)."""
        return _counts(self.above_nQ, self.groups.members)

    @cached_property
    def below(self) -> Integers:
        """Rows below the line, (Q, G)."""
        return _counts(self.below_nQ, self.groups.members)

    @cached_property
    def values(self) -> Floats:
        """The rates, (Q, G); NaN where nothing stands below the line."""
        found: Floats = np.divide(self.above, self.below, out=np.full(self.above.shape, np.nan), where=self.below > 0)
        return found

    @cached_property
    def overall(self) -> Floats:
        """The rate of all rows, whether or not they belong to a group, (Q,)."""
        below = self.below_nQ.sum(0)
        found: Floats = np.divide(self.above_nQ.sum(0), below, out=np.full(len(below), np.nan), where=below > 0)
        return found

    def independent(self, column: int, group: int) -> int:
        """How many units have a row below the line."""
        if self.units.single:
            return int(self.below[column, group])
        return len(np.unique(self.units.of[self.below_nQ[:, column] & self.groups.members[:, group]]))

    def why_missing(self, column: int, group: int) -> str | None:
        """Why a group has no rate, or None where it has one."""
        if self.below[column, group]:
            return None
        name, (rate, label) = self.groups.names[group], self.columns[column]
        if not self.groups.sizes[group]:
            return f"0/0: no row belongs to group {name!r}"
        kind = BELOW.get(rate, "")
        of = "" if label is None else f" of class {label!r}"
        return f"0/0: group {name!r} has no row {kind}{of} among {self.groups.sizes[group]}"

    def replicates(self, inference: Inference, generator: np.random.Generator) -> Floats:
        """Bootstrap replicates of all rates, (R, Q, G), each replicate from one draw of units."""
        members = self.groups.members[:, None, :]
        shape = (len(self.units), -1)
        above, below = ((side[:, :, None] & members).reshape(shape) for side in (self.above_nQ, self.below_nQ))
        drawn = ratio_replicates(above, below, self.units, replicates=inference.replicates, generator=generator)
        return drawn.reshape(inference.replicates, *self.values.shape)

    def band(self, replicates_RQG: Floats, inference: Inference) -> tuple[Floats, Floats]:
        """Ends of intervals that hold for all rates of all groups at once, (Q, G) each; NaN where there is none."""
        flat = replicates_RQG.reshape(len(replicates_RQG), -1)
        found = max_t_band(self.values.ravel(), flat, level=inference.level, bounds=(0.0, 1.0))
        return found.low.reshape(self.values.shape), found.high.reshape(self.values.shape)

    def p_value(self, column: int, *, inference: Inference, generator: np.random.Generator) -> float | None:
        """Tests that one rate is the same in all groups, by permuting who belongs to which group among the rows below the line."""
        counted = self.below_nQ[:, column]
        if np.isnan(self.values[column]).any() or len(self.groups.names) < 2:
            return None
        kept = counted & self.groups.members.any(1)
        found, of = np.unique(self.units.of[kept], return_inverse=True)
        units = Units(of.astype(np.int64), len(found), self.units.what)
        hits = self.above_nQ[kept, column]
        p_value = rate_label_test(hits, self.groups.members[kept], units, inference=inference, generator=generator)
        return None if np.isnan(p_value) else float(p_value)


def _counts(rows_nQ: Bools, members_nG: Bools) -> Integers:
    return np.rint(rows_nQ.T.astype(np.float64) @ members_nG.astype(np.float64)).astype(np.int64)


def demand_rows(predictions: Predictions, metric: str) -> None:
    """Refuses predictions without a row, or without a group to look at.

    Raises:
        InputError: With the metric and the cure.
    """
    if not len(predictions):
        raise InputError(f"{metric}: there are no predictions; give at least one row")
    if not predictions.groups.names:
        raise InputError(f"{metric}: {predictions.groups.attribute!r} names no group; give an attribute with at least one value")


def demand_disjoint(groups: Groups, metric: str) -> None:
    """Refuses groups that share members, because a difference between them would count those on both sides.

    Raises:
        InputError: With how many rows are shared and between which groups.
    """
    if groups.disjoint:
        return
    shared = {
        pair: int((groups.members[:, pair[0]] & groups.members[:, pair[1]]).sum()) for pair in combinations(range(len(groups.names)), 2)
    }
    pairs = sorted((pair for pair in shared if shared[pair]), key=lambda pair: -shared[pair])
    told = ", ".join(f"{shared[pair]} of {groups.names[pair[0]]!r} and {groups.names[pair[1]]!r}" for pair in pairs[:5])
    raise InputError(
        f"{metric}: {int((groups.members.sum(1) > 1).sum())} rows belong to more than one group of {groups.attribute!r} "
        f"({told}{', ...' if len(pairs) > 5 else ''}), so that groups cannot be set against each other; give groups that share no row, "
        "such as their intersections, or take a metric that compares with the background: unintended-bias-auc, error-rate-equality"
    )


def demand_scores(predictions: Predictions, metric: str) -> None:
    """Refuses predictions without scores.

    Raises:
        InputError: With the metric and the cure.
    """
    if predictions.scores is None:
        raise InputError(
            f"{metric}: it looks at scores and these predictions hold decisions only; give `scores`, the probability of each class, "
            f"of shape (n, K) = ({len(predictions)}, {len(predictions.classes)})"
        )
    bad = ~np.isfinite(predictions.scores)
    if bad.any():
        raise InputError(f"{metric}: the score of row {int(np.argwhere(bad)[0, 0])} is not finite; give probabilities")


def demand_probabilities(predictions: Predictions, metric: str) -> None:
    """Refuses predictions without scores, and scores that are no probabilities; areas take any scores, for they look at their order.

    Raises:
        InputError: With the metric, the first such score and the cure.
    """
    demand_scores(predictions, metric)
    assert predictions.scores is not None
    outside = (predictions.scores < -ROUNDING) | (predictions.scores > 1 + ROUNDING)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InputError(f"{metric}: the score of row {row} is {predictions.scores[row, column]}, outside [0, 1]; give probabilities")
