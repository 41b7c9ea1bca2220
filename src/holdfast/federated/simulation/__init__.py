"""Simulations of a federation: the population, the rounds, and what is found out on the way."""

from holdfast.federated.simulation.population import Population
from holdfast.federated.simulation.result import Simulation
from holdfast.federated.simulation.run import simulate

__all__ = ["Population", "Simulation", "simulate"]
