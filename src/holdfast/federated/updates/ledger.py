"""Bytes of a federation, up and down, as they would really be sent.

Shapes: C clients of a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError, RunError
from holdfast.federated.local import TableRows, Updates
from holdfast.federated.updates import wire

WHOLE, AS_ROWS = "whole", "rows"


@dataclass(frozen=True, eq=False)
class Sent:
    """What the clients of a block send.

    Args:
        bytes: Of each client's message, (C,).
        forms: How many tables travelled "whole" and how many as "rows".
    """

    bytes: NDArray[np.int64]
    forms: Mapping[str, int]


def sent(updates: Updates, like: Mapping[str, Tensor]) -> Sent:
    """Counts the bytes that each client of a block sends when nothing is compressed.

    A table of which a client moved few rows travels as these rows and their numbers where that is shorter; else whole.

    Args:
        updates: Of the block.
        like: The weights, for names, types and shapes.

    Guarantee:
        Equal to the length of `message` of each client.
    """
    whole = tuple((name, like[name].dtype, tuple(like[name].shape)) for name in updates.dense)
    moved = {name: _moved(table).sum(1).tolist() for name, table in updates.tables.items()}
    forms: Counter[str] = Counter()
    found = []
    for client in range(len(updates)):
        entries = whole
        for name, counts in moved.items():
            form, those = _form(name, like[name].dtype, tuple(like[name].shape), counts[client])
            forms[form] += 1
            entries += those
        found.append(wire.length(entries))
    return Sent(np.array(found, dtype=np.int64), dict(forms))


def message(updates: Updates, client: int, like: Mapping[str, Tensor]) -> bytes:
    """What one client sends, as bytes; `wire.unpack` reads it.

    Args:
        updates: Of the block.
        client: Its row in this block.
        like: The weights, for names, types and shapes.
    """
    dense = {name: values[client].to(like[name].dtype) for name, values in updates.dense.items()}
    tables = {}
    for name, table in updates.tables.items():
        moved_R = _moved(table)[client]
        rows, values = table.rows_CR[client][moved_R], table.values_CRD[client][moved_R].to(like[name].dtype)
        if _form(name, like[name].dtype, tuple(like[name].shape), len(rows))[0] == WHOLE:
            dense[name] = torch.zeros_like(like[name], device=values.device).index_add_(0, rows, values)
        else:
            tables[name] = rows, values
    return wire.pack(dense, tables)


def _moved(table: TableRows) -> Tensor:
    """Which rows have a number other than 0, (C, R); a row that did not move need not travel."""
    return table.values_CRD.abs().amax(2) != 0  # a third of the time that `any` takes


def _form(name: str, dtype: torch.dtype, shape: tuple[int, ...], rows: int) -> tuple[str, tuple[wire.Entry, ...]]:
    whole: tuple[wire.Entry, ...] = ((name, dtype, shape),)
    sparse: tuple[wire.Entry, ...] = (
        (name + wire.ROWS, torch.int32, (rows,)),
        (name + wire.VALUES, dtype, (rows, *shape[1:])),
    )
    return (AS_ROWS, sparse) if wire.length(sparse) < wire.length(whole) else (WHOLE, whole)


@dataclass
class Traffic:
    """What travelled in one round.

    Args:
        bytes_up: From the clients.
        bytes_down: To the clients.
        messages_up: How many messages these were.
        messages_down: The same, down.
    """

    bytes_up: int = 0
    bytes_down: int = 0
    messages_up: int = 0
    messages_down: int = 0


@dataclass
class Ledger:
    """Adds up what travels, round by round.

    Args:
        rounds: What travelled in each round.
        forms: How many tables travelled "whole" and how many as "rows".

    >>> ledger = Ledger()
    >>> ledger.add(0, up=[10, 30], down=[50, 50])
    >>> ledger.bytes_up, ledger.bytes_up_per_client, ledger.bytes_down
    (40, 20.0, 100)
    """

    rounds: dict[int, Traffic] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        round: int,
        *,
        up: Sequence[int] | NDArray[np.int64] = (),
        down: Sequence[int] | NDArray[np.int64] = (),
        forms: Mapping[str, int] | None = None,
    ) -> None:
        """Adds messages to a round; blocks of a cohort may come one by one.

        Args:
            round: Counted from 0.
            up: Bytes of each message of a client; a client that failed before it sent anything has none.
            down: Bytes of each message to a client.
            forms: How tables travelled, as `Sent.forms`.

        Raises:
            InputError: For a round or a message below 0.
        """
        lengths = [int(value) for value in (*up, *down)]
        if round < 0 or any(value < 0 for value in lengths):
            raise InputError(f"ledger: round {round} with messages of {min(lengths, default=0)} bytes or more; give numbers >= 0")
        traffic = self.rounds.setdefault(int(round), Traffic())
        traffic.bytes_up += sum(lengths[: len(up)])
        traffic.bytes_down += sum(lengths[len(up) :])
        traffic.messages_up += len(up)
        traffic.messages_down += len(down)
        for form, count in (forms or {}).items():
            self.forms[form] = self.forms.get(form, 0) + int(count)

    @property
    def bytes_up(self) -> int:
        """Bytes from the clients, all rounds."""
        return sum(traffic.bytes_up for traffic in self.rounds.values())

    @property
    def bytes_down(self) -> int:
        """Bytes to the clients, all rounds."""
        return sum(traffic.bytes_down for traffic in self.rounds.values())

    @property
    def bytes_up_per_client(self) -> float | None:
        """Mean bytes of a message of a client; None without one."""
        messages = sum(traffic.messages_up for traffic in self.rounds.values())
        return self.bytes_up / messages if messages else None

    @property
    def bytes_down_per_client(self) -> float | None:
        """Mean bytes of a message to a client; None without one."""
        messages = sum(traffic.messages_down for traffic in self.rounds.values())
        return self.bytes_down / messages if messages else None

    def to_json(self) -> dict[str, Any]:
        """The ledger as plain data."""
        rounds = [{"round": round, **asdict(traffic)} for round, traffic in sorted(self.rounds.items())]
        return {"rounds": rounds, "forms": dict(sorted(self.forms.items()))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` gave.

        Raises:
            RunError: If it is something else.
        """
        try:
            rows = [dict(row) for row in document["rounds"]]
            rounds = {int(row.pop("round")): Traffic(**row) for row in rows}
            return cls(rounds, {str(form): int(count) for form, count in document["forms"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"ledger: this is no ledger of bytes ({type(error).__name__}: {error})") from None
