"""What a row of a table goes through in steps that do not meet it: momentum and Adam with a zero gradient, many steps at once.

With momentum mu, the s-th step since a row was moved last takes ``rate * mu^s * first`` off: a sum of rates, weighted.
With Adam, whose corrected moments at step t are ``b1^s first / (1 - b1^t)`` and ``b2^s second / (1 - b2^t)``, it takes off
``w_s first / (sqrt(second) + eps q_s)``, with ``w_s = rate sqrt(1 - b2^t) / (1 - b1^t) (b1 / sqrt(b2))^s`` and
``q_s = sqrt(1 - b2^t) b2^(-s/2)``. Only eps keeps the terms from having one denominator. Here it is multiplied by the mean of
the q_s, weighted by the w_s, and so the sum is exact to first order in ``eps / sqrt(second)``: its relative error is at most
the weighted relative variance of the q_s (below 0.3 in the first steps, below 1e-4 after a thousand) times the square of
``eps q / (sqrt(second) + eps q)``. Measured over 120 steps against torch in double precision, over what was moved: 2e-14 in the
median for gradients of 1e-2, 1e-10 for 1e-4, 1e-6 for 1e-6; in the worst element 2e-8, 1e-4 and 6e-4. An element with a
second moment of zero never moves.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.privacy.kernels.rows import Missed, Move

FIRST_DECAY, SECOND_DECAY, FLOOR = 0.9, 0.999, 1e-8
"""Those of torch's Adam; the first also is the momentum of `TrainingSettings`."""


class Lateness:
    """Keeps, for every step that may have moved a row last, what the row has missed since.

    Args:
        second: True for Adam, False for momentum alone.
        models: How many models, where their rates may differ; 1 where they share them.
        steps: How many steps there will be.
        dtype: Of the tables.
    """

    def __init__(self, *, second: bool, models: int, steps: int, dtype: torch.dtype) -> None:
        self._second, self._dtype, self._step = second, dtype, 0
        since = np.arange(steps, -1.0, -1.0)  # the last n + 1 of a list belong to steps n, n - 1, ... 0 ago
        self._first_decay, self._second_decay = (decay**since for decay in (FIRST_DECAY, SECOND_DECAY))
        self._weight = (FIRST_DECAY / math.sqrt(SECOND_DECAY) if second else FIRST_DECAY) ** since
        self._move, self._lift = np.zeros((models, steps + 1)), np.zeros((models, steps + 1))

    def missed(self) -> Missed:
        """What rows have missed up to and with the last step that was taken, by the step that moved them last, from 0."""
        known = self._step + 1
        move, lift = self._move[:, :known], self._lift[:, :known]
        floor = FLOOR * np.divide(lift, move, out=np.ones_like(move), where=move > 0)
        decays = (np.broadcast_to(one[-known:], move.shape) for one in (self._first_decay, self._second_decay))
        return Missed(*(torch.from_numpy(one.astype(self._numbers)) for one in (move, floor, *decays)))

    def took(self, rates_M: NDArray[np.float64]) -> Move:
        """Takes a step with these rates, one for each model or one for all, and says how it moves the rows that it meets."""
        self._step += 1
        step, shared = self._step, len(self._move) == 1
        rates_M1 = rates_M[:1, None] if shared else rates_M[:, None]
        weight = self._weight[-step - 1 : -1]  # of rows that were moved last in steps 0 to step - 1
        move, lift = self._move[: len(rates_M1), :step], self._lift[: len(rates_M1), :step]
        if not self._second:
            move += rates_M1 * weight
            return Move(torch.from_numpy(rates_M), FIRST_DECAY)
        first, second = 1 - FIRST_DECAY**step, 1 - SECOND_DECAY**step
        more = rates_M1 * (math.sqrt(second) / first) * weight
        move += more
        lift += more * math.sqrt(second) / np.sqrt(self._second_decay[-step - 1 : -1])
        return Move(torch.from_numpy(rates_M / first), FIRST_DECAY, SECOND_DECAY, 1 / math.sqrt(second), FLOOR)

    @property
    def _numbers(self) -> type[np.floating]:
        return np.float32 if self._dtype == torch.float32 else np.float64
