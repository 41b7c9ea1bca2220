"""Holding a task to its contract: no row of a batch meets another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.tasks import EncodedDataset, Prediction, Task, words_of

EXAMPLES = 6
"""How many examples a check looks at: enough to differ in length, few enough to try each alone."""


def check_task(task: Task, data: Dataset, *, model: str | models.ModelSettings = "bilstm", tolerance: float = 1e-5) -> None:
    """Holds a task to its contract on some data: above all, that no row of a batch meets another.

    Args:
        task: The task.
        data: At least two examples with labels; the first few are used.
        model: What to try it with.
        tolerance: How far two losses of one example may be apart, relative to 1 + loss.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    >>> from holdfast.data import Example
    >>> from holdfast.tasks import Classification
    >>> data = Dataset.from_examples([Example(tokens=tuple(t), label=t) for t in ("ab", "c")], name="tiny", split="train")
    >>> check_task(Classification(), data)
    """
    data = data.take(np.arange(min(EXAMPLES, len(data))))
    _holds(len(data) > 1, "give at least two examples: rows cannot meet where there is one")
    labels = task.labels(data)
    settings = models.settings(model)
    featuriser = settings.featuriser(words_of(task, data))
    module = settings.build(featuriser, labels, Streams(0)).eval()
    encoded = task.encode(data, featuriser, labels)
    _holds(len(encoded) == len(data), f"encode gives {len(encoded)} examples for {len(data)}")
    _check_losses(task, module, encoded, tolerance)
    _check_gradients(task, module, encoded)
    _check_predictions(task, module, encoded, data)


def _check_losses(task: Task, module: nn.Module, encoded: EncodedDataset, tolerance: float) -> None:
    rows = np.arange(len(encoded))
    together_B = _losses(task, module, encoded, rows)
    _holds(together_B.shape == rows.shape, f"per_example_loss gives the shape {tuple(together_B.shape)}, expected {rows.shape}")
    _holds(bool(torch.isfinite(together_B).all()), f"per_example_loss gives {together_B.tolist()}: not finite")
    alone_B = torch.cat([_losses(task, module, encoded, rows[row : row + 1]) for row in rows])
    backwards_B = _losses(task, module, encoded, rows[::-1].copy()).flip(0)
    twice_B = _losses(task, module, encoded, np.repeat(rows, 2))[::2]
    for how, other_B in (("alone", alone_B), ("in the opposite order", backwards_B), ("with every example twice", twice_B)):
        gaps_B = (other_B - together_B).abs() / (1 + together_B.abs())
        worst = int(gaps_B.argmax())
        clause = f"the loss of example {worst} is {other_B[worst]:.6g} {how}, but {together_B[worst]:.6g} in one batch: rows meet"
        _holds(float(gaps_B[worst]) <= tolerance, clause)


def _check_gradients(task: Task, module: nn.Module, encoded: EncodedDataset) -> None:
    """No input of a row may move the loss of another, not even where the loss itself happens to agree."""
    seen: list[Tensor] = []
    tables = [table for table in module.modules() if isinstance(table, nn.Embedding) and table.weight.requires_grad]
    hooks = [table.register_forward_hook(lambda _, __, output: seen.append(output)) for table in tables]
    losses_B = task.per_example_loss(module, task.collate(encoded, np.arange(len(encoded))))
    for hook in hooks:
        hook.remove()
    for row in range(len(encoded)):
        for gradient in torch.autograd.grad(losses_B[row], seen, retain_graph=True, allow_unused=True):
            if gradient is not None:
                moved = gradient.flatten(1).any(1).nonzero().flatten().tolist()
                _holds(set(moved) <= {row}, f"the loss of example {row} moves with the words of examples {moved}: rows meet")


def _check_predictions(task: Task, module: nn.Module, encoded: EncodedDataset, data: Dataset) -> None:
    rows = np.arange(len(encoded))
    together = task.predict(module, task.collate(encoded, rows))
    alone: list[Prediction] = [
        prediction for row in rows for prediction in task.predict(module, task.collate(encoded, rows[row : row + 1]))
    ]
    _holds(together == alone, "predict gives other predictions for examples alone than in one batch")
    estimates = task.score(data, together, subject="the run")
    _holds(bool(estimates), "score gives no estimate")
    _holds({estimate.subject for estimate in estimates} == {"the run"}, "score gives estimates of another subject than asked for")


def _losses(task: Task, module: nn.Module, encoded: EncodedDataset, rows: NDArray[np.int64]) -> Tensor:
    with torch.no_grad():
        return task.per_example_loss(module, task.collate(encoded, rows))


def _holds(clause: bool, otherwise: str) -> None:
    if not clause:
        raise AssertionError(otherwise)
