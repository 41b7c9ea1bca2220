"""Trains the shadow models that a store still lacks, some at a time, and stores the scores of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.shadow.design import balanced_column, whole
from holdfast.audit.shadow.scores_file import as_scores, not_finite
from holdfast.audit.shadow.store import ScoreStore
from holdfast.core.errors import InputError, TrainingStopped
from holdfast.core.progress import OnProgress, Progress, silent

PHASE = "train shadow models"

TrainAndScore: TypeAlias = Callable[[Sequence[int], NDArray[np.bool_]], ArrayLike]
"""Takes the numbers of k models and which examples each is trained on, (N, k); gives the score of every example under each, (N, k),
or (N, k, W) where the store has W > 1 signals."""


def shadow_scores(
    train_and_score: TrainAndScore,
    *,
    store: ScoreStore,
    together: int,
    models: Iterable[int] | None = None,
    on_progress: OnProgress = silent,
) -> ScoreStore:
    """Trains the shadow models that the store lacks, and stores the scores of each as soon as its group is done.

    Which examples a model is trained on follows from the seed in the store, so the scores and the design cannot part.

    Args:
        train_and_score: Trains k models, in a loop or at once, and scores all N examples under each in evaluation mode. It gets
            the numbers of the models (draw the randomness of a model from its number alone, so that it does not matter which
            others are trained beside it) and which examples each is trained on, (N, k); it gives (N, k) for a store of one signal,
            else (N, k, W) with the signals in the order of the store, finite as float32.
        store: Where finished scores are and go.
        together: The most models in one call, k >= 1. N * k * W scores are held at a time, and no more.
        models: Train only those of these that are missing, as where several processes share the work; all by default.
        on_progress: Told before the first group and after each one. It counts the models that were missing at the start,
            so that the time spent tells the time left; the note says how many were there before.

    Returns:
        The store. It is complete unless `models` left some out. Scores were read back and are those that were written.

    Raises:
        InputError: For `together` below 1, a model that the store does not have, or scores of another shape.
        TrainingStopped: If scores of a model are not finite, because its training diverged or its signal is infinite, or if the
            disk is full. The model is not marked as finished; the others of its group are stored.
        RunError: If the store is damaged or cannot be written.

    Guarantee:
        Killed at any moment and called again, it trains at most one group twice. Where `train_and_score` draws all that it
        draws from the number of the model, the stored bytes are those of a run that was never interrupted.

    Edge cases:
        Nothing is trained where nothing is missing. A model that another process finished meanwhile is left as it is. With
        models that share batches of the arithmetic, scores may depend on `together` in their last digits.
    """
    size = whole(together, "together", least=1)
    waiting = _chosen(store, models)
    total, before = len(waiting), store.header.models - len(store.missing())
    note = f"{before} of {store.header.models} were finished before" if before else ""
    on_progress(Progress(phase=PHASE, done=0, total=total, note=note))
    while waiting:
        _train(train_and_score, store, tuple(waiting[:size]))
        missing = set(store.missing())
        waiting = [model for model in waiting[size:] if model in missing]
        on_progress(Progress(phase=PHASE, done=total - len(waiting), total=total, note=note))
    store.verify()
    return store


def _chosen(store: ScoreStore, models: Iterable[int] | None) -> list[int]:
    missing = store.missing()
    if models is None:
        return missing
    wanted = {whole(model, "model", least=0) for model in models}
    beyond = sorted(model for model in wanted if model >= store.header.models)
    if beyond:
        raise InputError(f"model is {beyond[0]}, but the store has {store.header.models}, counted from 0; open it with more")
    return [model for model in missing if model in wanted]


def _train(train_and_score: TrainAndScore, store: ScoreStore, group: tuple[int, ...]) -> None:
    """One group; its scores are let go on return, before the next one is trained."""
    examples, seed, signals = store.header.examples, store.header.seed, store.header.signals
    included = np.stack([balanced_column(examples, model, seed=seed) for model in group]).T
    what, shape = f"scores of shadow models {group[0]} to {group[-1]}", (examples, len(group), len(signals))
    scores = as_scores(train_and_score(group, included), shape if len(signals) > 1 else shape[:2], what=what)
    missing, diverged = set(store.missing()), []
    for model, scores_NW in zip(group, np.moveaxis(scores.reshape(shape), 1, 0), strict=True):
        broken = not_finite(scores_NW, signals)
        if broken:
            diverged.append(f"model {model} ({broken})")
        elif model in missing:  # another process may have finished it meanwhile
            store.write(model, scores_NW)
    if diverged:
        raise TrainingStopped(
            f"shadow scores are not finite: {', '.join(diverged)}. Did training diverge, or is the signal infinite (the log of a "
            f"probability of 0)? These models are not marked as finished, the other {len(group) - len(diverged)} of the group are stored; "
            "mend the training or the signal, and run the same command again"
        )
