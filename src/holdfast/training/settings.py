"""How a model is trained, apart from the mechanism: nothing here can change a promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import nn

from holdfast.core.errors import InputError, nearest
from holdfast.privacy import Execution
from holdfast.privacy.clipping import Engine
from holdfast.training.dp_adam import DPAdamBC

Optimizer = Literal["adam", "adamw", "dp-adam-bc", "sgd"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Optimiser, learning rate and the like. All of it is post-processing of the noisy sum, so it costs no privacy.

    Args:
        optimizer: "adam", "adamw", "sgd" (momentum .9), or "dp-adam-bc": Adam that takes the variance of the privacy noise off
            its second moment.
        second_moment_floor: Of "dp-adam-bc" alone: the smallest corrected second moment, > 0; see `training.DPAdamBC`.
        learning_rate: > 0.
        rates: Times the learning rate that some parameters get, by the beginning of their names, such as ``{"heads": 10.0}``
            for the new heads of a pretrained encoder. All others get it once.
        schedule: Of the learning rate over the whole training: "constant", "linear" or "cosine", the latter two down to a tenth.
        weight_decay: >= 0.
        averaging: Decay of an exponential average of the weights, in [0, 1); the average is what is kept. 0 keeps the last weights.
        physical_batch_size: Examples that go through the model together; changes speed and memory only.
        engine: Of per-example clipping; see `privacy.Execution`.
        checkpoint_every: Steps between checkpoints; None for once an epoch.
        evaluate_every: Epochs between losses on the validation set; 0 for never. Where weights are averaged, of the average.
        patience: Training stops early once the validation loss has not fallen below its least for so many evaluations, at least 1, and
            the weights of the best evaluation are kept, of an early stop or not. None trains as planned and keeps the last weights.

    Privacy:
        With `patience` the claim stays that of the whole planned training: what is kept is computed from the noisy sums of a part of it,
        so it has spent no more, and where training stopped tells of the training data, so no less is charged. The weights are chosen by
        their loss on the validation data, which no promise covers: hold out data that may be known.
    """

    optimizer: Optimizer = "adam"
    second_moment_floor: float | None = None
    learning_rate: float = 2e-3
    rates: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    averaging: float = 0.0
    physical_batch_size: int = 128
    engine: Engine = "book-keeping"
    checkpoint_every: int | None = None
    evaluate_every: int = 1
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise InputError(f"optimizer is {self.optimizer!r}; choose one of {get_args(Optimizer)}")
        if self.second_moment_floor is not None:
            self._check_floor(self.second_moment_floor)
        if self.schedule not in get_args(Schedule):
            raise InputError(f"schedule is {self.schedule!r}; choose one of {get_args(Schedule)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"learning_rate is {self.learning_rate}; it must be a finite number > 0")
        for name, factor in self.rates.items():
            if not (math.isfinite(factor) and factor > 0):
                raise InputError(f"rates[{name!r}] is {factor}; it must be a finite number > 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InputError(f"weight_decay is {self.weight_decay}; it must be a finite number >= 0")
        if not 0 <= self.averaging < 1:
            raise InputError(f"averaging is {self.averaging}; it must lie in [0, 1)")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise InputError(f"checkpoint_every is {self.checkpoint_every}; it must be at least 1 step, or none for once an epoch")
        if self.evaluate_every < 0:
            raise InputError(f"evaluate_every is {self.evaluate_every}; it must be at least 0 epochs")
        if self.patience is not None:
            self._check_patience(self.patience)
        Execution(physical_batch_size=self.physical_batch_size, engine=self.engine)

    def _check_floor(self, floor: float) -> None:
        if self.optimizer != "dp-adam-bc":
            raise InputError(f"second_moment_floor is {floor}, which {self.optimizer!r} has no use for; leave it out")
        if not (math.isfinite(floor) and floor > 0):
            raise InputError(f"second_moment_floor is {floor}; it must be a finite number > 0 (5e-8 by default)")

    def _check_patience(self, patience: int) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise InputError(f"patience is {patience!r}; it must be an integer >= 1, or none to train as planned")
        if not self.evaluate_every:
            raise InputError(
                f"patience is {patience}, but nothing is ever evaluated; set evaluate_every to at least 1, or leave patience out"
            )

    @property
    def execution(self) -> Execution:
        """The part that the clipper needs."""
        return Execution(physical_batch_size=self.physical_batch_size, engine=self.engine)

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate of a step counted from 0."""
        done = step / max(1, steps)
        if self.schedule == "linear":
            return self.learning_rate * (1 - 0.9 * done)
        if self.schedule == "cosine":
            return self.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))
        return self.learning_rate

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of the trainable parameters.

        Returns:
            An optimiser whose groups have a "factor", which the learning rate of each step is to be multiplied by.

        Raises:
            InputError: If `rates` names the beginning of no trainable parameter.
        """
        parameters = self._groups({name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad})
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=0.9, weight_decay=self.weight_decay)
        if self.optimizer == "dp-adam-bc":
            floor = 5e-8 if self.second_moment_floor is None else self.second_moment_floor
            return DPAdamBC(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, floor=floor)
        kind = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def _groups(self, parameters: Mapping[str, nn.Parameter]) -> list[dict[str, Any]]:
        for start in self.rates:
            if not any(name.startswith(start) for name in parameters):
                tops = sorted({name.partition(".")[0] for name in parameters})
                raise InputError(f"rates: no trainable parameter is called {start!r}...; {nearest(start, tops)}")
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in parameters.items():
            found = max((start for start in self.rates if name.startswith(start)), key=len, default="")
            groups.setdefault(self.rates.get(found, 1.0), []).append(parameter)
        return [{"params": members, "factor": factor} for factor, members in groups.items()]

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)
