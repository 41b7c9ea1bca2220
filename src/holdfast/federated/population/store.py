"""A population on disk: columns that are mapped into memory, so that ten million clients open as fast as ten."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import HoldfastError, InputError, RunError
from holdfast.core.files import atomic_write, explain, flush_folder
from holdfast.data.records import hashed_id
from holdfast.federated.population.clients import Clients
from holdfast.federated.population.columns import MappedRagged, checksum, narrow, open_column, pieces_of, write_column
from holdfast.models import Encoded, Featuriser, Labels
from holdfast.models.ragged import Ragged
from holdfast.tasks import EncodedDataset

HEADER, COLUMNS, FEATURISER = "header.json", "columns-", "featuriser"
SCHEMA, VERSION = "holdfast.population", 1

Column = tuple[Iterable[NDArray[Any]], np.dtype[Any], tuple[int, ...]]
"""Pieces, type and shape of a column that is to be written."""


@dataclass(frozen=True, eq=False)
class Store:
    """A population in a folder, opened by `open_store`.

    Args:
        encoded: The examples, memory-mapped.
        clients: Who has which, memory-mapped.
        moments: When each example was said, datetime64[s], (rows of encoded,); None where that is not known.
        data_hash: Content hash of the data set that it was made of; None where it was made of none.
        folder: The folder.
        about: What the header says of each column.
    """

    encoded: EncodedDataset
    clients: Clients
    moments: NDArray[np.datetime64] | None
    data_hash: str | None
    folder: Path
    about: Mapping[str, Any] = field(repr=False)

    def verify(self) -> None:
        """Reads every column and holds it against its checksum.

        Raises:
            RunError: Naming the first file that is not as it was written.
        """
        columns = self.folder / self.about["folder"]
        for name, about in self.about["columns"].items():
            path = columns / f"{name}.npy"
            if checksum(open_column(path, about)) != about["sha256"]:
                raise RunError(f"{path}: damaged, its numbers are not those that were written; write the population again")


@dataclass(frozen=True, eq=False)
class StoredNames(Sequence[str]):
    """Hashed names of clients, read when they are asked for.

    Args:
        values: ASCII bytes, (N,).
    """

    values: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [name.decode("ascii") for name in self.values[place].tolist()]
        return bytes(self.values[place]).decode("ascii")


def write_store(
    folder: Path | str,
    encoded: EncodedDataset,
    clients: Clients,
    *,
    moments: NDArray[np.datetime64] | None = None,
    data_hash: str | None = None,
) -> None:
    """Writes a population into a folder, or puts it in the place of the one that is there.

    Args:
        folder: Empty, missing, or one that holds a population.
        encoded: The examples of all clients.
        clients: Who has which of them. Names that are no 16 hexadecimal digits yet are hashed.
        moments: When each example was said, (rows of encoded,).
        data_hash: `Dataset.content_hash` of what was encoded.

    Raises:
        InputError: If the clients name examples that are not there, or the moments are not one for each row.
        TrainingStopped: If the disk is full; a population that was there stays.
        RunError: If the folder holds something else, or cannot be written.

    Guarantee:
        A process that is killed at any moment leaves the old population or the new one. The new columns have a folder of their own
        and count from the moment in which the header names it. One process at a time may write.

    Edge cases:
        The columns are numbers of the words of people, and as private as the text.
    """
    rows = len(encoded)
    if moments is not None and np.shape(moments) != (rows,):
        raise InputError(f"population: moments of shape {np.shape(moments)} for {rows} examples; give one for each")
    highest = clients.total - 1 if clients.examples is None else int(clients.examples.max(initial=-1))
    lowest = 0 if clients.examples is None else int(clients.examples.min(initial=0))
    if highest >= rows or lowest < 0:
        raise InputError(
            f"population: clients have examples from {lowest} to {highest}, but there are {rows}; give positions in [0, {rows})"
        )
    columns = columns_of(encoded)
    columns["clients.offsets"] = _whole(clients.offsets, np.dtype(np.int64))
    if clients.examples is not None:
        columns["clients.examples"] = _whole(clients.examples, narrow(rows))
    if clients.names is not None:
        columns["clients.names"] = _whole(np.array([_hashed(name) for name in clients.names], dtype="S16"), np.dtype("S16"))
    if moments is not None:
        columns["moments"] = _whole(np.asarray(moments).astype("datetime64[s]").astype(np.int64), np.dtype(np.int64))
    write_folder(folder, encoded, columns, clients=len(clients), examples=clients.total, data_hash=data_hash)


def open_store(folder: Path | str, *, featuriser: Featuriser | None = None) -> Store:
    """Opens a population without reading it: a few files are mapped, whatever its size.

    Args:
        folder: What `write_store` or `write_synthetic` wrote.
        featuriser: For a store whose featuriser is none of holdfast's own.

    Raises:
        RunError: If there is no population, or it is damaged, or of a later version.
    """
    folder = Path(folder)
    header = _header(folder)
    columns = folder / header["folder"]
    found = {name: open_column(columns / f"{name}.npy", about) for name, about in header["columns"].items()}
    try:
        encoded = _encoded(found, header, featuriser or _load_featuriser(header["featuriser"], columns / FEATURISER))
        names = StoredNames(np.asarray(found["clients.names"])) if "clients.names" in found else None
        clients = Clients(found["clients.offsets"], _plain(found.get("clients.examples")), names)
        if len(clients) != header["clients"] or clients.total != header["examples"]:
            raise RunError(f"the columns have {len(clients)} clients, the header {header['clients']}")
        moments = found["moments"].view("datetime64[s]") if "moments" in found else None
    except (HoldfastError, KeyError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{folder}: the population is damaged ({error}); write it again, or restore it from a backup") from error
    return Store(encoded, clients, moments, header["data_hash"], folder, header)


def write_folder(
    folder: Path | str, encoded: EncodedDataset, columns: Mapping[str, Column], *, clients: int, examples: int, data_hash: str | None
) -> None:
    """Writes columns and a featuriser into a folder of their own, names it in the header, and deletes the one before.

    Args:
        folder: As for `write_store`.
        encoded: Whose featuriser and labels go with the columns.
        columns: All columns, in the order of writing.
        clients: N.
        examples: n, those of all clients together.
        data_hash: Of the data, if there are any.
    """
    folder = Path(folder)
    _require_ours(folder)
    fresh = folder / f"{COLUMNS}{secrets.token_hex(4)}"
    try:
        (fresh / FEATURISER).mkdir(parents=True)
        encoded.featuriser.save(fresh / FEATURISER)
        about = {
            name: write_column(fresh / f"{name}.npy", pieces, dtype=kind, shape=shape) for name, (pieces, kind, shape) in columns.items()
        }
        flush_folder(fresh)
        document = {
            "schema": SCHEMA,
            "version": VERSION,
            "folder": fresh.name,
            "data_hash": data_hash,
            "clients": clients,
            "examples": examples,
            "padding": encoded.encoded.padding,
            "labels": encoded.labels.to_json(),
            "featuriser": type(encoded.featuriser).__name__,
            "columns": about,
        }
        atomic_write(folder / HEADER, json.dumps(document, indent=1))
    except BaseException as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(error, OSError):
            raise explain(folder, error, size=0) from error
        raise
    for other in folder.glob(f"{COLUMNS}*"):
        if other != fresh:
            shutil.rmtree(other, ignore_errors=True)


def columns_of(encoded: EncodedDataset) -> dict[str, Column]:
    """The columns of encoded examples, by the names that they have on disk."""
    inner = encoded.encoded
    ragged = {"pieces": inner.pieces, "first": inner.words, "spelled": inner.spelled, "tokens": encoded.tokens}
    found: dict[str, Column] = {}
    for name, rows in ragged.items():
        if rows is not None:
            found[f"{name}.values"] = _whole(rows.values, np.dtype(np.int32))
            found[f"{name}.offsets"] = _whole(rows.offsets, np.dtype(np.int64))
    flat = {"words": encoded.words, "sentence": encoded.sentence, "spellings": inner.spellings, "states": inner.states}
    return found | {name: _whole(values, values.dtype) for name, values in flat.items() if values is not None}


def _encoded(found: Mapping[str, NDArray[Any]], header: Mapping[str, Any], featuriser: Featuriser) -> EncodedDataset:
    def ragged(name: str) -> Ragged | None:
        if f"{name}.offsets" not in found:
            return None
        rows = MappedRagged(np.asarray(found[f"{name}.values"]), np.asarray(found[f"{name}.offsets"]))
        if len(rows) != len(found["words"]):
            raise RunError(f"{name} has {len(rows)} rows, words has {len(found['words'])}")
        return rows

    inner = Encoded(
        cast(Ragged, ragged("pieces")),
        padding=header["padding"],
        words=ragged("first"),
        spellings=_plain(found.get("spellings")),
        spelled=ragged("spelled"),
        states=_plain(found.get("states")),
    )
    labels = Labels.from_json(header["labels"])
    return EncodedDataset(inner, featuriser, labels, np.asarray(found["words"]), _plain(found.get("sentence")), ragged("tokens"))


def _header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); give a folder that write_store wrote") from error
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); write the population again") from error
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise RunError(f"{path}: not a population; give a folder that write_store wrote")
    if header.get("version") != VERSION:
        raise RunError(f"{path}: version {header.get('version')!r}, this holdfast reads {VERSION}; read it with the one that wrote it")
    wanted = {"folder": str, "clients": int, "examples": int, "labels": dict, "featuriser": str, "columns": dict, "padding": int}
    wrong = [name for name, kind in wanted.items() if not isinstance(header.get(name), kind)]
    names = "".join(header["columns"]) if not wrong else ""
    if wrong or not re.fullmatch(rf"{COLUMNS}[0-9a-f]+", header["folder"]) or not re.fullmatch(r"[a-z.]*", names):
        raise RunError(f"{path}: damaged ({', '.join(wrong) or 'names of files'}); write the population again")
    return header


def _require_ours(folder: Path) -> None:
    """Refuses to write among files of somebody else."""
    if folder.exists() and not (folder / HEADER).exists():
        with suppress(FileNotFoundError):
            other = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith((COLUMNS, f".{HEADER}")))
            if other:
                raise RunError(f"{folder}: holds {other[0]!r} and no population; give an empty folder, or one that does not exist")
    elif folder.exists():
        _header(folder)


def _load_featuriser(name: str, folder: Path) -> Featuriser:
    from holdfast.models.causal.featuriser import NextWordFeaturiser
    from holdfast.models.hub import PieceFeaturiser
    from holdfast.models.words import WordFeaturiser

    known: dict[str, Callable[[Path], Featuriser]] = {
        each.__name__: each.load for each in (WordFeaturiser, PieceFeaturiser, NextWordFeaturiser)
    }
    if name not in known:
        raise RunError(f"its featuriser is a {name}, which holdfast cannot load by itself: give open_store the featuriser")
    return known[name](folder)


def _whole(values: NDArray[Any], kind: np.dtype[Any]) -> Column:
    return pieces_of(values), kind, values.shape


def _plain(values: NDArray[Any] | None) -> NDArray[Any] | None:
    """The same memory as an ordinary array, whose slices cost less than those of a memmap."""
    return None if values is None else np.asarray(values)


def _hashed(name: str) -> str:
    return name if re.fullmatch(r"[0-9a-f]{16}", name) else hashed_id(name, salt="population")
