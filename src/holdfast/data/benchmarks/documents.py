"""Reads the JSON documents, JSON lines and tables that published sets come in, and says where something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from holdfast.core.errors import DataError
from holdfast.data.files import csv_rows
from holdfast.data.text_files import find, lines


def read_json(path: Path) -> Any:
    """Reads a file that is one JSON document, gzipped or not.

    Raises:
        DataError: For a file that is missing, empty, damaged, not UTF-8 or not JSON (with the line), for NaN or infinity, which are
            no JSON, and for half of a surrogate pair, which is no character.
    """
    text = "\n".join(line for _, line in lines(path))
    return _parsed(text, find(path) or path, 1)


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Reads a file with one JSON object a line; blank lines are passed over.

    Yields:
        The number of the line, and the object.

    Raises:
        DataError: As `read_json`, and for a line that is no object.
    """
    found = find(path) or path
    for number, line in lines(path):
        if not line.strip():
            continue
        record = _parsed(line, found, number)
        if not isinstance(record, dict):
            raise DataError(f"not a JSON object but a {type(record).__name__}; give one {{...}} a line", path=found, line=number)
        yield number, record


def table_rows(path: Path, needed: Sequence[str], *, delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Reads the rows of a table whose first line names the columns.

    Args:
        path: The file; gzipped or not.
        needed: The columns that must be there; there may be more.
        delimiter: What stands between two fields.

    Yields:
        The number of the last line of each row, and column to field.

    Raises:
        DataError: For a missing column, a row with another count of fields than the first, or what `csv_rows` refuses.
    """
    found = find(path) or path
    rows = csv_rows(path, delimiter)
    _, header = next(rows)
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(f"no column {missing[0]!r}; it has: {', '.join(map(repr, header))}", path=found, line=1)
    if len(set(header)) < len(header):
        raise DataError(f"a column stands twice among {header}", path=found, line=1)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{len(row)} fields, the first line names {len(header)}", path=found, line=number)
        yield number, dict(zip(header, row, strict=True))


class Place:
    """Where in a file one stands: it makes the errors of that place, and takes values out of what stands there.

    Args:
        path: The file.
        line: The line, or None in a JSON document.
        inside: Where in a document, such as "[3].sentences[1]".
    """

    def __init__(self, path: Path, *, line: int | None = None, inside: str = "") -> None:
        self.path = find(path) or path
        self.line = line
        self.inside = inside

    def at(self, step: str | int) -> Place:
        """The place one step further inside: a key, or a position from 0."""
        further = f"[{step}]" if isinstance(step, int) else f".{step}" if self.inside else step
        return Place(self.path, line=self.line, inside=self.inside + further)

    def refuse(self, message: str) -> NoReturn:
        """Raises DataError with the file and the place."""
        raise DataError(f"{self.inside}: {message}" if self.inside else message, path=self.path, line=self.line)

    def mapping(self, value: Any) -> dict[str, Any]:
        """The value, which must be a JSON object."""
        if not isinstance(value, dict):
            self.refuse(f"not an object {{...}} but {_shown(value)}")
        return value

    def sequence(self, value: Any, *, count: int | None = None) -> list[Any]:
        """The value, which must be a list, of so many where `count` is given."""
        if not isinstance(value, list):
            self.refuse(f"not a list [...] but {_shown(value)}")
        if count is not None and len(value) != count:
            self.refuse(f"{len(value)} values; there must be {count}")
        return value

    def text(self, value: Any, *, may_be_empty: bool = False) -> str:
        """The value, which must be a text with something in it."""
        if not isinstance(value, str) or not (may_be_empty or value.strip()):
            self.refuse(f"not a text but {_shown(value)}" if not isinstance(value, str) else "the text is empty")
        return value

    def texts(self, value: Any) -> tuple[str, ...]:
        """The value, which must be a list of texts."""
        return tuple(self.at(position).text(one) for position, one in enumerate(self.sequence(value)))

    def field(self, record: dict[str, Any], key: str) -> Any:
        """The value of a key, which must be there."""
        if key not in record:
            self.refuse(f"no {key!r}; it has: {', '.join(map(repr, record)) or 'nothing'}")
        return record[key]

    def named(self, record: dict[str, Any], key: str) -> str:
        """The text of a key, which must be there and hold something."""
        return self.at(key).text(self.field(record, key))

    def chosen(self, record: dict[str, Any], key: str, valid: Sequence[str]) -> str:
        """The text of a key, which must be one of some."""
        value = self.field(record, key)
        if value not in valid:
            self.refuse(f"{key} is {_shown(value)}; it must be one of {', '.join(valid)}")
        return str(value)


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_number)
        text.encode()
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} at column {error.colno}", path=path, line=line + error.lineno - 1) from error
    except UnicodeEncodeError as error:
        raise DataError("holds half of a surrogate pair (\\ud800 to \\udfff), which is no character", path=path, line=line) from error
    except RecursionError as error:
        raise DataError("not readable: brackets in brackets without end", path=path, line=line) from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}", path=path, line=line) from error
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
