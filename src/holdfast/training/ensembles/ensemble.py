"""What vectorised training gives: many trained models, kept as stacked weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.randomness import Streams
from holdfast.tasks import EncodedDataset, Task
from holdfast.training.ensembles.course import Batches
from holdfast.training.ensembles.stacking import Stack
from holdfast.training.ensembles.threads import in_threads
from holdfast.training.evaluation import EVALUATION_POSITIONS, evaluating
from holdfast.training.evaluation import losses as losses_of_one

ROWS = 2048
"""Rows of all models that are scored together; of models that predict next words, those of `EVALUATION_POSITIONS` at most."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the models.

    Args:
        numbers: Which, in the order of `states`.
        states: What differs from model to model, by name, (M, ...) each.
        stacked: Whether they can be scored as one module.
    """

    numbers: tuple[int, ...]
    states: dict[str, Tensor]
    stacked: bool


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained models that share an architecture.

    Args:
        task: What they learned.
        parts: Their weights.
        streams: The randomness of each model.
        make: Makes a model with its first weights.
        engine: "stacked", "func" or "loop": what trained them.
        reason: Why it was this one, in a sentence.
        device: Where they are.
    """

    task: Task
    parts: tuple[Part, ...]
    streams: tuple[Streams, ...]
    make: Callable[[Streams], nn.Module]
    engine: str
    reason: str
    device: torch.device

    def __len__(self) -> int:
        return len(self.streams)

    def losses(self, encoded: EncodedDataset) -> NDArray[np.float64]:
        """The loss of each example under each model, (N, k), in nats, in evaluation mode.

        No more than some thousand rows, or positions of next words, are in a model at a time.

        Args:
            encoded: Examples with labels, encoded by the featuriser that the models were trained with.
        """
        found = np.empty((len(encoded), len(self)))
        batches = Batches(self.task, encoded, self.device)

        def score(part: Part) -> None:
            found[:, part.numbers] = self._stacked_losses(part, encoded, batches) if part.stacked else self._losses(part, encoded)

        in_threads(score, self.parts, threads=torch.get_num_threads() if self.device.type == "cpu" else 1)
        return found

    def modules(self) -> Iterator[nn.Module]:
        """The models as ordinary modules in evaluation mode, in their order, made one at a time."""
        places = {number: (part, place) for part in self.parts for place, number in enumerate(part.numbers)}
        for number in range(len(self)):
            yield self._module(*places[number])

    def _module(self, part: Part, place: int) -> nn.Module:
        module = self.make(self.streams[part.numbers[place]]).to(self.device)
        module.load_state_dict({name: value[place] for name, value in part.states.items()}, strict=False)
        return module.eval()

    def _losses(self, part: Part, encoded: EncodedDataset) -> NDArray[np.float64]:
        each = [losses_of_one(self.task, self._module(part, place), encoded, device=self.device) for place in range(len(part.numbers))]
        return np.stack(each, 1)

    def _stacked_losses(self, part: Part, encoded: EncodedDataset, batches: Batches) -> NDArray[np.float64]:
        models = len(part.numbers)
        stack = Stack([self.make(self.streams[part.numbers[0]]).to(self.device)], models)
        for name, value in part.states.items():
            stack.parameters[name] = value
        stack.show(models)
        found = np.empty((len(encoded), models))
        size = max(1, ROWS // models)
        lengths, start = encoded.encoded.pieces.lengths, 0
        by_length = np.argsort(lengths, kind="stable")
        while start < len(encoded):
            rows = by_length[start : start + size]
            if encoded.labels.next_words:
                rows = rows[: max(1, EVALUATION_POSITIONS // (models * int(lengths[rows[-1]])))]
            with evaluating(stack.module):
                losses = self.task.per_example_loss(stack.module, batches(np.tile(rows, models)))
            found[rows] = losses.double().cpu().numpy().reshape(models, len(rows)).T
            start += len(rows)
        return found
