"""Which of several processes this one is, as `torchrun` tells it: known before anything heavy is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One process among those that share a training.

    Args:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """True for the one process that writes files and speaks."""
        return self.rank == 0


def place() -> Place:
    """The place of this process; alone where it was not started by `torchrun`."""
    if "MASTER_ADDR" not in os.environ:
        return Place()
    return Place(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
