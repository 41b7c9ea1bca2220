"""From a federated plan to the parts of a simulation: population, schedule, selection and the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast import catalog, federated
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import DataSplits, load_data
from holdfast.federated import Partition, Population
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


def conditions_of(plan: FederatedPlan, run: FederatedRun, population: Population) -> dict[str, Any]:
    """The keyword arguments of `simulate` that a run asks for."""

    def asked(key: str) -> Any:
        return plan.setting(run, key)

    found: dict[str, Any] = {
        key: value
        for key in ("cohort", "trainable", "kernel", "evaluate_every", "test_examples", "checkpoint_every", "seed")
        if (value := asked(key)) is not None
    }
    found["select"] = federated.selector(*part_of(asked("select"), "uniform"))
    found["weights"] = federated.weighting(*part_of(asked("weighting"), "examples"))
    found["schedule"] = _schedule(plan, run, population)
    if asked("compression") is not None:
        compressor = federated.compressor(*part_of(asked("compression"), "none"))
        found["compressor"] = federated.ErrorFeedback(compressor) if asked("error_feedback") else compressor
    if asked("rule") is not None:
        found["rule"] = federated.rule(*part_of(asked("rule"), "median"))
    if asked("availability") is not None:
        found["availability"] = federated.availability(*part_of(asked("availability"), "always"))
    if asked("stragglers") is not None:
        found["stragglers"] = federated.stragglers(asked("stragglers"))
    if asked("lora") is not None:
        found["lora"] = asked("lora")
    return found


def _schedule(plan: FederatedPlan, run: FederatedRun, population: Population) -> federated.Schedule:
    name, options = part_of(plan.setting(run, "schedule"), "static")
    if name == "static":
        options = {"rounds": plan.setting(run, "rounds"), **options}
    times_n = None if name == "static" else population.moments
    streams = Streams.from_seed(plan.setting(run, "seed") or 0)
    return federated.schedule(name, options, clients=population.clients, times_n=times_n, streams=streams)
