"""The one training loop: private or not, it draws, clips, blurs and steps, and can be killed anywhere and resumed."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import Interrupted
from holdfast.core.progress import OnProgress, Progress
from holdfast.core.randomness import Streams
from holdfast.privacy import Mechanism
from holdfast.privacy.clipping import Indices, LossesOf
from holdfast.privacy.engine import Gradients
from holdfast.privacy.preflight import Movement
from holdfast.privacy.users import UserLosses
from holdfast.training.checkpoints import CHECKPOINT, TrainingState, forget_key, restore, write_checkpoint, write_ledger
from holdfast.training.distributed import Group
from holdfast.training.interrupts import stop_requests
from holdfast.training.settings import TrainingSettings


@dataclass
class Trainer:
    """Trains one model with one mechanism.

    Args:
        name: Of the run, for progress.
        model: The model.
        losses_of: Gives one loss for each of the training indices it is handed.
        mechanism: Draws, clips and blurs.
        settings: Optimiser and the like.
        streams: All randomness of the run.
        validate: Gives the mean loss of the model on the validation set.
        fingerprint: What a checkpoint must agree on before it is resumed.
        folder: For checkpoints and the ledger; None to keep nothing, and in every process but the first.
        on_progress: Told after every step.
        lengths: How long each training unit is, (units,): those of about the same length then go through the model together,
            which halves the padding of a large batch and changes the sum by rounding alone. None leaves them in their order.
        group: The processes that train this model together.
    """

    name: str
    model: nn.Module
    losses_of: LossesOf
    mechanism: Mechanism
    settings: TrainingSettings
    streams: Streams
    validate: Callable[[], float]
    fingerprint: Mapping[str, Any]
    folder: Path | None
    on_progress: OnProgress
    lengths: NDArray[np.int64] | None = None
    group: Group = field(default_factory=Group)
    average: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clipping = self.mechanism.clipping_state()

    def run(self, *, resume: bool) -> TrainingState:
        """Trains to the end, from the last checkpoint if asked to resume and there is one.

        The end is the last planned step, or where patience runs out. Every draw is addressed by its step, so the result is the same
        however often the run was stopped on the way.

        Raises:
            Interrupted: On Ctrl-C or SIGTERM, after a checkpoint.
            TrainingStopped: If a loss is not finite, the disk is full or another process is gone; the checkpoint before stays.
            RunError: If the checkpoint belongs to another run.
        """
        self.optimizer = self.settings.build(self.model)
        state = self._resumed() if resume else self._fresh()
        self.clipping = state.clipping
        movement = Movement(self.model, since=state.step)
        with stop_requests(once=self.group.size == 1) as stop, torch.random.fork_rng(devices=[]):
            while not self._over(state):
                stopped = self._stretch(state, stop, movement)
                self._save(state)
                self.group.check_same(self.model)
                if stopped and not self._over(state):
                    raise Interrupted(f"{self.name} stopped after step {state.step} of {self.mechanism.steps}; resume with --resume")
        if self.best or self.average:
            self.model.load_state_dict(self.best or self.average)
        state.kept = state.best if self.best else None
        if self.folder is not None:
            forget_key(self.folder)
        return state

    def _over(self, state: TrainingState) -> bool:
        patience = self.settings.patience
        return state.step >= self.mechanism.steps or (patience is not None and state.in_vain >= patience)

    def _stretch(self, state: TrainingState, stop: threading.Event, movement: Movement) -> bool:
        """Takes the steps up to the next checkpoint, after the ledger has them; True where it was asked to stop before."""
        until = self._next_checkpoint(state.step)
        if self.folder is not None:
            write_ledger(self.folder, self.mechanism, taken=state.step, reserved=until)
        stopped = False
        while state.step < until and not (stopped or self._over(state)):
            start = time.perf_counter()
            asked = self.step(state.step, stop=stop)
            state.spent += time.perf_counter() - start
            state.step += 1
            self._close_epoch(state)
            self._tell(state)
            if (unmoved := movement.unmoved(self.model, state.step, of=self.mechanism.steps)) is not None:
                warnings.warn(unmoved, stacklevel=2)
            stopped = stop.is_set() if self.group.size == 1 else asked
        return stopped

    def step(self, step: int, *, stop: threading.Event) -> bool:
        """One update, in the order of the paper; True where some process was asked to stop."""
        torch.manual_seed(self.streams.integer("dropout", step, *self.group.own))
        self.model.train()
        mechanism, streams = self.mechanism, self.streams
        indices = self._by_length(mechanism.sampler.indices(step, streams))
        mine = self.group.share(indices, mechanism.clipper, streams=streams, step=step)

        execution = replace(self.settings.execution, rows_per_example=mechanism.examples_per_user or 1)
        losses_of = self.losses_of.at(step) if isinstance(self.losses_of, UserLosses) else self.losses_of
        clipping, left_out = self.clipping, self.clipping.not_finite

        def own() -> Gradients:
            return mechanism.clipper.clipped_sum(
                self.model, losses_of, mine, streams=streams, step=step, execution=execution, state=clipping
            )

        def counts() -> list[float]:
            return [float(stop.is_set()), clipping.balance, clipping.not_finite - left_out]

        total, (asked, clipping.balance, new) = self.group.sum(own, self.model, counts)
        clipping.not_finite = left_out + round(new)
        deviation = mechanism.standard_deviation(step, clipping) / mechanism.divisor
        mechanism.finish(total, streams=streams, step=step, state=clipping)
        self._update(total, step, noise_variance=deviation**2)
        return asked > 0

    def _by_length(self, indices: Indices) -> Indices:
        return indices if self.lengths is None else indices[np.argsort(self.lengths[indices], kind="stable")]

    def _update(self, total: Gradients, step: int, *, noise_variance: float) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.grad = total[name].to(parameter.dtype) if name in total else None
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * self.settings.rate_at(step, self.mechanism.steps)
            group["noise_variance"] = noise_variance
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.settings.averaging:
            self._average(step)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        decay = min(self.settings.averaging, (1 + step) / (10 + step))  # forgets the starting weights in the first steps
        for name, value in self.model.state_dict().items():
            if name in self.average and value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name] = value.clone()

    def _close_epoch(self, state: TrainingState) -> None:
        mechanism, step = self.mechanism, state.step
        finished = mechanism.epoch(step) > mechanism.epoch(step - 1)
        if finished:
            state.epoch_seconds.append(state.spent)
            state.spent = 0.0
        every = self.settings.evaluate_every
        if every and (step == mechanism.steps or (finished and mechanism.epoch(step) % every == 0)):
            self._evaluate(state)

    def _evaluate(self, state: TrainingState) -> None:
        """Takes the validation loss in the first process; where it decides when to stop, all hear of it and keep the best weights."""
        patient = self.settings.patience is not None
        if not (self.group.first or patient):
            return
        loss = self._validation_loss() if self.group.first else math.nan
        if patient:
            loss = float(self.group.tell(repr(loss).encode()))
        state.validation.append((state.step / self.mechanism.sampler.steps_per_epoch, loss))
        if patient and state.in_vain == 0:
            self.best = _copied(self.average or self.model.state_dict())

    def _validation_loss(self) -> float:
        """The loss of the weights that would be kept if this were the end."""
        if not self.average:
            return self.validate()
        own = _copied(self.model.state_dict())
        self.model.load_state_dict(self.average)
        try:
            return self.validate()
        finally:
            self.model.load_state_dict(own)

    def _tell(self, state: TrainingState) -> None:
        note = f"validation loss {state.validation[-1][1]:.3g}" if state.validation else ""
        if state.step < self.mechanism.steps and self._over(state):
            note += f", stopped early: no better than {state.in_vain} evaluation{'s' if state.in_vain > 1 else ''} ago"
        self.on_progress(Progress(phase=f"train {self.name}", done=state.step, total=self.mechanism.steps, note=note))

    def _next_checkpoint(self, step: int) -> int:
        every = self.settings.checkpoint_every or max(1, round(self.mechanism.sampler.steps_per_epoch))
        return min(self.mechanism.steps, (step // every + 1) * every)

    def _save(self, state: TrainingState) -> None:
        if self.folder is None:
            return
        charged = self.mechanism.steps if self._over(state) else state.step  # where patience ran out tells of the data, so all are
        write_checkpoint(
            self.folder,
            state=state,
            model=self.model,
            optimizer=self.optimizer,
            average=self.average,
            best=self.best,
            fingerprint=self.fingerprint,
            ledger=self.mechanism.ledger(charged),
        )
        write_ledger(self.folder, self.mechanism, taken=state.step, reserved=charged)

    def _resumed(self) -> TrainingState:
        """The state in the checkpoint of the first process, or that of a beginning."""
        path = Path() if self.folder is None else self.folder / CHECKPOINT
        content = self.group.tell(path.read_bytes() if path.is_file() else b"")
        if not content:
            return self._fresh()
        kept = {"average": self.average, "best": self.best}
        return restore(content, path, model=self.model, optimizer=self.optimizer, fingerprint=self.fingerprint, **kept)

    def _fresh(self) -> TrainingState:
        return TrainingState(clipping=self.mechanism.clipping_state())


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
