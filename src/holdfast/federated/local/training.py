"""Trains the clients of a round from the server's weights, many at once, by whichever kernel is the fastest."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.local.blocks import Block, Cohort
from holdfast.federated.local.closed import ClosedForm
from holdfast.federated.local.sequential import Sequential
from holdfast.federated.local.solver import LocalSolver
from holdfast.federated.local.stacked import Stacked
from holdfast.federated.local.updates import Updates
from holdfast.federated.local.workload import Workload

TRIAL_CLIENTS, TRIAL_STEPS = 16, 2
"""What the kernels are timed on."""
LEAST_TRIALS, MOST_TRIALS, TRIAL_SECONDS = 2, 6, 0.03
"""How often each kernel is timed: a few times, more where one time is short."""
APART = 0.1
"""How far a sum of updates may lie from that of the sequential kernel, as a share of its norm; a kernel that is farther off is not taken.
Rounding alone moves Adam by some hundredths, where true gradients are 0."""

_LOG = logging.getLogger(__name__)


class Kernel(Protocol):
    """One way to train the clients of a block.

    Attributes:
        name: See `KERNELS`.
        most: Clients of a block, at most.
    """

    name: str
    most: int

    def train(self, weights: Mapping[str, Tensor], block: Block) -> Updates:
        """Trains the clients of a block from the server's weights."""
        ...


KERNELS: dict[str, Callable[[Workload, LocalSolver], Kernel]] = {
    "closed form": ClosedForm,
    "stacked": Stacked,
    "sequential": Sequential,
}
"""From the fastest to the one that always applies."""


