"""Data sets of the Hugging Face hub, or folders in the same format, by way of `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from holdfast.core.errors import DataError, InputError
from holdfast.data.columns import CONTEXT, TAGS, TIMESTAMP, TOKENS
from holdfast.data.folders import PART_NAMES
from holdfast.data.records import BadRow, Columns, moment, single, together


def read_hub(name: str, *, columns: Columns, config: str | None = None) -> dict[str, pa.Table]:
    """Loads a data set by way of `datasets`, which keeps its own copy in its cache (`HF_DATASETS_CACHE`).

    Args:
        name: "owner/name" on the hub; or a folder with parquet, JSON lines or CSV files; or one made by `save_to_disk`.
        columns: Which column holds what. Class labels become their names.
        config: The configuration, for data sets that have several.

    Returns:
        "train", "validation" and "test" to a table, those that there are.

    Raises:
        InputError: If `datasets` is not installed.
        DataError: If there is no such data set, no training part, or a wrong column.
    """
    loaded = _load(name, config)
    parts = {part: next((loaded[own] for own in names if own in loaded), None) for part, names in PART_NAMES.items()}
    tables = {part: _table(data, columns, f"hub:{name} ({part})") for part, data in parts.items() if data is not None}
    if "train" not in tables:
        raise DataError(f"hub:{name} has no part 'train'; it has: {', '.join(loaded)}")
    return tables


def _load(name: str, config: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError("hub: sources need the package `datasets`; install holdfast[hub]") from error
    path = Path(name).expanduser()
    if (path / "dataset_dict.json").is_file():
        return datasets.load_from_disk(str(path))
    if path.is_absolute() and not path.exists():
        raise DataError("no such folder", path=path)
    try:
        return datasets.load_dataset(str(path) if path.exists() else name, name=config)
    except (OSError, ValueError, ConnectionError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"hub:{name} cannot be loaded: {error}") from error


def _table(data: Any, columns: Columns, place: str) -> pa.Table:
    layout = columns.layout(data.column_names, path=place)
    fields = dict.fromkeys(one for field in layout.values() for one in single(field))
    plain = data.select_columns(list(fields)).with_format("arrow")
    table = plain[:] if len(plain) else plain.data.table

    def read(column: str, field: str) -> pa.ChunkedArray | pa.Array:
        return _column(table.column(field), data.features[field], column, place, field)

    return pa.table({column: _joined([read(column, one) for one in single(field)]) for column, field in layout.items()})


def _joined(values: list[pa.ChunkedArray | pa.Array]) -> pa.ChunkedArray | pa.Array:
    """The names of several fields as one id for each row; a row that lacks one stays empty."""
    if len(values) == 1:
        return values[0]
    rows = zip(*(column.cast(pa.string()).to_pylist() for column in values), strict=True)
    return pa.array([None if None in row else together(row) for row in rows], pa.string())


def _column(values: pa.ChunkedArray, feature: Any, column: str, place: str, field: str) -> pa.ChunkedArray | pa.Array:
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    if names is not None:
        values = _named(values, names)
    if column in (TOKENS, TAGS, CONTEXT) and pa.types.is_string(values.type):
        import pyarrow.compute as pc

        return pc.utf8_split_whitespace(pc.utf8_trim_whitespace(values))
    if column == TIMESTAMP and not pa.types.is_timestamp(values.type):
        try:
            return pa.array([moment(value, field) for value in values.to_pylist()], pa.timestamp("s", "UTC"))
        except BadRow as error:
            raise DataError(str(error), path=place) from error
    return values


def _named(values: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """Class numbers, or lists of them, as names."""
    if pa.types.is_integer(values.type):
        return pa.chunked_array([_take(chunk, names) for chunk in values.chunks], pa.string())
    lists = values.cast(pa.list_(pa.int64()))
    chunks = [pa.ListArray.from_arrays(chunk.offsets, _take(chunk.values, names)) for chunk in lists.chunks]
    return pa.chunked_array(chunks, pa.list_(pa.string()))


def _take(numbers: pa.Array, names: list[str]) -> pa.Array:
    """A number without a name, such as -1 for "unknown", becomes a null, which the data set refuses."""
    known = range(len(names))
    return pa.array([names[number] if number in known else None for number in numbers.to_pylist()], pa.string())
