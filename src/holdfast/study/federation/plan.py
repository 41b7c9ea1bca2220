"""The file of a federated study: TOML in, a checked plan out; each run may override what is said for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from holdfast import catalog, models
from holdfast.core.errors import StudyError
from holdfast.federated import ALGORITHMS, LocalSolver, algorithm, compressor, rule, selector, weighting
from holdfast.federated.algorithms import FederatedAlgorithm
from holdfast.study.tables import DataPlan, ModelPlan, Table, TaskPlan, anchored_model, check_options, read_text, validated

Part = str | dict[str, Any]
"""A part by its name alone, or a table with its name and its options, such as ``{ name = "activity", tau = 0.5 }``."""


class FederationTable(Table):
    """``[federation]``: how all runs are federated; a run overrides any of it.

    Args:
        clients: Who the clients are: "users", or a partition such as ``{ scheme = "label_dirichlet", clients = 100, alpha = 0.5 }``, or
            ``{ file = "partition.bin" }``.
        holdout: Share of each client's examples that it is tested on, where the clients come from a partition.
        algorithm: Such as "fedavg".
        local: What every client does; see `LocalSolver`.
        server: Settings of the server's optimiser.
        select: Who is drawn.
        weighting: How much the update of each counts.
        cohort: Clients of a round.
        rounds: How many; a continual schedule says it by `periods` and `rounds_per_period`.
        schedule: "static", or a continual clock such as ``{ name = "continual", periods = 6, retention = "cumulative" }``.
        trainable: Which parameters are trained and travel.
        lora: Low-rank pairs beside the linear layers, such as ``{ rank = 4, alpha = 8, train = "b" }``; None for none.
        compression: How updates are made smaller.
        error_feedback: Whether clients remember what compression left out.
        rule: Combines single updates robustly; None for the weighted sum.
        availability: Which clients can be reached, and which fail or are too slow.
        stragglers: Which clients fail or are too slow.
        kernel: What trains the clients; it changes speed alone.
        evaluate_every: Rounds between two points of the curves.
        test_examples: Test examples that such a point rests on at most.
        checkpoint_every: Rounds between two checkpoints.
        seed: Of the run.
    """

    clients: Part | None = None
    holdout: float | None = None
    algorithm: str | None = None
    local: dict[str, Any] | None = None
    server: dict[str, Any] | None = None
    select: Part | None = None
    weighting: Part | None = None
    cohort: int | None = Field(default=None, ge=1)
    rounds: int | None = Field(default=None, ge=1)
    schedule: Part | None = None
    trainable: str | dict[str, list[str]] | None = None
    lora: dict[str, Any] | None = None
    compression: Part | None = None
    error_feedback: bool | None = None
    rule: Part | None = None
    availability: Part | None = None
    stragglers: dict[str, Any] | None = None
    kernel: str | None = None
    evaluate_every: int | None = Field(default=None, ge=0)
    test_examples: int | None = Field(default=None, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)


class FederatedRun(FederationTable):
    """``[[run]]``: one federation; its keys override those of ``[federation]``, and ``model = {...}`` those of ``[model]``."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: dict[str, Any] = Field(default_factory=dict)
    cell: dict[str, str | int | float] = Field(default_factory=dict)


