"""Which client has which example, as one small file that knows how it was made and for which data."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError, RunError
from holdfast.core.files import atomic_write
from holdfast.data import Dataset
from holdfast.federated.population import Clients

MAGIC = b"holdfast.partition 1\n"
"""The first line of a file; then a line of JSON, then the clients of the examples, packed."""
MOST = 2**31
"""Examples and clients have numbers below this."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Gives every example of a data set to exactly one client.

    Args:
        scheme: The name of what made it, such as "label_dirichlet".
        parameters: Its options, as plain JSON.
        seed: What its draws came from.
        data_hash: Content hash of the data set that it was made for.
        assignment_n: The client of each example, int32, (n,), in [0, clients).
        clients: N, those without examples included.

    Raises:
        InputError: For a client outside.

    Guarantee:
        A partition holds no text, no label and no user id; its size is at most four bytes for each example, less once packed.
    """

    scheme: str
    parameters: Mapping[str, Any]
    seed: int
    data_hash: str
    assignment_n: NDArray[np.int32] = field(repr=False)
    clients: int

    def __post_init__(self) -> None:
        found = self.assignment_n
        if not 1 <= self.clients < MOST or found.ndim != 1:
            raise InputError(f"partition: {self.clients} clients, assignment of shape {found.shape}; give at least one client, and (n,)")
        if found.size and not 0 <= found.min() <= found.max() < self.clients:
            raise InputError(f"partition: clients from {found.min()} to {found.max()}; give numbers in [0, {self.clients})")

    def __len__(self) -> int:
        return len(self.assignment_n)

    def clients_of(self) -> Clients:
        """The clients and their examples."""
        return Clients.of_assignment(self.assignment_n, self.clients)

    def check(self, dataset: Dataset) -> None:
        """Makes sure that this is the data set that the partition was made for.

        Raises:
            DataError: If the content differs; the message gives both hashes.
        """
        if dataset.content_hash != self.data_hash:
            raise DataError(
                f"this partition ({self.scheme}, {len(self):,} examples) was made for data {self.data_hash[:12]}, but {dataset.name!r} "
                f"({dataset.split}, {len(dataset):,} examples) is {dataset.content_hash[:12]}; make the partition again for these data, "
                "or load the data as they were"
            )

    def describe(self) -> dict[str, Any]:
        """What it is in plain JSON, without who has what."""
        return {
            "scheme": self.scheme,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "data_hash": self.data_hash,
            "clients": self.clients,
            "examples": len(self),
        }

    def save(self, path: Path | str) -> None:
        """Writes one file, whole or not at all.

        Raises:
            InputError: If the parameters are not JSON.
            RunError: If the file cannot be written.
        """
        raw = np.ascontiguousarray(self.assignment_n, dtype=_width(self.clients)).tobytes()
        header = {**self.describe(), "sha256": hashlib.sha256(raw).hexdigest()}
        try:
            line = json.dumps(header, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"partition: parameters cannot be written as JSON ({error}); give texts, finite numbers and lists") from error
        atomic_write(Path(path), MAGIC + line.encode("ascii") + b"\n" + zlib.compress(raw, 6))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Reads what `save` wrote.

        Raises:
            RunError: If the file is missing, damaged, or none of ours.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror}); make the partition and save it there") from error
        if not content.startswith(MAGIC):
            raise RunError(f"{path}: not a partition of this version of holdfast; give a file that Partition.save wrote")
        line, _, packed = content[len(MAGIC) :].partition(b"\n")
        try:
            header = json.loads(line)
            raw = zlib.decompress(packed)
            if hashlib.sha256(raw).hexdigest() != header.pop("sha256"):
                raise ValueError("the checksum differs")
            assignment_n = np.frombuffer(raw, dtype=_width(header["clients"])).astype(np.int32)
            if len(assignment_n) != header.pop("examples"):
                raise ValueError("the number of examples differs")
            return cls(**header, assignment_n=assignment_n)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise RunError(f"{path}: damaged ({error}); make the partition again, or restore the file from a backup") from error


def read_partition(path: Path | str) -> Partition:
    """Reads a partition that `Partition.save` wrote; see there for what it raises."""
    return Partition.read(path)


def _width(clients: int) -> str:
    """The narrowest little-endian type that numbers so many clients."""
    return "<u1" if clients <= 2**8 else "<u2" if clients <= 2**16 else "<u4"
