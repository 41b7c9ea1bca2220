"""Files that are written whole or not at all, and words for what keeps one from being written."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from holdfast.core.errors import RunError, TrainingStopped

PARTIAL = ".partial"  # ending of a file that is being written; a killed process may leave one behind
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def atomic_write(path: Path, content: bytes | str) -> None:
    """Puts a file in place whole: a reader, or a process that starts after a kill -9, sees the old content or the new.

    The content goes to a hidden file in the same folder, is flushed to the disk, and then takes the name of the old one.
    Missing folders are made. Several writers of one file do not mix; the last to finish wins.

    Args:
        path: The file.
        content: Bytes, or text that is written as UTF-8; half a surrogate pair becomes its JSON escape.

    Raises:
        TrainingStopped: If the disk is full or a quota is used up. The file keeps its old content.
        RunError: If the file cannot be written for another reason, such as a missing permission.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            if path.exists():
                partial.chmod(path.stat().st_mode & 0o777)  # a file that only its owner may read stays so
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(path, error, size=len(data)) from error
        raise
    flush_folder(path.parent)


def explain(path: Path, error: OSError, *, size: int) -> TrainingStopped | RunError:
    """Says in words what kept a file from being written, and what to do about it."""
    if error.errno in _FULL:
        kept = "what was stored there before is kept" if path.exists() else "nothing was stored there before"
        cure = "Free space or choose another disk, then run the same command again"
        return TrainingStopped(f"{path}: no room for {size:,} bytes ({error.strerror}); {kept}. {cure}")
    return RunError(f"{path}: cannot be written ({error.strerror}); check that the folder exists and belongs to you, or choose another")


def flush_folder(folder: Path) -> None:
    """Makes the names in a folder durable where the system can; on some network file systems it cannot."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
