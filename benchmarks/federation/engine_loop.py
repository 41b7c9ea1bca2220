"""The round as a plain loop over clients in torch: `load_state_dict`, `torch.optim.SGD`, a running sum. `python -m` runs it."""

from __future__ import annotations

import sys

from federation.line import Line, import_torch

TORCH_SECONDS = import_torch()

import torch  # noqa: E402  # its import is timed above
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from federation.jobs import Job  # noqa: E402
from federation.nets import inputs_of, net_of, travelling  # noqa: E402


def train_client(net: nn.Module, inputs: Tensor, labels: Tensor, job: Job) -> None:
    """One pass over a client's examples, in the order given."""
    optimizer = torch.optim.SGD(net.parameters(), lr=job.shape.learning_rate)
    for start in range(0, len(inputs), job.shape.batch):
        optimizer.zero_grad()
        F.cross_entropy(net(inputs[start : start + job.shape.batch]), labels[start : start + job.shape.batch]).backward()
        optimizer.step()


class Loop:
    """Federated averaging, one client after the other.

    Args:
        job: What is run.
        cached: Whether a frozen encoder looks at the texts once, beforehand.
    """

    def __init__(self, job: Job, *, cached: bool) -> None:
        self.job, self.net = job, net_of(job, cached=cached)
        self.inputs, self.labels = inputs_of(job, cached=cached)
        self.weights = {name: value.detach().clone() for name, value in travelling(self.net).items()}

    def round(self, number: int) -> None:
        """All clients train, and the mean of their weights is the next model."""
        total = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        trained = travelling(self.net)
        for client in range(self.job.shape.clients):
            self.net.load_state_dict(self.weights, strict=False)  # what is frozen stays
            rows = torch.from_numpy(self.job.rows(number, client))
            train_client(self.net, self.inputs[rows], self.labels[rows], self.job)
            for name, value in trained.items():
                total[name] += value.detach()
        self.weights = {name: value / self.job.shape.clients for name, value in total.items()}


def main(path: str, out: str, variant: str) -> None:
    job = Job.load(path)
    line, loop = Line(job.rounds, TORCH_SECONDS), Loop(job, cached=variant == "cached")
    for number in range(job.rounds):
        if not line.next_round():
            return
        loop.round(number)
    line.next_round()
    line.finish([value.numpy() for value in loop.weights.values()], out)


if __name__ == "__main__":
    main(*sys.argv[1:])
