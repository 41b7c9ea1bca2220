"""What an attack or a metric may ask of a fitted model: the least capability that it needs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Losses(Protocol):
    """Black-box access to one loss for each example."""

    def losses(self, data: Any) -> NDArray[np.float64]:
        """Returns the loss of each example, (n,), in nats, with the model in evaluation mode."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Black-box access to predicted labels."""

    def predict(self, data: Any) -> Any:
        """Returns one prediction for each example, in the task's own form."""
        ...
