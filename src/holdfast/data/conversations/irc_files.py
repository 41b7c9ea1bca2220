"""Reads chat logs of IRC from an archive or a folder, without writing anything to disk."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from holdfast.core.errors import DataError

LARGEST = 64 * 2**20
"""The largest log that is read, in bytes; a larger one is surely no day of talk."""

_NAME = re.compile(r"(?:^|/)(?:(train|dev|test)/)?([^/]*)\.raw\.txt$")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?!\d)")
_PARTS = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One log.

    Args:
        name: Its place in the archive or folder.
        part: "train", "validation" or "test" by the folder in which it lies; "elsewhere" where it lies in none of these.
        day: The day on which it begins.
        text: What it says.
    """

    name: str
    part: str
    day: date
    text: str


@dataclass
class Logs:
    """The logs of an archive or a folder, in the order of their days.

    Args:
        path: A tar archive, packed or not, or a folder; logs are the files `DATE[...].raw.txt` in it, with DATE as 2004-12-25.
        undated: Names of the logs without a date, which are left out; filled by `read`.
    """

    path: Path
    undated: list[str] = field(default_factory=list)

    def read(self) -> list[LogFile]:
        """Reads all logs with a date.

        Raises:
            DataError: For a missing or damaged archive, a log that is no plain file, too large, not UTF-8, of no day of the calendar or
                there twice, and where there is no log at all.

        Guarantee:
            Nothing is unpacked to disk, no link is followed out of an archive, and members that are no logs are not read.
        """
        if not self.path.exists():
            raise DataError("no such file or folder; give the archive, or the folder that it was unpacked to", path=self.path)
        self.undated, found = [], {}
        for name, raw in self._folder() if self.path.is_dir() else self._archive():
            if name in found:
                raise DataError(f"{name} stands twice in the archive; leave one", path=self.path)
            found[name] = self._log(name, raw)
        if not found:
            raise DataError("holds no log; logs are named DATE.raw.txt, such as train/2004-12-25.train-c.raw.txt", path=self.path)
        return sorted(found.values(), key=lambda log: (log.day, log.name))

    def _wanted(self, name: str) -> bool:
        """Whether this is a log with a date; one without is noted."""
        match = _NAME.search(name)
        if match and not _DATE.match(match[2]):
            self.undated.append(name)
        return match is not None and _DATE.match(match[2]) is not None

    def _folder(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.path.rglob("*.raw.txt")):
            name = path.relative_to(self.path).as_posix()
            if self._wanted(name):
                self._check(name, path.stat().st_size, plain=path.is_file())
                yield name, path.read_bytes()

    def _archive(self) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(self.path, "r:*") as archive:
                for member in archive:
                    if self._wanted(member.name):
                        self._check(member.name, member.size, plain=member.isreg())
                        stream = archive.extractfile(member)
                        yield member.name, b"" if stream is None else stream.read()
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise DataError(f"no tar archive, or a damaged one ({error}); fetch it again", path=self.path) from error

    def _check(self, name: str, size: int, *, plain: bool) -> None:
        if not plain:
            raise DataError(f"{name} is no plain file; a log must be one", path=self.path)
        if size > LARGEST:
            raise DataError(f"{name} has {size:,} bytes, a log may have {LARGEST:,}; cut it by days", path=self.path)

    def _log(self, name: str, raw: bytes) -> LogFile:
        match = _NAME.search(name)
        assert match is not None
        try:
            day = date.fromisoformat(match[2][:10])
        except ValueError as error:
            raise DataError(f"{name}: {match[2][:10]} is no day ({error}); rename the log", path=self.path) from error
        try:
            return LogFile(name=name, part=_PARTS.get(match[1], "elsewhere"), day=day, text=raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            message = f"not UTF-8 ({error.reason}: 0x{raw[error.start]:02x}); convert the log"
            raise DataError(message, path=f"{self.path}/{name}", line=line) from error
