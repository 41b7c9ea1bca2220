"""Which physical batch fits into a machine: memory of one step by batch size on the DistilBERT shape, engine by engine."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness import Row, parser, report
from private_step import ENGINE_NAMES
from private_step.memory import Answer, MemoryLab, Question

CASE = "distilbert-T32"
ENGINES = ("plain", "holdfast-flat", "opacus-hooks", "opacus-ghost")
FIRST, LAST = 64, 512  # examples; where each has gradients of all weights for itself, a sixteenth of it
STRAIGHT = 0.03  # relative difference of two slopes that counts as none
COPIES = (2, 4, 6)  # where each example has gradients of all weights for itself
COPIES = (4, 8, 12)  # where each example has gradients of all weights for itself
COPIES = ("opacus-hooks", "vmap")
ACCUMULATES = "a logical batch of any size is summed up in parts of this"


@dataclass(frozen=True, kw_only=True)
class Line:
    """Memory as a straight line over the batch size, in bytes.

    Args:
        fixed: Where the line begins.
        each: More for each example.
    """

    fixed: float
    each: float

    @classmethod
    def through(cls, one: tuple[int, float], other: tuple[int, float]) -> Line:
        """The line through two pairs of batch size and bytes."""
        each = (other[1] - one[1]) / (other[0] - one[0])
        return cls(fixed=one[1] - each * one[0], each=each)

    def largest(self, limit: float) -> int:
        """The largest batch within the limit, or 0."""
        return max(0, int((limit - self.fixed) // self.each))


def straight_end(points: Sequence[tuple[int, float]]) -> Line | None:
    """The line through the last two points; None unless the one before lies on it.

    Small batches lie on a flatter line: there the peak is that of the gradients of the weights, not of the activations.
    """
    if len(points) < 3:
        return None
    before, last = Line.through(points[-3], points[-2]), Line.through(points[-2], points[-1])
    return last if last.each > 0 and abs(before.each - last.each) <= STRAIGHT * last.each else None


def measured(ask: Callable[[int], Answer], *, first: int, last: int) -> tuple[list[tuple[int, float]], str]:
    """Doubles the batch until memory lies on a straight line; pairs of batch size and bytes, and what ended it early."""
    points: list[tuple[int, float]] = []
    batch = first
    while batch <= last and straight_end(points) is None:
        answer = ask(batch)
        if answer.growth is None:
            return points, answer.reason
        points.append((batch, answer.held + answer.growth))
        batch *= 2
    return points, f"memory does not lie on a straight line up to {last} examples"


def rows_of_engine(engine: str, points: Sequence[tuple[int, float]], why: str, *, gib: float, case: str) -> Iterator[Row]:
    """Memory of each example, and the batch that fits."""
    line = straight_end(points)
    if line is None:
        yield Row(bench="memory", case=case, engine=engine, metric="largest_physical_batch", value=None, unit="examples", note=why)
        return
    said = f"from steps of {', '.join(str(batch) for batch, _ in points)} examples; the line begins at {line.fixed / 2**20:.0f} MiB"
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

        def ask(batch: int, engine: str = engine) -> Answer:
            return lab.ask(Question(case=CASE, engine=engine, tiny=options.quick, batch=batch, threads=options.threads, steps=1))

        share = 16 if engine in COPIES else 1
        points, why = measured(ask, first=FIRST // share, last=LAST // share)
        rows += rows_of_engine(engine, points, why, gib=options.gib, case=f"{CASE}, {options.gib:g} GiB")
        print(f"{engine}: done", file=sys.stderr, flush=True)
    report(rows, options.json)


if __name__ == "__main__":
    main()
