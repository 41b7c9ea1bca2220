"""The one training loop: private or not, it draws, clips, blurs and steps, and can be killed anywhere and resumed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
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
from holdfast.training.checkpoints import TrainingState, forget_key, read_checkpoint, write_checkpoint, write_ledger
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
        validate: Gives the mean loss on the validation set.
        fingerprint: What a checkpoint must agree on before it is resumed.
        folder: For checkpoints and the ledger; None to keep nothing.
        on_progress: Told after every step.
        lengths: How long each training unit is, (units,): those of about the same length then go through the model together,
            which halves the padding of a large batch and changes the sum by rounding alone. None leaves them in their order.
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
    average: dict[str, Tensor] = field(default_factory=dict)

    def run(self, *, resume: bool) -> TrainingState:
        """Trains to the end, from the last checkpoint if asked to resume and there is one.

        Every draw is addressed by its step, so the result is the same however often the run was stopped on the way.

        Raises:
            Interrupted: On Ctrl-C or SIGTERM, after a checkpoint.
            TrainingStopped: If a loss is not finite or the disk is full; the checkpoint before stays.
            RunError: If the checkpoint belongs to another run.
        """
        self.optimizer = self.settings.build(self.model)
        state = self._resumed() if resume else TrainingState()
        with _stop_requests() as stop, torch.random.fork_rng(devices=[]):
            while state.step < self.mechanism.steps:
                self._stretch(state, stop)
                self._save(state)
                if stop.is_set() and state.step < self.mechanism.steps:
                    raise Interrupted(f"{self.name} stopped after step {state.step} of {self.mechanism.steps}; resume with --resume")
        if self.average:
            self.model.load_state_dict(self.average)
        if self.folder is not None:
            forget_key(self.folder)
        return state

    def _stretch(self, state: TrainingState, stop: threading.Event) -> None:
        """Takes the steps up to the next checkpoint, after the ledger has them."""
        until = self._next_checkpoint(state.step)
        if self.folder is not None:
            write_ledger(self.folder, self.mechanism, taken=state.step, reserved=until)
        while state.step < until and not stop.is_set():
            start = time.perf_counter()
            self.step(state.step)
            state.spent += time.perf_counter() - start
            state.step += 1
            self._close_epoch(state)
            self._tell(state)

    def step(self, step: int) -> None:
        """One update, in the order of the paper."""
        torch.manual_seed(self.streams.integer("dropout", step))
        self.model.train()
        mechanism, streams = self.mechanism, self.streams
        indices = self._by_length(mechanism.sampler.indices(step, streams))
        total = mechanism.clipper.clipped_sum(
            self.model, self.losses_of, indices, streams=streams, step=step, execution=self.settings.execution
        )
        mechanism.add_noise(total, streams=streams, step=step)
        self._update(total, step)

    def _by_length(self, indices: Indices) -> Indices:
        return indices if self.lengths is None else indices[np.argsort(self.lengths[indices], kind="stable")]

    def _update(self, total: Gradients, step: int) -> None:
        for name, parameter in self.model.named_parameters():
            if name in total:
                parameter.grad = total[name].div_(self.mechanism.divisor)
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * self.settings.rate_at(step, self.mechanism.steps)
            group["noise_variance"] = (self.mechanism.standard_deviation(step) / self.mechanism.divisor) ** 2
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
            state.validation.append((step / mechanism.sampler.steps_per_epoch, self.validate()))

    def _tell(self, state: TrainingState) -> None:
        note = f"validation loss {state.validation[-1][1]:.3g}" if state.validation else ""
        self.on_progress(Progress(phase=f"train {self.name}", done=state.step, total=self.mechanism.steps, note=note))

    def _next_checkpoint(self, step: int) -> int:
        every = self.settings.checkpoint_every or max(1, round(self.mechanism.sampler.steps_per_epoch))
        return min(self.mechanism.steps, (step // every + 1) * every)

    def _save(self, state: TrainingState) -> None:
        if self.folder is None:
            return
        write_checkpoint(
            self.folder,
            state=state,
            model=self.model,
            optimizer=self.optimizer,
            average=self.average,
            fingerprint=self.fingerprint,
            ledger=self.mechanism.ledger(state.step),
        )
        write_ledger(self.folder, self.mechanism, taken=state.step, reserved=state.step)

    def _resumed(self) -> TrainingState:
        if self.folder is None:
            return TrainingState()
        state = read_checkpoint(self.folder, model=self.model, optimizer=self.optimizer, average=self.average, fingerprint=self.fingerprint)
        return state or TrainingState()


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C or SIGTERM into a request to stop after the step; the second works as ever."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
