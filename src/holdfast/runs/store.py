"""A folder of runs: one folder a run, each with its record and its checkpoints. No database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from holdfast.core.errors import InputError, RunError, nearest
from holdfast.core.files import PARTIAL, atomic_write, explain
from holdfast.runs.documents import json_text, read_json, validate
from holdfast.runs.record import RunRecord, utc

RECORD, CHECKPOINTS = "record.json", "checkpoints"


def now() -> str:
    """The time in the form that `RunRecord.created` takes: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: The folder; it need not exist before the first write.
    """

    path: Path

    @property
    def id(self) -> str:
        """The folder's name, unique in its store."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """The folder for checkpoints."""
        return self.path / CHECKPOINTS

    def write(self, record: RunRecord) -> None:
        """Replaces the record, whole or not at all.

        Raises:
            InputError: If the record is not as the schema says.
            TrainingStopped: If the disk is full; the record before stays.
            RunError: If the folder cannot be written.
        """
        document = record.to_json()
        validate(document, place=f"record of run {record.name!r}")
        atomic_write(self.path / RECORD, json_text(document))

    def read(self) -> RunRecord:
        """Reads the record back, equal to the one that was written.

        Raises:
            RunError: If it is missing, damaged, or of another version; names the file.
        """
        path = self.path / RECORD
        document = read_json(path)
        try:
            return RunRecord.from_json(document)
        except InputError as error:
            raise RunError(f"{path}: {error}") from error

    def tidy(self) -> None:
        """Removes what a killed process left half written. Call it only when nothing else writes here, as before resuming."""
        for partial in self.path.rglob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class Listing:
    """Every run of a store.

    Args:
        runs: Pairs of id and record, the oldest first.
        damaged: Pairs of id and what is wrong with it, in words.
    """

    runs: tuple[tuple[str, RunRecord], ...]
    damaged: tuple[tuple[str, str], ...]


class RunStore:
    """Runs under one folder.

    Args:
        root: The folder; it need not exist yet.
    """

    def __init__(self, root: Path | str = "runs") -> None:
        self.root = Path(root)

    def create(self, name: str, *, created: str | None = None) -> RunFolder:
        """Makes an empty folder for a new run; write its record next.

        Args:
            name: The run's name. Any text; what a file name cannot hold is left out of the folder's name.
            created: When the run began, ISO 8601 in UTC; now by default.

        Returns:
            A folder that no other run has, such as "20261122-170455-dp-sgd".

        Raises:
            InputError: If `created` is not in UTC.
            TrainingStopped: If the disk is full.
            RunError: If the folder cannot be made.
        """
        moment = utc(now() if created is None else created)
        stem = f"{moment:%Y%m%d-%H%M%S}-{_slug(name)}"
        for attempt in count(1):
            folder = RunFolder(self.root / (stem if attempt == 1 else f"{stem}-{attempt}"))
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                folder.path.mkdir()
                folder.checkpoints.mkdir()
            except FileExistsError:
                if self.root.is_dir():
                    continue
                raise RunError(f"{self.root} is a file; give a folder for the runs") from None
            except OSError as error:
                raise explain(folder.path, error, size=0) from error
            return folder
        raise AssertionError("unreachable: count() has no end")

    def open(self, run: str | Path) -> RunFolder:
        """Finds a run that exists.

        Args:
            run: Its id in this store, or the path of its folder.

        Raises:
            RunError: If there is no such folder; names the nearest id.
        """
        for path in (self.root / run, Path(run)):
            if path.is_dir():
                return RunFolder(path)
        known = self._ids()
        hint = nearest(str(run), known) if known else f"{self.root} holds no runs yet"
        raise RunError(f"there is no run {str(run)!r}; {hint}")

    def scan(self) -> Listing:
        """Reads every run. Each folder under the root counts as one, and is listed either as a run or as damaged."""
        runs: list[tuple[str, RunRecord]] = []
        damaged: list[tuple[str, str]] = []
        for name in self._ids():
            try:
                runs.append((name, RunFolder(self.root / name).read()))
            except RunError as error:
                damaged.append((name, str(error)))
        return Listing(runs=tuple(sorted(runs, key=lambda pair: (utc(pair[1].created), pair[0]))), damaged=tuple(damaged))

    def all(self) -> list[tuple[str, RunRecord]]:
        """Every run as a pair of id and record, the oldest first.

        Raises:
            RunError: If any record is missing or damaged; names each. `scan` gives the others all the same.
        """
        listing = self.scan()
        if listing.damaged:
            reasons = "\n".join(f"  - {reason}" for _, reason in listing.damaged)
            raise RunError(
                f"{len(listing.damaged)} of the runs in {self.root} cannot be read:\n{reasons}\nMove them away to list the others"
            )
        return list(listing.runs)

    def _ids(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", name.lower())[:60].strip("-.") or "run"
