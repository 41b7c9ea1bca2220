"""The optimisers of `TrainingSettings` for parameters of many models at once, each element as in an optimiser of its own.

Shapes: M models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from holdfast.training.ensembles.lateness import FIRST_DECAY, FLOOR, SECOND_DECAY
from holdfast.training.settings import TrainingSettings

STACKED = ("adam", "adamw", "sgd")
"""Optimisers that are elementwise, so that many models are one."""


class Rates:
    """The learning rates of several models, whose steps may differ in number.

    Args:
        settings: With the schedule.
        steps_M: Steps of each model in all, never growing.
    """

    def __init__(self, settings: TrainingSettings, steps_M: Sequence[int]) -> None:
        self._settings, self._steps_M = settings, list(steps_M)
        changes = [0, *(m for m in range(1, len(steps_M)) if steps_M[m] != steps_M[m - 1]), len(steps_M)]
        alike = settings.schedule == "constant"
        self._ranges = [(0, len(steps_M))] if alike else list(pairwise(changes))

    @property
    def shared(self) -> bool:
        """Whether all models have one rate at every step."""
        return len(self._ranges) == 1

    def ranges(self, step: int, models: int) -> list[tuple[slice, float]]:
        """Neighbouring models with one rate, and that rate, at a step counted from 0; the first `models` alone."""
        return [
            (slice(start, min(stop, models)), self._settings.rate_at(step, self._steps_M[start]))
            for start, stop in self._ranges
            if start < models
        ]

    def each(self, step: int, models: int) -> NDArray[np.float64]:
        """The rate of each model, (models,)."""
        return np.concatenate([np.full(part.stop - part.start, rate) for part, rate in self.ranges(step, models)])


class Updates:
    """Moves stacked parameters by their gradients.

    Args:
        settings: One of the optimisers in `STACKED`.
        parameters: By name, each (M, ...); moved in place.
        rates: The learning rates.

    Raises:
        InputError: If `rates` of the settings names the beginning of no parameter.
    """

    def __init__(self, settings: TrainingSettings, parameters: Mapping[str, Tensor], rates: Rates) -> None:
        self._settings, self._rates = settings, rates
        self._parameters = dict(parameters)
        self._factors = {name: factor_of(settings, name) for name in parameters}
        self._first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        adaptive = settings.optimizer != "sgd"
        self._second = {name: torch.zeros_like(value) for name, value in parameters.items()} if adaptive else {}

    @torch.no_grad()
    def step(self, grads: Mapping[str, Tensor | None], step: int, models: int) -> None:
        """Moves the first models by their gradients, (models, ...) each; a parameter without a gradient stays as it is."""
        present = {name: grad for name, grad in grads.items() if grad is not None}
        for part, rate in self._rates.ranges(step, models):
            for factor in sorted({self._factors[name] for name in present}):
                names = [name for name in present if self._factors[name] == factor]
                # Torch's fused optimisers walk memory as the parameter lies in it, whatever the strides of the gradient.
                self._move(names, [present[name][part].contiguous() for name in names], part, rate * factor, step)

    def _move(self, names: list[str], grads: list[Tensor], part: slice, rate: float, step: int) -> None:
        values = [self._parameters[name][part] for name in names]
        first = [self._first[name][part] for name in names]
        decay = self._settings.weight_decay
        if self._settings.optimizer == "sgd":
            buffers: list[Tensor | None] = list(first)
            sgd(
                *(values, grads, buffers),
                fused=True,
                weight_decay=decay,
                momentum=FIRST_DECAY,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            return
        second = [self._second[name][part] for name in names]
        steps = [torch.full((), float(step), device=value.device) for value in values]
        (adamw if self._settings.optimizer == "adamw" else adam)(
            *(values, grads, first, second, [], steps),
            fused=True,
            amsgrad=False,
            beta1=FIRST_DECAY,
            beta2=SECOND_DECAY,
            lr=rate,
            weight_decay=decay,
            eps=FLOOR,
            maximize=False,
        )


def factor_of(settings: TrainingSettings, name: str) -> float:
    """Times the learning rate that a parameter gets: that of the longest beginning of its name."""
    return settings.rates.get(max((start for start in settings.rates if name.startswith(start)), key=len, default=""), 1.0)
