"""Scores of shadow models on disk: one or more signals a model, stored whole or not at all, read without loading the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.shadow.design import balanced_block, whole
from holdfast.audit.shadow.header import StoreHeader, digest
from holdfast.audit.shadow.scores_file import Scores32, ScoresFile, checksum, reading, scores_of_model
from holdfast.core.errors import InputError, RunError
from holdfast.core.files import atomic_write, explain, flush_folder

if sys.platform != "win32":
    import fcntl

HEADER, SCORES, FINISHED, LOCK = "header.json", "scores.f32", "finished", "lock"


@dataclass(frozen=True)
class ScoreStore:
    """W signals of M shadow models for N examples, in a folder; made by `open_or_create`.

    The folder holds `header.json`, `scores.f32` (float32, little-endian, (M, W, N) on disk, so that a model is one piece and so is
    each of its signals), and in `finished/` one small file for each model that is done, with a checksum of all its signals.
    Nothing in it is a pickle.

    Args:
        folder: The folder of this store.
        header: What it was made from, with as many models as were asked for here.

    Guarantee:
        A model counts as finished only after all its signals are on the disk (fsync), and they never change then. So a process
        that is killed at any moment loses no finished model, and one that is half written is never read. Several processes may
        write at once, the same model too.

    Edge cases:
        On a file system without locks, and on Windows, the caller must see to it that no two processes write the same model.
        The file is sparse: its length says nothing about how many models are finished.
    """

    folder: Path
    header: StoreHeader

    @classmethod
    def open_or_create(
        cls,
        root: Path | str,
        *,
        data_hash: str,
        settings: Mapping[str, Any],
        examples: int,
        models: int,
        signals: tuple[str, ...],
        seed: int,
    ) -> Self:
        """Finds the store of just these scores, or makes an empty one.

        Args:
            root: The folder that holds the stores; made where it is missing.
            data_hash: Content hash of the examples in their order, as `Dataset.content_hash`.
            settings: Whatever else determines a score, such as model, training settings and version of the code, as JSON. Only
                a digest of it is stored.
            examples: N.
            models: M, even. A store that has more models, or fewer, is the same store: finished models are used again.
            signals: What the scores of a model are, one name for each of W >= 1 signals, such as ("loss", "logit of the label"). A
                store of other names, or of the same in another order, is another store.
            seed: Seed of the design; see `balanced`.

        Raises:
            InputError: For sizes that no design has, empty names, or settings that are not JSON.
            TrainingStopped: If the disk is full.
            RunError: If the folder belongs to other data or settings (names both), is damaged, or cannot be written.
        """
        settings_digest = digest(dict(settings), what="settings")
        asked = StoreHeader(
            data_hash=data_hash, settings_digest=settings_digest, examples=examples, models=models, signals=signals, seed=seed
        )
        store = cls(Path(root) / asked.key, asked)
        path = store.folder / HEADER
        with _writing(store.folder):
            store.folder.mkdir(parents=True, exist_ok=True)
            flush_folder(store.folder.parent)
        with _locked(store.folder):
            if path.exists():
                stored = StoreHeader.read(path)
                stored.require(asked, path=path)
                if stored.models < asked.models:
                    replace(stored, models=asked.models).write(path)
            else:
                with _writing(store.folder):
                    (store.folder / FINISHED).mkdir(exist_ok=True)
                if store._finished():
                    raise RunError(f"{path}: missing, though models are finished; restore it from a backup or delete its folder")
                asked.write(path)  # comes last: a folder with a header has all the rest
        store.missing()  # looks at the lengths
        return store

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Opens a store by its folder, with the most models that it was ever asked for.

        Args:
            folder: The folder of the store itself.

        Raises:
            RunError: If there is none, or it is damaged; names the file.
        """
        store = cls(Path(folder), StoreHeader.read(Path(folder) / HEADER))
        store.missing()
        return store

    @property
    def complete(self) -> bool:
        """Whether every model is finished."""
        return not self.missing()

    def missing(self) -> list[int]:
        """The models that are still to be trained, in order; looks at the disk each time.

        Raises:
            RunError: If the folder is damaged, such as a file of scores that is shorter than the finished models make it.
        """
        finished = self._finished()
        return [model for model in range(self.header.models) if model not in finished]

    def write(self, model: int, scores: ArrayLike) -> None:
        """Stores the signals of one model, and then marks it as finished.

        Args:
            model: Its number, from 0.
            scores: (N, W) in the order of the examples and of the signals, finite also as float32; (N,) will do for one signal.

        Raises:
            InputError: For another shape, scores that are no finite numbers, or a model that the store does not have.
            TrainingStopped: If the disk is full; the model is then not finished, the others stay.
            RunError: If the model is finished with other scores, or the files cannot be written.

        Edge cases:
            Writing the same scores again does nothing.
        """
        if whole(model, "model", least=0) >= self.header.models:
            raise InputError(f"model is {model}, but the store has {self.header.models}, counted from 0; open it with more")
        checked_WN = scores_of_model(scores, self.header.examples, self.header.signals, what=f"scores of model {model}")
        marker, file, mark = self._marker(model), self._file, checksum(checked_WN)
        with _locked(self.folder), _writing(file.path, size=checked_WN.nbytes):
            if marker.exists():
                if marker.read_bytes() != mark:
                    raise RunError(
                        f"{self.folder}: model {model} is finished, with other scores; finished scores never change. If training is not "
                        f"reproducible keep them, or delete {marker} to replace them"
                    )
                return
            file.write(model, checked_WN)
            flush_folder(self.folder)
            atomic_write(marker, mark)

    def read(self, signal: str | None = None) -> Scores32:
        """All scores of one signal, mapped into memory and not loaded.

        Args:
            signal: Its name; may be left out where the store has just one.

        Returns:
            (N, M), read-only; a transposed view of the file, so that the column of a model is one piece. Reading an example
            touches a page of the file for each model: see `block`.

        Raises:
            InputError: For a signal that the store does not have, or none where it has several.
            RunError: While models are missing (says how many of how many), or if the file is damaged.
        """
        place = self.header.place(signal)
        self._require_complete()
        return self._file.mapped(self.header.models, place).T

    def block(self, start: int, stop: int, signal: str | None = None) -> Scores32:
        """The scores of some examples in one signal, loaded into memory without the others.

        Args:
            start: The first example.
            stop: One past the last.
            signal: As in `read`.

        Returns:
            (stop - start, M), an array of its own.

        Raises:
            InputError: Unless 0 <= start <= stop <= N, and as in `read`.
            RunError: While models are missing (says how many of how many), or if the file is damaged.
        """
        (first, last), place = self._range(start, stop), self.header.place(signal)
        self._require_complete()
        loaded = np.empty((self.header.models, last - first), dtype=np.float32)
        for model in range(self.header.models):
            loaded[model] = self._file.part(model, place, first, last)
        return loaded.T

    def included(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which models some of the examples are members of; belongs to `block`.

        Args:
            start: The first example.
            stop: One past the last.

        Returns:
            (stop - start, M); see `balanced`.

        Raises:
            InputError: Unless 0 <= start <= stop <= N.
        """
        return balanced_block(*self._range(start, stop), self.header.models, seed=self.header.seed)

    def verify(self) -> None:
        """Reads the finished models, one at a time, and holds each against its checksum.

        Raises:
            RunError: If a model is not the one that was written; names the file, the models and the cure.
        """
        finished = [model for model in sorted(self._finished()) if model < self.header.models]
        with reading(self.folder / FINISHED):
            damaged = [model for model in finished if self._marker(model).read_bytes() != checksum(self._file.whole(model))]
        if damaged:
            raise RunError(
                f"{self._file.path}: damaged, the scores of models {_some(damaged)} are not those that were written; delete their "
                f"files in {self.folder / FINISHED} to have them trained again"
            )

    @property
    def _file(self) -> ScoresFile:
        return ScoresFile(self.folder / SCORES, len(self.header.signals), self.header.examples)

    def _finished(self) -> set[int]:
        """Every model that is marked, those beyond the number asked for too."""
        folder = self.folder / FINISHED
        with reading(folder):
            finished = {int(entry.name) for entry in folder.iterdir() if entry.name.isascii() and entry.name.isdecimal()}
        cut, size = self._file.cut(finished)
        if cut:
            raise RunError(
                f"{self._file.path}: damaged, its {size:,} bytes are too few for models {_some(cut)}, which are marked as finished; "
                f"restore it from a backup, or delete their files in {folder} to have them trained again"
            )
        return finished

    def _require_complete(self) -> None:
        missing, models = self.missing(), self.header.models
        if missing:
            raise RunError(
                f"{self.folder}: {models - len(missing)} of {models} models are trained, {len(missing)} are missing ({_some(missing)}); "
                "train them with shadow_scores, which goes on where it stopped, or open the store with fewer models"
            )

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        first = whole(start, "start", least=0)
        last = whole(stop, "stop", least=first)
        if last > self.header.examples:
            raise InputError(f"stop is {last}, but the store has {self.header.examples} examples; give at most that")
        return first, last

    def _marker(self, model: int) -> Path:
        return self.folder / FINISHED / f"{model:05d}"


def _some(models: list[int]) -> str:
    return ", ".join(map(str, models[:8])) + (", ..." if len(models) > 8 else "")


@contextmanager
def _writing(path: Path, *, size: int = 0) -> Iterator[None]:
    """Says in words what keeps a file from being written."""
    try:
        yield
    except OSError as error:
        raise explain(path, error, size=size) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time change the folder; the system takes the lock back from a process that is killed."""
    with _writing(folder / LOCK), (folder / LOCK).open("ab") as file:
        if sys.platform != "win32":
            with suppress(OSError):  # some network file systems know no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
