"""How long work tells what it is doing: a callback that the library calls and the command draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report of progress.

    Args:
        phase: What is being done, such as "train dp-sgd".
        done: Units finished.
        total: Units in all.
        note: A short figure of interest, such as "loss .42".
    """

    phase: str
    done: int
    total: int
    note: str = ""


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Ignores progress: the default in the library."""
