"""Losses, predictions and confidences of a model over a whole data set, in evaluation mode, one result for each example in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast.core.errors import InputError
from holdfast.models import Labels
from holdfast.tasks import Batch, EncodedDataset, Prediction, Task, TaskWithConfidences

EVALUATION_BATCH = 256
EVALUATION_POSITIONS = 4096
"""Positions at which a model that predicts next words is asked together: 200 MB of scores for ten thousand words."""


def losses(
    task: Task, model: nn.Module, encoded: EncodedDataset, *, device: torch.device, at: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """The loss of each example, (n,), in nats.

    Args:
        task: What is learned.
        model: The model.
        encoded: The examples.
        device: Where the model is.
        at: Which of them, (n,), in this order; None for all.

    Guarantee:
        The same numbers on every call: dropout is off and no example sees another.
    """
    with evaluating(model):
        found = [task.per_example_loss(model, batch).double().cpu().numpy() for _, batch in _batches(task, encoded, device, at)]
    return np.concatenate([np.empty(0), *found])


def predictions(
    task: Task, model: nn.Module, encoded: EncodedDataset, *, device: torch.device, at: NDArray[np.int64] | None = None
) -> list[Prediction]:
    """What the model predicts for each example; arguments as of `losses`."""
    with evaluating(model):
        return [found for _, batch in _batches(task, encoded, device, at) for found in task.predict(model, batch)]


def confidences(task: Task, model: nn.Module, encoded: EncodedDataset, *, device: torch.device) -> NDArray[np.float64]:
    """What the model says of each example by its probabilities, (n, F), in the order of `confidence_names`.

    Raises:
        InputError: For a task that tells no confidences, or data without labels.

    Guarantee:
        The same numbers on every call: dropout is off and no example sees another.
    """
    telling = _telling(task)
    found = np.empty((len(encoded), len(telling.confidence_names(encoded.labels))))
    for indices, batch in _batches(task, encoded, device):
        with evaluating(model):
            found[indices] = telling.confidences(model, batch).double().cpu().numpy()
    return found


def confidence_names(task: Task, labels: Labels) -> tuple[str, ...]:
    """Names of the columns of `confidences`.

    Raises:
        InputError: For a task that tells no confidences.
    """
    return _telling(task).confidence_names(labels)


def posteriors(task: Task, model: nn.Module, encoded: EncodedDataset, *, device: torch.device) -> NDArray[np.float64]:
    """The probability of each label of the sentence, (n, K), in the order of ``encoded.labels.sentence``.

    Args:
        task: What is learned.
        model: The model.
        encoded: The examples.
        device: Where the model is.

    Raises:
        InputError: For a task whose models do not label sentences.
    """
    if not encoded.labels.sentence:
        raise InputError(f"the task {task.name!r} labels no sentences, so there is no probability of a label; take one that does")
    found = np.empty((len(encoded), len(encoded.labels.sentence)))
    with evaluating(model):
        for indices, batch in _batches(task, encoded, device):
            found[indices] = model(batch.features).sentence_BK.double().softmax(-1).cpu().numpy()
    return found


def _telling(task: Task) -> TaskWithConfidences:
    if not isinstance(task, TaskWithConfidences):
        raise InputError(
            f"the task {task.name!r} tells no confidences: give it the methods of holdfast.tasks.TaskWithConfidences, "
            "or choose an attack that asks for losses alone"
        )
    return task


def _batches(
    task: Task, encoded: EncodedDataset, device: torch.device, at: NDArray[np.int64] | None = None
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    chosen, lengths, start = np.arange(len(encoded)) if at is None else at, encoded.encoded.pieces.lengths, 0
    while start < len(chosen):
        indices = chosen[start : start + EVALUATION_BATCH]
        if encoded.labels.next_words:
            indices = indices[: max(1, EVALUATION_POSITIONS // int(lengths[indices].max()))]
        yield indices, task.collate(encoded, indices).to(device)
        start += len(indices)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients for the time of the block."""
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(mode)


def losses_of(task: Task, model: nn.Module, encoded: EncodedDataset, *, device: torch.device) -> Callable[[NDArray[np.int64]], Any]:
    """The function that the clippers call: indices in, one loss each out, with its graph."""

    def run(indices: NDArray[np.int64]) -> torch.Tensor:
        return task.per_example_loss(model, task.collate(encoded, indices).to(device))

    return run
