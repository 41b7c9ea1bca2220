"""Norm bounding: no client moves the model by more than so much. It fits a sum, and so secure aggregation.

Shapes: m clients of a cohort, P numbers of an update.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.federated.robust.contract import NOTE, counted, weighted_sum
from holdfast.federated.robust.named import above_zero


@dataclass(frozen=True, kw_only=True)
class NormBound:
    """The weighted sum of updates, each brought to a norm of at most `bound`.

    Pitfall: users of a rare language have the longest way to go, so the bound holds them back most.

    Args:
        bound: M > 0: an update is multiplied by min(1, M / its norm).

    Raises:
        InputError: For a bound that is not above 0.

    References:
        Sun et al. 2019, arXiv 1911.07963.
    """

    name: ClassVar[str] = "norm-bound"
    needs_single_updates: ClassVar[bool] = False
    note: ClassVar[str] = NOTE

    bound: float

    def __post_init__(self) -> None:
        above_zero(self.name, bound=self.bound)

    def factors(self, norms_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each update is multiplied by, (m,): for weights of `Updates.add_to`, without the updates side by side.

        Args:
            norms_m: Norm of each update, >= 0. One that is not finite gets the factor 0.

        >>> NormBound(bound=2).factors(np.array([0.0, 1.0, 4.0, np.inf, np.nan])).tolist()
        [1.0, 1.0, 0.5, 0.0, 0.0]
        """
        norms = np.asarray(norms_m, dtype=np.float64)
        return np.where(np.isfinite(norms), self.bound / np.maximum(norms, self.bound), 0.0)

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        deltas_mP, weights_m = counted(self.name, deltas_mP, weights_m)
        norms_m = torch.linalg.vector_norm(deltas_mP, dim=1, dtype=torch.float64).cpu().numpy()
        return weighted_sum(deltas_mP, weights_m * self.factors(norms_m))

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}
