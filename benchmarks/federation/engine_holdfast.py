"""The round as holdfast trains it: all clients at once, their updates added up by `Updates.add_to`. `python -m` runs it."""

from __future__ import annotations

import sys

from federation.line import Line, import_torch

TORCH_SECONDS = import_torch()

import numpy as np  # noqa: E402  # the import of torch is timed above
import torch  # noqa: E402

from federation.jobs import Job  # noqa: E402
from federation.ours import solver_of, streams, workload_of  # noqa: E402
from holdfast.federated import LocalTraining  # noqa: E402


class Ours:
    """Federated averaging by `LocalTraining`.

    Args:
        job: What is run; its orders of batches are not looked at, since they are drawn anew in every round.
        kernel: As `LocalTraining` has it.
    """

    def __init__(self, job: Job, *, kernel: str = "auto") -> None:
        workload, shape = workload_of(job), job.shape
        self.training = LocalTraining(workload, solver_of(shape), kernel=kernel)
        self.weights = workload.weights()
        self.clients = np.arange(shape.clients, dtype=np.int64)
        self.examples = list(np.arange(shape.clients * shape.examples, dtype=np.int64).reshape(shape.clients, -1))

    def round(self, number: int) -> None:
        """All clients train, and the mean of their updates is added to the model."""
        total = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        share = 1 / len(self.clients)
        for updates in self.training.train(self.weights, self.examples, self.clients, streams=streams(), round=number):
            updates.add_to(total, np.full(len(updates), share))
        self.weights = {name: value + total[name] for name, value in self.weights.items()}


def main(path: str, out: str, variant: str) -> None:
    job = Job.load(path)
    line = Line(job.rounds, TORCH_SECONDS)
    if variant == "simulated":
        from federation.simulated import simulate

        trained, kernel = simulate(job, line)
        line.finish(trained, out, f"kernel: {kernel}")
        return
    ours = Ours(job)
    for number in range(job.rounds):
        if not line.next_round():
            return
        ours.round(number)
    line.next_round()
    line.finish([value.numpy() for value in ours.weights.values()], out, f"kernel: {ours.training.kernel}")


if __name__ == "__main__":
    main(*sys.argv[1:])
