"""The errors that holdfast raises on purpose, each with the exit code of the command that meets it.

HoldfastError
├── InputError            something the caller gave is wrong: exit code 2
│   ├── DataError         a file, a line, a column
│   ├── StudyError        a key or a value of a study file
│   └── PreflightError    a model or a loss that cannot be trained privately
├── RunError              a run folder that is damaged, or belongs to other settings: exit code 2
├── TrainingStopped       training could not go on (loss not finite, disk full): exit code 1
└── Interrupted           the user asked to stop; the run can be resumed: exit code 130
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class HoldfastError(Exception):
    """Base of every error that holdfast raises on purpose."""

    exit_code = 2


class InputError(HoldfastError, ValueError):
    """Something the caller gave is wrong; the message names the value, the bound and the cure."""


class DataError(InputError):
    """A file, a line or a column of the data is wrong.

    Args:
        message: What is wrong and how to mend it.
        path: The file, if there is one.
        line: The line in that file, counted from 1.
    """

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(place + message)
        self.path = None if path is None else Path(path)
        self.line = line


class StudyError(InputError):
    """A key or a value of a study file is wrong."""


class PreflightError(InputError):
    """A model or a loss cannot be trained privately; carries every reason found, each with its cure."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("cannot train this model privately:\n" + "\n".join(f"  - {reason}" for reason in self.reasons))


class RunError(HoldfastError):
    """A run folder is damaged, missing, or was made with other settings or other data."""


class TrainingStopped(HoldfastError):
    """Training could not go on; the last checkpoint and the spent budget are kept."""

    exit_code = 1


class Interrupted(HoldfastError):
    """The user asked to stop; a checkpoint was written first."""

    exit_code = 130


def nearest(name: str, valid: Iterable[str]) -> str:
    """Words an unknown name as a hint: the nearest valid one, then all of them.

    >>> nearest("epsilom", ["epsilon", "delta"])
    "did you mean 'epsilon'? Valid: delta, epsilon"
    """
    choices = sorted(valid)
    close = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(choices)}"
