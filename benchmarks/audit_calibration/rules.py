"""A rule, how often it must not raise an alarm, and how often it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from harness import Row

from holdfast.audit.intervals import rate_at_least, rate_at_most
from holdfast.core.randomness import Streams

Trial = Callable[[np.random.Generator], bool]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule in one world.

    Args:
        world: Where the scores come from.
        name: What is done with them.
        alarm: Draws the world once; True where the rule says what is not so.
        nominal: How often it may.
        metric: "false alarms", "bound above epsilon" or "interval misses".
        note: "" for a rule that ships under its own conditions; else what sets it apart.
    """

    world: str
    name: str
    alarm: Trial
    nominal: float = 0.05
    metric: str = "false alarms"
    note: str = ""

    def row(self, repeats: int) -> Row:
        """Counts alarms; the note has the Clopper-Pearson interval of their rate and what it says of the nominal one."""
        streams = Streams(0)
        alarms = sum(self.alarm(streams.generator(f"calibration {self.world} {self.name}", number)) for number in range(repeats))
        low, high = float(rate_at_least(alarms, repeats, alpha=0.025)), float(rate_at_most(alarms, repeats, alpha=0.025))
        says = "ABOVE" if low > self.nominal else "holds"
        parts = [f"[{low:.3f}, {high:.3f}] of {repeats}", f"nominal {self.nominal:g}: {says}", self.note]
        return Row(
            bench="calibration",
            case=self.world,
            engine=self.name,
            metric=self.metric,
            value=alarms / repeats,
            unit="share",
            ratio_to="nominal",
            ratio=alarms / repeats / self.nominal,
            note="; ".join(part for part in parts if part),
        )
