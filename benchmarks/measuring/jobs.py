"""What all engines of a case work on, in a file that every environment can read with numpy alone; and how much of it each does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case.

    Args:
        unit: Of which an engine does some or all, in the singular: "partition", "replicate", "pair".
        per: How many of them a figure that compares engines is for.
        goal: Seconds that ours may take.
        whole: How many ours does.
        parts: How many of them the other engines do in a turn, by engine; those that are not in it have nothing to do with the case.
        variants: What ours is called, and which way of it runs then.
        turns: How often each engine has its turn.
    """

    unit: str
    per: int
    goal: float
    whole: int
    parts: Mapping[str, int]
    variants: Mapping[str, str]
    turns: int

    def amount(self, engine: str) -> int:
        """How many units an engine does in a turn."""
        return self.parts.get(engine, self.whole)


ALONE = ", test alone"
CASES: dict[str, Case] = {
    "weat-exact-12870": Case(
        unit="partition",
        per=1000,
        goal=0.05,
        whole=12_870,
        parts={"loop": 2_000, "wefe": 30},
        variants={"": "metric", ALONE: "alone"},
        turns=9,
    ),
    "weat-1e6": Case(
        unit="partition",
        per=1000,
        goal=3.0,
        whole=1_000_000,
        parts={"loop": 2_000, "wefe": 10},
        variants={"": "metric", ALONE: "alone"},
        turns=3,
    ),
    "rates-bootstrap": Case(
        unit="replicate",
        per=1,
        goal=0.1,
        whole=1_000,
        parts={"loop": 3, "fairlearn": 2},
        variants={", three metrics": "metric", ", replicates alone": "alone"},
        turns=3,
    ),
    "auc-bootstrap": Case(
        unit="replicate",
        per=1,
        goal=10.0,
        whole=1_000,
        parts={"loop": 1},
        variants={", metric": "metric", ", replicates alone": "alone"},
        turns=1,
    ),
    "crows-pairs": Case(
        unit="pair", per=1, goal=180.0, whole=1_508, parts={"loop": 40}, variants={"": "metric"}, turns=1
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """What an engine is handed.

    Args:
        case: Name of the case.
        amount: How many units it does in a turn.
        variant: "metric", "alone", or "" for other engines.
        arrays: What to work on.
    """

    case: str
    amount: int
    variant: str
    arrays: Arrays

    def save(self, path: Path) -> None:
        """Writes it."""
        np.savez(path, case=self.case, amount=self.amount, variant=self.variant, **{f"array {name}": a for name, a in self.arrays.items()})

    @classmethod
    def load(cls, path: Path | str) -> Job:
        """Reads it."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name.removeprefix("array "): file[name] for name in file.files if name.startswith("array ")}
            return cls(case=str(file["case"]), amount=int(file["amount"]), variant=str(file["variant"]), arrays=arrays)


@dataclass(frozen=True, eq=False, kw_only=True)
class Work:
    """What an engine does in a turn.

    Args:
        run: Does it.
        values: What came out, read off what `run` returned: numbers on which all engines of a case must agree.
        amount: How many units `run` does.
        note: What a reader of the seconds must know.
    """

    run: Callable[[], Any]
    values: Callable[[Any], Sequence[float] | NDArray[np.float64]]
    amount: int
    note: str = ""


def rates_of(y_true_n: NDArray[np.bool_], y_pred_n: NDArray[np.bool_]) -> list[float]:
    """Selection rate, true and false positive rate of some rows; NaN where there is no such row."""
    return [float(part.mean()) if len(part) else float("nan") for part in (y_pred_n, y_pred_n[y_true_n], y_pred_n[~y_true_n])]
