"""Several processes that train one model: each clips a part of every batch, and one sum over all of them goes into the update.

All processes draw the same batches, keep the same weights and add the same noise, because all three are addressed by key and
step. So nothing but the clipped sum has to travel, once a step.
"""

from __future__ import annotations

import datetime
import gc
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from holdfast.core.errors import HoldfastError, InputError, TrainingStopped
from holdfast.core.processes import Place, place
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping import Clipper, Indices, MicroBatchClipping
from holdfast.privacy.engine import Gradients
from holdfast.privacy.sums import complete

PATIENCE = datetime.timedelta(days=7)  # the first process may evaluate for long; one that is gone is noticed at once
GONE = (
    "another process of this training has ended, so this one stops too; the last checkpoint and the spent budget are kept, "
    "go on with --resume"
)


@dataclass(frozen=True)
class Group(Place):
    """The processes that train together; a group of one does without any of this."""

    @classmethod
    def current(cls) -> Group:
        """The group that this process has joined, or one of its own."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def own(self) -> tuple[int, ...]:
        """Counters that give each process random draws of its own; none for the first, which draws as if it were alone."""
        return () if self.first else (self.rank,)

    def share(self, indices: Indices, clipper: Clipper, *, streams: Streams, step: int) -> Indices:
        """The part of a batch that this process works on, perhaps nothing: every n-th example, or whole micro-batches.

        Args:
            indices: The batch.
            clipper: Tells which examples belong together.
            streams: The randomness of the run.
            step: The step.
        """
        if self.size > 1 and isinstance(clipper, MicroBatchClipping):
            mine: Indices = indices[clipper.assignment(indices, streams=streams, step=step) % self.size == self.rank]
            return mine
        return indices[self.rank :: self.size]

    def sum(self, own: Callable[[], Gradients], model: nn.Module, counts: Callable[[], Sequence[float]]) -> tuple[Gradients, list[float]]:
        """Adds up what the processes have, in one message.

        Args:
            own: Gives this process' part of the clipped sum.
            model: Tells the shapes.
            counts: Gives a few numbers to be added up as well, once `own` is done.

        Returns:
            Both sums, the same in every process.

        Raises:
            TrainingStopped: If another process has failed or is gone.
            HoldfastError: What `own` raised, after the others were told.
        """
        if self.size == 1:
            return own(), list(counts())
        failure = None
        try:
            total = own()
        except HoldfastError as error:
            total, failure = complete(model, {}), error
        numbers = [float(failure is not None), *counts()]
        like = next(iter(total.values()))
        flat = torch.cat([*(gradient.reshape(-1) for gradient in total.values()), like.new_tensor(numbers)])
        self._all_reduce(flat)
        *pieces, rest = flat.split([*(gradient.numel() for gradient in total.values()), len(numbers)])
        failed, *sums = rest.tolist()
        if failed:
            _wind_up()
            raise failure or TrainingStopped(GONE)
        return {name: piece.view(gradient.shape) for (name, gradient), piece in zip(total.items(), pieces, strict=True)}, sums

    def add(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Adds tensors up over the processes, in one message for each type of number; the same in every process.

        Raises:
            TrainingStopped: If another process is gone.
        """
        found: dict[str, Tensor] = {}
        names = sorted(tensors)  # a mapping that was read from a file may have another order in each process
        for dtype in dict.fromkeys(tensors[name].dtype for name in names):
            alike = {name: tensors[name] for name in names if tensors[name].dtype == dtype}
            flat = torch.cat([tensor.reshape(-1) for tensor in alike.values()])
            if self.size > 1:
                self._all_reduce(flat)
            pieces = flat.split([tensor.numel() for tensor in alike.values()])
            found |= {name: piece.view(tensor.shape) for (name, tensor), piece in zip(alike.items(), pieces, strict=True)}
        return found

    def tell(self, content: bytes = b"") -> bytes:
        """What the first process says, in every process."""
        if self.size == 1:
            return content
        length = torch.tensor([len(content)])
        self._broadcast(length)
        message = torch.zeros(int(length), dtype=torch.uint8)
        if self.first and content:
            message = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self._broadcast(message)
        return message.numpy().tobytes()

    def agree(self, value: bool) -> bool:
        """What the first process decided."""
        return self.tell(b"1" if value else b"0") == b"1"

    def same_streams(self, streams: Streams) -> Streams:
        """The streams of the first process: batches and noise are the same everywhere."""
        if self.size == 1:
            return streams
        kind, key = self.tell(f"{int(streams.secret)} {streams.key}".encode()).decode().split()
        return Streams(int(key), secret=kind == "1")

    def check_same(self, model: nn.Module) -> None:
        """Makes sure that the weights have stayed the same everywhere: a processor may round unlike another.

        Raises:
            TrainingStopped: If they have not.
        """
        if self.size == 1:
            return
        with torch.no_grad():
            sums = torch.stack([parameter.sum(dtype=torch.float64).cpu() for parameter in model.parameters()])
        first = sums.clone()
        self._broadcast(first)
        if not torch.allclose(sums, first, rtol=1e-9, atol=1e-9):
            raise TrainingStopped(
                f"the weights of process {self.rank} are no longer those of process 0; train on machines of one kind, or in one process"
            )

    def _all_reduce(self, flat: Tensor) -> None:
        with _others_alive():
            distributed.all_reduce(flat)

    def _broadcast(self, message: Tensor) -> None:
        with _others_alive():
            distributed.broadcast(message, 0)


@contextmanager
def joined() -> Iterator[Group]:
    """Joins the processes that `torchrun` started, for as long as the block runs; does nothing for a process that is alone.

    Raises:
        InputError: If the processes do not find each other.
    """
    where = place()
    if where.size == 1 or distributed.is_initialized():
        yield Group.current()
        return
    try:
        distributed.init_process_group("gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"process {where.rank} of {where.size} cannot reach the others ({error}); start them with torchrun") from error
    try:
        yield Group.current()
    finally:
        distributed.destroy_process_group()
        gc.collect()  # an error's frames may hold the group still, and its threads abort a process that exits before they are joined


@contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what the back end raises when a connection is closed
        _wind_up()
        raise TrainingStopped(GONE) from error


def _wind_up() -> None:
    """Has the process live long enough to say why it stops: torchrun asks all others to end as soon as the first one has."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
