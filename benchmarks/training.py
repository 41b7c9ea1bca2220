"""What a private update costs beside an ordinary one: the clipped sum of one batch of utterances, engine by engine, noise included."""

from __future__ import annotations

import functools

import numpy as np
import torch
from harness import interleaved, options, report, timed_rows

from holdfast import models, privacy
from holdfast.core.randomness import Streams
from holdfast.data import load_data
from holdfast.tasks import IntentSlot
from holdfast.training.evaluation import losses_of

PHYSICAL = 256


def update(engine: str, model: torch.nn.Module, losses: object, indices: np.ndarray) -> None:
    """One clipped sum with its noise, as the trainer forms it."""
    plan = {"examples": len(indices) * 10, "batch_size": len(indices), "steps": 1, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    mechanism = {
        "non-private": lambda: privacy.non_private(examples=len(indices) * 10, batch_size=len(indices), epochs=1),
        "micro-batches of 16": lambda: privacy.edp_sgd(**plan, micro_batch_size=16),
        "micro-batches of 64": lambda: privacy.edp_sgd(**plan, micro_batch_size=64),
        "exact, book-keeping": lambda: privacy.dp_sgd(**plan),
        "exact, loop": lambda: privacy.dp_sgd(**plan),
    }[engine]()
    execution = privacy.Execution(physical_batch_size=PHYSICAL, engine="loop" if engine == "exact, loop" else "book-keeping")
    streams = Streams.from_seed(0)
    total = mechanism.clipper.clipped_sum(model, losses, indices, streams=streams, step=0, execution=execution)
    mechanism.add_noise(total, streams=streams, step=0)


def main() -> None:
    arguments = options(__doc__)
    torch.set_num_threads(1)
    size, repeats = (64, 1) if arguments.quick else (512, 7)
    data = load_data(f"assistant:train={max(size, 300)},validation=1,test=1")
    task = IntentSlot(unseen_labels="count as wrong")
    rows = []
    for case, settings in (
        ("small BiLSTM of the demo", models.BiLSTM(vocabulary="hashed", buckets=4096, embedding=48, hidden=64, characters=32)),
        ("default BiLSTM", models.BiLSTM()),
    ):
        labels = task.labels(data.train)
        featuriser = settings.featuriser(data.train.tokens())
        model = settings.build(featuriser, labels, Streams.from_seed(0))
        losses = losses_of(task, model, task.encode(data.train, featuriser, labels), device=torch.device("cpu"))
        names = ("non-private", "micro-batches of 64", "micro-batches of 16", "exact, book-keeping", "exact, loop")
        calls = {name: functools.partial(update, name, model, losses, np.arange(size)) for name in names}
        timings = interleaved(calls, repeats=repeats)
        rows += timed_rows("training", f"{case}, one update of {size} utterances, one thread", timings, ratio_to="non-private")
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
