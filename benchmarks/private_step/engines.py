"""The engines: ordinary training, which is the unit, and mechanisms of holdfast as its trainer uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.randomness import Streams
from holdfast.privacy import Clipper, Execution, Mechanism, MicroBatchClipping, dp_sgd, edp_sgd, kernels
from private_step import OURS, UNIT, comparators
from private_step.cases import Case, Data, losses_of

LEARNING_RATE = 1e-3
PLAN = {"steps": 1_000_000, "noise_multiplier": 1.0, "delta": 1e-5}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What an engine is built for.

    Args:
        case: The model and its batches.
        device: Where it runs.
        clip_norm: C.
        micro_batches: m of the micro-batch engine.
    """

    case: Case
    device: torch.device
    clip_norm: float
    micro_batches: int = 1

    def parts(self) -> tuple[nn.Module, Data]:
        """A model of the engine's own, and the rows."""
        return self.case.model(self.device), self.case.data(self.device)


class Engine(Protocol):
    """Takes whole steps, and shows the sum behind them."""

    def step(self, number: int) -> None:
        """One update of the model on the batch of that number; leaves no gradients behind."""
        ...

    def clipped_sum(self, indices: np.ndarray) -> Mapping[str, Tensor]:
        """What the update is made of, before noise and division, by parameter name."""
        ...


class Plain:
    """Ordinary training: the mean loss, one backward pass, one step of SGD."""

    def __init__(self, work: Workload) -> None:
        self.case = work.case
        self.model, data = work.parts()
        self.losses_of = losses_of(self.model, data)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE)

    def step(self, number: int) -> None:
        """Forward, backward, step."""
        self.losses_of(self.case.indices(number)).mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Nothing is clipped here."""
        return {}


@dataclass
class Holdfast:
    """A mechanism of the library in the loop of its trainer: clipped sum, noise, step.

    Noise and division are one pass over the sum; where noise is excluded the learning rate divides, as in the comparators.

    Args:
        work: What it is built for.
        mechanism: With or without noise.
    """

    work: Workload
    mechanism: Mechanism

    def __post_init__(self) -> None:
        self.model, data = self.work.parts()
        self.losses_of = losses_of(self.model, data)
        self.parameters = comparators.named_trainable(self.model)
        rate = LEARNING_RATE if self.mechanism.private else LEARNING_RATE / self.mechanism.divisor
        self.optimizer = torch.optim.SGD(self.parameters.values(), lr=rate)
        self.execution = Execution(physical_batch_size=self.work.case.shape.batch)
        self.streams = Streams.from_seed(0)

    def step(self, number: int) -> None:
        """One update, as `training.trainer` makes it."""
        total = self._sum(self.work.case.indices(number), number)
        if self.mechanism.private:
            self.mechanism.add_noise(total, streams=self.streams, step=number, scale=1 / self.mechanism.divisor)
        for name, parameter in self.parameters.items():
            parameter.grad = total[name]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        """By the mechanism's clipper."""
        return self._sum(indices, 0)

    def _sum(self, indices: np.ndarray, step: int) -> dict[str, Tensor]:
        return self.clipper.clipped_sum(self.model, self.losses_of, indices, streams=self.streams, step=step, execution=self.execution)

    @property
    def clipper(self) -> Clipper:
        """Of its mechanism."""
        return self.mechanism.clipper

    def assignment(self, indices: np.ndarray) -> np.ndarray | None:
        """Micro-batch of each row in that sum; None where each row is its own."""
        if not isinstance(self.clipper, MicroBatchClipping):
            return None
        return self.clipper.assignment(indices, streams=self.streams, step=0)


def _flat(work: Workload, *, noise: bool) -> Holdfast:
    batch = work.case.shape.batch
    mechanism = dp_sgd(examples=100 * batch, batch_size=batch, clip_norm=work.clip_norm, **PLAN)
    return Holdfast(work, mechanism if noise else replace(mechanism, noise=None, delta=None))


def _micro_batch(work: Workload) -> Holdfast:
    batch = work.case.shape.batch
    size = max(1, batch // work.micro_batches)
    mechanism = edp_sgd(examples=100 * batch, batch_size=batch, clip_norm=work.clip_norm, micro_batch_size=size, **PLAN)
    return Holdfast(work, replace(mechanism, noise=None, delta=None))


MAKERS: dict[str, Callable[[Workload], Engine]] = {
    UNIT: Plain,
    "holdfast-flat": lambda work: _flat(work, noise=False),
    "holdfast-flat-noise": lambda work: _flat(work, noise=True),
    "holdfast-micro-batch": _micro_batch,
    "opacus-hooks": lambda work: comparators.OpacusHooks(*work.parts(), case=work.case, clip_norm=work.clip_norm),
    "opacus-ghost": lambda work: comparators.OpacusGhost(*work.parts(), case=work.case, clip_norm=work.clip_norm),
    "loop": lambda work: comparators.Loop(*work.parts(), case=work.case, clip_norm=work.clip_norm),
    "vmap": lambda work: comparators.Vmap(*work.parts(), case=work.case, clip_norm=work.clip_norm),
}


def note(name: str, work: Workload) -> str:
    """What a reader must know of that engine's figures."""
    batch = work.case.shape.batch
    if name == UNIT:
        return f"{batch} rows, {sum(parameter.numel() for parameter in work.case.model(work.device).parameters()) / 1e6:.1f}M parameters"
    said = {"holdfast-flat-noise": f"with noise, logical batch {batch}", "holdfast-micro-batch": f"{work.micro_batches} micro-batches"}.get(
        name
    )
    return "; ".join(filter(None, [said, f"kernels: {kernels.backend()}, products: {kernels.products_by()}" if name in OURS else None]))
