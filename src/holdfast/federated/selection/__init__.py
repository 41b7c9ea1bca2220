"""Who takes part in a round, and how much each counts: selection by activity and its comparators, and aggregation weights."""

from holdfast.federated.selection.contract import Cohort, Leaning, Selector, Signals, View
from holdfast.federated.selection.named import SELECTORS, inclusion_of, most_inclusion, selector
from holdfast.federated.selection.signal import CountSignal, noised_counts
from holdfast.federated.selection.weighting import WEIGHTINGS, Weighting, counted_twice, weighting

__all__ = [
    "SELECTORS",
    "WEIGHTINGS",
    "Cohort",
    "CountSignal",
    "Leaning",
    "Selector",
    "Signals",
    "View",
    "Weighting",
    "counted_twice",
    "inclusion_of",
    "most_inclusion",
    "noised_counts",
    "selector",
    "weighting",
]
