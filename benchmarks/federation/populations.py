"""What it takes to open a population on disk and to run a round of 100 of its clients, whatever their number."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from federation.alone import Answer, added_since, highest_from_here
from federation.jobs import SHAPES
from federation.ours import job_of, solver_of, streams, workload_of
from holdfast.federated import Clients, LocalTraining, Workload, open_store, selector
from holdfast.federated.population import write_synthetic
from holdfast.federated.selection import View

COHORT = 100
SHAPE = SHAPES["bag-163k"]


class Rounds:
    """Selects uniformly, reads the examples of the chosen, trains them, and adds the mean of their updates.

    Args:
        workload: What is trained, on the examples of the store.
        clients: All of them.
    """

    def __init__(self, workload: Workload, clients: Clients) -> None:
        self.clients, self.selector = clients, selector("uniform")
        self.training, self.weights = LocalTraining(workload, solver_of(SHAPE), kernel="closed form"), workload.weights()

    def round(self, number: int) -> None:
        """One round."""
        cohort = self.selector.select(View(self.clients.counts), size=COHORT, round=number, rounds=number + 1, streams=streams())
        examples = [self.clients.of(int(client)) for client in cohort.clients]
        total = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        for updates in self.training.train(self.weights, examples, cohort.clients, streams=streams(), round=number):
            updates.add_to(total, np.full(len(updates), 1 / len(cohort)))
        self.weights = {name: value + total[name] for name, value in self.weights.items()}


def answers(name: str, clients: int, rounds: int) -> Iterator[Answer]:
    """Seconds, and what the process holds more at its highest, from the opening on.

    Args:
        name: Of the answer.
        clients: N.
        rounds: That count.
    """
    workload = workload_of(job_of(SHAPE, 1))
    Rounds(workload, Clients.of_assignment(np.repeat(np.arange(100), 40), 100)).round(0)  # imports, and memory that any round takes
    with tempfile.TemporaryDirectory(prefix="fed") as folder:
        began = time.perf_counter()
        write_synthetic(Path(folder) / "store", workload.encoded, clients=clients, seed=0)
        figures = [("write_seconds", time.perf_counter() - began, "s")]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        figures.append(("disk", size / 2**20, "MiB"))
        before = highest_from_here()
        began = time.perf_counter()
        store = open_store(Path(folder) / "store")
        figures.append(("open_seconds", time.perf_counter() - began, "s"))
        rounded = Rounds(Workload(workload.task, workload.module, store.encoded), store.clients)
        spans = []
        for number in range(rounds + 1):
            began = time.perf_counter()
            rounded.round(number)
            spans.append(time.perf_counter() - began)
        figures += [("first_round_seconds", spans[0], "s"), ("round_seconds", median(spans[1:]), "s")]
        added = added_since(before)
        if added:
            figures.append(("added_memory", added, "MiB"))
    yield Answer(name=name, figures=tuple(figures), note=f"{COHORT} of {clients:,} clients a round")
