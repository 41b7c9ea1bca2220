"""The engine's end of the line to the benchmark: it says when it is ready, waits for its turn, and reports each round as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from federation.jobs import save_weights
from federation.meter import TOKEN, Meter


class Line:
    """What an engine calls between its rounds.

    Args:
        rounds: That will be run.
        torch_seconds: Wall and CPU seconds that the import of torch took, which are no fault of the engine.

    All else that the engine prints goes to its log: the line takes the standard output for itself.
    """

    def __init__(self, rounds: int, torch_seconds: tuple[float, float]) -> None:
        self.rounds, self.torch_seconds = rounds, torch_seconds
        self.meter = Meter(os.environ.get(TOKEN, ""))
        self._done = -1
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def next_round(self) -> bool:
        """Ends the round that runs, if one does, and waits for the turn of the next.

        Returns:
            Whether there is a next one.
        """
        if self._done < 0:
            wall, cpu = self.torch_seconds
            self._say(event="ready", torch_seconds=wall, cpu_seconds=self.meter.total() - cpu)
        else:
            cpu, wall = self.meter.stop()
            self._say(event="round", round=self._done, cpu_seconds=cpu, wall_seconds=wall)
        self._done += 1
        if self._done >= self.rounds or sys.stdin.readline().strip() != "go":
            return False
        self.meter.start()
        return True

    def finish(self, weights: Sequence[NDArray[Any]], path: str, note: str = "") -> None:
        """Hands the trained weights over.

        Args:
            weights: In the order of the parameters.
            path: Where to write them.
            note: What a reader of the figures must know.
        """
        save_weights(Path(path), weights)
        self._say(event="end", memory_mib=self.meter.memory(), note=note)

    def _say(self, **said: object) -> None:
        self._out.write(json.dumps(said) + "\n")


def import_torch() -> tuple[float, float]:
    """Imports torch; the environment says that it gets one thread.

    Returns:
        Wall and CPU seconds that it took.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    import torch  # noqa: F401

    return time.perf_counter() - wall, time.process_time() - cpu
