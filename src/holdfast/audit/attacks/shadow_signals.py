"""Signals of shadow models: checked, read in blocks of examples, and their moments on the two sides of each example."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.intervals import Floats, Integers
from holdfast.core.errors import InputError

Reals = NDArray[np.floating[Any]]
"""Floating-point numbers of any width, such as an `np.memmap` of float32."""

Truths = NDArray[np.bool_]

BLOCK = 2**18
"""Signals of shadow models that are held in double precision at one time: 2 MiB."""

HIGHEST = sys.float_info.max
"""The largest finite float: the bound of signals that need only be finite."""


def signals_of_target(
    values: ArrayLike, *, what: str = "signals of the target model", lowest: float = -HIGHEST, highest: float = HIGHEST
) -> Floats:
    """One number for each example, in float64; refused unless it lies between the two bounds.

    Raises:
        InputError: For another number of dimensions, no example, or a value that is NaN or outside the bounds.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or given.size == 0:
        raise InputError(f"{what} have shape {given.shape}; give one number for each of at least one example")
    _check_range(given, what, lowest, highest)
    return given


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The first two moments of each example's signals, over the shadow models on one side.

    Args:
        count: Shadow models on this side, (N,).
        mean: Mean of their signals, (N,); 0 where there is none.
        squares: Sum of squared distances from that mean, (N,): centred for each example by itself.
    """

    count: Integers
    mean: Floats
    squares: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """The moments on both sides.

    Args:
        inside: Over the shadow models that were trained on the example.
        outside: Over the others.
    """

    inside: Side
    outside: Side


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some examples of an array of shadow signals.

    Args:
        rows: Which examples: B of them.
        values_BM: Their signals in float64.
        included_BM: Which shadow models were trained on them.
    """

    rows: slice
    values_BM: Floats
    included_BM: Truths


@dataclass(frozen=True, kw_only=True, eq=False)
class ShadowSignals:
    """Signals of M shadow models on N examples, never copied whole.

    Args:
        values_NM: Signals; an `np.memmap` is read block by block.
        included_NM: Whether shadow model m was trained on example n.
        what: What errors call the signals.
        lowest: The least value allowed.
        highest: The largest value allowed.
        configured: How many shadow models a study was to train; None where nobody said.

    Raises:
        InputError: For shapes or types that do not fit, or fewer shadow models than configured. Values are looked at when
            they are read.
    """

    values_NM: Reals
    included_NM: Truths
    what: str = "signals of shadow models"
    lowest: float = -HIGHEST
    highest: float = HIGHEST
    configured: int | None = None

    @classmethod
    def beside(cls, target: Floats, shadow: Reals, included: Truths, *, configured: int | None) -> Self:
        """Signals of shadow models on the examples of the target's signals (N,)."""
        signals = cls(values_NM=np.asarray(shadow), included_NM=np.asarray(included), configured=configured)
        signals.must_match(target)
        return signals

    def __post_init__(self) -> None:
        values, included = self.values_NM, self.included_NM
        if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiu":
            raise InputError(f"{self.what} have shape {values.shape} and type {values.dtype}; give numbers (N examples, M models), M >= 1")
        if included.shape != values.shape or included.dtype != np.bool_:
            raise InputError(
                f"included has shape {included.shape} and type {included.dtype}, {self.what} {values.shape}; "
                "give one boolean for each of them: was model m trained on example n?"
            )
        if self.configured is not None and values.shape[1] < self.configured:
            raise InputError(
                f"{values.shape[1]} shadow models have signals, but {self.configured} are configured; train the other "
                f"{self.configured - values.shape[1]}, or configure {values.shape[1]}"
            )

    def must_match(self, target: Floats) -> None:
        """Refuses another number of examples than the target model has."""
        if len(self.values_NM) != target.size:
            raise InputError(
                f"{self.what} cover {len(self.values_NM)} examples, but the target model {target.size}; give the same in one order"
            )

    def need(self, attack: str, *, inside: int, outside: int) -> None:
        """Refuses examples that fewer models were trained on, or spared by, than an attack needs.

        Raises:
            InputError: With how many such examples there are.
        """
        trained = np.count_nonzero(self.included_NM, axis=1)
        models = self.included_NM.shape[1]
        for count, least, side in ((trained, inside, "trained on them (IN)"), (models - trained, outside, "not trained on them (OUT)")):
            few = int(np.sum(count < least))
            if few:
                raise InputError(
                    f"{few} of {trained.size} examples have fewer than {least} of the {models} shadow models {side}, the fewest "
                    f"{count.min()}; {attack} needs {least}: train each shadow model on a random half of the examples, train more, "
                    "or leave those examples out"
                )

    def blocks(self) -> Iterator[Block]:
        """All examples in order, as many at a time as fit in `BLOCK` numbers.

        Raises:
            InputError: For a value that is NaN or outside the bounds, with its place.
        """
        step = max(1, BLOCK // self.values_NM.shape[1])
        for start in range(0, len(self.values_NM), step):
            rows = slice(start, start + step)
            values_BM = np.asarray(self.values_NM[rows], dtype=np.float64)
            _check_range(values_BM, self.what, self.lowest, self.highest, first=start)
            yield Block(rows=rows, values_BM=values_BM, included_BM=np.asarray(self.included_NM[rows]))

    def moments(self) -> Moments:
        """Moments of each example on both sides, in one pass."""
        shape = (2, len(self.values_NM))
        count, mean, squares = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
        for block in self.blocks():
            for side, chosen in enumerate((block.included_BM, ~block.included_BM)):
                weight_BM = chosen.astype(np.float64)
                counted = np.count_nonzero(chosen, axis=1)
                middle = np.einsum("bm,bm->b", block.values_BM, weight_BM) / np.maximum(counted, 1)
                weight_BM *= block.values_BM - middle[:, None]  # distances from the mean, 0 for models on the other side
                count[side, block.rows], mean[side, block.rows] = counted, middle
                squares[side, block.rows] = np.einsum("bm,bm->b", weight_BM, weight_BM)
        sides = [Side(count=count[side], mean=mean[side], squares=squares[side]) for side in (0, 1)]
        return Moments(inside=sides[0], outside=sides[1])


def _check_range(values: Floats, what: str, lowest: float, highest: float, *, first: int = 0) -> None:
    wrong = ~((values >= lowest) & (values <= highest))  # NaN is neither
    if np.any(wrong):
        place = np.argwhere(wrong)[0]
        model = "" if values.ndim == 1 else f", model {place[1]}"
        found = f"{int(wrong.sum())} {what} are wrong, the first {values[tuple(place)]} at example {place[0] + first}{model}"
        bound = "must be finite" if highest == HIGHEST else f"must lie between {lowest:g} and {highest:g}"
        raise InputError(f"{found}; they {bound}: mend the model, or leave that example out by a rule that does not look at the model")
