"""From a task, data and a mechanism to a fitted model: everything around the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast import models
from holdfast.core.errors import InputError, RunError
from holdfast.core.progress import OnProgress, silent
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits
from holdfast.data.columns import USER_ID
from holdfast.privacy import Mechanism
from holdfast.privacy.clipping import Indices, LossesOf
from holdfast.privacy.preflight import PROBES, preflight
from holdfast.privacy.users import UserGroups, UserLosses
from holdfast.tasks import EncodedDataset, Task, words_of
from holdfast.training import evaluation
from holdfast.training.checkpoints import LEDGER, keep_key
from holdfast.training.distributed import Group
from holdfast.training.fitted import FittedModel
from holdfast.training.records import new_record
from holdfast.training.settings import TrainingSettings
from holdfast.training.trainer import Trainer


@dataclass(frozen=True, eq=False)
class Encoding:
    """What turns examples into numbers: of another model, say, whose training a shadow model repeats on other data.

    Args:
        featuriser: Turns words into the input of the model.
        labels: What the model chooses from; labels that the training data lack are learned to be rare.
    """

    featuriser: models.Featuriser
    labels: models.Labels


def train(
    task: Task,
    data: DataSplits,
    *,
    mechanism: Mechanism,
    model: str | models.ModelSettings = "bilstm",
    settings: TrainingSettings | None = None,
    seed: int | None = None,
    name: str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    encoding: Encoding | None = None,
    on_progress: OnProgress = silent,
) -> FittedModel:
    """Trains a model and returns it with its promise.

    In a program that `torchrun` started and that has joined a process group, all processes call this alike and share the
    work; the first one alone writes to `folder` and reports progress.

    Args:
        task: What to learn, such as ``tasks.IntentSlot()``.
        data: Train, validation and test; only `data.train` is protected by the promise.
        mechanism: From `privacy.dp_sgd`, `privacy.edp_sgd` or `privacy.non_private`, made for ``len(data.train)`` examples, or
            for as many users as the training data have.
        model: "bilstm", "transformer", "hub:NAME-OR-FOLDER" or the settings of a model.
        settings: Optimiser, learning rate and the like.
        seed: Makes the run reproducible, and with it the noise: keep such a seed secret or do not release the model.
            None draws secret randomness from the operating system.
        name: Of the run; the mechanism's name by default.
        folder: For checkpoints and the ledger; None keeps nothing.
        resume: Go on from the checkpoint in `folder`, to the same weights that an uninterrupted run gives.
        device: Where to train, such as "cpu" or "cuda".
        encoding: Vocabulary and labels that were made elsewhere; by default both are read off the training data.
        on_progress: Told after every step.

    Returns:
        The fitted model, with `claim`.

    Raises:
        InputError: If the parts do not fit each other.
        PreflightError: If the model or the loss would void the promise.
        TrainingStopped: If a loss is not finite, or the disk is full.
        Interrupted: On Ctrl-C, after a checkpoint.
        RunError: If the checkpoint to resume from belongs to another run, or `folder` holds a run and `resume` is off.
    """
    settings, group = settings or TrainingSettings(), Group.current()
    if not group.first:
        folder, on_progress = None, silent
    if folder is not None and not resume and (folder / LEDGER).exists():
        raise RunError(f"{folder} already holds a run with its account of what was spent; give resume=True or another folder")
    if settings.patience is not None and not len(data.validation):
        raise InputError(
            f"patience is {settings.patience}, but data set {data.name!r} holds out no validation data to stop by; "
            "hold some out, or leave patience out"
        )
    plan = _prepare(task, data, models.settings(model), mechanism, Streams.from_seed(seed), torch.device(device), folder, group, encoding)
    name = name or ("non-private" if mechanism.name == "none" else mechanism.name)
    described = {"task": task.describe(), "model": plan.model_settings.describe(), "training": settings.describe()}
    losses_of: LossesOf = evaluation.losses_of(task, plan.module, plan.train, device=plan.device)
    if plan.users is not None and mechanism.examples_per_user is not None:
        losses_of = UserLosses(losses_of, plan.users, mechanism.examples_per_user, plan.streams)
    execution = replace(settings.execution, rows_per_example=mechanism.examples_per_user or 1)
    preflight(plan.module, losses_of, _probes(mechanism), mechanism, execution=execution)
    trainer = Trainer(
        name=name,
        model=plan.module,
        losses_of=losses_of,
        mechanism=mechanism,
        settings=settings,
        streams=plan.streams,
        validate=plan.validation_loss,
        fingerprint=_fingerprint(described, mechanism, data, seed),
        folder=folder,
        on_progress=on_progress,
        lengths=plan.lengths,
        group=group,
    )
    record = new_record(name, data, mechanism=mechanism, model=plan.model_settings.describe(), settings={**described, "seed": seed})
    history = trainer.run(resume=resume)
    claim = mechanism.claim(name, conditions=_conditions(plan.featuriser, seed, settings))
    return FittedModel(name, task, plan.module, plan.featuriser, plan.labels, mechanism, claim, data, history, record, plan.device)


@dataclass(frozen=True, eq=False)
class _Plan:
    """A model that is ready to be trained."""

    task: Task
    model_settings: models.ModelSettings
    featuriser: models.Featuriser
    labels: models.Labels
    module: nn.Module
    train: EncodedDataset
    validation: EncodedDataset
    users: UserGroups | None
    streams: Streams
    device: torch.device

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How long each training unit is, (units,): a user is as long as the longest example."""
        each: NDArray[np.int64] = self.train.encoded.pieces.lengths
        return each if self.users is None else np.maximum.reduceat(each[self.users.order], self.users.starts[:-1])

    def validation_loss(self) -> float:
        """Mean loss on the validation set."""
        return float(evaluation.losses(self.task, self.module, self.validation, device=self.device).mean())


