"""What every benchmark shares: its options, timing in rounds, one JSON object a line, and a table."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of a benchmark.

    Args:
        bench: The benchmark, such as "accounting".
        case: What was done, such as "10,000 steps".
        engine: What did it.
        metric: "seconds", "epsilon", ...
        value: The figure, or None where the engine is absent or gave none.
        unit: Of the value.
        ratio_to: The engine that the ratio compares with, or "".
        ratio: Value over the value of that engine, or the median of such ratios round by round; None without either.
        note: Why there is no value, or what a reader of the value must know; else "".
    """

    bench: str
    case: str
    engine: str
    metric: str
    value: float | None
    unit: str
    ratio_to: str = ""
    ratio: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one engine took.

    Args:
        seconds: Each repeat, in the order of the rounds.
        result: What the last repeat returned.
    """

    seconds: tuple[float, ...]
    result: object

    @property
    def median(self) -> float:
        """The middle one, which a busy moment of the machine does not move."""
        return statistics.median(self.seconds)


QUICK = "small sizes and few repeats: says that it runs, not how fast"


def parser(description: str | None, *, quick: str = QUICK) -> argparse.ArgumentParser:
    """A parser of --quick and --json FILE, to which a benchmark may add its own options."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object a line to this file")
    return made


def options(description: str | None, argv: list[str] | None = None) -> argparse.Namespace:
    """Reads --quick (a small size, to see that the script runs) and --json FILE."""
    return parser(description).parse_args(argv)


def interleaved(engines: Mapping[str, Callable[[], object]], *, repeats: int, warm_up: int = 1) -> dict[str, Timing]:
    """Times engines in rounds, so that a slow minute of the machine slows all of them.

    Each round runs every engine once; the order moves by one from round to round, so that none always runs after the same one.

    Args:
        engines: Name to a call without arguments.
        repeats: Rounds that count, at least 1.
        warm_up: Rounds before them that do not.

    Returns:
        Name to timing, in the order of the engines.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; at least one round must count")
    names = list(engines)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    results: dict[str, object] = {}
    for number in range(warm_up + repeats):
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            gc.collect()
            began = time.perf_counter()
            results[name] = engines[name]()
            taken = time.perf_counter() - began
            if number >= warm_up:
                seconds[name].append(taken)
    return {name: Timing(seconds=tuple(seconds[name]), result=results[name]) for name in names}


def timed_rows(bench: str, case: str, timings: Mapping[str, Timing], *, ratio_to: str) -> list[Row]:
    """One row of median seconds for each engine, compared with one of them."""
    rows = [Row(bench=bench, case=case, engine=name, metric="seconds", value=timing.median, unit="s") for name, timing in timings.items()]
    return compared(rows, ratio_to)


def compared(rows: Iterable[Row], ratio_to: str) -> list[Row]:
    """Gives each row its ratio to the row of that engine with the same case and metric, where both have a value."""
    listed = list(rows)
    base = {(row.case, row.metric): row.value for row in listed if row.engine == ratio_to}

    def ratio(row: Row) -> Row:
        against = base.get((row.case, row.metric))
        if row.value is None or not against:
            return row
        return replace(row, ratio_to=ratio_to, ratio=row.value / against)

    return [ratio(row) for row in listed]


def report(rows: Iterable[Row], path: Path | None) -> None:
    """Prints a table and writes the lines of JSON; a figure of any size is reported, none is judged."""
    listed = list(rows)
    header = ("case", "engine", "metric", "value", "ratio", "note")
    cells = [(row.case, row.engine, row.metric, _number(row.value, row.unit), _ratio(row), row.note) for row in listed]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    with contextlib.suppress(BrokenPipeError):  # the reader of the table may have seen enough
        for line in (header, *cells):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if path is not None:
        path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in listed), encoding="utf-8")


def _number(value: float | None, unit: str) -> str:
    return "absent" if value is None else f"{value:.4g} {unit}".rstrip()


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.3g} x {row.ratio_to}"
