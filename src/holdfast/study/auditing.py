"""Attacks a finished run from its folder alone: the saved model, the data that the record names, the promise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast import catalog, models
from holdfast.audit.bounds import METHODS, AuditPlan
from holdfast.audit.bounds import plan as plan_audit
from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import RunError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data import Dataset, load_data
from holdfast.models import Featuriser, Labels
from holdfast.models.registry import LoadedModel
from holdfast.runs import RunFolder, RunRecord, RunStore
from holdfast.study.attacking import AttackSettings, attack_model
from holdfast.study.plan import AuditTable, StudyPlan
from holdfast.study.planting import AuditedData, planted
from holdfast.study.shadowing import PHASE, Recipe
from holdfast.study.steps import make_mechanism
from holdfast.tasks import EncodedDataset, Prediction, Task
from holdfast.training import Encoding, evaluation
from holdfast.training.fitted import NOTES

__all__ = [
    "METHODS",
    "PHASES",
    "SHADOW_PHASES",
    "AttackSettings",
    "AuditPlan",
    "StoredRun",
    "audit_stored",
    "open_stored",
    "plan_audit",
]

PHASES = {"data": 2.0, "attack": 8.0}
"""The phases that `audit_stored` reports progress for, each with its rough share of the time."""

SHADOW_PHASES = {"data": 2.0, PHASE: 100.0, "attack": 8.0}
"""The same with shadow models."""


@dataclass(eq=False)
class StoredRun:
    """A finished run, read back: what an attack may ask of a fitted model.

    Args:
        folder: Where it lies.
        record: Its record.
        task: What the model was trained for.
        model: The model with what makes its input.
        audited: What it was trained on, and what was held out, with its canaries.
    """

    folder: RunFolder
    record: RunRecord
    task: Task
    model: LoadedModel
    audited: AuditedData
    _encoded: dict[str, EncodedDataset] = field(default_factory=dict, repr=False)

    @property
    def module(self) -> nn.Module:
        """The model itself."""
        return self.model.module

    @property
    def featuriser(self) -> Featuriser:
        """What makes its input of words."""
        return self.model.featuriser

    @property
    def labels(self) -> Labels:
        """What it chooses from."""
        return self.model.labels

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return torch.device("cpu")

    @property
    def claim(self) -> PrivacyClaim | None:
        """The promise, or None where there is none."""
        return next((claim for claim in self.record.evidence.claims if claim.subject == self.record.name), None)

    def losses(self, data: Dataset) -> NDArray[np.float64]:
        """The loss of each example, (n,), in nats, in evaluation mode."""
        return evaluation.losses(self.task, self.model.module, self._as_seen(data), device=self.device)

    def predict(self, data: Dataset) -> list[Prediction]:
        """What the model predicts for each example."""
        return evaluation.predictions(self.task, self.model.module, self._as_seen(data), device=self.device)

    @property
    def vocabulary_min_count(self) -> int | None:
        """See `core.access.OwnVocabulary`."""
        return None if self.model.featuriser.vocabulary_is_public else getattr(self.model.settings, "min_count", 1)

    @property
    def confidence_names(self) -> tuple[str, ...]:
        """What `confidences` gives, in order."""
        return evaluation.confidence_names(self.task, self.model.labels)

    def confidences(self, data: Dataset) -> NDArray[np.float64]:
        """How sure the model is of each example, (n, F), in evaluation mode; see `core.access.Confidences`."""
        return evaluation.confidences(self.task, self.model.module, self._as_seen(data), device=self.device)

    def recipe(self) -> Recipe:
        """How it was trained, read off the record."""
        settings = self.record.settings
        plan = StudyPlan.model_validate(
            {name: settings[name] for name in ("data", "task", "training")} | {"title": self.record.name, "run": [settings["run"]]}
        )
        return Recipe(
            task=self.task,
            model=self.model.settings,
            training=plan.training_settings(plan.run[0]),
            mechanism=make_mechanism(plan, plan.run[0], self.audited.data.train),
            encoding=Encoding(self.model.featuriser, self.model.labels),
            data=self.audited.data,
        )

    def _as_seen(self, data: Dataset) -> EncodedDataset:
        if data.content_hash not in self._encoded:
            self._encoded[data.content_hash] = self.task.encode(data, self.model.featuriser, self.model.labels)
        return self._encoded[data.content_hash]


def open_stored(path: Path, *, source: str | None = None) -> StoredRun:
    """Reads a finished run and the data that it was trained on.

    Args:
        path: The run's folder, or its id in the folder `runs`.
        source: Where the data are now, such as ``snips:FOLDER``; what the record says by default.

    Raises:
        RunError: If there is no such run, it is not finished, its model is not there, or the data are not those that it was
            trained on.
        DataError: If the data cannot be read.
    """
    store = RunStore() if path.parent == Path() else RunStore(path.parent)
    folder = store.open(path.name)
    record = folder.read()
    if record.status != "finished":
        raise RunError(f"{folder.path} is {record.status}; an audit needs a finished run: go on with the training first (--resume)")
    settings = record.settings
    if not {"task", "data"} <= settings.keys() or not (folder.path / "model").is_dir():
        raise RunError(f"{folder.path} holds no saved model with its settings; only runs of `holdfast run` and `train` can be audited")
    if "federation" in settings:
        raise RunError(
            f"{folder.path} was trained across clients: its members are the examples of those that took part, which an audit cannot tell "
            "apart yet; audit a run of `holdfast run` or `train`"
        )
    options = {name: value for name, value in settings["data"].items() if name != "source"}
    loaded = load_data(settings["data"]["source"] if source is None else source, **options)
    model = models.load(folder.path / "model")
    audited = planted(loaded, AuditTable.model_validate(settings.get("audit", {})), [model.settings])
    trained = record.data["content_hash"]
    if audited.data.content_hash != trained:
        raise RunError(
            f"{folder.path} was trained on data with content {trained}, the source now has {audited.data.content_hash}; members would not "
            "be members: give the data as they were (--data)"
        )
    task: Task = catalog.resolve("task", settings["task"]["name"])(**{k: v for k, v in settings["task"].items() if k != "name"})
    return StoredRun(folder, record, task, model, audited)


def audit_stored(
    path: Path, *, settings: AttackSettings | None = None, source: str | None = None, on_progress: OnProgress = silent
) -> Evidence:
    """Attacks a finished run and puts what was found into its record, in place of what earlier attacks found.

    Members are the training examples, non-members the test examples; with shadow models as many of the ones as of the others.
    A run that was trained with canaries is audited by them too, and secrets that were planted are ranked.

    Args:
        path: The run's folder, or its id in the folder `runs`.
        settings: How it is attacked; by its losses where nothing is said.
        source: Where the data are now; what the record says by default.
        on_progress: Told of each phase.

    Returns:
        The new evidence: every attack's figures, and one verdict where the run makes a claim.

    Raises:
        InputError: Whatever the attacks refuse.
        RunError: As `open_stored`.
        TrainingStopped: If a shadow model cannot be trained; those that are finished are kept.
    """
    on_progress(Progress(phase="data", done=0, total=1))
    stored = open_stored(path, source=source)
    on_progress(Progress(phase="data", done=1, total=1))
    on_progress(Progress(phase="attack", done=0, total=1))
    record = stored.record
    evidence = attack_model(
        stored,
        stored.recipe(),
        stored.audited,
        settings=settings or AttackSettings(),
        claim=stored.claim,
        subject=record.name,
        folder=stored.folder.path,
        on_progress=on_progress,
    )
    stored.folder.write(replace(record, evidence=_without_attacks(record) + evidence))
    on_progress(Progress(phase="attack", done=1, total=1))
    return evidence


def _without_attacks(record: RunRecord) -> Evidence:
    """What was found of a run, without what its attacks found."""
    evidence = record.evidence
    kept = {*NOTES, *(note for notes in record.settings.get("fairness", {}).get("notes", {}).values() for note in notes)}
    return replace(
        evidence,
        estimates=tuple(
            one for one in evidence.estimates if not {"attack", "canaries"} & one.conditions.keys() and one.name != "blind_auc"
        ),
        curves=tuple(one for one in evidence.curves if "attack" not in one.conditions),
        verdicts=(),
        notes=tuple(note for note in evidence.notes if note in kept),
    )
