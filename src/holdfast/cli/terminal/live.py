"""Live progress on a terminal: a line for each finished phase, a bar for the present one, a bar for the whole, both with the time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from holdfast.cli.terminal.progress import Schedule, duration, remaining
from holdfast.core.progress import Progress


class LiveBars:
    """The callback that draws; a context manager, so that the terminal is left clean whatever happens.

    Args:
        schedule: Keeps the total and the clock.
        console: The terminal to draw on.
    """

    def __init__(self, schedule: Schedule, *, console: Console) -> None:
        self._schedule = schedule
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TextColumn("{task.fields[note]}", markup=False, style="dim"),
            console=console,
            transient=True,  # what stays on the screen is one line for each finished phase
        )
        self._total: TaskID | None = None
        self._phase: TaskID | None = None

    def __enter__(self) -> Self:
        """Starts to draw."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leaves the finished phases on the screen and takes the bars away."""
        if kind is None:
            self._close_phase()
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes one report."""
        if self._schedule.latest is None or self._schedule.latest.phase != progress.phase:
            self._close_phase()
        self._schedule.update(progress)
        self._draw_total()
        if self._phase is None:
            self._phase = self._bars.add_task(progress.phase, total=None, note="")
        note = ", ".join(filter(None, [progress.note, remaining(self._schedule.phase_left)]))
        self._bars.update(self._phase, completed=progress.done, total=progress.total, note=note)

    def _draw_total(self) -> None:
        share = self._schedule.total_share
        if share is None:
            return
        if self._total is None:
            self._total = self._bars.add_task("all", total=1.0, note="")
        self._bars.update(self._total, completed=share, note=remaining(self._schedule.total_left))

    def _close_phase(self) -> None:
        last = self._schedule.latest
        if last is None or self._phase is None:
            return
        self._bars.remove_task(self._phase)
        self._phase = None
        note = f"  {last.note}" if last.note else ""
        text = f"[green]✓[/] {escape(last.phase)}  [dim]{duration(self._schedule.phase_elapsed)}{escape(note)}[/]"
        self._bars.console.print(text, highlight=False)
