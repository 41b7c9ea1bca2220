"""Several runs of a study at once, each in a process of its own: a small model keeps one core busy and no second one."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.core.errors import HoldfastError, Interrupted
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.study.kinds import Plan, kind_of

TOLD_EVERY = 2.0
"""Seconds between two reports of one run."""

_WAIT = 1.0


def run_side_by_side(
    plan: Plan, out: Path, *, jobs: int, text: str, command: str = "", resume: bool = False, on_progress: OnProgress = silent
) -> None:
    """Trains and attacks the runs of a study, so many at a time; `run_study` with `resume` then takes them as they are.

    A run depends on its own settings and seed alone, so it is the same whoever trains it. Each process keeps to the plan's threads.

    Args:
        plan: The study.
        out: Its folder.
        jobs: Processes, at least 1.
        text: The study file itself, kept beside the results.
        command: What was typed, for the record.
        resume: As of `run_study`.
        on_progress: Told of the runs as they go on, several at a time.

    Raises:
        HoldfastError: The first that a process met. The others end after a checkpoint; finished runs are kept.
    """
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    told: Any = context.Queue()
    names = [run.name for run in plan.run]
    shares = [names[number::jobs] for number in range(min(jobs, len(names)))]
    arguments = (plan, out, text, command, resume, told, os.getpid())
    workers = [context.Process(target=_share, args=(share, *arguments), daemon=True) for share in shares]
    for worker in workers:
        worker.start()
    try:
        _listen(workers, told, on_progress)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()  # SIGTERM: a training writes a checkpoint before it ends
        for worker in workers:
            worker.join()


def _listen(workers: list[Any], told: Any, on_progress: OnProgress) -> None:
    """Passes on what the processes tell, until all are done or one has failed."""
    left = len(workers)
    while left:
        try:
            message = told.get(timeout=_WAIT)
        except queue.Empty:
            if any(worker.exitcode for worker in workers):
                raise HoldfastError("a process that trained a run was killed; what is finished is kept, go on with --resume") from None
            continue
        if isinstance(message, Progress):
            on_progress(message)
        elif message is None:
            left -= 1
        else:
            raise _Told(*message)


class _Told(HoldfastError):
    """An error that another process met."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _share(names: list[str], plan: Plan, out: Path, text: str, command: str, resume: bool, told: Any, parent: int) -> None:
    """What one process does: its runs, one after another."""
    try:
        carry_out = kind_of(plan).carry_out
        carry_out(plan, out, text=text, command=command, resume=resume, only=names, page=False, on_progress=_teller(told, parent))
        told.put(None)
    except HoldfastError as error:
        told.put((str(error), error.exit_code))
    except KeyboardInterrupt:
        told.put(("", Interrupted.exit_code))


def _teller(told: Any, parent: int) -> Callable[[Progress], None]:
    """Sends reports now and then, and ends the work where nobody listens any more."""
    last = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last
        if os.getppid() != parent:
            raise Interrupted("the process that started this one is gone")
        now = time.monotonic()
        if progress.done >= progress.total or now - last > TOLD_EVERY:
            last = now
            told.put(progress)

    return tell
