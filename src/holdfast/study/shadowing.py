"""Shadow models of a run: which rows are attacked, how a shadow is trained, and where the scores of all of them lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from holdfast.audit.games import MembershipGame
from holdfast.audit.shadow import ScoreStore, shadow_scores
from holdfast.audit.shadow.membership import LOSS, ShadowModels
from holdfast.core.errors import InputError, Interrupted
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits
from holdfast.models import Labels, ModelSettings
from holdfast.privacy import Mechanism
from holdfast.tasks import Task, TaskWithConfidences
from holdfast.training import Encoding, FittedModel, TrainingSettings, evaluation, train
from holdfast.training.ensembles import train_ensemble

PHASE = "shadow models"
"""The phase that progress is reported for."""

FOLDER = "shadows"
"""Where a run keeps the scores of its shadow models."""

MOST_POPULATION = 2000
"""Validation examples that every shadow model scores, at most, for attacks that measure against a population."""

FEWEST_ROWS = 20
"""Rows on each side below which shadow models are not worth their time."""

AT_ONCE = ("bag", "bilstm", "transformer")
"""Models whose shadows are trained many at a time, where the run has no privacy."""

GROUP = 16
"""Shadow models that are trained at once: so many are lost at most where an audit is killed."""

FORMAT = 1
"""Counts up where shadow models are trained in another way, so that stored scores are not mixed with new ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How the audited model was trained: what a shadow model repeats on other rows.

    Args:
        task: What it was trained for.
        model: Settings of the model.
        training: Optimiser and the like.
        mechanism: How batches were drawn and bounded; with its noise, where it has any.
        encoding: Vocabulary and labels of the audited model, which its shadows share: a half of the data may lack some.
        data: What the audited model was trained on, and what was held out.
    """

    task: Task
    model: ModelSettings
    training: TrainingSettings
    mechanism: Mechanism
    encoding: Encoding
    data: DataSplits

    def describe(self) -> dict[str, Any]:
        """All that decides the scores of a shadow model but for its rows and its seed, as plain JSON."""
        return {
            "format": FORMAT,
            "task": self.task.describe(),
            "model": self.model.describe(),
            "training": self.training.describe(),
            "mechanism": self.mechanism.describe(),
            "trained_on": self.data.content_hash,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The rows that shadow models are trained and scored on.

    As many members as non-members are attacked. The other training rows go to *every* shadow model, which so has as many
    rows as the audited model, give or take the coins.

    Args:
        members: Attacked members, none with a copy.
        nonmembers: Attacked non-members, as many, none with a copy.
        population: Rows that no model is trained on.
        always: Rows that all of them are trained on.
        game: What is known of the attacked rows, judged by all training rows.
    """

    members: Dataset
    nonmembers: Dataset
    population: Dataset
    always: Dataset
    game: MembershipGame

    @classmethod
    def of(cls, data: DataSplits, *, min_count: int | None, seed: int) -> Self:
        """Chooses the rows.

        Only rows are attacked that a promise speaks of, see `MembershipGame.between`. Shadow models share the vocabulary of the
        audited model, so else they would see what it knows its members by.

        Args:
            data: What the model was trained on, and what was held out.
            min_count: That of the vocabulary, if it was read off the training text; None for a public one.
            seed: Of the choice among the rows.

        Raises:
            InputError: If fewer than `FEWEST_ROWS` rows are left on a side.
        """
        game = MembershipGame.between(data.train, data.test, min_count=min_count)
        inside, outside = np.flatnonzero(game.members_alone), np.flatnonzero(game.nonmembers_alone)
        size = min(len(inside), len(outside))
        if size < FEWEST_ROWS:
            raise InputError(
                f"{len(inside):,} training and {len(outside):,} test examples have no copy and only words, labels and tags that other "
                f"training examples have too; shadow models need {FEWEST_ROWS} of each, better a thousand: give more data, or leave the "
                "attacks out that need shadow models"
            )
        streams = Streams.from_seed(seed).child("shadow pool")
        members = np.sort(streams.generator("members").permutation(inside)[:size])
        nonmembers = np.sort(streams.generator("nonmembers").permutation(outside)[:size])
        rest = np.setdiff1d(np.arange(len(data.train)), members)
        population = MembershipGame.between(data.train, data.validation, min_count=min_count).nonmembers_alone
        return cls(
            members=data.train.take(members),
            nonmembers=data.test.take(nonmembers),
            population=data.validation.take(np.flatnonzero(population)[:MOST_POPULATION]),
            game=game.of_rows(members, nonmembers),
            always=data.train.take(rest),
        )

    @property
    def scored(self) -> int:
        """How many rows each shadow model scores."""
        return len(self.members) + len(self.nonmembers) + len(self.population)

    def joined(self) -> Dataset:
        """All rows: members, non-members, population, and those that are always trained on."""
        parts = (self.members, self.nonmembers, self.population, self.always)
        shared = [name for name in self.members.table.column_names if all(name in part.table.column_names for part in parts)]
        table = pa.concat_tables([part.table.select(shared) for part in parts], promote_options="permissive")
        return Dataset.from_table(table, name=self.members.name, split="shadow pool")


