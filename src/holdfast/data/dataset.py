"""An immutable, Arrow-backed data set with views by row, group and user, and the three splits that training needs."""

from __future__ import annotations

import hashlib
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.data import columns
from holdfast.data.columns import CONTEXT, GROUP, LABEL, TAGS, TIMESTAMP, TOKENS, USER_ID
from holdfast.data.examples import Example


@dataclass(frozen=True, eq=False)
class Dataset:
    """Utterances as columns: a million of them live as Arrow arrays, not as Python objects.

    Every column that is there is full: an attribute that some rows lack is refused when the data set is made. Views
    (`take`, `where`, `for_user`) keep name and split, and know every group value and user of the data set that they come
    from: asking a view for one that happens to have no row gives an empty data set, asking for an unknown one is an error.

    Args:
        table: Columns `tokens`, `label`, `tags`, `user_id`, `timestamp`, `context`, `group:NAME`, in any Arrow encoding.
        name: What the data are called, such as "snips".
        split: Which part this is, such as "train".

    Raises:
        DataError: If the table does not have the form; see `holdfast.data.columns.canonical`.

    >>> data = Dataset.from_examples([Example(tokens=("stop",), label="stop")], name="tiny", split="train")
    >>> data
    Dataset('tiny', 'train', 1 example: tokens, label)
    >>> data[0].text, data.labels()
    ('stop', ['stop'])
    """

    table: pa.Table
    name: str
    split: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", columns.canonical(self.table))

    @classmethod
    def from_table(cls, table: pa.Table, *, name: str, split: str) -> Self:
        """Makes a data set of an Arrow table; see the class for its columns."""
        return cls(table, name, split)

    @classmethod
    def from_examples(cls, examples: Iterable[Example], *, name: str, split: str) -> Self:
        """Makes a data set of examples that all know the same attributes.

        Raises:
            DataError: If an example lacks an attribute that another has; the message gives its position, from 0.
        """
        rows = list(examples)
        attributes: dict[str, list[Any]] = {TOKENS: [row.tokens for row in rows]}
        for attribute in (LABEL, TAGS, USER_ID, TIMESTAMP, CONTEXT):
            values = [getattr(row, attribute) for row in rows]
            if any(value is not None for value in values):
                attributes[attribute] = values
        for group in sorted({group for row in rows for group in row.groups}):
            attributes[GROUP + group] = [row.groups.get(group) for row in rows]
        words, moments = pa.list_(pa.string()), pa.timestamp("s", "UTC")
        kinds = {TOKENS: words, TAGS: words, CONTEXT: words, TIMESTAMP: moments}
        arrays = {key: pa.array(values, kinds.get(key, pa.string())) for key, values in attributes.items()}
        return cls(pa.table(arrays), name, split)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Example:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"example {position} of {len(self)}")
        return _example(self.table.slice(position % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), 1024):  # a few rows at a time, so that iterating a million stays small
            yield from map(_example, self.table.slice(start, 1024).to_pylist())

    def __repr__(self) -> str:
        size = f"{len(self):,} example{'s' if len(self) != 1 else ''}"
        return f"Dataset({self.name!r}, {self.split!r}, {size}: {', '.join(self.table.column_names)})"

    def has(self, column: str) -> bool:
        """Says whether there is such a column: "label", "tags", "user_id", "timestamp", "context", or "group:NAME"."""
        return column in self.table.column_names

    def tokens(self) -> list[list[str]]:
        """The words of each utterance."""
        return columns.lists(self._column(TOKENS))

    def labels(self) -> list[str]:
        """The label of each utterance. Raises InputError where there is none, as do the others below."""
        return columns.words(self._column(LABEL))

    def tags(self) -> list[list[str]]:
        """The tags of each utterance, one for each token."""
        return columns.lists(self._column(TAGS))

    def contexts(self) -> list[list[str]]:
        """The words that each utterance answers; none where it answers nothing."""
        return columns.lists(self._column(CONTEXT))

    def user_ids(self) -> list[str]:
        """Who said each utterance."""
        return columns.words(self._column(USER_ID))

    def timestamps(self) -> NDArray[np.datetime64]:
        """When each utterance was said, (n,), datetime64[s], in UTC."""
        return np.asarray(self._column(TIMESTAMP).cast(pa.int64())).astype("datetime64[s]")

    @property
    def group_names(self) -> tuple[str, ...]:
        """The group attributes, in alphabetical order."""
        return tuple(name.removeprefix(GROUP) for name in self.table.column_names if name.startswith(GROUP))

    def group(self, name: str) -> list[str]:
        """The value of a group attribute for each utterance."""
        return columns.words(self._group(name))

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Dataset:
        """The utterances at these positions, in this order; one may stand more than once.

        Args:
            indices: Integers in [0, n).

        Raises:
            InputError: For a position outside, or a mask of booleans (use `numpy.flatnonzero`).
        """
        positions = np.asarray(indices)
        if positions.size and not np.issubdtype(positions.dtype, np.integer):
            raise InputError(f"positions of type {positions.dtype}; give integers (np.flatnonzero(mask) for a mask)")
        if positions.size and not 0 <= positions.min() <= positions.max() < len(self):
            raise InputError(
                f"positions from {positions.min()} to {positions.max()} for {len(self)} examples; give integers in [0, {len(self)})"
            )
        return Dataset(self.table.take(pa.array(positions.astype(np.int64).ravel())), self.name, self.split)

    def where(self, group: str, value: str) -> Dataset:
        """The utterances whose group attribute has this value, in order.

        Raises:
            InputError: For an attribute or a value that the data set does not know.
        """
        return self._matching(self._group(group), value, f"group {group!r}")

    def for_user(self, user_id: str) -> Dataset:
        """The utterances of one user, in order.

        Raises:
            InputError: For a user that the data set does not know.
        """
        return self._matching(self._column(USER_ID), user_id, "user")

    @cached_property
    def content_hash(self) -> str:
        """The sha256 of the content, in hexadecimal: not of the name, the split, the chunks or the encoding."""
        return columns.content_hash(self.table)

    def _column(self, name: str) -> pa.Array:
        if not self.has(name):
            there = ", ".join(self.table.column_names)
            raise InputError(f"data set {self.name!r} ({self.split}) has no column {name!r}, only {there}; name that column when loading")
        chunks = self.table.column(name).chunks
        return chunks[0] if chunks else pa.array([], columns.SCHEMA.get(name, columns.STRING))

    def _group(self, name: str) -> pa.Array:
        if name not in self.group_names:
            hint = nearest(name, self.group_names) if self.group_names else "It has none."
            raise InputError(f"data set {self.name!r} has no group attribute {name!r}; {hint}")
        return self._column(GROUP + name)

    def _matching(self, column: pa.DictionaryArray, value: str, what: str) -> Dataset:
        index = pc.index(column.dictionary, value).as_py()
        if index < 0:
            known = column.dictionary.to_pylist()
            hint = nearest(value, known) if len(known) <= 20 else f"{len(known):,} are known, such as {known[0]!r}"
            raise InputError(f"data set {self.name!r}: no {what} {value!r}; {hint}")
        return self.take(np.flatnonzero(np.asarray(column.indices) == index))


