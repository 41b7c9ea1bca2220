"""Bad updates, for tests and for simulations of what a rule withstands.

Attacks on the labels of a client's examples are a matter of its data and are not here.

Shapes: m clients of a cohort, P numbers of an update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.randomness import Streams
from holdfast.federated.robust.named import above_zero, made


class Attack(Protocol):
    """Puts something else in the place of some updates.

    Guarantee:
        Updates of other clients stay as they are, and what is put in depends on (streams, round, client) and the client's own update alone.
    """

    name: ClassVar[str]

    def __call__(self, deltas_mP: Tensor, clients_m: NDArray[np.int64], bad: NDArray[np.int64], *, streams: Streams, round: int) -> Tensor:
        """The updates that the server gets, (m, P), a copy.

        Args:
            deltas_mP: The updates as trained.
            clients_m: Number of each client.
            bad: Numbers of the clients that attack.
            streams: Of the run.
            round: Counted from 0.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        ...


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """The client's own update, backwards, so many times.

    Args:
        times: > 0.
    """

    name: ClassVar[str] = "sign flip"
    times: float = 1.0

    def __post_init__(self) -> None:
        above_zero(self.name, times=self.times)

    def __call__(self, deltas_mP: Tensor, clients_m: NDArray[np.int64], bad: NDArray[np.int64], *, streams: Streams, round: int) -> Tensor:
        """The updates that the server gets."""
        found = deltas_mP.clone()
        found[_places(clients_m, bad)] *= -self.times
        return found

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"attack": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A direction drawn anew for each client and round, of a given length.

    Args:
        norm: > 0.
    """

    name: ClassVar[str] = "noise"
    norm: float

    def __post_init__(self) -> None:
        above_zero(self.name, norm=self.norm)

    def __call__(self, deltas_mP: Tensor, clients_m: NDArray[np.int64], bad: NDArray[np.int64], *, streams: Streams, round: int) -> Tensor:
        """The updates that the server gets."""
        found = deltas_mP.clone()
        for place in _places(clients_m, bad).tolist():
            drawn = streams.generator("attack noise", round, int(clients_m[place])).standard_normal(deltas_mP.shape[1])
            found[place] = torch.from_numpy(drawn * (self.norm / np.linalg.norm(drawn))).to(found)
        return found

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"attack": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Push:
    """One and the same direction of every bad client in every round, drawn once for a run: clients that attack together.

    Args:
        norm: Length of the push, > 0.
    """

    name: ClassVar[str] = "push"
    norm: float

    def __post_init__(self) -> None:
        above_zero(self.name, norm=self.norm)

    def __call__(self, deltas_mP: Tensor, clients_m: NDArray[np.int64], bad: NDArray[np.int64], *, streams: Streams, round: int) -> Tensor:
        """The updates that the server gets."""
        found = deltas_mP.clone()
        drawn = streams.generator("attack push").standard_normal(deltas_mP.shape[1])
        found[_places(clients_m, bad)] = torch.from_numpy(drawn * (self.norm / np.linalg.norm(drawn))).to(found)
        return found

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"attack": self.name, **asdict(self)}


_ATTACKS: dict[str, type[Any]] = {kind.name: kind for kind in (SignFlip, Noise, Push)}


def attack(name: str, options: Mapping[str, Any] | None = None) -> Attack:
    """Makes an attack by its name.

    Args:
        name: "sign flip", "noise" or "push".
        options: Of `SignFlip` (times), `Noise` (norm) or `Push` (norm).

    Raises:
        InputError: For an unknown name or option, with the nearest one, or one that is missing.
    """
    return made("attack", _ATTACKS, name, options)  # type: ignore[no-any-return]  # each kind is an Attack


def _places(clients_m: NDArray[np.int64], bad: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.flatnonzero(np.isin(clients_m, bad)))
