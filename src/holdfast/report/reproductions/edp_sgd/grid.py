"""What the summary of a study over a grid holds: cells, each averaged over seeds, and correlations over its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.evidence import Estimate, Evidence

STATEMENT = (
    "After Dupuy et al. (arXiv 2107.14586); their tables were not at hand, so this is no reproduction of their figures. "
    "What their paper leaves open was chosen here."
)
LABELS = {"none": "Non-private", "edp-sgd": "eDP-SGD", "dp-sgd": "DP-SGD"}  # in the order of their colours
BOTH = "both methods"
CORRELATION = "promise_correlation"
LEAKAGE, ADVANTAGE, SECONDS = "membership_auc", "membership_advantage", "seconds_per_epoch"
PROMISE, NAIVE = "epsilon", "epsilon_naive"
USEFULNESS = ("intent_accuracy", "slot_f1", "accuracy", "macro_f1")


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """The runs of one method at one level of noise.

    Args:
        subject: What its evidence speaks of, such as "dp-sgd-noise-0.4".
        method: "none", "edp-sgd" or "dp-sgd".
        seeds: How many runs it has.
    """

    subject: str
    method: str
    seeds: int

    @property
    def colour(self) -> int:
        """Number of the colour and the mark of its method."""
        return list(LABELS).index(self.method)


def cells(evidence: Evidence) -> list[GridCell]:
    """The cells in the summary: the non-private one first, then each method from its loosest promise to its tightest."""
    found = [
        GridCell(subject=estimate.subject, method=str(estimate.conditions["method"]), seeds=int(estimate.conditions["seeds"]))
        for estimate in evidence.estimates
        if estimate.name == LEAKAGE and {"method", "seeds"} <= estimate.conditions.keys()
    ]
    return sorted(found, key=lambda cell: (cell.colour, -(value(evidence, PROMISE, cell) or 0.0)))


def methods(evidence: Evidence) -> list[str]:
    """The private methods in the summary."""
    return list(dict.fromkeys(cell.method for cell in cells(evidence) if cell.method != "none"))


def of_method(evidence: Evidence, method: str) -> list[GridCell]:
    """The cells of a method, from the loosest promise to the tightest."""
    return [cell for cell in cells(evidence) if cell.method == method]


def usefulness(evidence: Evidence) -> list[str]:
    """The measures of usefulness that the cells have, at most two."""
    known = {estimate.name for cell in cells(evidence) for estimate in _about(evidence, cell.subject) if estimate.value is not None}
    return [name for name in USEFULNESS if name in known][:2]


def estimate(evidence: Evidence, name: str, cell: GridCell) -> Estimate | None:
    """What was found of a cell, or None."""
    return evidence.estimate(name, cell.subject)


def value(evidence: Evidence, name: str, cell: GridCell) -> float | None:
    """The number alone, or None."""
    found = estimate(evidence, name, cell)
    return None if found is None else found.value


def _about(evidence: Evidence, subject: str) -> Sequence[Estimate]:
    return evidence.about(subject).estimates
