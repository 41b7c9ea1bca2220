"""Lists of items that are known to be bad, so that a score can be told with and without them."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.errors import DataError
from holdfast.data.text_files import lines


def bad_items(path: Path, *, count: int) -> set[int]:
    """Reads the numbers of items.

    Args:
        path: One number a line, counted from 0 in the order of the data; empty lines and lines that start with # are skipped.
        count: How many items there are.

    Raises:
        DataError: For a file that cannot be read, or a line that is no number from 0 to `count` - 1.
    """
    found = set()
    for number, line in lines(path):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.isascii() or not text.isdigit() or int(text) >= count:
            raise DataError(f"{text!r} is no item; give a number from 0 to {count - 1}", path=path, line=number)
        found.add(int(text))
    return found
