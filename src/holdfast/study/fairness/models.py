"""The models whose fairness is measured: a run just trained, a run read back, or one of `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast import catalog, models
from holdfast.core.errors import InputError, RunError, nearest
from holdfast.data import Dataset, DataSplits, load_data
from holdfast.fairness.inference import Units
from holdfast.fairness.predictions import Groups, Predictions
from holdfast.models import Featuriser, Labels
from holdfast.runs import RunFolder, RunRecord, RunStore
from holdfast.runs.store import RECORD
from holdfast.study.fairness.plan import FairnessTable
from holdfast.study.fairness.tables import check_no_group, groups_of_values
from holdfast.tasks import Task
from holdfast.training import evaluation


@dataclass(eq=False)
class Measured:
    """A trained model with the data that it is measured on; what `core.access.OpenModel` asks for is here too.

    Args:
        name: Of the run.
        task: What it was trained for.
        module: The model itself.
        featuriser: What makes its input of words.
        labels: What it chooses from.
        device: Where it is.
        data: The parts of its data.
    """

    name: str
    task: Task
    module: Any
    featuriser: Featuriser
    labels: Labels
    device: torch.device
    data: DataSplits
    _predicted: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, fitted: Any, data: DataSplits) -> Measured:
        """A model that was just trained."""
        return cls(fitted.name, fitted.task, fitted.module, fitted.featuriser, fitted.labels, torch.device(fitted.device), data)

    @cached_property
    def access(self) -> Any:
        """The model as metrics of language models see it."""
        from holdfast.fairness.language import of_run

        return of_run(self)

    def predictions(self, table: FairnessTable, attribute: str) -> Predictions:
        """What the model decides about the groups of one attribute.

        Args:
            table: Which part, which labels are positive, how groups are written.
            attribute: Of the data.

        Raises:
            InputError: For a model that labels no sentences, or data without labels, the attribute, or any example of a known label.
        """
        dataset = getattr(self.data, table.part)
        if not self.labels.sentence:
            raise InputError(f"{self.name}: the task {self.task.name!r} labels no sentences, so no decisions can be compared")
        names, known = self._classes(dataset)
        y_pred, scores = self._decided(dataset)
        y_true = np.array([names.index(label) for label in dataset.labels()], dtype=np.int64)
        padded = np.zeros((len(dataset), len(names)))
        padded[:, :known] = scores
        groups = groups_of(table, dataset, attribute)
        where = f"{dataset.name}, {table.part}"
        return Predictions(y_true, y_pred, names, groups, units_of(dataset), padded, _positive(table, names), where)

    def _classes(self, dataset: Dataset) -> tuple[tuple[str, ...], int]:
        """The labels of the model, and behind them those of the data that it cannot choose."""
        own = tuple(self.labels.sentence)
        return own + tuple(sorted(set(dataset.labels()) - set(own))), len(own)

    def _decided(self, dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        if dataset.content_hash not in self._predicted:
            encoded = self.task.encode(dataset, self.featuriser, self.labels)
            scores = evaluation.posteriors(self.task, self.module, encoded, device=self.device)
            self._predicted[dataset.content_hash] = (scores.argmax(1).astype(np.int64), scores)
        return self._predicted[dataset.content_hash]


def groups_of(table: FairnessTable, dataset: Dataset, attribute: str) -> Groups:
    """Who belongs to which group of an attribute.

    Raises:
        InputError: For an attribute that the data do not have, with the nearest one.
    """
    return groups_of_values(table, dataset.group(attribute), attribute)


def check_groups(table: FairnessTable, task: Task, data: DataSplits) -> None:
    """Looks before training at what would be refused after it: attributes, labels, groups that share members.

    Args:
        table: What is asked for.
        task: What is learned.
        data: What it is learned from and measured on.

    Raises:
        InputError: For whatever would be refused.
    """
    dataset, metrics = getattr(data, table.part), [one.made() for one in table.tables]
    deciding = [one for one in metrics if one.needs == "predictions"]
    if not deciding:
        return
    labels = task.labels(data.train).sentence
    if not labels:
        raise InputError(
            f"{deciding[0].card.name} compares decisions, and the task {task.name!r} labels no sentences; leave the metric out"
        )
    _positive(table, [*labels, *dataset.labels()])
    check_attributes(table, data)
    for attribute in table.groups:
        groups = groups_of(table, dataset, attribute)
        for metric in deciding:
            if getattr(metric, "groups_apart", False) and not groups.disjoint:
                shared = int((groups.members.sum(1) > 1).sum())
                raise InputError(
                    f"{metric.card.name}: {shared} examples belong to more than one group of {attribute!r}, so that groups cannot be set "
                    "against each other; take a metric that compares with the background, such as unintended-bias-auc"
                )


def check_attributes(table: FairnessTable, data: DataSplits) -> None:
    """Looks whether the attributes are there, and whether what is called no group stands anywhere in the data.

    Raises:
        InputError: For whatever is not there, with the nearest.
    """
    parts = (data.train, data.validation, data.test)
    measured = getattr(data, table.part)
    values = {attribute: list(measured.group(attribute)) for attribute in table.groups}
    for attribute, some in values.items():
        some += [value for part in parts if attribute in part.group_names for value in part.group(attribute)]
    check_no_group(table, values)


def units_of(dataset: Dataset) -> Units:
    """What hangs together: the examples of one user, of one template, or each by itself."""
    if dataset.has("user_id"):
        return Units.named(dataset.user_ids(), what="users")
    if "template" in dataset.group_names:
        return Units.named(dataset.group("template"), what="templates")
    return Units.rows(len(dataset))


def _positive(table: FairnessTable, names: Sequence[str]) -> tuple[str, ...] | None:
    for label in table.positive:
        if label not in names:
            raise InputError(f"positive label {label!r} is none of the data's; {nearest(label, names)}")
    return table.positive or None


def open_measured(path: Path, *, source: str | None = None) -> tuple[RunFolder, RunRecord, Measured]:
    """Reads back a finished run of `run`, `train` or `federate`, and the data that it is measured on.

    Args:
        path: The run's folder, or its id in the folder `runs`.
        source: Where the data are now; other data than it was trained on are allowed, and the record then says so.

    Raises:
        RunError: If there is no such run, it is not finished, its model is not there, or the data of the record have changed.
        DataError: If the data cannot be read.
    """
    store = RunStore() if path.parent == Path() else RunStore(path.parent)
    folder = store.open(path.name)
    record = folder.read()
    if record.status != "finished":
        raise RunError(f"{folder.path} is {record.status}; finish its training first (--resume)")
    settings = record.settings
    if not {"task", "data"} <= settings.keys() or not (folder.path / "model").is_dir():
        raise RunError(f"{folder.path} holds no saved model with its settings; only runs of `run`, `train` and `federate` can be measured")
    options = {name: value for name, value in settings["data"].items() if name != "source"}
    loaded = load_data(settings["data"]["source"], **options) if source is None else load_data(source)
    model = models.load(folder.path / "model")
    task: Task = catalog.resolve("task", settings["task"]["name"])(**{k: v for k, v in settings["task"].items() if k != "name"})
    found = Measured(record.name, task, model.module, model.featuriser, model.labels, torch.device("cpu"), loaded)
    splits = record.data.get("splits", {})
    trained = splits.get("test", {}).get("content_hash") if isinstance(splits, dict) else None
    if source is None and trained is not None and loaded.test.content_hash != trained:
        raise RunError(
            f"{folder.path} was measured on test data with content {trained}, the source now has {loaded.test.content_hash}; give the data "
            "as they were, or others by --data"
        )
    return folder, record, found


def is_run(path: Path) -> bool:
    """Whether this names a run: a folder with a record, or an id in the folder `runs`."""
    return (path / RECORD).exists() or (path.parent == Path() and (Path("runs") / path / RECORD).exists())


def renamed(measured: Measured, name: str) -> Measured:
    """The same model under another name."""
    return replace(measured, name=name)
