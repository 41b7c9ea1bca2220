"""The one call that simulates a federation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from holdfast.core.progress import OnProgress, silent
from holdfast.federated.algorithms import FederatedAlgorithm
from holdfast.federated.continual import Schedule, Static
from holdfast.federated.population import Availability, Stragglers
from holdfast.federated.robust import Rule
from holdfast.federated.selection import Selector, Weighting, selector, weighting
from holdfast.federated.simulation.conditions import Conditions
from holdfast.federated.simulation.population import Population
from holdfast.federated.simulation.result import Simulation
from holdfast.federated.simulation.simulating import Simulator, check
from holdfast.federated.simulation.state import SimulationState
from holdfast.federated.updates import Compressor, merge
from holdfast.federated.updates.subsets import Spec


def simulate(
    algorithm: FederatedAlgorithm,
    population: Population,
    *,
    cohort: int,
    rounds: int | None = None,
    select: str | Selector = "uniform",
    weights: str | Weighting = "examples",
    schedule: Schedule | None = None,
    availability: Availability | None = None,
    stragglers: Stragglers | None = None,
    compressor: Compressor | None = None,
    rule: Rule | None = None,
    trainable: Spec = "all",
    lora: Mapping[str, Any] | None = None,
    kernel: str = "auto",
    evaluate_every: int = 10,
    test_examples: int | None = 1000,
    checkpoint_every: int = 10,
    seed: int | None = None,
    name: str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    on_progress: OnProgress = silent,
) -> Simulation:
    """Trains a model across the clients of a population, in this process.

    In a program that `torchrun` started and that has joined a process group, all processes call this alike and share the cohort of
    each round; the result is the same up to rounding.

    Args:
        algorithm: Such as ``federated.algorithm("fedavg", local=federated.LocalSolver(learning_rate=0.5))``.
        population: From `Population.of`.
        cohort: Clients of a round.
        rounds: How many; a continual schedule says it by itself.
        select: Who is drawn: a strategy, or its name.
        weights: How much the update of each counts: a weighting, or its name.
        schedule: Which examples clients have when; None for all of them in every round.
        availability: Which clients can be reached.
        stragglers: Which clients fail or come too late.
        compressor: Makes updates smaller.
        rule: Combines single updates robustly.
        trainable: Which parameters are trained and travel.
        lora: Options of `updates.with_lora`, such as ``{"rank": 4, "alpha": 8, "train": "b"}``; the pairs are folded in at the end.
        kernel: "auto", "closed form", "stacked" or "sequential"; the same result by another way.
        evaluate_every: Rounds between two points of the curves.
        test_examples: Test examples that such a point rests on at most.
        checkpoint_every: Rounds between two checkpoints.
        seed: Makes the run reproducible; None draws secret randomness from the operating system.
        name: Of the run; the algorithm's name by default.
        folder: For checkpoints; None keeps nothing.
        resume: Go on from the checkpoint in `folder`, to the same weights that an uninterrupted run gives.
        device: Where to train.
        on_progress: Told after every round.

    Returns:
        The trained model with what is needed for its evidence.

    Raises:
        InputError: If the parts do not fit each other, or the cohort is larger than the population.
        TrainingStopped: If the server's weights are no longer finite, or the disk is full.
        Interrupted: On Ctrl-C, after a checkpoint.
        RunError: If the checkpoint belongs to another simulation.
    """
    clock = schedule or Static(clients=population.clients, rounds=100 if rounds is None else rounds)
    conditions = Conditions(
        cohort=cohort,
        rounds=clock.rounds if rounds is None else rounds,
        select=selector(select) if isinstance(select, str) else select,
        weighting=weighting(weights) if isinstance(weights, str) else weights,
        schedule=clock,
        availability=availability,
        stragglers=stragglers,
        compressor=compressor,
        rule=rule,
        trainable=trainable,
        lora=lora,
        kernel=kernel,
        evaluate_every=evaluate_every,
        test_examples=test_examples,
        checkpoint_every=checkpoint_every,
    )
    check(population, conditions)
    name, where = name or algorithm.name, torch.device(device)
    simulator = Simulator(name, algorithm, population, conditions, seed=seed, folder=folder, device=where, on_progress=on_progress)
    return finished(simulator, simulator.run(resume=resume))


def finished(simulator: Simulator, state: SimulationState) -> Simulation:
    """What a simulator leaves behind once it has run; low-rank pairs are folded in."""
    module = simulator.workload.module
    return Simulation(
        name=simulator.name,
        algorithm=simulator.algorithm,
        population=simulator.population,
        conditions=simulator.conditions,
        state=state,
        module=module if simulator.conditions.lora is None else merge(module),
        evaluator=simulator.evaluator,
        kernel=simulator.training.kernel,
        processes=simulator.replicas.group.size,
    )
