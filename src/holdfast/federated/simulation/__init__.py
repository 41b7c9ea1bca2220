"""Simulations of a federation: the population, the rounds, and what is found out on the way."""

from holdfast.federated.simulation.conditions import Conditions
from holdfast.federated.simulation.population import Population
from holdfast.federated.simulation.result import Simulation
from holdfast.federated.simulation.run import finished, simulate
from holdfast.federated.simulation.simulating import Simulator, check

__all__ = ["Conditions", "Population", "Simulation", "Simulator", "check", "finished", "simulate"]
