"""An update as one long row of numbers and back, for whatever looks at it as a point: compression, robust rules, attacks.

Shapes: C clients of a block, P numbers of an update, R rows of a table, D their width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.federated.local import Updates


@dataclass(frozen=True)
class Layout:
    """Where each tensor lies in the row. Tensors lie in the order of their names, so both ends agree without a word about it.

    Args:
        names: Of the tensors, ascending.
        shapes: Of each.
        dtypes: Of each, all of them floating.

    Raises:
        InputError: Without a tensor, or for one of whole numbers or without numbers.

    >>> layout = Layout.of({"b": torch.ones(2), "a": torch.zeros(1, 3)})
    >>> layout.flatten({"b": torch.ones(2), "a": torch.zeros(1, 3)}).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError("layout: there is no tensor; give the weights that travel")
        for name, dtype, size in zip(self.names, self.dtypes, self.sizes, strict=True):
            if not dtype.is_floating_point or not size:
                raise InputError(f"layout: {name!r} has {size} numbers of {dtype}; give tensors of floating numbers, at least one in each")

    @classmethod
    def of(cls, like: Mapping[str, Tensor]) -> Layout:
        """The layout of tensors of these names, shapes and types."""
        names = tuple(sorted(like))
        return cls(names, tuple(tuple(like[name].shape) for name in names), tuple(like[name].dtype for name in names))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each tensor has."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """How many numbers an update has, P."""
        return sum(self.sizes)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the row: the narrowest that holds every tensor, but not narrower than float32."""
        found = torch.float32
        for dtype in self.dtypes:
            found = torch.promote_types(found, dtype)
        return found

    def places(self) -> dict[str, slice]:
        """Where each tensor lies in the row."""
        ends = np.cumsum((0, *self.sizes)).tolist()
        return {name: slice(start, end) for name, start, end in zip(self.names, ends, ends[1:], strict=False)}

    def flatten(self, update: Mapping[str, Tensor]) -> Tensor:
        """One update as a row, (P,).

        Raises:
            InputError: If its names or shapes are others.
        """
        self._check(update)
        return torch.cat([update[name].detach().reshape(-1).to(self.dtype) for name in self.names])

    def unflatten(self, row_P: Tensor) -> dict[str, Tensor]:
        """A row as tensors of the layout's types.

        Raises:
            InputError: For a row of another length.
        """
        if row_P.shape != (self.size,):
            raise InputError(f"layout: the row has the shape {tuple(row_P.shape)}; give {self.size:,} numbers")
        parts = zip(self.names, row_P.split(self.sizes), self.shapes, self.dtypes, strict=True)
        return {name: part.reshape(shape).to(dtype) for name, part, shape, dtype in parts}

    def block(self, updates: Updates) -> Tensor:
        """The updates of a block as rows, (C, P); rows of tables are written into whole tables, so mind C times P.

        Raises:
            InputError: If it has not just the tensors of the layout.
        """
        found = {*updates.dense, *updates.tables}
        if found != set(self.names):
            raise InputError(f"layout: the block has {sorted(found)}, not {list(self.names)}; lay out the weights that were trained")
        device = next((value.device for value in updates.dense.values()), torch.device("cpu"))
        for table in updates.tables.values():
            device = table.values_CRD.device
        rows_CP = torch.zeros(len(updates), self.size, dtype=self.dtype, device=device)
        for name, place in self.places().items():
            if name in updates.dense:
                rows_CP[:, place] = updates.dense[name].detach().reshape(len(updates), -1).to(self.dtype)
                continue
            table = updates.tables[name]
            whole_CVD = rows_CP[:, place].unflatten(1, (table.size, -1))
            where_CRD = table.rows_CR[:, :, None].expand_as(table.values_CRD)
            whole_CVD.scatter_add_(1, where_CRD, table.values_CRD.detach().to(self.dtype))
        return rows_CP

    def updates(self, rows_CP: Tensor, block: Updates) -> Updates:
        """Rows as the updates of the same clients, all of them whole; what the block says beside them stays."""
        parts = zip(self.names, rows_CP.split(self.sizes, dim=1), self.shapes, self.dtypes, strict=True)
        dense = {name: part.reshape(len(rows_CP), *shape).to(dtype) for name, part, shape, dtype in parts}
        return replace(block, dense=dense, tables={})

    def _check(self, update: Mapping[str, Tensor]) -> None:
        if tuple(sorted(update)) != self.names:
            raise InputError(f"layout: the update has {sorted(update)}, not {list(self.names)}; give the tensors of the weights")
        for name, shape in zip(self.names, self.shapes, strict=True):
            if tuple(update[name].shape) != shape:
                raise InputError(f"layout: {name!r} is {tuple(update[name].shape)}, not {shape}; give the tensors of the weights")
