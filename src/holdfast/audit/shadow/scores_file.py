"""The file of a score store: signals of models as plain float32, checked on the way in and read in pieces."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.shadow.header import DTYPE
from holdfast.core.errors import InputError, RunError

Scores32 = NDArray[np.float32]


@dataclass(frozen=True)
class ScoresFile:
    """Scores (M, W, N) in one file: a model is one piece of it, and so is each signal of a model.

    Args:
        path: The file. It is sparse where models are missing.
        signals: W.
        examples: N.
    """

    path: Path
    signals: int
    examples: int

    @property
    def model_bytes(self) -> int:
        """How many bytes one model takes."""
        return self.signals * self.examples * DTYPE.itemsize

    def cut(self, models: set[int]) -> tuple[list[int], int]:
        """Which of these models do not fit into the file as it is, in order, and its length in bytes."""
        with reading(self.path):
            size = self.path.stat().st_size if self.path.exists() else 0
        return sorted(model for model in models if (model + 1) * self.model_bytes > size), size

    def write(self, model: int, scores_WN: Scores32) -> None:
        """Puts one model in its place and on the disk (fsync); the caller names what goes wrong."""
        self.path.touch()
        with self.path.open("r+b") as file:  # not through a memory map, in which a full disk would end the process
            file.seek(model * self.model_bytes)
            file.write(scores_WN.data)
            file.flush()
            os.fsync(file.fileno())

    def mapped(self, models: int, signal: int) -> Scores32:
        """One signal of the first so many models, mapped into memory and not loaded, (models, N)."""
        with reading(self.path):
            shape = (models, self.signals, self.examples)
            return np.asarray(np.memmap(self.path, dtype=DTYPE, mode="r", shape=shape)[:, signal])

    def whole(self, model: int) -> Scores32:
        """All signals of one model, (W, N)."""
        return self._piece(model, 0, self.signals * self.examples).reshape(self.signals, self.examples)

    def part(self, model: int, signal: int, start: int, stop: int) -> Scores32:
        """One signal of one model for some examples, (stop - start,)."""
        return self._piece(model, signal * self.examples + start, stop - start)

    def _piece(self, model: int, first: int, count: int) -> Scores32:
        with reading(self.path):
            piece = np.fromfile(self.path, dtype=DTYPE, count=count, offset=model * self.model_bytes + first * DTYPE.itemsize)
        if piece.size != count:
            raise RunError(f"{self.path}: damaged, it ends within model {model}; restore it from a backup")
        return piece


def as_scores(values: ArrayLike, shape: tuple[int, ...], *, what: str) -> Scores32:
    """Scores as they are stored, of the right shape; they may yet not be finite.

    Args:
        values: Real numbers.
        shape: The shape that they must have.
        what: What they are called in the message.

    Raises:
        InputError: Names the shape that was given and the one expected.
    """
    given: NDArray[Any] = np.asarray(values)
    if given.shape != shape or given.dtype.kind not in "fiu":
        raise InputError(f"{what}: shape {given.shape} of {given.dtype}, expected {shape} of real numbers")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(given, dtype=DTYPE)


def scores_of_model(values: ArrayLike, examples: int, signals: Sequence[str], *, what: str) -> Scores32:
    """The signals of a model as they are stored, (W, N).

    Args:
        values: (N, W), or (N,) for one signal.
        examples: N.
        signals: The W names.
        what: What they are called in the message.

    Raises:
        InputError: For another shape, or scores that are not finite as float32.
    """
    given: NDArray[Any] = np.asarray(values)
    if given.ndim == 1 and len(signals) == 1:
        given = given[:, None]
    scores_NW = as_scores(given, (examples, len(signals)), what=what)
    broken = not_finite(scores_NW, signals)
    if broken:
        raise InputError(f"{what}: {broken} are not finite as float32; a model whose training diverged cannot be stored")
    return np.ascontiguousarray(scores_NW.T)


def not_finite(scores_NW: Scores32, signals: Sequence[str]) -> str:
    """Says which signals of a model hold how many scores that are not finite; empty where none does.

    >>> not_finite(np.array([[0.0, np.nan], [1.0, 2.0]], dtype=np.float32), ("loss", "margin"))
    "1 of 2 of 'margin'"
    >>> not_finite(np.array([[np.inf], [1.0]], dtype=np.float32), ("loss",))
    '1 of 2 scores'
    """
    examples, counts = len(scores_NW), np.sum(~np.isfinite(scores_NW), axis=0)
    if len(signals) == 1:
        return f"{counts[0]} of {examples} scores" if counts[0] else ""
    return ", ".join(f"{count} of {examples} of {name!r}" for name, count in zip(signals, counts, strict=True) if count)


def checksum(scores_WN: Scores32) -> bytes:
    """What the mark of a finished model holds."""
    return b"%08x\n" % zlib.crc32(scores_WN.data)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Says in words what keeps a file from being read."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename or path}: cannot be read ({error.strerror}); restore it from a backup, or its rights") from error
