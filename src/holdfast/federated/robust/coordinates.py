"""Rules that look at each number of the update by itself: the median and the trimmed mean.

Shapes: m clients of a cohort, P numbers of an update.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.federated.robust.contract import NOTE, WINDOW, counted
from holdfast.models import checks


@dataclass(frozen=True)
class Median:
    """The median of each number over the clients, the mean of the middle two for an even cohort; times the sum of the weights.

    Clients count alike whatever their weights, for a client that lies about its update lies about its number of examples too.

    Pitfall: what only a minority of clients learn (the words of a rare language) has a median of about 0, so it is never learned.

    References:
        Yin et al. 2018, arXiv 1803.01498.
    """

    name: ClassVar[str] = "median"
    needs_single_updates: ClassVar[bool] = True
    note: ClassVar[str] = NOTE

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        deltas_mP, weights_m = counted(self.name, deltas_mP, weights_m)
        return _middle(deltas_mP, (len(deltas_mP) - 1) // 2) * float(weights_m.sum())

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class TrimmedMean:
    """The mean of each number without the largest and the smallest of the clients; times the sum of the weights.

    Clients count alike whatever their weights, as for `Median`.

    Pitfall: the largest and smallest are where users of a rare language are, so they are trimmed before an attacker who keeps in line.

    Args:
        share: Of the clients, trimmed at each end, in [0, 0.5), rounded down but at least one client: a small cohort is never a plain mean
            unawares. 0 is the plain mean.

    Raises:
        InputError: For a share out of its bounds; when called, for a cohort of which nothing is left.

    References:
        Yin et al. 2018, arXiv 1803.01498.
    """

    name: ClassVar[str] = "trimmed-mean"
    needs_single_updates: ClassVar[bool] = True
    note: ClassVar[str] = NOTE

    share: float

    def __post_init__(self) -> None:
        checks.number("trimmed-mean", least=0, below=0.5, share=self.share)

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        deltas_mP, weights_m = counted(self.name, deltas_mP, weights_m)
        clients = len(deltas_mP)
        trimmed = max(1, int(self.share * clients + 1e-9)) if self.share else 0
        if 2 * trimmed >= clients:
            raise InputError(f"trimmed-mean: nothing is left of {clients} clients without {trimmed} at each end; select at least 3")
        return _middle(deltas_mP, trimmed) * float(weights_m.sum())

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}


def _middle(deltas_mP: Tensor, trimmed: int) -> Tensor:
    """The mean of each number without so many at each end, (P,). Numpy sorts short rows several times as fast as torch does."""
    wide = torch.promote_types(deltas_mP.dtype, torch.float32)
    found = np.empty(deltas_mP.shape[1])
    for start in range(0, deltas_mP.shape[1], WINDOW):
        part_Pm = deltas_mP[:, start : start + WINDOW].detach().to("cpu", wide).numpy().T.copy()
        part_Pm.sort(axis=1)
        found[start : start + WINDOW] = part_Pm[:, trimmed : len(deltas_mP) - trimmed].mean(1, dtype=np.float64)
    return torch.from_numpy(found).to(deltas_mP)
