"""What a rule is that sums updates with fewer ill effects of a few bad ones, and the checks that all rules share.

Shapes: m clients of a cohort, P numbers of an update.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.federated.local import Updates

NOTE = (
    "A robust rule cannot tell a client that attacks from a client that differs: where clients' data differ, it drops or damps the users "
    "of a rare language, a dialect or a rare intent first. Report the scores of such groups beside the mean."
)
"""The pitfall that every rule carries into the report."""
WINDOW = 2**18
"""Numbers of each client that are looked at together in double precision."""


@runtime_checkable
class Rule(Protocol):
    """Makes one update of many.

    Guarantee:
        The answer is of the scale of the weighted sum: where all updates are equal it is their weighted sum, and with no bad client it is
        about that. A client of weight 0 has no part in it.
    """

    @property
    def name(self) -> str:
        """Such as "median"."""
        ...

    @property
    def needs_single_updates(self) -> bool:
        """Whether the server must see the update of each client, so that the rule cannot go with secure aggregation."""
        ...

    @property
    def note(self) -> str:
        """What a reader of the report must be told."""
        ...

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort, (P,).

        Args:
            deltas_mP: The update of each client, finite; leave those that are not out by `finite`.
            weights_m: Aggregation weight of each, finite, >= 0, one of them above.

        Raises:
            InputError: For an update that is not finite, bad weights, or fewer clients than the rule needs.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        ...


def finite(updates: Updates | Tensor) -> NDArray[np.bool_]:
    """Which clients' updates are finite throughout, (m,); a server leaves the others out and counts them.

    Args:
        updates: Of a block, or as rows (m, P).

    >>> finite(torch.tensor([[0.0, 1.0], [torch.nan, 1.0], [1e38, torch.inf]])).tolist()
    [True, False, False]
    """
    if isinstance(updates, Updates):
        norms: NDArray[np.bool_] = np.isfinite(updates.norms())
        return norms
    mask: NDArray[np.bool_] = updates.isfinite().all(1).cpu().numpy()
    return mask


def counted(owner: str, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """The clients that count, and their weights.

    Args:
        owner: The rule, for errors.
        deltas_mP: The updates.
        weights_m: Their weights.

    Raises:
        InputError: As `Rule.__call__` says.
    """
    weights = np.asarray(weights_m, dtype=np.float64)
    if deltas_mP.ndim != 2 or weights.shape != (len(deltas_mP),):
        raise InputError(f"{owner}: updates of {tuple(deltas_mP.shape)} and weights of {weights.shape}; give (m, P) and (m,)")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(f"{owner}: weights from {weights.min(initial=0):g} to {weights.max(initial=0):g}; give finite ones >= 0")
    kept = np.flatnonzero(weights)
    those = deltas_mP if len(kept) == len(weights) else deltas_mP[torch.from_numpy(kept).to(deltas_mP.device)]
    bad = np.flatnonzero(~finite(those))
    if len(bad):
        raise InputError(f"{owner}: the update in place {kept[bad[0]]} is not finite; leave out what robust.finite finds")
    return those, weights[kept]


def weighted_sum(deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
    """The weighted sum, (P,)."""
    scale_m = torch.as_tensor(weights_m, dtype=deltas_mP.dtype, device=deltas_mP.device)
    found: Tensor = torch.tensordot(scale_m, deltas_mP, dims=1)
    return found
