"""The benchmark's end of the line: engines in processes of their own, round by round in turn, and what they say made into rows."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row

from federation.jobs import Arrays, load_weights
from federation.meter import TOKEN, belonging

PATIENCE = 600.0
"""Seconds that an engine may be silent."""
TOLERANCE = 1e-4
"""How far a trained weight may lie from that of another engine, beside the size of the largest weight where that is above 1."""
LAST_WAIT = 20.0
"""Seconds in which an engine may end by itself."""
LAST_LINES = 3
QUIET = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


class EngineFailedError(Exception):
    """An engine ended or fell silent; the message is the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one engine said of a case. Seconds of each counted round, in their order.

    Args:
        cpu: CPU seconds of the engine and all its processes.
        wall: Wall seconds.
        first_cpu: CPU seconds of the very first round.
        startup_wall: From the start of the process until it was ready, less the import of torch.
        startup_cpu: CPU seconds until then, less the import of torch.
        memory: MiB after the last round, or None.
        weights: What was trained.
        note: What a reader of the figures must know.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    first_cpu: float
    startup_wall: float
    startup_cpu: float
    memory: float | None
    weights: Arrays
    note: str = ""


@dataclass(eq=False)
class EngineProcess:
    """One engine, waiting for its turns.

    Args:
        name: Of the engine, as in the module `federation.engine_<name>`.
        python: That runs it.
        job: File of the job.
        folder: For its weights, its log and whatever else it writes.
        variant: "plain" or "cached".
    """

    name: str
    python: Path
    job: Path
    folder: Path
    variant: str = "plain"
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    ready: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts its process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "log").open("w+")
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [str(self.python), "-m", f"federation.engine_{self.name}", str(self.job), str(self.folder / "weights.npz"), self.variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment(),
            cwd=self.folder,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _environment(self) -> dict[str, str]:
        own = {
            TOKEN: self.token,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "FLWR_HOME": str(self.folder / "flower"),
            "RAY_TMPDIR": str(self.folder),
        }
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return kept | QUIET | own

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # it has ended

    def until_ready(self) -> None:
        """Starts the engine and waits until it has set itself up."""
        self.start()
        self.ready = self._next("ready") | {"wall_seconds": time.monotonic() - self._began}

    def round(self) -> None:
        """Gives the engine its turn and waits for the end of the round."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then its last words say why
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        self.rounds.append(self._next("round"))

    def told(self, warm_up: int) -> Told:
        """What it said, once all rounds are over."""
        end = self._next("end")
        counted = self.rounds[warm_up:]
        return Told(
            cpu=tuple(said["cpu_seconds"] for said in counted),
            wall=tuple(said["wall_seconds"] for said in counted),
            first_cpu=self.rounds[0]["cpu_seconds"],
            startup_wall=self.ready["wall_seconds"] - self.ready["torch_seconds"],
            startup_cpu=self.ready["cpu_seconds"],
            memory=end["memory_mib"],
            weights=load_weights(self.folder / "weights.npz"),
            note=end.get("note", ""),
        )

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
        """Ends it and whatever it has started, by their ids, those that left the family included."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=LAST_WAIT)
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for pid in belonging(self.token):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sent)
            until = time.monotonic() + LAST_WAIT / 4
            while time.monotonic() < until and (self._process.poll() is None or belonging(self.token)):
                time.sleep(0.02)
        self._log.close()


def in_turn(engines: Mapping[str, EngineProcess], rounds: int) -> dict[str, str]:
    """Runs all rounds, every engine once in each and in an order that moves from round to round.

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
        tried(name, "until_ready")
    names = list(engines)
    for number in range(rounds):
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            tried(name, "round")
    return failed


def furthest(weights: Arrays, others: Arrays) -> float:
    """The largest difference of a weight, beside the largest weight where that is above 1.

    Raises:
        ValueError: If they are not of the same shapes, or not finite.
    """
    apart = 0.0
    for mine, other in zip(weights, others, strict=True):
        if mine.shape != other.shape or not np.isfinite(mine).all() or not np.isfinite(other).all():
            raise ValueError(f"weights of shape {mine.shape} and {other.shape} that are not both finite cannot be compared")
        apart = max(apart, float(np.abs(mine - other).max() / max(1.0, np.abs(other).max())))
    return apart


def rows_of(case: str, told: Mapping[str, Told], notes: Mapping[str, str], *, ratio_to: str) -> list[Row]:
    """The figures of a case, an engine's together, each beside that of one of them.

    Args:
        case: Its name.
        told: What each engine said.
        notes: What a reader must know of an engine, or why it said nothing.
        ratio_to: The engine to compare with; the ratio of two engines' rounds is the median of the ratios round by round.
    """
    base, rows = told.get(ratio_to), []
    for engine in [*told, *(name for name in notes if name not in told)]:
        if engine not in told:
            rows.append(
                Row(bench="federated", case=case, engine=engine, metric="cpu_seconds_per_round", value=None, unit="s", note=notes[engine])
            )
            continue
        one = told[engine]
        said = "; ".join(filter(None, [one.note, notes.get(engine, "")]))
        rows += [
            _spans(case, engine, "cpu_seconds_per_round", one.cpu, base and base.cpu, ratio_to, said),
            _spans(case, engine, "wall_seconds_per_round", one.wall, base and base.wall, ratio_to, said),
        ]
        for metric, value, against, unit in (
            ("first_round_cpu_seconds", one.first_cpu, base and base.first_cpu, "s"),
            ("startup_seconds", one.startup_wall, base and base.startup_wall, "s"),
            ("startup_cpu_seconds", one.startup_cpu, base and base.startup_cpu, "s"),
            ("resident_memory", one.memory, base and base.memory, "MiB"),
        ):
            if value is not None:
                rows.append(_row(case, engine, metric, value, unit, against and value / against, ratio_to, ""))
    return rows


def _spans(case: str, engine: str, metric: str, mine: Sequence[float], base: Sequence[float] | None, ratio_to: str, said: str) -> Row:
    ratio = statistics.median(one / other for one, other in zip(mine, base, strict=True)) if base else None
    spread = f"median of {len(mine)} rounds, {min(mine):.3g} to {max(mine):.3g}"
    return _row(case, engine, metric, statistics.median(mine), "s", ratio, ratio_to, "; ".join(filter(None, [spread, said])))


def _row(case: str, engine: str, metric: str, value: float, unit: str, ratio: float | None, ratio_to: str, note: str) -> Row:
    against = ratio_to if ratio else ""
    return Row(
        bench="federated", case=case, engine=engine, metric=metric, value=value, unit=unit, ratio_to=against, ratio=ratio or None, note=note
    )
