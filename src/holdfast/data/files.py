"""Readers of single files: JSON lines, CSV and CoNLL. Each gives an Arrow table, and each error names file and line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdfast.core.errors import DataError
from holdfast.data.columns import TAGS, TOKENS
from holdfast.data.records import BadRows, Collector, Columns, Field
from holdfast.data.text_files import lines

_DELIMITERS = ",;\t|"
_SURROGATE = "\\ud"  # how the escape of a half of a surrogate pair begins; two halves together are a character
_DOCUMENT_MARK = "-DOCSTART-"


def read_jsonl(path: Path, *, columns: Columns, bad_rows: BadRows) -> pa.Table:
    """Reads a file with one JSON object a line; blank lines are passed over.

    Args:
        path: The file; gzipped or not.
        columns: Which key holds what. The first object settles which columns there are; every other must have them too.
        bad_rows: What to do with a line that cannot be read.

    Raises:
        DataError: See `holdfast.data.text_files.lines`, `Columns.layout` and `holdfast.data.records.convert`.
    """
    collector = Collector(path, bad_rows=bad_rows)
    layout: dict[str, Field] | None = None
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if _SURROGATE in line.lower():
                json.dumps(record, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            collector.reject(f"not JSON: {error.msg} at column {error.colno}", line=number)
            continue
        except UnicodeEncodeError:
            collector.reject("holds half of a surrogate pair (\\ud800 to \\udfff), which is no character", line=number)
            continue
        if not isinstance(record, dict):
            collector.reject(f"not a JSON object but a {type(record).__name__}; give one {{...}} a line", line=number)
            continue
        layout = layout or columns.layout(list(record), path=path, line=number)
        new = columns.newcomers(record, layout)
        if new:
            collector.reject(f"has a column {new[0]!r}, which the first record has not; all must have the same", line=number)
            continue
        collector.add(record, layout, line=number)
    return collector.table()


def read_csv(path: Path, *, columns: Columns, bad_rows: BadRows, delimiter: str | None = None) -> pa.Table:
    """Reads a CSV file whose first line names the columns.

    Args:
        path: The file; gzipped or not.
        columns: Which column holds what.
        bad_rows: What to do with a line that cannot be read.
        delimiter: One character; where None, the most frequent of comma, semicolon, tab and bar in the first line.

    Raises:
        DataError: As `read_jsonl`, and for a line with more or fewer fields than the first.
    """
    collector = Collector(path, bad_rows=bad_rows)
    rows = csv_rows(path, delimiter)
    _, header = next(rows)
    layout = columns.layout(header, path=path, line=1)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            hint = "put quotes around a field that holds the delimiter"
            collector.reject(f"{len(row)} fields, the first line names {len(header)}; {hint}", line=number)
            continue
        collector.add(dict(zip(header, row, strict=True)), layout, line=number)
    return collector.table()


def read_conll(path: Path, *, bad_rows: BadRows) -> pa.Table:
    """Reads a CoNLL file: a token and its tag a line, a blank line between sentences.

    The columns stand between tabs, or between blanks in a line that has no tab; the first is the token, the last is the tag.
    Lines that begin with "-DOCSTART-" are passed over.

    Args:
        path: The file; gzipped or not.
        bad_rows: What to do with a sentence that has a line without a tag; "skip" leaves the whole sentence out.

    Raises:
        DataError: As `read_jsonl`.
    """
    collector = Collector(path, bad_rows=bad_rows)
    layout: dict[str, Field] = {TOKENS: "token", TAGS: "tag"}
    for start, sentence in _sentences(path):
        bad = next((at for at, cells in enumerate(sentence) if len(cells) < 2 or not cells[0] or not cells[-1]), None)
        if bad is not None:
            collector.reject(f"{' '.join(sentence[bad])!r} is not a token and a tag", line=start + bad)
            continue
        record: dict[str, Any] = {"token": [cells[0] for cells in sentence], "tag": [cells[-1] for cells in sentence]}
        collector.add(record, layout, line=start)
    return collector.table()


def _sentences(path: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Yields the number of the first line of each sentence, and the cells of its lines."""
    sentence: list[list[str]] = []
    start = 1
    for number, line in lines(path):
        if line.strip() and not line.startswith(_DOCUMENT_MARK):
            start = start if sentence else number
            sentence.append([cell.strip() for cell in line.split("\t")] if "\t" in line else line.split())
        elif sentence:
            yield start, sentence
            sentence = []
    if sentence:
        yield start, sentence


def csv_rows(path: Path, delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows of a file whose fields stand between delimiters, quoted where they hold one or the end of a line.

    Args:
        path: The file; gzipped or not.
        delimiter: One character; where None, the most frequent of comma, semicolon, tab and bar in the first line.

    Yields:
        The number of the last line of each row, and its fields; the first row is the header.

    Raises:
        DataError: See `holdfast.data.text_files.lines`, and for quotes that do not end.
    """
    numbered = lines(path)
    _, first = next(numbered)
    mark = delimiter or max(_DELIMITERS, key=first.count)
    if len(mark) != 1:
        raise DataError(f"delimiter {mark!r}; give one character", path=path)
    reader = csv.reader(_again(first, numbered), delimiter=mark)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"not CSV: {error}", path=path, line=reader.line_num) from error
        if row is None:
            return
        yield reader.line_num, row


def _again(first: str, numbered: Iterator[tuple[int, str]]) -> Iterator[str]:
    yield first + "\n"
    for _, line in numbered:
        yield line + "\n"
