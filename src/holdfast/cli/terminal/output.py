"""What a command writes: one JSON document, lines of text, a plain table that survives a pipe, a warning on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def document(value: Any) -> None:
    """Writes one JSON document.

    Args:
        value: Plain lists, dictionaries, strings and finite numbers.
    """
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def lines(*texts: str) -> None:
    """Writes lines of text."""
    sys.stdout.writelines(text + "\n" for text in texts)


def warn(text: str) -> None:
    """Writes a line on standard error that does not stop the command."""
    sys.stderr.write(f"warning: {text}\n")


def table(rows: Sequence[Sequence[str]], *, heads: Sequence[str]) -> str:
    """Lays out rows of text in aligned columns, two blanks apart, without a trailing newline.

    Args:
        rows: Cells; every row as long as `heads`.
        heads: Column titles.

    >>> print(table([["snips/dp-sgd", "8"], ["snips/plain", "-"]], heads=["run", "epsilon"]))
    run           epsilon
    snips/dp-sgd  8
    snips/plain   -
    """
    everything = [list(heads), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in everything)
