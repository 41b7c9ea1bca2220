"""The losses of all fills of a model's secrets, enumerated once for each pattern and looked up afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.audit.canaries.fills import FillLosses, Places, checked_places, every_loss, fills_of, places_at
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError
from holdfast.core.progress import OnProgress, silent
from holdfast.data.secrets import SecretPattern

MOST = 10**6
"""Spaces of more fills are not enumerated unless asked for: a million takes a small model about half a minute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FillTable:
    """The loss of every fill of one pattern, in lexicographic order; what gives losses without asking the model again.

    Args:
        pattern: The known words and the candidates.
        every: Losses, (V^n,), in nats.
    """

    pattern: SecretPattern
    every: Floats

    @property
    def chunk(self) -> int:
        """A look-up may take all at once."""
        return max(1, self.every.size)

    @property
    def least(self) -> float:
        """The least loss of all fills."""
        return float(self.every.min())

    def losses(self, places: Places) -> Floats:
        """The loss of each fill, (K,), in nats.

        Args:
            places: (K, n).
        """
        worth = len(self.pattern.candidates) ** np.arange(self.pattern.length - 1, -1, -1, dtype=np.int64)
        return np.asarray(self.every[checked_places(places, self.pattern) @ worth])

    def best(self) -> tuple[int, ...]:
        """The fill of least loss, the first of several."""
        return tuple(places_at(np.array([self.every.argmin()]), self.pattern)[0].tolist())


class SecretTables:
    """The fills of a model's secrets, and the losses of all of them where they are few enough; each pattern is looked at once.

    Give the same object to `rank_secrets` and `invert_secrets`, and a pattern is enumerated once for all of them. The weights
    of the model must not change meanwhile.

    Args:
        model: An open model, or whatever gives losses; see `fills_of`.
        most: Fills of one pattern that are enumerated at most.
        allow_alike: See `open_fills`.
        on_progress: Told how far an enumeration is; an error that it raises stops it.
    """

    def __init__(self, model: Any, *, most: int = MOST, allow_alike: bool = False, on_progress: OnProgress = silent) -> None:
        if most < 0:
            raise InputError(f"most is {most}; give the number of fills to enumerate at most, 0 for none")
        self.model = model
        self.most = most
        self._allow_alike = allow_alike
        self._on_progress = on_progress
        self._fills: dict[SecretPattern, FillLosses] = {}
        self._tables: dict[SecretPattern, FillTable] = {}

    def fills(self, pattern: SecretPattern) -> FillLosses:
        """What gives the loss of any fill by asking the model."""
        if pattern not in self._fills:
            self._fills[pattern] = fills_of(pattern, self.model, allow_alike=self._allow_alike)
        return self._fills[pattern]

    def table(self, pattern: SecretPattern) -> FillTable | None:
        """The losses of all fills; None where there are more than `most`."""
        if pattern.size > self.most:
            return None
        if pattern not in self._tables:
            every = every_loss(self.fills(pattern), on_progress=self._on_progress)
            self._tables[pattern] = FillTable(pattern=pattern, every=every)
        return self._tables[pattern]
