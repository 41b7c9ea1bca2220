"""Fairness: how a model treats groups of people, measured with intervals that hold and tests that are tests.

>>> from holdfast import fairness
>>> given = fairness.predictions_of([1, 0, 1, 1], [1, 0, 0, 1], sensitive_features=["old", "old", "young", "young"])
>>> fairness.group_table(given).of("selection_rate")
{'old': 0.5, 'young': 0.5}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.fairness import association, generation, groups, inference, language, likelihood
    from holdfast.fairness.cards import MetricCard
    from holdfast.fairness.groups import group_table, predictions_of
    from holdfast.fairness.inference import ByGroup, Inference, Measured, Units, from_function, from_functions, from_metric_frame
    from holdfast.fairness.metric import Metric
    from holdfast.fairness.predictions import Groups, Predictions

_HOMES = {
    "cards": ("MetricCard",),
    "groups": ("group_table", "predictions_of"),
    "inference": ("ByGroup", "Inference", "Measured", "Units", "from_function", "from_functions", "from_metric_frame"),
    "metric": ("Metric",),
    "predictions": ("Groups", "Predictions"),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}
_PACKAGES = ("association", "generation", "groups", "inference", "language", "likelihood")

__all__ = [  # the same names as above, which are imported when first asked for
    "ByGroup",
    "Groups",
    "Inference",
    "Measured",
    "Metric",
    "MetricCard",
    "Predictions",
    "Units",
    "association",
    "from_function",
    "from_functions",
    "from_metric_frame",
    "generation",
    "group_table",
    "groups",
    "inference",
    "language",
    "likelihood",
    "predictions_of",
]


def __getattr__(name: str) -> Any:
    """Imports a package, or the home of a public name, when it is first asked for."""
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