def _prepare(
    task: Task,
    data: DataSplits,
    model_settings: models.ModelSettings,
    mechanism: Mechanism,
    streams: Streams,
    device: torch.device,
    folder: Path | None,
    group: Group,
    encoding: Encoding | None,
) -> _Plan:
    users = _users(data.train, mechanism)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        streams = keep_key(folder, streams)
    streams = group.same_streams(streams)
    encoding = encoding or Encoding(model_settings.featuriser(words_of(task, data.train)), task.labels(data.train))
    featuriser, labels = encoding.featuriser, encoding.labels
    module = model_settings.build(featuriser, labels, streams.child("initialisation")).to(device)
    train, validation = (_seen_by(module, task.encode(part, featuriser, labels)) for part in (data.train, data.validation))
    task.encode(data.test, featuriser, labels)  # a label that the model cannot give is found before training, not after
    return _Plan(task, model_settings, featuriser, labels, module, train, validation, users, streams, device)


def _users(train: Dataset, mechanism: Mechanism) -> UserGroups | None:
    """Whose each training example is, where users are protected; refuses data that the mechanism was not made for."""
    if mechanism.unit == "user" and not train.has(USER_ID):
        raise InputError(
            f"unit 'user' needs to know whose each example is, and the data set {train.name!r} has no column {USER_ID!r}; "
            "name that column when loading, or take unit 'example'"
        )
    users = UserGroups.of(train.user_ids()) if mechanism.unit == "user" else None
    there, cure = (len(train), "examples=len(data.train)") if users is None else (users.users, "users=len(set(data.train.user_ids()))")
    if mechanism.sampler.examples != there:
        raise InputError(
            f"the mechanism was made for {mechanism.sampler.examples} {mechanism.unit}s, the training data have {there}; "
            f"make it with {cure}"
        )
    return users


def _seen_by(module: nn.Module, encoded: EncodedDataset) -> EncodedDataset:
    """The data set with what the frozen part of a model makes of it, if it has one."""
    return replace(encoded, encoded=module.precompute(encoded.encoded)) if isinstance(module, models.Precomputing) else encoded


def _probes(mechanism: Mechanism) -> Indices:
    """Some examples or users spread over the data, for preflight."""
    return np.unique(np.linspace(0, mechanism.sampler.examples - 1, PROBES).astype(np.int64))


def _fingerprint(described: Mapping[str, Any], mechanism: Mechanism, data: DataSplits, seed: int | None) -> dict[str, Any]:
    return {**described, "mechanism": mechanism.describe(), "data": data.content_hash, "seed": seed}


def _conditions(featuriser: models.Featuriser, seed: int | None, settings: TrainingSettings) -> tuple[str, ...]:
    found = ["the names of the labels are public"]
    if not featuriser.vocabulary_is_public:
        found.append("the vocabulary was read off the training text and counts as public (a hashed or pretrained one would be)")
    if settings.patience is not None:
        found.append("training was stopped, and the weights chosen, by the validation data, which the promise does not cover")
    if seed is not None:
        found.append(f"seed {seed} stays secret: whoever has it can replay the noise, so this run is reproducible and not for release")
    return tuple(found)
