"""The clipped sum of one batch as a loop of your own makes it: part by part, with the model run by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy import sums
from holdfast.privacy.clipping import Clipper, ClippingState, ExampleRule, Execution, Indices, MicroBatchClipping, NoClipping
from holdfast.privacy.engine import Gradients, Tape, add_into, recording
from holdfast.privacy.mechanism import Mechanism


@dataclass(frozen=True, eq=False)
class Part:
    """What goes through the model together.

    Args:
        step: The step that it belongs to.
        position: Its place among the parts of that step, from 0.
        indices: Of the examples, at least one.
        counts: False for the stand-in of an empty batch: its losses are ignored, and the step takes noise alone.
        closes: True where a summand of the clipped sum is complete: after each part, or at the end of a micro-batch.
        last: True for the last part of the step.
    """

    step: int
    position: int
    indices: Indices
    counts: bool
    closes: bool
    last: bool


class Summing(Protocol):
    """The clipped sum of one batch in the making."""

    total: Gradients

    def recording(self, examples: int) -> AbstractContextManager[Tape | None]:
        """What has to surround the forward and backward pass of a part."""
        ...

    def add(self, tape: Tape | None, losses_B: Tensor, *, closes: bool) -> None:
        """Adds a part, after `recording` is left for a taped one."""
        ...


class ByExample:
    """Each example clipped by its own norm."""

    def __init__(self, model: nn.Module, rule: ExampleRule) -> None:
        self._model, self._rule = model, rule
        self.total: Gradients = {}

    def recording(self, examples: int) -> AbstractContextManager[Tape | None]:
        """Records what the trainable parameters meet."""
        return recording(self._model, examples, groups=self._rule.groups)

    def add(self, tape: Tape | None, losses_B: Tensor, *, closes: bool) -> None:
        """Weighs what the tape holds after the backward pass."""
        assert tape is not None
        sums.add_recorded(tape, self._rule.weigh, into=self.total)


class ByMicroBatch:
    """The mean gradient of each micro-batch clipped layer by layer."""

    def __init__(self, model: nn.Module, clipper: MicroBatchClipping, state: ClippingState) -> None:
        self._model, self._divisor, self._state = model, clipper.micro_batch_size, state
        self._bounds = clipper.thresholds(sums.layer_sizes(model))
        self._mean: Gradients = {}
        self.total: Gradients = {}

    def recording(self, examples: int) -> AbstractContextManager[Tape | None]:
        """Nothing: the backward pass is an ordinary one."""
        return nullcontext()

    def add(self, tape: Tape | None, losses_B: Tensor, *, closes: bool) -> None:
        """Adds to the mean, and the mean to the sum at the end of a micro-batch."""
        add_into(self._mean, sums.gradients_of(self._model, losses_B.sum() / self._divisor))
        if closes:
            with torch.no_grad():
                sums.add_clipped_by_layer(self._mean, self._bounds, into=self.total, state=self._state)
            self._mean = {}


class Plain:
    """The plain sum, of a mechanism without clipping."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.total: Gradients = {}

    def recording(self, examples: int) -> AbstractContextManager[Tape | None]:
        """Nothing: the backward pass is an ordinary one."""
        return nullcontext()

    def add(self, tape: Tape | None, losses_B: Tensor, *, closes: bool) -> None:
        """Adds the gradient of the sum of the losses."""
        add_into(self.total, sums.gradients_of(self._model, losses_B.sum()))


def summing(model: nn.Module, clipper: Clipper, *, streams: Streams, step: int, state: ClippingState) -> Summing:
    """Begins the clipped sum of a step.

    Args:
        model: The attached model.
        clipper: Of the mechanism.
        streams: The randomness of the run.
        step: The step.
        state: What the clipper carries from step to step.
    """
    if isinstance(clipper, MicroBatchClipping):
        return ByMicroBatch(model, clipper, state)
    if isinstance(clipper, NoClipping):
        return Plain(model)
    return ByExample(model, _rule_of(clipper)(model, streams=streams, step=step, state=state))


def check_mechanism(mechanism: Mechanism) -> None:
    """Refuses a mechanism that cannot serve a loop of your own.

    Raises:
        InputError: For one that protects whole users, or whose clipper runs the model itself and in no other way.
    """
    if mechanism.unit != "example":
        raise InputError(f"a loop of your own protects examples, this mechanism protects each {mechanism.unit}; train with holdfast.train")
    if not isinstance(mechanism.clipper, MicroBatchClipping | NoClipping):
        _rule_of(mechanism.clipper)


def _rule_of(clipper: Clipper) -> Callable[..., ExampleRule]:
    rule: Callable[..., ExampleRule] | None = getattr(clipper, "rule", None)
    if rule is None:
        raise InputError(
            f"{type(clipper).__name__} has no rule(model, *, streams, step, state), so it cannot serve a loop of your own; "
            "give it one (see PerExampleClipping.rule), or train with holdfast.train"
        )
    return rule


def parts(clipper: Clipper, indices: Indices, *, execution: Execution | None, streams: Streams, step: int) -> Iterator[Part]:
    """Cuts the batch of a step into parts, at least one.

    Args:
        clipper: Says which examples form a summand.
        indices: Of the drawn examples, perhaps none: then example 0 stands in, so that the loop goes round and the step is taken.
        execution: How many examples go through the model together; None for all of them.
        streams: The randomness of the run.
        step: The step.
    """
    if len(indices) == 0:
        yield Part(step, 0, np.zeros(1, np.int64), counts=False, closes=True, last=True)
        return
    summands = [indices]
    if isinstance(clipper, MicroBatchClipping):
        assigned = clipper.assignment(indices, streams=streams, step=step)
        summands = [indices[assigned == slot] for slot in np.unique(assigned)]
    cut = [list(execution.parts(one)) if execution else [one] for one in summands]
    flat = [(piece, piece is pieces[-1]) for pieces in cut for piece in pieces]
    for position, (piece, closes) in enumerate(flat):
        yield Part(step, position, piece, counts=True, closes=closes, last=position == len(flat) - 1)
