"""What holdfast is asked alone: each strategy or step in a fresh process, for its seconds and the memory that it adds at its highest."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COHORT = 1_000
"""Clients that are selected."""
STATUS = Path("/proc/self/status")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What a fresh process found out.

    Args:
        name: Of the strategy or step.
        figures: Metric, value and unit of each.
        note: What a reader must know.
    """

    name: str
    figures: tuple[tuple[str, float | None, str], ...]
    note: str = ""


def ask(kind: str, clients: int, rounds: int) -> list[Answer]:
    """Asks about a number of clients.

    Args:
        kind: "select" or "population".
        clients: N.
        rounds: How often each is timed.
    """
    return [answer for name in names(kind) for answer in _fresh(kind, name, clients, rounds)]


def names(kind: str) -> list[str]:
    """What is asked about, one process each."""
    if kind == "population":
        return ["holdfast"]
    from federation.selections import STRATEGIES

    return list(STRATEGIES)


def _fresh(kind: str, name: str, clients: int, rounds: int) -> list[Answer]:
    command = [sys.executable, "-m", "federation.alone", kind, name, str(clients), str(rounds)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return [Answer(name=name, figures=(("seconds", None, "s"),), note=f"failed: {why}")]
    return [read_answer(line) for line in done.stdout.splitlines()]


def read_answer(line: str) -> Answer:
    """An answer from its line of JSON."""
    said = json.loads(line)
    return Answer(name=said["name"], figures=tuple((metric, value, unit) for metric, value, unit in said["figures"]), note=said["note"])


def measured(name: str, call: Callable[[int], object], rounds: int, *, note: str = "") -> Answer:
    """Times a call, and says how much memory it adds at its highest.

    Args:
        name: Of what is called.
        call: Takes the number of the round.
        rounds: How often it is timed, after one call that is not.
        note: For the reader.
    """
    before = highest_from_here()
    call(0)
    added = added_since(before)
    spans = []
    for number in range(1, rounds + 1):
        began = time.perf_counter()
        call(number)
        spans.append(time.perf_counter() - began)
    figures: tuple[tuple[str, float | None, str], ...] = (("seconds", statistics.median(spans), "s"),)
    if added:
        figures += (("added_memory", added, "MiB"),)
    return Answer(name=name, figures=figures, note=note)


def highest_from_here() -> float | None:
    """Lets the system forget the highest memory of this process so far.

    Returns:
        KiB held now; None where the system does not say.
    """
    if not STATUS.exists():
        return None
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _kib("VmRSS")


def added_since(before: float | None) -> float | None:
    """MiB that this process has held more at its highest than `highest_from_here` said."""
    return None if before is None else max(0.0, _kib("VmHWM") - before) / 1024


def _kib(field: str) -> float:
    return next(float(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))


def main(kind: str, name: str, clients: str, rounds: str) -> None:
    if kind == "select":
        from federation.selections import answers
    else:
        from federation.populations import answers
    found: Iterator[Answer] = answers(name, int(clients), int(rounds))
    for answer in found:
        print(json.dumps(dataclasses.asdict(answer)))


if __name__ == "__main__":
    from federation.alone import main as run  # not this copy of the module, whose Answer is another class

    run(*sys.argv[1:])
