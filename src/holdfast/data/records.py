"""Turns the records of users' files (named fields of many kinds) into the columns of a data set."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from holdfast.core.errors import DataError
from holdfast.data.columns import CONTEXT, GROUP, LABEL, TAGS, TIMESTAMP, TOKENS, USER_ID
from holdfast.data.dataset import Dataset

BadRows = Literal["refuse", "skip"]
_USUAL = (LABEL, TAGS, USER_ID, TIMESTAMP)
_log = logging.getLogger(__name__)
_CHUNK = 8192  # records that live as Python objects before they become Arrow arrays
_WORDS = pa.list_(pa.string())
_TYPES = {TOKENS: _WORDS, TAGS: _WORDS, CONTEXT: _WORDS, TIMESTAMP: pa.timestamp("s", "UTC")}

Field = str | tuple[str, ...]
"""One field of a file, or several that name a user together."""


class BadRow(ValueError):
    """What is wrong with one record; the reader adds the file and the line."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which field of a file holds what.

    A field that is named must be there. Where a name is left out, the usual one is used if the file has it ("text" or
    "tokens", "label", "tags", "user_id", "timestamp"); groups and the context are read only when they are named.

    Args:
        text: A text whose words stand between blanks. Give either this or `tokens`.
        tokens: A list of words, or one string with blanks between them.
        label: The label of the utterance.
        tags: A list of tags, one for each token, or one string with blanks between them.
        user_id: Who said it; it is hashed on reading. A list of fields names the user by all of them together, such as a play and
            a speaker in it.
        timestamp: When: ISO 8601, or seconds since 1970. Without a zone it is read as UTC.
        groups: Fields that become group attributes of the same name.
        context: The words that the utterance answers: a list, or one string with blanks between them; an empty one answers nothing.
    """

    text: str | None = None
    tokens: str | None = None
    label: str | None = None
    tags: str | None = None
    user_id: str | Sequence[str] | None = None
    timestamp: str | None = None
    groups: Sequence[str] = ()
    context: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and self.tokens is not None:
            raise DataError(f"columns: text={self.text!r} and tokens={self.tokens!r}; give one of the two")
        if isinstance(self.groups, str):
            raise DataError(f"columns: groups is the text {self.groups!r}; give a list, such as [{self.groups!r}]")
        if not isinstance(self.user_id, (str, type(None))) and (not self.user_id or len(set(self.user_id)) < len(self.user_id)):
            raise DataError(f"columns: user_id is the list {list(self.user_id)}; give one field or more, each once")

    def layout(self, fields: Sequence[str], *, path: Path | str | None = None, line: int | None = None) -> dict[str, Field]:
        """Finds the fields of a file.

        Args:
            fields: The fields that the file has.
            path: The file, for messages.
            line: The line, for messages.

        Returns:
            Column of the data set to field of the file, or to the fields that name a user together.

        Raises:
            DataError: If a named field is not there, or neither text nor tokens are.
        """
        there = f"it has: {', '.join(map(repr, fields)) or 'none'}"
        words = self.text or self.tokens or next((usual for usual in ("tokens", "text") if usual in fields), None)
        if words is None:
            raise DataError(f"no column 'text' or 'tokens'; {there}. Say which one holds the words", path=path, line=line)
        wanted: dict[str, Field] = {TOKENS: words, **{GROUP + group: group for group in self.groups}}
        for column in _USUAL:
            named: str | Sequence[str] | None = getattr(self, column)
            if named is not None or column in fields:
                wanted[column] = column if named is None else named if isinstance(named, str) else tuple(named)
        if self.context is not None:
            wanted[CONTEXT] = self.context
        for field in wanted.values():
            missing = [one for one in single(field) if one not in fields]
            if missing:
                raise DataError(f"no column {missing[0]!r}; {there}", path=path, line=line)
        return wanted

    def newcomers(self, fields: Collection[str], layout: Mapping[str, Field]) -> list[str]:
        """The usual columns that a later record has and the first had not; leaving them out unsaid would lose data."""
        return [column for column in _USUAL if column in fields and column not in layout and getattr(self, column) is None]


class Collector:
    """Gathers records into Arrow columns, a few thousand at a time, and knows what to do with a bad one.

    Args:
        path: The file, for messages.
        bad_rows: "refuse" stops at the first bad record; "skip" leaves it out and logs how many were left out.
    """

    def __init__(self, path: Path, *, bad_rows: BadRows) -> None:
        self._path = path
        self._bad_rows = bad_rows
        self._pending: dict[str, list[Any]] = {}
        self._tables: list[pa.Table] = []
        self._skipped: list[int] = []

    def add(self, record: Mapping[str, Any], layout: Mapping[str, Field], *, line: int) -> None:
        """Adds one record, read by `convert`; a bad one is refused or skipped."""
        try:
            row = convert(record, layout)
        except BadRow as error:
            self.reject(str(error), line=line)
            return
        for column, value in row.items():
            self._pending.setdefault(column, []).append(value)
        if len(self._pending[TOKENS]) >= _CHUNK:
            self._flush()

    def reject(self, message: str, *, line: int) -> None:
        """Refuses or skips a record that could not even be split into fields."""
        if self._bad_rows == "refuse":
            raise DataError(f"{message} (bad_rows='skip' leaves such rows out)", path=self._path, line=line)
        self._skipped.append(line)

    def table(self) -> pa.Table:
        """All records as one table.

        Raises:
            DataError: If there are none.
        """
        self._flush()
        if self._skipped:
            first = ", ".join(map(str, self._skipped[:5]))
            _log.warning("%s: left out %d bad rows, such as those of lines %s", self._path, len(self._skipped), first)
        if not self._tables:
            raise DataError(f"there is no row in it{' that could be used' if self._skipped else ''}", path=self._path)
        return pa.concat_tables(self._tables)

    def _flush(self) -> None:
        if self._pending:
            arrays = {column: pa.array(values, _TYPES.get(column, pa.string())) for column, values in self._pending.items()}
            self._tables.append(pa.table(arrays))
            self._pending = {}


def convert(record: Mapping[str, Any], layout: Mapping[str, Field]) -> dict[str, Any]:
    """Reads the values of one record.

    Args:
        record: Field to value.
        layout: Column of the data set to field, as `Columns.layout` gives it.

    Raises:
        BadRow: For a missing or empty value, one of a wrong kind, or unequal token and tag counts.
    """
    row: dict[str, Any] = {}
    for column, field in layout.items():
        if isinstance(field, tuple):
            row[column] = together([_name(_value(record, one), one) for one in field])
        elif column == CONTEXT:
            row[column] = _answered(record, field)
        else:
            read = _words if column in (TOKENS, TAGS) else moment if column == TIMESTAMP else _name
            row[column] = read(_value(record, field), field)
    if TAGS in row and len(row[TAGS]) != len(row[TOKENS]):
        raise BadRow(f"{len(row[TOKENS])} tokens but {len(row[TAGS])} tags; give one tag for each token")
    return row


def single(field: Field) -> tuple[str, ...]:
    """The fields that stand behind a column."""
    return (field,) if isinstance(field, str) else field


def together(parts: Sequence[str]) -> str:
    """One id of several names; no two rows of names give the same id.

    >>> together(["hamlet"]), together(["a|b", "c"]), together(["a", "b|c"])
    ('hamlet', '["a|b", "c"]', '["a", "b|c"]')
    """
    return parts[0] if len(parts) == 1 else json.dumps(list(parts), ensure_ascii=False)


def hash_users(data: Dataset) -> Dataset:
    """Replaces user ids by 16 hexadecimal digits of their sha256, salted with the name of the data set.

    This keeps names out of run folders and reports. It is no anonymity: whoever knows the name of the data set and has a list of
    possible ids can find out which are there.
    """
    if not data.has(USER_ID):
        return data
    users = data.table.column(USER_ID).combine_chunks()
    hashed = [hashed_id(user, salt=data.name) for user in users.dictionary.to_pylist()]
    at = data.table.column_names.index(USER_ID)
    column = pa.DictionaryArray.from_arrays(users.indices, pa.array(hashed, pa.string()))
    return replace(data, table=data.table.set_column(at, USER_ID, column))


def hashed_id(name: str, *, salt: str) -> str:
    """The 16 hexadecimal digits that stand for an id in everything written.

    Args:
        name: The id, of a user or of a record.
        salt: The name of the data set.
    """
    return hashlib.sha256(f"{salt}\0{name}".encode()).hexdigest()[:16]


def moment(value: Any, field: str) -> datetime:
    """Reads a time: a `datetime`, ISO 8601, or seconds since 1970 as a number or as more than eight digits.

    >>> moment("2024-03-01T12:00:00+02:00", "when").isoformat()
    '2024-03-01T10:00:00+00:00'
    """
    cure = "give ISO 8601, such as 2024-03-01T12:00:00Z, or seconds since 1970"
    try:
        if isinstance(value, str) and not (value.isdigit() and len(value) > 8):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, bool):
            raise TypeError
        seconds = float(value)
        if abs(seconds) > 1e11:  # the year 5138: surely milliseconds
            raise BadRow(f"column {field!r}: {value!r} seconds is far off; are these milliseconds? Divide by 1000")
        return datetime.fromtimestamp(int(seconds), UTC)
    except BadRow:
        raise
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise BadRow(f"column {field!r}: {value!r} is no time; {cure}") from error


def _value(record: Mapping[str, Any], field: str) -> Any:
    value = record.get(field)
    if value is None or value == "":
        there = ", ".join(map(repr, record))
        raise BadRow(f"column {field!r} is empty" if field in record else f"no column {field!r}; it has: {there}")
    return value


def _answered(record: Mapping[str, Any], field: str) -> list[str]:
    value = record.get(field)
    nothing = (isinstance(value, str) and not value.strip()) or (isinstance(value, (list, tuple)) and not value)
    return [] if nothing else _words(_value(record, field), field)


def _words(value: Any, field: str) -> list[str]:
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        raise BadRow(f"column {field!r}: {value!r} is neither a text nor a list of words")
    if not words:
        raise BadRow(f"column {field!r} is empty")
    return list(words)


def _name(value: Any, field: str) -> str:
    if isinstance(value, (str, int)):  # a number or a truth value is a name like any other: its text
        return str(value)
    raise BadRow(f"column {field!r}: {value!r} is no text; give a string or an integer")