@dataclass(frozen=True, eq=False)
class OneByOne:
    """Trains shadow models as the audited model was trained, one after the other, with the mechanism that it had.

    Args:
        recipe: How.
        pool: The rows.
        seed: Of the first weights, batches and noise; those of a model depend on it and its number alone.
    """

    recipe: Recipe
    pool: Pool
    seed: int

    def __call__(self, models: Sequence[int], included_NK: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Returns the signals of every scored row under each of these models, (N, k, W), or (N, k) where there is one."""
        rows = self.pool.joined()
        found = np.stack([self._one(rows, model, included) for model, included in zip(models, included_NK.T, strict=True)], axis=1)
        return found[:, :, 0] if found.shape[2] == 1 else found

    def _one(self, rows: Dataset, model: int, included_N: NDArray[np.bool_]) -> NDArray[np.float64]:
        pool, recipe = self.pool, self.recipe
        drawn = np.flatnonzero(included_N[: len(pool.members) + len(pool.nonmembers)])  # the population is never trained on
        mine = rows.take(np.concatenate([drawn, np.arange(pool.scored, len(rows))]))
        few = pool.nonmembers.take(np.arange(2))
        try:
            fitted = train(
                recipe.task,
                DataSplits(f"{mine.name} shadow {model}", mine, few, few),
                mechanism=_made_for(recipe.mechanism, mine),
                model=recipe.model,
                settings=_without_validation(recipe.training),
                seed=Streams.from_seed(self.seed).integer("shadow model", model),
                encoding=recipe.encoding,
            )
        except Interrupted as error:
            raise Interrupted(
                f"the audit stopped in shadow model {model}; the same command goes on with it, finished ones are kept"
            ) from error
        return _signals_of(fitted, rows.take(np.arange(pool.scored)))


@dataclass(frozen=True, eq=False)
class Together:
    """Trains shadow models of a run without privacy many at a time, each as `OneByOne` would but for rounding and dropped units.

    Args:
        recipe: How.
        pool: The rows.
        seed: As in `OneByOne`.
        on_progress: Told of the steps of each group.
    """

    recipe: Recipe
    pool: Pool
    seed: int
    on_progress: OnProgress = silent

    def __call__(self, models: Sequence[int], included_NK: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Returns the signals of every scored row under each of these models, as `OneByOne` does."""
        pool, recipe = self.pool, self.recipe
        rows, audited = pool.joined(), len(pool.members) + len(pool.nonmembers)
        included = np.ones((len(rows), len(models)), dtype=np.bool_)
        included[: pool.scored] = included_NK
        included[audited : pool.scored] = False  # the population is never trained on
        sampler, encoding = recipe.mechanism.sampler, recipe.encoding
        ensemble = train_ensemble(
            recipe.task,
            recipe.task.encode(rows, encoding.featuriser, encoding.labels),
            included=included,
            model=recipe.model,
            featuriser=encoding.featuriser,
            labels=encoding.labels,
            settings=_without_validation(recipe.training),
            epochs=recipe.mechanism.steps / sampler.steps_per_epoch,
            batch_size=sampler.batch_size,
            seeds=[Streams.from_seed(self.seed).integer("shadow model", model) for model in models],
            on_progress=self.on_progress,
        )
        scored = recipe.task.encode(rows.take(np.arange(pool.scored)), encoding.featuriser, encoding.labels)
        if not isinstance(recipe.task, TaskWithConfidences):
            return ensemble.losses(scored)
        each = [evaluation.confidences(recipe.task, module, scored, device=torch.device("cpu")) for module in ensemble.modules()]
        return np.stack(each, axis=1)


def signal_names(task: Task, labels: Labels) -> tuple[str, ...]:
    """What is kept of each shadow model: its confidences where the task tells any, else its losses."""
    return evaluation.confidence_names(task, labels) if isinstance(task, TaskWithConfidences) else (LOSS,)


def _signals_of(fitted: FittedModel, data: Dataset) -> NDArray[np.float64]:
    """Those signals, (n, W)."""
    return fitted.confidences(data) if isinstance(fitted.task, TaskWithConfidences) else fitted.losses(data)[:, None]


def shadow_models(recipe: Recipe, pool: Pool, *, folder: Path, models: int, seed: int, on_progress: OnProgress = silent) -> ShadowModels:
    """Trains the shadow models that are not yet in the store of a run.

    Args:
        recipe: How the audited model was trained.
        pool: The rows.
        folder: That of the run.
        models: How many shadow models, even.
        seed: Of the design and of the training.
        on_progress: Told after each group of models.

    Returns:
        The shadow models, ready for `ShadowAttack`.

    Raises:
        InputError: For an odd number of models.
        TrainingStopped: If a training diverges or the disk is full; what was finished before is kept.
    """
    at_once = not recipe.mechanism.private and recipe.model.kind in AT_ONCE
    store = ScoreStore.open_or_create(
        folder / FOLDER,
        data_hash=pool.joined().content_hash,
        settings=recipe.describe() | {"scored": pool.scored, "at_once": at_once},
        examples=pool.scored,
        models=models,
        signals=signal_names(recipe.task, recipe.encoding.labels),
        seed=seed,
    )
    told = _Told(on_progress)
    trainer = Together(recipe, pool, seed, told.steps) if at_once else OneByOne(recipe, pool, seed)
    shadow_scores(trainer, store=store, together=GROUP if at_once else 1, on_progress=told.models)
    return ShadowModels(store=store, game=pool.game, population=pool.population)


class _Told:
    """Joins what is told of finished models and of the steps of those in training: a hundred units for each model."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._finished, self._of = 0, 0

    def models(self, progress: Progress) -> None:
        """Some models are finished."""
        self._finished, self._of = progress.done, progress.total
        self._tell(0.0, progress.note)

    def steps(self, progress: Progress) -> None:
        """The next group is on its way; finished with it is told by the store."""
        group = min(GROUP, self._of - self._finished)
        self._tell(group * min(0.99, progress.done / max(1, progress.total)), "")

    def _tell(self, more: float, note: str) -> None:
        words = f"{self._finished} of {self._of} finished" + (f"; {note}" if note else "")
        done = round(100 * (self._finished + more))
        self._on_progress(Progress(phase=PHASE, done=done, total=100 * self._of, note=words))


def _without_validation(settings: TrainingSettings) -> TrainingSettings:
    """The same settings without a look at validation data: shadow models of a run that stopped early train its whole plan."""
    return replace(settings, evaluate_every=0, patience=None)


def _made_for(mechanism: Mechanism, data: Dataset) -> Mechanism:
    """The same mechanism, with the same noise and number of steps, for another number of rows."""
    units = len(set(data.user_ids())) if mechanism.unit == "user" else len(data)
    sampler: Any = mechanism.sampler  # a frozen dataclass of this package
    return replace(mechanism, sampler=replace(sampler, examples=units))
