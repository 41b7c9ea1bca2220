"""One part of a batch on its way through somebody else's code: recorded from the batch that is handed out to its step."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode

from holdfast.core.errors import InputError, PreflightError
from holdfast.core.randomness import Streams
from holdfast.privacy import preflight, sums
from holdfast.privacy.engine import Tape
from holdfast.privacy.own_loop import watching
from holdfast.privacy.own_loop.summing import Part, Summing


class Pass:
    """Records the forward pass of a part, if its clipper asks for that, until it is added or dropped.

    Args:
        part: What is handed out.
        model: The attached model.
        total: The sum that the part belongs to.
        private: Whether the model may keep nothing of what it sees.
    """

    def __init__(self, part: Part, model: nn.Module, total: Summing, *, private: bool) -> None:
        self.part, self._model, self._total = part, model, total
        self._kept = preflight.Kept.of(model) if private else None
        self._open = ExitStack()
        self._tape: Tape | None = None
        if part.counts:
            self._tape = self._open.enter_context(total.recording(len(part.indices)))
        self._mode = _get_current_function_mode()

    def check_place(self) -> None:
        """Refuses a step from inside a block that has to be left before the recording ends.

        Raises:
            InputError: If so.
        """
        if self._tape is not None and _get_current_function_mode() is not self._mode:
            raise InputError("step was called inside a `with` block that began after the batch and changes torch's functions; leave it")

    def check(self, losses: Tensor, optimizer: torch.optim.Optimizer, *, before: torch.optim.Optimizer | None) -> None:
        """Refuses what would void the promise, before any backward pass.

        Args:
            losses: What `step` was given.
            optimizer: What `step` was given.
            before: The optimiser of the part before, in the same batch.

        Raises:
            InputError: For an optimiser or losses that do not fit.
            PreflightError: If the forward pass wrote into the model's state.
            TrainingStopped: If a loss is not finite.
        """
        watching.check_optimizer(optimizer, self._model, before=before)
        strangers = watching.check_losses(losses, len(self.part.indices), self._model, tape=self._tape)
        if self._kept is not None and (written := self._kept.changes(self._model)):
            raise PreflightError(written)
        if self.part.counts:
            sums.finite(losses)
        for leaf in strangers:
            self._open.callback(setattr, leaf, "grad", leaf.grad)  # no gradient leaves by this way

    def look(self, losses_B: Tensor, streams: Streams) -> bool:
        """Checks the recorded pass through derivatives, where it holds more than one example; False where it cannot."""
        if self._tape is None or len(self.part.indices) < 2:
            return False
        preflight.check_first_batch(self._tape, losses_B, streams)
        return True

    def add(self, losses_B: Tensor) -> None:
        """Walks back, and adds the part to the sum.

        Raises:
            PreflightError: If a parameter is used in a way that cannot be clipped.
        """
        if not self.part.counts:
            return
        if self._tape is not None:
            losses_B.sum().backward()
        self._open.close()
        self._total.add(self._tape, losses_B, closes=self.part.closes)

    def drop(self) -> None:
        """Ends the recording, whatever is wrong with it; nothing of it was released."""
        with suppress(PreflightError):
            self._open.close()
