"""Updates in fewer bytes: real byte strings, what they cost, and what arrives of them.

Shapes: C clients of a block, P numbers of an update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError, RunError, nearest
from holdfast.core.randomness import Streams
from holdfast.federated.local import Updates
from holdfast.federated.updates import wire
from holdfast.federated.updates.layout import Layout
from holdfast.federated.updates.schemes import EightBit, Scheme, Sign, TopK, Whole
from holdfast.models import checks

_SCHEMES: dict[str, type[Any]] = {kind.name: kind for kind in (Whole, TopK, EightBit, Sign)}
COMPRESSORS = tuple(_SCHEMES)
Numbers = Sequence[int] | NDArray[np.int64]
"""Numbers of clients."""


@runtime_checkable
class Compressor(Protocol):
    """Makes bytes of an update and an update of bytes.

    Guarantee:
        What a client draws depends on (streams, round, client) alone. For weights of one type, float32 or wider, `decompress` of `compress`
        is what `transmit` says of that client. `length` is the length of the bytes.
    """

    @property
    def name(self) -> str:
        """Such as "top-k"."""
        ...

    def compress(self, update: Mapping[str, Tensor], *, streams: Streams, round: int, client: int) -> bytes:
        """One client's update as bytes.

        Args:
            update: By name.
            streams: Of the run.
            round: Counted from 0.
            client: Its number.
        """
        ...

    def decompress(self, data: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `compress` wrote, as an update.

        Args:
            data: The bytes; they need not be trusted.
            like: The weights, for names, types and shapes.

        Raises:
            RunError: For bytes of something else, or that do not fit these weights.
        """
        ...

    def transmit(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Numbers) -> Tensor:
        """What arrives of the updates of a block, (C, P), without the bytes in between.

        Args:
            rows_CP: The updates, of `layout`.
            layout: Of the weights.
            streams: Of the run.
            round: Counted from 0.
            clients: Number of each client.
        """
        ...

    def length(self, layout: Layout) -> int:
        """How many bytes one client sends."""
        ...

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        ...


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressor that remembers nothing.

    Args:
        scheme: How it is made smaller.
    """

    scheme: Scheme

    @property
    def name(self) -> str:
        """Such as "top-k"."""
        return self.scheme.name

    def compress(self, update: Mapping[str, Tensor], *, streams: Streams, round: int, client: int) -> bytes:
        """One client's update as bytes."""
        layout = Layout.of(update)
        row_1P = layout.flatten(update)[None]
        parts = self.scheme.encode(row_1P, layout, streams=streams, round=round, clients=[client])
        return wire.write({name: part[0] for name, part in parts.items()}, self._mark)

    def decompress(self, data: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `compress` wrote, as an update."""
        layout = Layout.of(like)
        parts = wire.read(data, self._mark)
        wanted = self.scheme.shapes(layout)
        found = {name: (part.dtype, tuple(part.shape)) for name, part in parts.items()}
        if found != wanted:
            raise RunError(f"{self.name}: the bytes hold {found}, not {wanted}; they are of other weights or other options")
        return layout.unflatten(self.scheme.decode({name: part[None] for name, part in parts.items()}, layout)[0])

    def transmit(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Numbers) -> Tensor:
        """What arrives of the updates of a block, (C, P), without the bytes in between."""
        numbers = [int(client) for client in clients]
        if rows_CP.shape != (len(numbers), layout.size):
            raise InputError(f"{self.name}: {tuple(rows_CP.shape)} numbers; give {(len(numbers), layout.size)}, a row for each client")
        parts = self.scheme.encode(rows_CP, layout, streams=streams, round=round, clients=numbers)
        return self.scheme.decode(parts, layout).to(rows_CP)

    def length(self, layout: Layout) -> int:
        """How many bytes one client sends."""
        return wire.length(tuple((name, dtype, shape) for name, (dtype, shape) in self.scheme.shapes(layout).items()), self._mark)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"compression": self.name, **asdict(self.scheme)}  # type: ignore[call-overload]  # every scheme is a dataclass

    @property
    def _mark(self) -> str | None:
        return None if isinstance(self.scheme, Whole) else f"{self.name} 1"


def compressor(name: str, options: Mapping[str, Any] | None = None) -> Compression:
    """Makes a compressor by its name.

    Args:
        name: "none", "top-k", "8-bit" or "sign".
        options: Of `TopK` (share or count), `EightBit` (scale, per) or `Sign` (per).

    Raises:
        InputError: For an unknown name or option, with the nearest one.

    >>> compressor("top-k", {"share": 0.01}).describe()
    {'compression': 'top-k', 'share': 0.01, 'count': None}
    """
    if name not in _SCHEMES:
        raise InputError(f"there is no compression {name!r}; {nearest(str(name), _SCHEMES)}")
    kind, options = _SCHEMES[name], dict(options or {})
    checks.known_options(name, kind, options)
    return Compression(kind(**options))


def arrived(
    updates: Updates,
    layout: Layout,
    through: Compressor,
    *,
    streams: Streams,
    round: int,
    clients: Numbers,
) -> Updates:
    """The updates of a block as the server gets them; each client sent `through.length(layout)` bytes.

    Args:
        updates: Of the block; where rows of tables were moved, whole tables are made of them.
        layout: Of the weights.
        through: The compressor.
        streams: Of the run.
        round: Counted from 0.
        clients: Number of each client of the block.
    """
    return layout.updates(through.transmit(layout.block(updates), layout, streams=streams, round=round, clients=clients), updates)
