"""Columns of numbers as .npy files: written piece by piece and flushed, opened without being read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import RunError
from holdfast.core.files import explain
from holdfast.models.ragged import Ragged

PIECE = 2**24
"""Bytes that are written or read at a time."""


@dataclass(frozen=True, eq=False)
class MappedRagged(Ragged):
    """Rows in files: the ends of the offsets are looked at when it is made, and not the millions between, which would be read for that.

    `Store.verify` holds every byte against its checksum.
    """

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.values):
            raise RunError("offsets of rows do not go from 0 to the number of values; the folder is damaged, write it again")


def write_column(path: Path, pieces: Iterable[NDArray[Any]], *, dtype: np.dtype[Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Writes a .npy file piece by piece and flushes it to the disk.

    Args:
        path: A file that is not there yet.
        pieces: Parts along the first axis, in order; they are converted to `dtype`.
        dtype: Little-endian on disk.
        shape: Of the whole.

    Returns:
        What `open_column` needs to know: type, shape and sha256 of the numbers.

    Raises:
        TrainingStopped: If the disk is full.
        RunError: If the file cannot be written.
    """
    stored, digest, rows = dtype.newbyteorder("<"), hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": stored.str, "fortran_order": False, "shape": shape})
            for piece in pieces:
                raw = np.ascontiguousarray(piece, dtype=stored).tobytes()
                digest.update(raw)
                file.write(raw)
                rows += len(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(path, error, size=int(np.prod(shape)) * stored.itemsize) from error
    if rows != shape[0]:
        raise RunError(f"{path}: {rows} rows were made where {shape[0]} were promised")
    return {"dtype": stored.str, "shape": list(shape), "sha256": digest.hexdigest()}


def pieces_of(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array in parts along its first axis, of some MiB each."""
    step = max(1, PIECE // max(1, values[:1].nbytes))
    return (values[start : start + step] for start in range(0, len(values), step))


def open_column(path: Path, about: Mapping[str, Any]) -> NDArray[Any]:
    """Maps a column into memory, read-only; nothing but its head is read.

    Args:
        path: The file.
        about: What `write_column` returned.

    Raises:
        RunError: If the file is missing, shorter than it should be, or of another type or shape.
    """
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise RunError(f"{path}: missing or damaged ({error}); write the population again, or restore it from a backup") from error
    if found.dtype.str != about.get("dtype") or list(found.shape) != about.get("shape"):
        raise RunError(
            f"{path}: holds {found.dtype.str} {list(found.shape)}, but the header says {about.get('dtype')} {about.get('shape')}; "
            "the folder is damaged, write the population again"
        )
    return found


def checksum(column: NDArray[Any]) -> str:
    """The sha256 of the numbers of a column, read some MiB at a time."""
    digest = hashlib.sha256()
    for piece in pieces_of(column):
        digest.update(np.ascontiguousarray(piece).tobytes())
    return digest.hexdigest()


def narrow(bound: int) -> np.dtype[Any]:
    """int32 where all numbers are below a bound that fits in it, else int64."""
    return np.dtype(np.int32) if bound <= np.iinfo(np.int32).max else np.dtype(np.int64)
