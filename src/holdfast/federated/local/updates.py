"""What the clients of a block hand back, without a copy of the model for each: whole tensors side by side, and rows of tables.

Shapes: C clients of the block, R rows of a table that a client touched at most, D width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TableRows:
    """How clients have moved rows of a table; all other rows stayed as they were.

    Args:
        rows_CR: Which rows, int64; no row stands twice for one client but behind its own end, where `values_CRD` is 0.
        values_CRD: How far each was moved; 0 behind a client's own end.
        size: How many rows the table has.
    """

    rows_CR: Tensor
    values_CRD: Tensor
    size: int


@dataclass(frozen=True, eq=False)
class Updates:
    """The updates of some clients: their weights less those of the server.

    Args:
        positions: Which clients of the cohort these are, (C,), places in the cohort.
        dense: By name, (C, ...) each.
        tables: By name, for parameters of which a client moves few rows.
        steps: Local steps that each took, (C,).
        losses: Mean loss of each over the examples of its steps, in nats, (C,), at the weights before each step.
    """

    positions: NDArray[np.int64]
    dense: Mapping[str, Tensor]
    tables: Mapping[str, TableRows]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.positions)

    def add_to(self, total: dict[str, Tensor], weights_C: NDArray[np.float64]) -> None:
        """Adds the weighted sum of the updates to a total.

        Args:
            total: By name, of the shapes of the parameters; changed.
            weights_C: Weight of each client, finite. A client of weight 0 adds nothing, not even where its update is not finite.
        """
        kept = np.flatnonzero(weights_C)
        places = None if len(kept) == len(self) else torch.from_numpy(kept)
        for name, values in self.dense.items():
            chosen = values if places is None else values.index_select(0, places.to(values.device))
            total[name].add_(torch.tensordot(_scale(weights_C[kept], values), chosen, dims=1))
        for name, table in self.tables.items():
            moved_CRD, rows_CR = table.values_CRD, table.rows_CR
            if places is not None:
                moved_CRD, rows_CR = (one.index_select(0, places.to(one.device)) for one in (moved_CRD, rows_CR))
            scaled_CRD = moved_CRD * _scale(weights_C[kept], moved_CRD)[:, None, None]
            total[name].index_add_(0, rows_CR.reshape(-1), scaled_CRD.reshape(-1, scaled_CRD.shape[2]))

    def norms(self) -> NDArray[np.float64]:
        """The Euclidean norm of each client's whole update, (C,); not finite where the update is not."""
        squares = torch.zeros(len(self), dtype=torch.float64)
        for values in (*self.dense.values(), *(table.values_CRD for table in self.tables.values())):
            rows = values.flatten(1) if values.dim() > 1 else values[:, None]
            squares += torch.linalg.vector_norm(rows, dim=1).double().square().cpu()  # of single precision: no copy is made
        found: NDArray[np.float64] = squares.sqrt().numpy()
        return found

    def whole(self, client: int, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One client's update as whole tensors.

        Args:
            client: Its row in this block.
            like: The weights, for names and shapes.
        """
        found = {name: torch.zeros_like(value) for name, value in like.items()}
        weights = np.zeros(len(self))
        weights[client] = 1.0
        self.add_to(found, weights)
        return found


def _scale(weights_C: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(weights_C, dtype=like.dtype, device=like.device)
