"""From a federated plan to the parts of a simulation: population, schedule, selection and the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast import catalog, federated
from holdfast.core.errors import InputError, StudyError
from holdfast.core.randomness import Streams
from holdfast.data import DataSplits, load_data
from holdfast.federated import Partition, Population
from holdfast.federated.simulation import Conditions
from holdfast.study.federation.plan import FederatedPlan, FederatedRun, part_of


class Populations:
    """The populations of a study's runs: most runs share one.

    Args:
        plan: The study.
    """

    def __init__(self, plan: FederatedPlan) -> None:
        self.plan = plan
        self.data: DataSplits = load_data(plan.data.source, **plan.data.options)
        self._made: dict[str, Population] = {}

    def of(self, run: FederatedRun) -> Population:
        """The population of a run.

        Raises:
            InputError: If the data have no users and the plan names no partition, or the model does not fit the task.
            DataError: For a partition file that was made for other data.
        """
        clients, holdout = self.plan.setting(run, "clients"), self.plan.setting(run, "holdout")
        settings = self.plan.model_settings(run)
        key = json.dumps([settings.describe(), clients, holdout], sort_keys=True, default=str)
        if key not in self._made:
            task = catalog.resolve("task", self.plan.task.name)(**self.plan.task.options)
            options = {} if holdout is None else {"holdout": holdout}
            self._made[key] = Population.of(task, self.data, model=settings, partition=self._partition(clients), **options)
        return self._made[key]

    def _partition(self, clients: Any) -> Partition | None:
        if clients is None or clients == "users":
            return None
        if isinstance(clients, str):
            return federated.partitioned(clients, self.data.train)
        options = dict(clients)
        if "file" in options:
            return federated.read_partition(Path(options["file"]))
        if "scheme" not in options:
            raise InputError(f"clients is {clients!r}; give 'users', a table with a scheme, or one with a file")
        scheme, count, seed = options.pop("scheme"), options.pop("clients", None), options.pop("seed", 0)
        return federated.partitioned(scheme, self.data.train, options, clients=count, seed=seed)


def conditions_of(plan: FederatedPlan, run: FederatedRun, population: Population) -> Conditions:
    """How a run is federated.

    Raises:
        StudyError: For error feedback without a compression.
        InputError: For parts that do not fit each other.
    """

    def asked(key: str) -> Any:
        return plan.setting(run, key)

    plain = ("cohort", "trainable", "lora", "kernel", "evaluate_every", "test_examples", "checkpoint_every")
    given: dict[str, Any] = {key: value for key in plain if (value := asked(key)) is not None}
    if asked("compression") is not None:
        compressor = federated.compressor(*part_of(asked("compression"), "none"))
        given["compressor"] = federated.ErrorFeedback(compressor) if asked("error_feedback") else compressor
    elif asked("error_feedback"):
        raise StudyError(f"run {run.name!r}: error_feedback remembers what compression left out; name a compression, or leave it out")
    if asked("rule") is not None:
        given["rule"] = federated.rule(*part_of(asked("rule"), "median"))
    if asked("availability") is not None:
        given["availability"] = federated.availability(*part_of(asked("availability"), "always"))
    if asked("stragglers") is not None:
        given["stragglers"] = federated.stragglers(asked("stragglers"))
    clock = _schedule(plan, run, population)
    return Conditions(
        select=federated.selector(*part_of(asked("select"), "uniform")),
        weighting=federated.weighting(*part_of(asked("weighting"), "examples")),
        schedule=clock,
        rounds=clock.rounds,
        **given,
    )


def _schedule(plan: FederatedPlan, run: FederatedRun, population: Population) -> federated.Schedule:
    name, options = part_of(plan.setting(run, "schedule"), "static")
    if name == "static":
        options = {"rounds": plan.setting(run, "rounds"), **options}
    times_n = None if name == "static" else population.moments
    streams = Streams.from_seed(plan.setting(run, "seed") or 0)
    return federated.schedule(name, options, clients=population.clients, times_n=times_n, streams=streams)
