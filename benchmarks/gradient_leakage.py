"""How much of a client's text a round of federated learning shows: F1 of words by cohort, clipping and noise, and the time it takes."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any

import torch
from harness import Row, interleaved, options, report, timed_rows

from holdfast import models, tasks
from holdfast.audit.gradients import Candidates, Readers, Tolerances, WordTables, audit_gradients, embedding_tokens, observe, subspace
from holdfast.core.evidence import Estimate
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, load_data

BENCH = "gradient_leakage"
SHOWN = ("token_f1", "token_precision", "token_recall", "sentences_recovered", "gradient_rank")
NOISES = (0.0, 0.0001, 0.001, 0.01, 0.1, 0.937)
"""Multiples of the clip norm; .937 gives 1,000 users epsilon 8 at delta 1e-5 if 100 of them are drawn into each of 100 rounds."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A freshly drawn model with all its parts."""

    task: Any
    module: torch.nn.Module
    featuriser: Any
    labels: models.Labels
    device: str = "cpu"


def drawn(kind: str, train: Dataset, **settings: object) -> Drawn:
    """A model of a public, hashed vocabulary."""
    chosen = models.settings(kind, {"vocabulary": "hashed", "word_dropout": 0.0, **settings})
    task = tasks.IntentSlot(unseen_labels="count as wrong")
    featuriser, labels = chosen.featuriser([]), task.labels(train)
    return Drawn(task, chosen.build(featuriser, labels, Streams.from_seed(0)), featuriser, labels)


def leakage(kind: str, model: Drawn, train: Dataset, public: Dataset, *, quick: bool) -> list[Row]:
    """The figures of the audit, one row for each."""
    sizes: dict[str, Any] = {"batch_sizes": (1, 2, 4, 8), "cohorts": (1, 4, 16, 64), "clip_norms": (None, 1.0, 0.01), "trials": 10}
    if quick:
        sizes = {"batch_sizes": (1, 2), "cohorts": (1, 2), "clip_norms": (None, 1.0), "trials": 2}
    began = time.perf_counter()
    found = audit_gradients(
        model,
        clients_data=train,
        public=public,
        subject=kind,
        streams=Streams.from_seed(1),
        noise_multipliers=NOISES[:2] if quick else NOISES,
        positions=16,
        tolerances=Tolerances(tests=100 if quick else 1000),
        **sizes,
    )
    rows = [_row(estimate) for estimate in found.estimates if estimate.name in SHOWN]
    return [
        *rows,
        Row(bench=BENCH, case=f"{kind}: whole audit", engine="holdfast", metric="seconds", value=time.perf_counter() - began, unit="s"),
    ]


def _row(estimate: Estimate) -> Row:
    of = estimate.conditions
    case = f"{estimate.subject}: {of['batch_size']} examples, cohort {of['cohort']}, clip {of.get('clip_norm', 'none')}, "
    case += f"noise {of['noise_multiplier']:g}, of the {of['target']}"
    span = "" if estimate.interval is None else f"{estimate.interval.low:.3f} to {estimate.interval.high:.3f}"
    hidden = estimate.name == "gradient_rank" and estimate.value == 0
    return Row(
        bench=BENCH,
        case=case,
        engine=str(of["method"]),
        metric=estimate.name,
        value=None if hidden else estimate.value,
        unit=estimate.unit,
        note="no direction stands out from the noise" if hidden else estimate.missing or span,
    )


def seconds(train: Dataset, *, repeats: int) -> list[Row]:
    """How long the attacks take on a transformer of two layers and width 128."""
    model, candidates = drawn("transformer", train), Candidates.of(train)
    tables, readers = WordTables.of(model, candidates), Readers.of(model, candidates, positions=16)
    rows: list[Row] = []
    for size in (1, 2, 4):
        data = train.take(range(size))
        seen, most = observe(model, [data], streams=Streams.from_seed(2)), 4 * size
        calls = {
            "embedding-rows": functools.partial(embedding_tokens, tables, seen, most=most),
            "subspace": functools.partial(subspace, readers, seen, most=most, tolerances=Tolerances(stop_at=size)),
            "preparing both": functools.partial(lambda: (WordTables.of(model, candidates), Readers.of(model, candidates, positions=16))),
        }
        case = f"2 layers, width 128, {len(candidates.words):,} words, {size} sentences"
        rows += timed_rows(BENCH, case, interleaved(calls, repeats=repeats), ratio_to="embedding-rows")
    return rows


def main() -> None:
    arguments = options(__doc__)
    torch.set_num_threads(1)
    size = 200 if arguments.quick else 3000
    splits = load_data(f"assistant:train={size},validation=1,test={size // 2}")
    kinds: dict[str, dict[str, object]] = {"bag": {}} if arguments.quick else {"bag": {}, "bilstm": {}, "transformer": {}}
    rows = seconds(splits.train.take(range(100 if arguments.quick else 1000)), repeats=1 if arguments.quick else 3)
    for kind, settings in kinds.items():
        rows += leakage(kind, drawn(kind, splits.train, **settings), splits.train, splits.test, quick=arguments.quick)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
