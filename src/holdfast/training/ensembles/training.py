"""Trains many models of one architecture at once, each on its own examples, as an audit by shadow models needs them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast.core.errors import InputError, nearest
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.core.randomness import Streams
from holdfast.models import Featuriser, Labels, ModelSettings
from holdfast.tasks import EncodedDataset, Task
from holdfast.training.ensembles import engines
from holdfast.training.ensembles.course import Batches, Course
from holdfast.training.ensembles.engines import Plan, Trained
from holdfast.training.ensembles.ensemble import Ensemble, Part
from holdfast.training.ensembles.randomness import CannotStackError
from holdfast.training.ensembles.threads import in_threads, one_at_a_time
from holdfast.training.ensembles.updates import STACKED
from holdfast.training.settings import TrainingSettings

EngineName = Literal["auto", "stacked", "func", "loop"]
PHASE = "train an ensemble"

_LOG = logging.getLogger(__name__)
_ENGINES: dict[str, Callable[[Plan, Sequence[Course]], Trained]] = {
    "stacked": engines.stacked,
    "func": engines.by_func,
    "loop": engines.one_by_one,
}


def train_ensemble(
    task: Task,
    encoded: EncodedDataset,
    *,
    included: NDArray[np.bool_],
    model: ModelSettings,
    featuriser: Featuriser,
    labels: Labels,
    settings: TrainingSettings,
    epochs: float,
    batch_size: int,
    seeds: Sequence[int],
    initial: Callable[[Streams], nn.Module] | None = None,
    engine: EngineName = "auto",
    together: int | None = None,
    device: str = "cpu",
    on_progress: OnProgress = silent,
) -> Ensemble:
    """Trains k models, each on the examples that it has, without privacy.

    Args:
        task: What to learn.
        encoded: The examples, N of them, encoded by `featuriser` with `labels`.
        included: Which examples each model is trained on, (N, k).
        model: What the models are.
        featuriser: What made the features.
        labels: What the outputs mean.
        settings: Optimiser and the like; what concerns checkpoints, validation and clipping is not looked at.
        epochs: Passes of each model over its own examples, > 0.
        batch_size: Size of a batch of one model; at most the examples of the smallest.
        seeds: One for each model, distinct.
        initial: Makes the first weights of a model from its streams; `model.build` by default. Frozen weights must be the same
            in every model.
        engine: "stacked" (one module for all; the fastest), "func" (`torch.func`), "loop" (one by one), or "auto": the first
            of these that can train the model.
        together: Models that are trained at once by one thread; by default as many as stay in the cache, about.
        device: Where to train.
        on_progress: Told how many steps of how many are done, over all models.

    Returns:
        The trained models, the engine that trained them, and why it was this one.

    Raises:
        InputError: For parts that do not fit each other, or a model that the engine asked for cannot train.

    Guarantee:
        A model depends on its seed, its examples and the settings alone, and not on who is trained beside it, but for
        rounding: batches and first weights are those that `training.train` draws from the same seed, and every dropout mask
        is addressed by the model's own seed.

    Edge cases:
        A model whose training diverges has losses that are not finite, and leaves the others as they are.
    """
    _check(encoded, included, seeds, engine, together)
    if settings.patience is not None:
        raise InputError(f"patience is {settings.patience}, and an ensemble looks at no validation data; leave it out")
    where, streams = torch.device(device), tuple(Streams.from_seed(seed) for seed in seeds)
    make = one_at_a_time(initial or (lambda own: model.build(featuriser, labels, own.child("initialisation"))))
    courses = [Course(np.flatnonzero(included[:, k]), batch_size, epochs, own) for k, own in enumerate(streams)]
    told = _Told(on_progress, sum(course.steps for course in courses))
    batches = Batches(task, encoded, where)
    plan = Plan(task, encoded, batches, settings, where, make, threading.Event(), told)
    order = sorted(range(len(courses)), key=lambda k: -courses[k].steps)
    names = ["stacked", "func", "loop"] if engine == "auto" else [engine]
    if settings.optimizer not in STACKED and engine != "loop":
        if engine != "auto":
            raise InputError(f"engine {engine!r} knows the optimisers {STACKED}, not {settings.optimizer!r}; take engine 'loop'")
        names = ["loop"]
    reason = "it was asked for" if engine != "auto" else "it is the fastest"
    for name in names:
        told.reset()
        try:
            parts = _train(plan, name, courses, order, together)
        except (CannotStackError, RuntimeError) as error:
            if name == names[-1] or (isinstance(error, torch.OutOfMemoryError)):
                raise
            reason = f"{name} cannot train this model: {str(error).splitlines()[0]}"
            _LOG.info("ensemble: %s", reason)
            continue
        return Ensemble(task, parts, streams, make, name, reason, where)
    raise AssertionError("the last engine trains or raises")


def _train(plan: Plan, name: str, courses: Sequence[Course], order: Sequence[int], together: int | None) -> tuple[Part, ...]:
    """Trains parts of the ensemble, on the CPU several at a time with one thread each."""
    threads = torch.get_num_threads() if plan.device.type == "cpu" and name == "stacked" else 1
    size = together or _together(plan, courses, threads)
    groups = [order[start : start + size] for start in range(0, len(order), size)]

    def work(group: Sequence[int]) -> Part:
        trained = _ENGINES[name](plan, [courses[k] for k in group])
        return Part(tuple(group), trained.states, stacked=name == "stacked")

    return tuple(in_threads(work, groups, threads=threads, stop=plan.stop))


def _together(plan: Plan, courses: Sequence[Course], threads: int) -> int:
    """How many models one thread trains at once: on a processor what was quickest in `benchmarks/shadow.py`."""
    if plan.device.type != "cpu":
        return len(courses)
    walks = any(isinstance(part, nn.LSTM) for part in plan.make(courses[0].streams).modules())
    return max(1, min(16 if walks else 32, -(-len(courses) // threads)))


class _Told:
    """Adds up steps, from any thread, and tells of each hundredth."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._lock = on_progress, total, threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self._done, self._told = 0, 0
        self._on_progress(Progress(phase=PHASE, done=0, total=self._total))

    def __call__(self, steps: int) -> None:
        with self._lock:
            self._done += steps
            if self._done - self._told >= self._total / 100 or self._done == self._total:
                self._told = self._done
                self._on_progress(Progress(phase=PHASE, done=self._done, total=self._total))


def _check(encoded: EncodedDataset, included: NDArray[np.bool_], seeds: Sequence[int], engine: str, together: int | None) -> None:
    if included.ndim != 2 or len(included) != len(encoded) or included.dtype != np.bool_:
        raise InputError(
            f"included has shape {included.shape} of {included.dtype}; "
            f"give one row of True and False for each of the {len(encoded)} examples"
        )
    if included.shape[1] != len(seeds) or len(set(seeds)) != len(seeds) or not seeds:
        raise InputError(
            f"seeds are {len(seeds)}, {len(set(seeds))} of them distinct; each of {included.shape[1]} models needs one of its own"
        )
    if engine not in get_args(EngineName):
        raise InputError(f"engine is {engine!r}; {nearest(engine, get_args(EngineName))}")
    if together is not None and together < 1:
        raise InputError(f"together is {together}; give at least 1")
