"""Several processes that simulate together: each trains a part of every cohort, and one sum over all of them moves the same weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.federated.algorithms.contract import Weights
from holdfast.training.distributed import Group


class Replicas:
    """The processes of a simulation, each with all of the server's state; nothing but sums travels.

    Args:
        group: The processes; a group of one does without any of this.
    """

    def __init__(self, group: Group | None = None) -> None:
        self.group = group or Group.current()

    def share(self, examples: Sequence[int]) -> NDArray[np.int64]:
        """The places of a cohort that this process trains: the largest client goes to whoever has the least work so far.

        Args:
            examples: How many each client of the cohort has, (m,).
        """
        counts = np.asarray(examples, dtype=np.int64)
        if self.group.size == 1:
            return np.arange(len(counts))
        loads, mine = np.zeros(self.group.size, dtype=np.int64), []
        for place in np.argsort(-counts, kind="stable"):
            owner = int(loads.argmin())
            loads[owner] += counts[place] + 1
            if owner == self.group.rank:
                mine.append(int(place))
        return np.array(sorted(mine), dtype=np.int64)

    def add_up(self, total: Weights, arrays: Sequence[NDArray[np.generic]]) -> tuple[Weights, list[NDArray[np.float64]]]:
        """The sum over all processes of a total and of some arrays, the same in each.

        Args:
            total: By name.
            arrays: Each 0 where another process has the number.
        """
        numbers = [np.asarray(one, dtype=np.float64) for one in arrays]
        if self.group.size == 1:
            return total, [one.copy() for one in numbers]
        tensors = {**total, **{f"array {place}": torch.from_numpy(one) for place, one in enumerate(numbers)}}
        summed = self.group.add(tensors)
        return {name: summed[name] for name in total}, [summed[f"array {place}"].numpy() for place in range(len(numbers))]