class LocalTraining:
    """Trains cohorts.

    Args:
        workload: What is trained.
        solver: How each client trains.
        kernel: "closed form" (gradients by hand; a bag of words, or a head over cached states), "stacked" (a block of clients as
            one module; models whose layers `training.ensembles.stacking` knows), "sequential" (one client after the other; any
            model and task), or "auto": those that apply are timed once, on a few clients of the first cohort, and the fastest is taken.
        block: Clients that are trained together at most; None for what suits the kernel.

    Raises:
        InputError: For a kernel that is not known or does not apply, saying why.

    Attributes:
        kernel: The kernel at work; "auto" until the first cohort was seen.
        declined: Why the others do not apply, by name.

    Guarantee:
        What a client does depends on (streams, round, client, its examples, the weights) alone but for rounding: never on the
        kernel, the block, the process, or who is trained beside it. So does its dropout. The kernels agree to 1e-4 and mostly to
        1e-6 (`tests/unit/federated/local`); name one where runs are to be the same to the last bit, as "auto" looks at the clock.

    Edge cases:
        A client without examples takes no step and has zeros for an update, and no loss (not a number). One whose training diverges
        has an update that is not finite, which is passed on, and leaves the others as they are.
        With Adam a parameter whose true gradient is 0 (the bias of keys of attention) moves by the sign of what rounding leaves of
        it: there kernels differ by up to the learning rate times the steps, and no output does.
    """

    def __init__(self, workload: Workload, solver: LocalSolver, *, kernel: str = "auto", block: int | None = None) -> None:
        if kernel not in ("auto", *KERNELS):
            raise InputError(f"kernel is {kernel!r}; {nearest(kernel, ['auto', *KERNELS])}")
        if block is not None and block < 1:
            raise InputError(f"block is {block}; give at least 1, or none")
        self.kernel, self.declined = kernel, dict[str, str]()
        self._workload, self._solver, self._block = workload, solver, block
        self._kernels: dict[str, Kernel] = {}
        for name in KERNELS if kernel == "auto" else [kernel]:
            try:
                self._kernels[name] = KERNELS[name](workload, solver)
            except InputError as error:
                if kernel != "auto":
                    raise InputError(f"kernel {name!r} does not apply: {error}; take another, or 'auto'") from error
                self.declined[name] = str(error)
        if len(self._kernels) == 1:
            self.kernel = next(iter(self._kernels))

    def train(
        self,
        weights: Mapping[str, Tensor],
        examples: Sequence[NDArray[np.int64]],
        clients: NDArray[np.int64],
        *,
        streams: Streams,
        round: int,
        corrections: Mapping[str, Tensor] | None = None,
    ) -> Iterator[Updates]:
        """Trains a cohort, one block after the other.

        Args:
            weights: The server's, by name: those of `Workload.weights`. They are not changed.
            examples: Positions in the data set of the examples of each client, (m,) arrays.
            clients: Number of each client, (m,), from which its randomness is drawn.
            streams: The randomness of the run.
            round: Counts rounds.
            corrections: By name, what is added to the gradient of each client at every step, (m, ...), as SCAFFOLD does.

        Yields:
            The updates of some clients; every client is in one of them.

        Raises:
            InputError: For weights or corrections that do not fit.
        """
        self._check(weights, len(clients), corrections or {})
        cohort = Cohort.of(self._solver, examples, clients, streams=streams, round=round)
        if len(self._kernels) > 1:
            self._choose(weights, next(cohort.blocks(self._solver, most=TRIAL_CLIENTS), None), corrections or {})
        kernel = next(iter(self._kernels.values()))
        for block in cohort.blocks(self._solver, most=self._block or kernel.most):
            yield kernel.train(weights, self._with(block, corrections or {}))

    def _with(self, block: Block, corrections: Mapping[str, Tensor]) -> Block:
        """The block with its clients' corrections."""
        if not corrections:
            return block
        places = torch.from_numpy(block.places)
        return replace(block, corrections={name: value[places.to(value.device)] for name, value in corrections.items()})

    def _check(self, weights: Mapping[str, Tensor], clients: int, corrections: Mapping[str, Tensor]) -> None:
        if set(weights) != set(self._workload.trainable):
            wrong = sorted(set(weights) ^ set(self._workload.trainable))
            raise InputError(f"weights: {wrong[0]!r} is trained or given, but not both; give those of Workload.weights()")
        for name, value in corrections.items():
            if name not in weights or value.shape != (clients, *weights[name].shape):
                wanted = (clients, *weights[name].shape) if name in weights else "no correction, as it is not trained"
                raise InputError(f"corrections: {name!r} has shape {tuple(value.shape)}; it needs {wanted}")

    def _choose(self, weights: Mapping[str, Tensor], block: Block | None, corrections: Mapping[str, Tensor]) -> None:
        """Times the kernels on a few clients and keeps the fastest of those that agree."""
        if block is None or not len(block.active):
            return
        block = self._with(block, corrections).head(TRIAL_CLIENTS, TRIAL_STEPS)
        found, seconds = dict[str, dict[str, Tensor]](), dict[str, float]()
        for name, kernel in self._kernels.items():
            try:
                seconds[name], found[name] = _timed(kernel, weights, block)
            except torch.OutOfMemoryError:
                raise
            except (InputError, RuntimeError) as error:
                if name == "sequential":
                    raise
                self.declined[name] = str(error).splitlines()[0]
        slow = found["sequential"]
        for name in [name for name in found if name != "sequential"]:
            apart = _norm({key: value - slow[key] for key, value in found[name].items()}) / max(_norm(slow), 1e-30)
            if apart > APART:
                self.declined[name] = f"its updates lie {apart:.2g} of their norm from those of the sequential kernel"
                del seconds[name]
        self.kernel = min(seconds, key=lambda name: seconds[name])
        self._kernels = {self.kernel: self._kernels[self.kernel]}
        _LOG.info("local training: %s; seconds on trial: %s; declined: %s", self.kernel, seconds, self.declined)


def _timed(kernel: Kernel, weights: Mapping[str, Tensor], block: Block) -> tuple[float, dict[str, Tensor]]:
    """The shortest of some times that a kernel takes, and the sum of the updates, each client with a weight of its own.

    On a processor its own seconds count: another program that wants the core must not decide.
    """
    on_cpu = all(value.device.type == "cpu" for value in weights.values())
    clock = time.process_time if on_cpu else time.perf_counter
    times: list[float] = []
    while len(times) < LEAST_TRIALS or (sum(times) < TRIAL_SECONDS and len(times) < MOST_TRIALS):
        start = clock()
        updates = kernel.train(weights, block)
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        updates.add_to(total, 1 / (1.0 + np.arange(len(updates))))
        times.append(clock() - start)
    return min(times), total


def _norm(values: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float(value.double().square().sum()) for value in values.values()))
