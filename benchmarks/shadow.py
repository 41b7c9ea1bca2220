"""How long 64 shadow models take: a well-written loop over models, `torch.func`, and `training.train_ensemble`, on the same batches."""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from harness import QUICK, Row, compared, interleaved, parser, report, timed_rows
from numpy.typing import NDArray

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.data import load_data
from holdfast.privacy import ShuffledSampler
from holdfast.training import TrainingSettings
from holdfast.training.ensembles import Ensemble, train_ensemble

EXAMPLES, MODELS, EPOCHS, BATCH = 5_000, 64, 3, 64
COMPARED = 8
SILENT = {"dropout": 0.0, "word_dropout": 0.0}
CASES: Mapping[str, models.ModelSettings] = {
    "bag-64": models.Bag(embedding=64, hidden=64, **SILENT),
    "bilstm-64": models.BiLSTM(embedding=32, hidden=32, characters=0, **SILENT),
}
SETTINGS = TrainingSettings(optimizer="adam", learning_rate=2e-3)


class Case:
    """The data and the design that every engine gets: half of the examples for each model, by a coin."""

    def __init__(self, model: models.ModelSettings, *, examples: int, count: int, device: str) -> None:
        data = load_data(f"assistant:train={examples},validation=1,test=1").train
        self.task, self.model, self.device = tasks.Classification(), model, torch.device(device)
        self.featuriser, self.labels = model.featuriser(data.tokens()), self.task.labels(data)
        self.encoded = self.task.encode(data, self.featuriser, self.labels)
        self.included = np.random.default_rng(0).random((examples, count)) < 0.5

    def loop(self, threads: int) -> list[torch.nn.Module]:
        """One model after the other: batches made ahead, a fused optimiser, nothing read back."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return [self._one(number) for number in range(self.included.shape[1])]
        finally:
            torch.set_num_threads(before)

    def _one(self, number: int) -> torch.nn.Module:
        streams, members = Streams.from_seed(number), np.flatnonzero(self.included[:, number])
        module = self.model.build(self.featuriser, self.labels, streams.child("initialisation")).to(self.device)
        optimizer = torch.optim.Adam(module.parameters(), lr=SETTINGS.learning_rate, fused=True)
        orders = [members[ShuffledSampler(len(members), len(members)).indices(epoch, streams)] for epoch in range(EPOCHS)]
        drawn = [order[start : start + BATCH] for order in orders for start in range(0, len(order), BATCH)]
        for batch in [self.task.collate(self.encoded, indices).to(self.device) for indices in drawn]:
            (self.task.per_example_loss(module, batch).sum() / BATCH).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return module

    def ensemble(self, engine: str) -> Ensemble:
        """All models by one call."""
        return train_ensemble(
            self.task,
            self.encoded,
            included=self.included,
            model=self.model,
            featuriser=self.featuriser,
            labels=self.labels,
            settings=SETTINGS,
            epochs=EPOCHS,
            batch_size=BATCH,
            seeds=range(self.included.shape[1]),
            engine=engine,
            device=str(self.device),
        )

    def losses(self, trained: object) -> NDArray[np.float64]:
        """The loss of every example under the first models, (N, at most 8), by the one way of scoring that all engines share."""
        from holdfast.training import evaluation

        modules = trained.modules() if isinstance(trained, Ensemble) else trained
        each = [evaluation.losses(self.task, module, self.encoded, device=self.device) for module in itertools.islice(modules, COMPARED)]
        return np.stack(each, 1)


def synchronised(call: Callable[[], object], device: str) -> Callable[[], object]:
    """The call, over when the device is done."""

    def called() -> object:
        found = call()
        if device != "cpu":
            torch.cuda.synchronize()
        return found

    return called


def measure(name: str, arguments: argparse.Namespace) -> list[Row]:
    """The rows of one case."""
    examples, count, repeats = (300, 4, 1) if arguments.quick else (EXAMPLES, arguments.models, arguments.rounds)
    case = Case(CASES[name], examples=examples, count=count, device=arguments.device)
    known: dict[str, Callable[[], object]] = {
        "loop": functools.partial(case.loop, 2),
        "loop, 1 thread": functools.partial(case.loop, 1),
        "vmap": functools.partial(case.ensemble, "func"),
        "holdfast": functools.partial(case.ensemble, "stacked"),
    }
    chosen = {engine: synchronised(call, arguments.device) for engine, call in known.items() if engine in arguments.engines}
    timings = interleaved(chosen, repeats=repeats, warm_up=0 if arguments.quick else 1)
    rows = timed_rows("shadow", name, timings, ratio_to="holdfast")
    base = next(iter(timings))
    expected = case.losses(timings[base].result)
    for engine, timing in timings.items():
        if engine == base:
            continue
        apart = np.abs(case.losses(timing.result) - expected)
        note = f"of a mean loss of {expected.mean():.3g}; rounding, which Adam enlarges where gradients are near nothing"
        row = Row(
            bench="shadow", case=name, engine=engine, metric=f"mean difference to {base}", value=float(apart.mean()), unit="", note=note
        )
        rows += compared([row], "")
        if not apart.mean() < 0.02 * expected.mean():
            raise SystemExit(f"{name}: the losses of {engine} are not those of {base}: {apart.mean():.3g} apart on average")
    return rows


def main() -> None:
    made = parser(__doc__, quick=QUICK)
    made.add_argument("--case", choices=CASES, action="append", help="one case; all by default")
    made.add_argument("--device", default="cpu", help="such as cuda")
    made.add_argument("--models", type=int, default=MODELS, help="how many models")
    made.add_argument("--rounds", type=int, default=3, help="rounds that count")
    made.add_argument("--engines", nargs="+", default=["loop", "loop, 1 thread", "holdfast"], help="which engines; vmap too")
    arguments = made.parse_args()
    torch.backends.cudnn.allow_tf32 = False  # else the loop's LSTM alone would compute with ten bits
    report([row for name in arguments.case or CASES for row in measure(name, arguments)], arguments.json)


if __name__ == "__main__":
    main()