@dataclass(frozen=True)
class DataSplits:
    """The three parts of one body of data.

    Args:
        name: What the data are called.
        train: To fit on.
        validation: To choose on.
        test: To report on.
    """

    name: str
    train: Dataset
    validation: Dataset
    test: Dataset

    @property
    def content_hash(self) -> str:
        """The sha256 over the hashes of the three parts, in hexadecimal."""
        return hashlib.sha256("\n".join(part.content_hash for part in self.parts).encode()).hexdigest()

    @property
    def parts(self) -> tuple[Dataset, Dataset, Dataset]:
        """Train, validation and test, in this order."""
        return (self.train, self.validation, self.test)

    def summary(self) -> dict[str, Any]:
        """What a run record keeps about its data: counts and a hash, no utterance; plain JSON."""
        splits = {"train": _summary(self.train), "validation": _summary(self.validation), "test": _summary(self.test)}
        return {"name": self.name, "content_hash": self.content_hash, "splits": splits}


def _summary(part: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": len(part), "content_hash": part.content_hash}
    found["tokens"] = int(columns.offsets(part._column(TOKENS))[-1])
    if part.has(LABEL):
        found["labels"] = dict(sorted(Counter(part.labels()).items()))
    if part.has(TAGS):
        found["tags"] = dict(sorted(Counter(columns.words(part._column(TAGS).flatten())).items()))
    if part.has(USER_ID):
        found["users"] = len(set(part.user_ids()))
    if part.has(CONTEXT):
        found["in_context"] = int(np.count_nonzero(np.diff(columns.offsets(part._column(CONTEXT)))))
    if part.has(TIMESTAMP) and len(part):
        moments = part.timestamps()
        found["from"], found["to"] = f"{moments.min()}Z", f"{moments.max()}Z"
    if part.group_names:
        found["groups"] = {name: dict(sorted(Counter(part.group(name)).items())) for name in part.group_names}
    return found


def _example(row: dict[str, Any]) -> Example:
    moment: datetime | None = row.get(TIMESTAMP)
    return Example(
        tokens=tuple(row[TOKENS]),
        label=row.get(LABEL),
        tags=tuple(row[TAGS]) if TAGS in row else None,
        user_id=row.get(USER_ID),
        timestamp=None if moment is None else moment.replace(tzinfo=UTC),
        groups={key.removeprefix(GROUP): value for key, value in row.items() if key.startswith(GROUP)},
        context=tuple(row[CONTEXT]) if CONTEXT in row else None,
    )
