"""The benchmark's end of the line: engines in processes of their own, turn by turn, and what they say made into rows."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import statistics
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, compared

from measuring.jobs import Case

BENCH = "fairness"
PATIENCE = 900.0
"""Seconds that an engine may be silent."""
LAST_WAIT = 20.0
"""Seconds in which an engine may end by itself."""
LAST_LINES = 3
TOLERANCE = 2e-3
"""How far a number may lie from that of another engine: scores of sentences are rounded to .001. Where none is rounded, 1e-6."""
EXACT = 1e-6
ROUNDED = ("crows-pairs",)
HELD = {True: "held", False: "missed"}


class EngineFailedError(Exception):
    """An engine ended or fell silent; the message is the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one engine said of a case.

    Args:
        seconds: Of each turn, by a clock on the wall.
        cpu: CPU seconds of each turn.
        values: What came out.
        amount: Units done in a turn.
        note: What a reader of the seconds must know.
    """

    seconds: tuple[float, ...]
    cpu: tuple[float, ...]
    values: tuple[float, ...]
    amount: int
    note: str = ""


@dataclass(eq=False)
class EngineProcess:
    """One engine, waiting for its turns.

    Args:
        name: Of the engine, as in the module `measuring.engine_<name>`.
        python: That runs it.
        job: File of the job.
        folder: For its log.
        threads: That its arithmetic may take.
    """

    name: str
    python: Path
    job: Path
    folder: Path
    threads: int
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts its process and waits until it has set itself up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "log").open("w+")
        self._process = subprocess.Popen(
            [str(self.python), "-m", f"measuring.engine_{self.name}", str(self.job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment(),
            cwd=self.folder,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._next("ready")

    def _environment(self) -> dict[str, str]:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return kept | threads | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONWARNINGS": "ignore"}

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # it has ended

    def turn(self) -> None:
        """Gives the engine its turn and waits for the end of it."""
        self._say("go")
        said = self._next("turn")
        self.seconds.append(float(said["seconds"]))
        self.cpu.append(float(said["cpu_seconds"]))

    def told(self, warm_up: int) -> Told:
        """What it said, once all turns are over."""
        self._say("answer")
        said = self._next("answer")
        values = tuple(map(float, said["values"]))
        seconds, cpu = tuple(self.seconds[warm_up:]), tuple(self.cpu[warm_up:])
        return Told(seconds=seconds, cpu=cpu, values=values, amount=int(said["amount"]), note=said["note"])

    def _say(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then its last words say why
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()

    def _next(self, event: str) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise EngineFailedError(f"silent for {PATIENCE:.0f} seconds") from None
        said: dict[str, Any] = json.loads(line) if line else {}
        if said.get("event") != event:
            raise EngineFailedError(self.last_words())
        return said

    def last_words(self) -> str:
        """The last lines of its log."""
        self._log.flush()
        lines = [line.strip() for line in (self.folder / "log").read_text(errors="replace").splitlines() if line.strip(" ^~\n")]
        return " | ".join(lines[-LAST_LINES:]) or "it ended without a word"

    def close(self) -> None:
        """Ends it."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WAIT)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._log.close()


def in_turn(engines: Mapping[str, EngineProcess], turns: int) -> dict[str, str]:
    """Starts engines and gives them their turns, in an order that moves by one from round to round.

    Returns:
        Why an engine failed, by its name; those that did not are not in it.
    """
    failed: dict[str, str] = {}

    def tried(name: str, step: str) -> None:
        if name not in failed:
            try:
                getattr(engines[name], step)()
            except EngineFailedError as error:
                failed[name] = str(error)

    for name in engines:  # one after the other, so that a start is not slowed down by another one
        tried(name, "start")
    names = list(engines)
    for number in range(turns):
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            tried(name, "turn")
    return failed


def furthest(values: Sequence[float], others: Sequence[float]) -> float:
    """The largest difference of two numbers in the same place, as far as the shorter of both goes; NaN where one is not finite.

    Raises:
        ValueError: Where one has none.
    """
    if not values or not others:
        raise ValueError("an engine gave no number, so that nothing can be compared")
    count = min(len(values), len(others))
    return float(np.abs(np.array(values[:count]) - np.array(others[:count])).max())


def disagreeing(case: str, told: Mapping[str, Told]) -> dict[str, str]:
    """Engines that found other numbers than the first one, and how far they are apart."""
    base = next(iter(told), "")
    bound = TOLERANCE if case in ROUNDED else EXACT
    found = {}
    for name, one in told.items():
        apart = furthest(one.values, told[base].values)
        if math.isnan(apart) or apart > bound:
            found[name] = f"its numbers are {apart:.2g} from those of {base}: it computes something else, and its speed is no figure"
    return found


def rows_of(
    name: str, case: Case, told: Mapping[str, Told], notes: Mapping[str, str], *, ours: Sequence[str], goals: bool = True
) -> list[Row]:
    """The figures of a case.

    Args:
        name: Of the case.
        case: What it is.
        told: What each engine said.
        notes: Why an engine said nothing.
        ours: What ours is called, the last of them being what the others are compared with.
        goals: Whether to hold ours to its goal.
    """
    per = f"{case.per:,} {case.unit}s" if case.per > 1 else case.unit
    rows: list[Row] = []
    for engine, one in told.items():
        goal = f"goal {case.goal:g} s: {HELD[statistics.median(one.seconds) <= case.goal]}" if goals and engine in ours else ""
        for kind, turns in (("seconds", one.seconds), ("CPU seconds", one.cpu)):
            middle = statistics.median(turns)
            spread = f"median of {len(turns)}, {min(turns):.3g} to {max(turns):.3g}" if len(turns) > 1 else "once"
            note = "; ".join(filter(None, (goal, one.note, spread) if kind == "seconds" else (spread,)))
            each = middle / one.amount * case.per
            rows += [
                Row(bench=BENCH, case=name, engine=engine, metric=kind, value=middle, unit="s", note=note),
                Row(bench=BENCH, case=name, engine=engine, metric=f"{kind} per {per}", value=each, unit="s", note=_done(one, case)),
            ]
    base = ours[-1] if ours and ours[-1] in told else next(iter(told), "")
    alike = {(row.engine, row.metric): row for row in compared(rows, base) if " per " in row.metric}  # of whole turns, amounts differ
    rows = [alike.get((row.engine, row.metric), row) for row in rows]
    absent = [(engine, why) for engine, why in notes.items() if engine not in told]
    return rows + [Row(bench=BENCH, case=name, engine=engine, metric="seconds", value=None, unit="s", note=why) for engine, why in absent]


def _done(one: Told, case: Case) -> str:
    return f"{one.amount:,} {case.unit}{'s' * (one.amount != 1)} a turn"
