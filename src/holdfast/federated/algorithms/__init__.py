"""Federated algorithms as pairs of a beginning and a round, each with its local solver and its server optimiser."""

from holdfast.federated.algorithms.averaging import Averaging
from holdfast.federated.algorithms.contract import CohortTraining, FederatedAlgorithm, ServerState, Trained
from holdfast.federated.algorithms.named import ALGORITHMS, algorithm
from holdfast.federated.algorithms.nova import FedNova
from holdfast.federated.algorithms.scaffold import Scaffold
from holdfast.federated.algorithms.server import ServerOptimiser

__all__ = [
    "ALGORITHMS",
    "Averaging",
    "CohortTraining",
    "FedNova",
    "FederatedAlgorithm",
    "Scaffold",
    "ServerOptimiser",
    "ServerState",
    "Trained",
    "algorithm",
]
