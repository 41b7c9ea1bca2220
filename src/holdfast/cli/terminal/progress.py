"""Draws the library's progress on standard error: live bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.core.progress import OnProgress, Progress

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_INTERVAL = 3.0  # seconds between two plain lines of one phase
_SETTLED = 0.02  # the share of the work after which elapsed time says something about what is left

Clock = Callable[[], float]


class Schedule:
    """Joins phases that follow one another into shares of the work done and estimates of the time left.

    Args:
        weights: What each phase is expected to cost, in any one unit (seconds, steps), by phase name. A phase that is
            not named counts for nothing in the total; without names there is no total.
        clock: Seconds that only grow.
    """

    def __init__(self, weights: Mapping[str, float], *, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.latest: Progress | None = None
        self._weights = dict(weights)
        self._shares = dict.fromkeys(weights, 0.0)
        self._began = self._phase_began = clock()

    def update(self, progress: Progress) -> bool:
        """Takes note of one report; says whether it opens a new phase."""
        opens = self.latest is None or self.latest.phase != progress.phase
        if opens:
            self._phase_began = self.clock()
        self.latest = progress
        if progress.phase in self._shares:
            self._shares[progress.phase] = _share(progress)
        return opens

    @property
    def total_share(self) -> float | None:
        """The share of all work that is done, in [0, 1], or None where no phase was named."""
        total = sum(self._weights.values())
        return None if total <= 0 else sum(self._weights[name] * share for name, share in self._shares.items()) / total

    @property
    def total_left(self) -> float | None:
        """Seconds that all the rest takes at the present pace, or None where that is not known yet."""
        return None if self.total_share is None else _left(self.clock() - self._began, self.total_share)

    @property
    def phase_left(self) -> float | None:
        """Seconds that the rest of this phase takes at its own pace, or None where that is not known yet."""
        return None if self.latest is None else _left(self.phase_elapsed, _share(self.latest))

    @property
    def phase_elapsed(self) -> float:
        """Seconds since this phase began."""
        return self.clock() - self._phase_began


def duration(seconds: float) -> str:
    """Words a duration with no more digits than it deserves.

    >>> [duration(s) for s in (0.4, 41.7, 185, 7320)]
    ['1 s', '42 s', '3 min 05 s', '2 h 02 min']
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def remaining(seconds: float | None) -> str:
    """Words the time left; nothing where it is not known, or where nothing is left."""
    return "" if not seconds else f"about {duration(seconds)} left"


@contextmanager
def shown(phases: Mapping[str, float] | None = None, *, console: Console | None = None) -> Iterator[OnProgress]:
    """Draws progress while the block runs.

    Args:
        phases: What each phase is expected to cost, in any one unit, by phase name: needed for the total and its time
            left. None where that is not known.
        console: Where to draw; standard error where none is given.

    Yields:
        The callback to hand to the library.
    """
    from rich.console import Console  # rich costs a tenth of a second, which help does not need

    console = console or Console(file=sys.stderr)
    schedule = Schedule(phases or {})
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(schedule, write=console.file.write)
        return
    from holdfast.cli.terminal.live import LiveBars

    with LiveBars(schedule, console=console) as bars:
        yield bars


class PlainLines:
    """Writes a line where a phase begins and ends, and every few seconds between: for log files and pipes.

    Args:
        schedule: Keeps the total and the clock.
        write: Takes text that ends with a newline.
        interval: Seconds between two lines of one phase.
    """

    def __init__(self, schedule: Schedule, *, write: Callable[[str], object], interval: float = PLAIN_INTERVAL) -> None:
        self._schedule = schedule
        self._write = write
        self._interval = interval
        self._due = 0.0

    def __call__(self, progress: Progress) -> None:
        """Takes one report, and writes it if it is time to."""
        now = self._schedule.clock()
        opens, closes = self._schedule.update(progress), progress.done >= progress.total
        if opens or closes or now >= self._due:
            self._due = now + self._interval
            self._write(self._line(progress) + "\n")

    def _line(self, progress: Progress) -> str:
        parts = [f"{progress.phase}: {progress.done} of {progress.total}", progress.note]
        share, left = self._schedule.total_share, self._schedule.total_left
        if share is not None and left is not None:
            parts += [f"{share:.0%} of all", remaining(left)]
        else:
            parts.append(remaining(self._schedule.phase_left))
        return ", ".join(filter(None, parts))


def _share(progress: Progress) -> float:
    return 1.0 if progress.total <= 0 else min(1.0, progress.done / progress.total)


def _left(elapsed: float, share: float) -> float | None:
    return None if share < _SETTLED else elapsed * (1 - share) / share
