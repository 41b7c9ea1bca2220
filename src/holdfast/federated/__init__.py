"""Federated learning for text: populations, selection of clients by activity, a continual clock, and a fast simulator.

>>> from holdfast import federated
>>> federated.selector("activity", {"tau": 0.5}).describe()
{'strategy': 'activity', 'tau': 0.5, 'sampling': 'without replacement'}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.federated.algorithms import ALGORITHMS, FederatedAlgorithm, ServerOptimiser, algorithm
    from holdfast.federated.continual import Clock, Schedule, Static, schedule
    from holdfast.federated.local import LocalSolver, Workload
    from holdfast.federated.local.training import LocalTraining
    from holdfast.federated.partition import Partition, read_partition
    from holdfast.federated.partition import partition as partitioned
    from holdfast.federated.population import Clients, availability, open_store, stragglers, write_store
    from holdfast.federated.robust import rule
    from holdfast.federated.selection import Cohort, counted_twice, selector, weighting
    from holdfast.federated.simulation import Population, Simulation, simulate
    from holdfast.federated.updates import ErrorFeedback, compressor, with_lora

_HOMES = {
    "algorithms": ("ALGORITHMS", "FederatedAlgorithm", "ServerOptimiser", "algorithm"),
    "continual": ("Clock", "Schedule", "Static", "schedule"),
    "local": ("LocalSolver", "Workload"),
    "local.training": ("LocalTraining",),
    "partition": ("Partition", "partitioned", "read_partition"),
    "population": ("Clients", "availability", "open_store", "stragglers", "write_store"),
    "robust": ("rule",),
    "selection": ("Cohort", "counted_twice", "selector", "weighting"),
    "simulation": ("Population", "Simulation", "simulate"),
    "updates": ("ErrorFeedback", "compressor", "with_lora"),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # the same names as above, which are imported when first asked for
    "ALGORITHMS",
    "Clients",
    "Clock",
    "Cohort",
    "ErrorFeedback",
    "FederatedAlgorithm",
    "LocalSolver",
    "LocalTraining",
    "Partition",
    "Population",
    "Schedule",
    "ServerOptimiser",
    "Simulation",
    "Static",
    "Workload",
    "algorithm",
    "availability",
    "compressor",
    "counted_twice",
    "open_store",
    "partitioned",
    "read_partition",
    "rule",
    "schedule",
    "selector",
    "simulate",
    "stragglers",
    "weighting",
    "with_lora",
    "write_store",
]


def __getattr__(name: str) -> Any:
    """Imports the home of a public name when it is first asked for."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # the package `partition` has that name already
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), "partition" if name == "partitioned" else name)


def __dir__() -> list[str]:
    return __all__