class FederatedPlan(Table):
    """A whole federated study.

    Args:
        title: Of the report.
        data: Where the utterances come from.
        task: What to learn.
        model: What learns it.
        federation: Settings of all runs.
        run: The runs, in the order of the report.
        threads: Threads of torch; None leaves them as they are.
    """

    title: str
    data: DataPlan
    task: TaskPlan = TaskPlan(name="classification")
    model: ModelPlan = ModelPlan(name="bag")
    federation: FederationTable = FederationTable()
    run: tuple[FederatedRun, ...] = Field(min_length=1)
    threads: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = [run.name for run in self.run]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"run names must differ, {', '.join(twice)} stands twice")
        for run in self.run:
            for key in ("cohort", "local"):
                if self.setting(run, key) is None:
                    raise ValueError(f"run {run.name!r} has no {key}; give it in [federation] or in the run")
            name, options = part_of(self.setting(run, "schedule"), "static")
            if name == "static" and self.setting(run, "rounds") is None and "rounds" not in options:
                raise ValueError(f"run {run.name!r} has no rounds; give them in [federation] or in the run")
        return self

    def setting(self, run: FederatedRun, key: str) -> Any:
        """A key of a run: its own, or that of ``[federation]``, or None."""
        own = getattr(run, key)
        return getattr(self.federation, key) if own is None else own

    def rounds_of(self, run: FederatedRun) -> int:
        """How many rounds a run has, as far as the plan alone says it: a clock cut by days has as many periods as its data."""
        name, options = part_of(self.setting(run, "schedule"), "static")
        if name == "static":
            return int(options.get("rounds") or self.setting(run, "rounds"))
        each, periods = options.get("rounds_per_period", 1), options.get("periods") or 10
        return int(sum(each)) if isinstance(each, list) else int(each) * int(periods)

    def algorithm_of(self, run: FederatedRun) -> FederatedAlgorithm:
        """What clients and server of a run do."""
        check_options(f"run {run.name!r}: local", self.setting(run, "local"), LocalSolver)
        local = LocalSolver(**self.setting(run, "local"))
        return algorithm(self.setting(run, "algorithm") or ALGORITHMS[1], local=local, server=self.setting(run, "server"))

    def model_settings(self, run: FederatedRun) -> models.ModelSettings:
        """Settings of the model of a run, as `StudyPlan.model_settings`."""
        own = dict(run.model)
        name = own.pop("name", None)
        return models.settings(self.model.name, {**self.model.options, **own}) if name is None else models.settings(name, own)

    def resolved(self, run: FederatedRun) -> dict[str, Any]:
        """All settings of a run as plain data: what decides whether a finished run may be used again."""
        keys = [key for key in FederationTable.model_fields if key not in ("kernel", "checkpoint_every")]
        return {
            "data": self.data.model_dump(),
            "task": self.task.model_dump(),
            "model": self.model_settings(run).describe(),
            "asked": {key: self.setting(run, key) for key in keys if self.setting(run, key) is not None},
            "run": {"name": run.name, **({"cell": run.cell} if run.cell else {})},
        }


def part_of(given: Part | None, default: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a part.

    Raises:
        StudyError: For a table without a name.

    >>> part_of({"name": "activity", "tau": 0.5}, "uniform")
    ('activity', {'tau': 0.5})
    """
    if given is None:
        return default, {}
    if isinstance(given, str):
        return given, {}
    options = dict(given)
    if not isinstance(options.get("name"), str):
        raise StudyError(f"{given!r} names no part; give its name, such as {{ name = {default!r} }}")
    return options.pop("name"), options


def read_federated_plan(path: Path) -> FederatedPlan:
    """Reads the file of a federated study; errors as of `study.read_plan`."""
    return parse_federated_plan(read_text(path), origin=str(path), folder=path.parent)


def parse_federated_plan(text: str, *, origin: str, folder: Path) -> FederatedPlan:
    """Checks the text of a federated study, its parts included.

    Args:
        text: TOML.
        origin: What to call it in errors.
        folder: Where relative paths start.

    Raises:
        StudyError: For text that is no TOML, an unknown key (naming the nearest), or a value out of range.
        InputError: For a part that does not exist, or options that it does not have.
    """
    plan = validated(FederatedPlan, text, origin=origin, located=_table_of)
    runs = tuple(run.model_copy(update={"model": anchored_model(run.model, folder)} | _clients(run, folder)) for run in plan.run)
    federation = plan.federation.model_copy(update=_clients(plan.federation, folder))
    plan = plan.model_copy(
        update={"data": plan.data.anchored(folder), "model": plan.model.anchored(folder), "run": runs, "federation": federation}
    )
    _check_parts(plan, origin)
    return plan


def _clients(table: FederationTable, folder: Path) -> dict[str, Any]:
    given = table.clients
    return {"clients": {**given, "file": str(folder / given["file"])}} if isinstance(given, dict) and "file" in given else {}


def _check_parts(plan: FederatedPlan, origin: str) -> None:
    """Has every part look at its own options now, not after the run before it."""
    from holdfast.data import load_data

    check_options(f"{origin}: [data]", plan.data.options, load_data)
    check_options(f"{origin}: [task]", plan.task.options, catalog.resolve("task", plan.task.name))
    catalog.resolve("task", plan.task.name)(**plan.task.options)
    for run in plan.run:
        plan.model_settings(run)
        plan.algorithm_of(run)
        selector(*part_of(plan.setting(run, "select"), "uniform"))
        weighting(*part_of(plan.setting(run, "weighting"), "examples"))
        compressor(*part_of(plan.setting(run, "compression"), "none"))
        if plan.setting(run, "rule") is not None:
            rule(*part_of(plan.setting(run, "rule"), "median"))


_TABLES: Mapping[str, type[BaseModel]] = {"federation": FederationTable, "run": FederatedRun}


def _table_of(place: Sequence[str | int]) -> type[BaseModel]:
    return _TABLES[str(place[0])] if len(place) > 1 else FederatedPlan
