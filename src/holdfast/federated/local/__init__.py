"""What clients do: from the server's weights and their own examples to an update, many clients at once."""

from holdfast.federated.local.solver import LocalSolver
from holdfast.federated.local.training import LocalTraining
from holdfast.federated.local.updates import TableRows, Updates
from holdfast.federated.local.workload import Workload

__all__ = ["LocalSolver", "LocalTraining", "TableRows", "Updates", "Workload"]
