"""Which physical batch fits into a machine: memory of one step by batch size on the DistilBERT shape, engine by engine."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from harness import Row, parser, report
from private_step import ENGINE_NAMES
from private_step.memory import Answer, MemoryLab, Question

CASE = "distilbert-T32"
ENGINES = ("plain", "holdfast-flat", "opacus-hooks", "opacus-ghost")
BATCHES = (48, 72, 96)  # above some 30 examples activations weigh more than the gradients of the weights, and the line begins
BATCHES_OF_COPIES = (4, 8, 12)  # where each example has gradients of all weights for itself
COPIES = ("opacus-hooks", "vmap")
ACCUMULATES = "a logical batch of any size is summed up in parts of this"


@dataclass(frozen=True, kw_only=True)
class Line:
    """Memory as a straight line over the batch size, in bytes.

    Args:
        fixed: With no example: model, libraries, and what a step takes whatever its batch.
        each: More for each example.
    """

    fixed: float
    each: float

    @classmethod
    def through(cls, batches: Sequence[int], peaks: Sequence[float]) -> Line:
        """The line of least squares."""
        each, fixed = np.polyfit(batches, peaks, 1)
        return cls(fixed=float(fixed), each=float(each))

    def largest(self, limit: float) -> int:
        """The largest batch within the limit, or 0."""
        return max(0, int((limit - self.fixed) // self.each))


def rows_of_engine(engine: str, answers: dict[int, Answer], *, gib: float, case: str) -> Iterator[Row]:
    """Memory of each example, and the batch that fits."""
    measured = {batch: answer.held + answer.growth for batch, answer in answers.items() if answer.growth is not None}
    if len(measured) < 2:
        why = next(answer.reason for answer in answers.values() if answer.growth is None)
        yield Row(bench="memory", case=case, engine=engine, metric="largest_physical_batch", value=None, unit="examples", note=why)
        return
    line = Line.through(list(measured), list(measured.values()))
    sizes = ", ".join(map(str, measured))
    said = f"from steps of {sizes} examples; {line.fixed / 2**20:.0f} MiB whatever the batch"
    largest = line.largest(gib * 2**30)
    yield Row(bench="memory", case=case, engine=engine, metric="memory_per_example", value=line.each / 2**20, unit="MiB", note=said)
    yield Row(bench="memory", case=case, engine=engine, metric="largest_physical_batch", value=largest, unit="examples", note=ACCUMULATES)


def main() -> None:
    made = parser(__doc__, quick="tiny models: says that it runs, nothing of memory")
    made.add_argument("--engines", nargs="+", choices=ENGINE_NAMES, default=ENGINES, metavar="ENGINE", help=", ".join(ENGINE_NAMES))
    made.add_argument("--gib", type=float, default=24.0, help="memory of the machine (24)")
    made.add_argument(
        "--batches", type=int, nargs="+", default=(8, 16, 24), metavar="B", help="at least two physical batch sizes to measure"
    )
    made.add_argument("--threads", type=int, default=2, metavar="N", help="to compute with (2)")
    options = made.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    lab = MemoryLab()
    rows: list[Row] = []
    for engine in options.engines:
        answers = {
            batch: lab.ask(Question(case=CASE, engine=engine, tiny=options.quick, batch=batch, threads=options.threads, steps=1))
            for batch in (BATCHES_OF_COPIES if engine in COPIES else BATCHES)
        }
        rows += rows_of_engine(engine, answers, gib=options.gib, case=f"{CASE}, {options.gib:g} GiB")
        print(f"{engine}: done", file=sys.stderr, flush=True)
    report(rows, options.json)


if __name__ == "__main__":
    main()
