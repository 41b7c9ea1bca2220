"""The Arrow form of a data set: which columns there are, how any table is brought into that form, and its content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.core.errors import DataError, nearest

TOKENS, LABEL, TAGS, USER_ID, TIMESTAMP = "tokens", "label", "tags", "user_id", "timestamp"
CONTEXT = "context"  # the words that an utterance answers; empty where it answers nothing
GROUP = "group:"  # the column of group attribute "dialect" is "group:dialect"

STRING = pa.dictionary(pa.int32(), pa.string())
SCHEMA = {
    TOKENS: pa.list_(STRING),
    LABEL: STRING,
    TAGS: pa.list_(STRING),
    USER_ID: STRING,
    TIMESTAMP: pa.timestamp("s"),
    CONTEXT: pa.list_(STRING),
}

_HASH_ROWS = 65_536  # rows that are hashed at a time; part of the definition of the hash, so never change it


def canonical(table: pa.Table) -> pa.Table:
    """Brings a table into the one form that a data set has: known columns, no nulls, one chunk, dictionary-encoded words.

    Args:
        table: Columns `tokens` (list of string), and where known `label`, `tags` (list of string), `user_id`,
            `timestamp` (any unit; a zone is converted to UTC), `context` (list of string; a row of it may be empty) and `group:NAME`,
            in any encoding and chunking.

    Returns:
        The same rows; no copy is made of a column that already has the form.

    Raises:
        DataError: For an unknown column, a null, an utterance without tokens, an empty word, or unequal token and tag
            counts; the message gives the row, counted from 0.
    """
    for name in table.column_names:
        if name not in SCHEMA and not (name.startswith(GROUP) and len(name) > len(GROUP)):
            raise DataError(f"a data set has no column {name!r}; a group attribute is named '{GROUP}NAME'. {nearest(name, SCHEMA)}")
    if len(set(table.column_names)) != table.num_columns:
        raise DataError(f"a column stands twice among {table.column_names}; rename one")
    if TOKENS not in table.column_names:
        raise DataError(f"a data set needs a column {TOKENS!r} (list of string); this table has {', '.join(table.column_names) or 'none'}")
    order = [name for name in SCHEMA if name in table.column_names] + sorted(n for n in table.column_names if n.startswith(GROUP))
    columns = {name: _column(name, table.column(name)) for name in order}
    _check_tokens(columns)
    return pa.table(columns)


def encode(values: Sequence[str] | NDArray[Any], ids: NDArray[np.integer[Any]]) -> pa.DictionaryArray:
    """A string column from its distinct values and, for each row, the index of its value."""
    return pa.DictionaryArray.from_arrays(pa.array(ids, pa.int32()), pa.array(values, pa.string()))


def words(column: pa.DictionaryArray) -> list[str]:
    """The strings of a dictionary-encoded column; equal strings are one Python object."""
    distinct = np.asarray(column.dictionary.to_pylist(), dtype=object)
    taken: list[str] = distinct[column.indices.to_numpy(zero_copy_only=False)].tolist() if len(column) else []
    return taken


def lists(column: pa.ListArray) -> list[list[str]]:
    """The lists of strings of a column such as `tokens`."""
    flat, ends = words(column.flatten()), offsets(column).tolist()
    return [flat[start:end] for start, end in pairwise(ends)]


def offsets(column: pa.ListArray) -> NDArray[np.int64]:
    """Where each row of a list column begins in its flat values, (n + 1,), from 0."""
    raw = np.asarray(column.offsets, dtype=np.int64)
    return raw - raw[0] if len(raw) else np.zeros(1, np.int64)


def content_hash(table: pa.Table) -> str:
    """The sha256 of what a table in canonical form says: columns, rows, order; hexadecimal.

    *Guarantee*: it depends on the strings and times alone, not on the chunks, the dictionaries, the order of the columns,
    the process or the machine. Every length is written before what it measures, so no two contents share a byte string.
    """
    digest = hashlib.sha256(b"holdfast.dataset/1\n")
    digest.update(np.int64(table.num_rows).astype("<i8").tobytes())
    for name in sorted(table.column_names):
        digest.update(f"{len(name.encode())}:{name}\n".encode())
        for start in range(0, table.num_rows, _HASH_ROWS):
            column = table.column(name).slice(start, _HASH_ROWS).combine_chunks()
            _digest(digest, column)
    return digest.hexdigest()


def _digest(digest: Any, column: pa.Array) -> None:
    if pa.types.is_timestamp(column.type):
        digest.update(np.asarray(column.cast(pa.int64())).astype("<i8").tobytes())
        return
    if pa.types.is_list(column.type):
        digest.update(np.diff(offsets(column)).astype("<i8").tobytes())
        column = column.flatten()
    texts = column.dictionary_decode()
    digest.update(np.asarray(pc.binary_length(texts)).astype("<i8").tobytes())
    _, bounds, letters = texts.buffers()
    if letters is not None and len(texts):
        first, last = np.frombuffer(bounds, np.int32)[[texts.offset, texts.offset + len(texts)]]
        digest.update(memoryview(letters)[first:last])


def _column(name: str, column: pa.ChunkedArray) -> pa.Array:
    kind = SCHEMA.get(name, STRING)
    if column.null_count:
        _refuse_empty(name, _first(column.is_null()))
    try:
        if pa.types.is_list(kind):
            return _list_column(name, column)
        if kind != STRING:
            return _moments(column)
        values = _strings(column.chunks)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, AttributeError) as error:
        wanted = "a list of strings" if pa.types.is_list(kind) else "strings" if kind == STRING else "times"
        raise DataError(f"column {name!r} holds {column.type}, a data set wants {wanted} there: {error}") from error
    if values.null_count:
        _refuse_empty(name, _first(values.is_null()))
    return values


def _list_column(name: str, column: pa.ChunkedArray) -> pa.ListArray:
    counts = np.concatenate([np.zeros(1, np.int64), *(np.asarray(pc.list_value_length(chunk), np.int64) for chunk in column.chunks)])
    ends = np.cumsum(counts)
    values = _strings([chunk.flatten() for chunk in column.chunks])
    if values.null_count:
        _refuse_empty(name, int(np.searchsorted(ends[1:], _first(values.is_null()), side="right")))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _refuse_empty(name: str, row: int) -> NoReturn:
    raise DataError(f"column {name!r} is empty in row {row}; fill it in every row, or leave the column out")


def _first(mask: pa.Array | pa.ChunkedArray) -> int:
    return int(pc.index(mask, pa.scalar(True)).as_py())


def _strings(chunks: Sequence[pa.Array]) -> pa.DictionaryArray:
    if len(chunks) == 1 and chunks[0].type == STRING and not chunks[0].dictionary.null_count:
        return chunks[0]
    plain = [(chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk).cast(pa.string()) for chunk in chunks]
    encoded = pa.chunked_array(plain, pa.string()).dictionary_encode().unify_dictionaries()
    return encoded.combine_chunks() if encoded.num_chunks else pa.array([], pa.string()).dictionary_encode()


def _moments(column: pa.ChunkedArray) -> pa.TimestampArray:
    if not pa.types.is_timestamp(column.type):
        raise pa.ArrowTypeError("give times, not text or numbers")
    seconds = pc.cast(column, pa.timestamp("s"), safe=False)  # Arrow keeps zoned times in UTC, so dropping the zone converts
    return seconds.combine_chunks() if seconds.num_chunks != 1 else seconds.chunk(0)


def _check_tokens(columns: dict[str, pa.Array]) -> None:
    counts = np.diff(offsets(columns[TOKENS]))
    if not counts.all():
        raise DataError(f"row {int(np.flatnonzero(counts == 0)[0])} has no tokens; leave such rows out")
    _check_words(columns[TOKENS], "token")
    if CONTEXT in columns:
        _check_words(columns[CONTEXT], "word in its context")
    if TAGS in columns:
        tags = np.diff(offsets(columns[TAGS]))
        if (tags != counts).any():
            row = int(np.flatnonzero(tags != counts)[0])
            raise DataError(f"row {row} has {counts[row]} tokens but {tags[row]} tags; give one tag for each token")


def _check_words(column: pa.ListArray, what: str) -> None:
    flat = column.flatten()
    blank = pc.index(flat.dictionary, "").as_py()
    at = pc.index(flat.indices, pa.scalar(blank, pa.int32())).as_py() if blank >= 0 else -1
    if at >= 0:
        row = int(np.searchsorted(offsets(column)[1:], at, side="right"))
        raise DataError(f"row {row} has an empty {what}; leave such words out")
