"""What a store of shadow scores was made from, as a small JSON file and as the name of its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from holdfast.audit.shadow.design import DESIGN, checked_size, whole
from holdfast.core.errors import InputError, RunError, nearest
from holdfast.core.files import atomic_write

SCHEMA, VERSION = "holdfast.shadow_scores", 2
DTYPE = np.dtype("<f4")


@dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """What a store of shadow scores was made from: counts, hashes and names, no example, no text and no user.

    Args:
        data_hash: Content hash of the examples, as `Dataset.content_hash`; their order counts.
        settings_digest: SHA-256 of the settings, in hexadecimal.
        examples: N.
        models: M, the most that were asked for so far.
        signals: What the scores of a model are, in the order of the file: one name for each, such as ("loss", "logit of the label").
        seed: Seed of the design.
        design: The rule that says which model has which examples.
        dtype: How a score is written.
    """

    data_hash: str
    settings_digest: str
    examples: int
    models: int
    signals: tuple[str, ...]
    seed: int
    design: str = DESIGN
    dtype: str = DTYPE.str

    def __post_init__(self) -> None:
        sizes = checked_size(self.examples, self.models)
        object.__setattr__(self, "examples", sizes[0])
        object.__setattr__(self, "models", sizes[1])
        object.__setattr__(self, "seed", whole(self.seed, "seed", least=0))
        for name in ("data_hash", "settings_digest", "design", "dtype"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise InputError(f"{name} is {value!r}; give a text that is not empty")
        object.__setattr__(self, "signals", _names(self.signals))
        for name, known in (("design", DESIGN), ("dtype", DTYPE.str)):
            if getattr(self, name) != known:
                raise InputError(f"{name} is {getattr(self, name)!r}, this holdfast knows {known!r}; use the version that wrote it")

    @property
    def origin(self) -> dict[str, Any]:
        """All that determines the score of one model: everything but how many models there are."""
        return {name: value for name, value in asdict(self).items() if name != "models"}

    @property
    def key(self) -> str:
        """SHA-256 of the origin, in hexadecimal: the name of the folder."""
        return digest(self.origin, what="header")

    def place(self, signal: str | None) -> int:
        """Where a signal stands among those of a model.

        Args:
            signal: Its name, or None for the only one.

        Raises:
            InputError: For a name that is none of them, or no name where there are several.
        """
        if signal is None and len(self.signals) == 1:
            return 0
        if signal not in self.signals:
            asked = "no signal is named, but there are several" if signal is None else f"signal is {signal!r}, which is not stored"
            raise InputError(f"{asked}; {nearest(str(signal), self.signals)}")
        return self.signals.index(signal)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a header back.

        Args:
            path: The file.

        Raises:
            RunError: If it is missing, damaged, or of a version that this holdfast does not know; names the file.
        """
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(f"{path}: there is no such file; is this the folder of a score store?") from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror}); check that the file belongs to you") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path}: damaged, not JSON ({error}); restore it from a backup or delete its folder") from error
        if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
            raise RunError(f"{path}: damaged, its schema is not {SCHEMA!r}; restore it from a backup or delete its folder")
        if (version := document.pop("schema_version", None)) != VERSION:
            raise RunError(f"{path}: schema version {version!r}, this holdfast reads {VERSION}; use the version that wrote it")
        try:
            return cls(**document)
        except (InputError, TypeError) as error:  # TypeError: a key too many or too few
            raise RunError(f"{path}: damaged or foreign ({error}); restore it from a backup or delete its folder") from error

    def write(self, path: Path) -> None:
        """Puts the header in place, whole or not at all.

        Args:
            path: The file.

        Raises:
            TrainingStopped: If the disk is full; the header before stays.
            RunError: If the file cannot be written.
        """
        atomic_write(path, json.dumps({"schema": SCHEMA, "schema_version": VERSION, **asdict(self)}, indent=2) + "\n")

    def require(self, asked: StoreHeader, *, path: Path) -> None:
        """Refuses a store that was made from something else, and so no longer has the name that belongs to it.

        Args:
            asked: What the scores should have been made from; the number of models may be another.
            path: The file of this header, for the message.

        Raises:
            RunError: Names each thing that differs with both of its values, such as the two content hashes of the data.
        """
        mine, theirs = self.origin, asked.origin
        other = [f"{name} is {mine[name]!r}, not {theirs[name]!r}" for name in mine if mine[name] != theirs[name]]
        if other:
            raise RunError(f"{path}: made from something else: {'; '.join(other)}. Move its folder away, or restore it from a backup")


def _names(signals: Sequence[str]) -> tuple[str, ...]:
    """Names of signals, as a tuple also where JSON made a list of them."""
    names = tuple(signals) if isinstance(signals, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError(f"signals is {signals!r}; give at least one name, such as ('loss',), none of them empty and none twice")
    return names


def digest(document: Mapping[str, Any], *, what: str) -> str:
    """SHA-256 over canonical JSON: keys sorted, no spaces, ASCII.

    Args:
        document: What can be written as JSON.
        what: What it is called in the message.

    Raises:
        InputError: If it is not JSON, as a path or a number that is not finite.
    """
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be written as JSON ({error}); give texts, finite numbers, lists and dictionaries") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()
