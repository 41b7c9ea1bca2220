"""CPU seconds and memory of a process and of all that belong to it, detached ones too. Needs the standard library alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

TOKEN = "HOLDFAST_BENCHMARK_TOKEN"
"""A variable of the environment that all processes of an engine inherit, so that those which leave the family are found too."""
PROC = Path("/proc")


def belonging(token: str) -> dict[int, int]:
    """The processes whose environment holds the token, each with the moment at which it began, in ticks since the start of the machine."""
    wanted = f"{TOKEN}={token}".encode()
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = int(_stat(folder)[19])
        except (OSError, IndexError):  # it has ended, or belongs to somebody else
            continue
    return found


def _stat(folder: Path) -> list[str]:
    """Fields of `stat` behind the name, which may hold blanks: the first is the state, the twelfth and thirteenth are CPU ticks."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


class Meter:
    """Adds up the CPU seconds of this process, to the nanosecond, and of all others of its token, to the hundredth of a second.

    Args:
        token: Of the environment; "" for this process alone.

    A process that begins and ends between two readings is missed, and so is what one did after the last reading before its end.
    Away from Linux only this process and its ended children are seen.
    """

    def __init__(self, token: str = "") -> None:
        self.token = token
        self._seen: dict[tuple[int, int], float] = {}
        self._began = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begins a span; this process is read last, so that looking at the others is no part of it."""
        others = self.others()
        self._began = (others, time.perf_counter(), time.process_time())

    def stop(self) -> tuple[float, float]:
        """Ends the span.

        Returns:
            CPU seconds and wall seconds.
        """
        own, wall = time.process_time(), time.perf_counter()
        others = self.others()
        return others - self._began[0] + own - self._began[2], wall - self._began[1]

    def total(self) -> float:
        """CPU seconds of all from their beginnings on."""
        return time.process_time() + self.others()

    def others(self) -> float:
        """CPU seconds of the other processes until now, those that have ended meanwhile included."""
        if not self.token or not PROC.exists():
            times = os.times()
            return times.children_user + times.children_system
        for pid, began in belonging(self.token).items():
            if pid == os.getpid():
                continue
            try:
                fields = _stat(PROC / str(pid))
            except OSError:
                continue
            self._seen[pid, began] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return sum(self._seen.values())

    def memory(self) -> float | None:
        """MiB of memory of all now, shared pages divided among those who share them; None where the system does not say."""
        pids = belonging(self.token) if self.token and PROC.exists() else {}
        total = 0
        for pid in pids:
            try:
                lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024 if total else None
