"""Reads text files line by line, gzipped or not, and says where in which file something is wrong."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from holdfast.core.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = "\ufeff"


def find(path: Path) -> Path | None:
    """The file at a path, or the gzipped one beside it (`path` + ".gz"), or None."""
    zipped = path.with_name(path.name + ".gz")
    return path if path.is_file() else zipped if zipped.is_file() else None


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Reads a UTF-8 text file, decompressing it where it is gzipped.

    Args:
        path: The file; where it does not exist, `path` + ".gz" is tried.

    Yields:
        The line number, from 1, and the line without its end.

    Raises:
        DataError: For a file that is missing, empty, damaged, unreadable, or not UTF-8 (with the line).
    """
    found = find(path)
    if found is None:
        raise DataError(_why_missing(path), path=path)
    number = 0
    try:
        with found.open("rb") as plain:
            zipped = plain.peek(2)[:2] == _GZIP_MAGIC
            with gzip.open(plain, "rb") if zipped else plain as stream:
                for number, raw in enumerate(stream, start=1):
                    line = raw.decode("utf-8").rstrip("\r\n")
                    yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except UnicodeDecodeError as error:
        message = f"not UTF-8 ({error.reason}: 0x{error.object[error.start]:02x}); convert the file"
        raise DataError(message, path=found, line=number) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the gzipped file is damaged ({error}); fetch it again", path=found, line=number + 1) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=found) from error
    if number == 0:
        raise DataError("the file is empty", path=found)


def _why_missing(path: Path) -> str:
    if path.is_dir():
        return "this is a folder, not a file"
    if not path.parent.is_dir():
        return f"no such file; the folder {path.parent} does not exist either"
    beside = sorted(item.name for item in path.parent.iterdir())[:8]
    return f"no such file; beside it stand: {', '.join(beside) or 'nothing'}"
