"""How the numbers of an update are made fewer or coarser: the largest alone, eight bits for each, or its sign.

Shapes: C clients of a block, P numbers of an update, K of them that are kept, S scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from holdfast.core.errors import InputError, RunError
from holdfast.core.randomness import Streams
from holdfast.federated.updates.layout import Layout
from holdfast.models import checks

LEVELS = 127
SCALES, PER = ("max", "norm"), ("tensor", "row")
Parts = dict[str, Tensor]
"""What travels of a block: tensors whose first axis is the client."""
Shapes = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""Type and shape of each part of one client."""


class Scheme(Protocol):
    """How rows of numbers are made smaller, many clients at once; `Compression` makes bytes of it.

    Guarantee:
        The shapes of the parts depend on the layout alone, so every client sends as many bytes; an update that is not finite is not finite
        when it arrives either, so that it can be found.
    """

    name: ClassVar[str]

    def encode(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Sequence[int]) -> Parts:
        """Makes rows smaller."""
        ...

    def decode(self, parts: Parts, layout: Layout) -> Tensor:
        """Makes rows of it again, (C, P).

        Raises:
            RunError: For parts that no update of this layout can have; they may come from anybody.
        """
        ...

    def shapes(self, layout: Layout) -> Shapes:
        """Type and shape of each part of one client."""
        ...


@dataclass(frozen=True)
class Whole:
    """Every number as it is: the tensors themselves, in their own types."""

    name: ClassVar[str] = "none"

    def encode(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Sequence[int]) -> Parts:
        """Cuts rows into tensors."""
        kinds = zip(layout.names, layout.shapes, layout.dtypes, strict=True)
        places = layout.places()
        return {name: rows_CP[:, places[name]].reshape(len(rows_CP), *shape).to(dtype) for name, shape, dtype in kinds}

    def decode(self, parts: Parts, layout: Layout) -> Tensor:
        """Makes rows of them again."""
        return torch.cat([parts[name].reshape(len(parts[name]), -1).to(layout.dtype) for name in layout.names], dim=1)

    def shapes(self, layout: Layout) -> Shapes:
        """The tensors themselves."""
        return dict(zip(layout.names, zip(layout.dtypes, layout.shapes, strict=True), strict=True))


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The numbers farthest from 0 of the whole update, wherever they are; all others arrive as 0. Biased: use `ErrorFeedback`.

    Args:
        share: Share of the numbers that are sent, in (0, 1], rounded up; or
        count: how many are, at least 1; all where there are fewer.

    Raises:
        InputError: For a value out of its bounds, both, or none.

    References:
        Stich et al. 2018, arXiv 1809.07599.
    """

    name: ClassVar[str] = "top-k"
    share: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.count is None):
            raise InputError("top-k: give one of share and count, such as a share of 0.01")
        if self.count is not None:
            checks.integer("top-k", least=1, count=self.count)
        else:
            checks.number("top-k", least=0, below=math.nextafter(1, 2), share=self.share)
            if self.share == 0:
                raise InputError("top-k: share is 0, so nothing would be sent; give a number in (0, 1]")

    def kept(self, layout: Layout) -> int:
        """How many numbers are sent, K."""
        wanted = self.count if self.share is None else math.ceil(self.share * layout.size - 1e-9)
        return min(max(1, wanted or 1), layout.size)

    def encode(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Sequence[int]) -> Parts:
        """Finds the largest, and sends them in the order in which they lie; NaN counts as the largest."""
        if layout.size > torch.iinfo(torch.int32).max:
            raise InputError(f"top-k: {layout.size:,} numbers do not fit indices of 32 bits; train a part of the model")
        indices_CK = rows_CP.abs().topk(self.kept(layout), dim=1, sorted=False).indices.sort(1).values
        return {"indices": indices_CK.to(torch.int32), "values": rows_CP.gather(1, indices_CK).to(layout.dtype)}

    def decode(self, parts: Parts, layout: Layout) -> Tensor:
        """Puts them in their places."""
        indices_CK, values_CK = parts["indices"].long(), parts["values"]
        inside = bool((indices_CK[:, 0] >= 0).all()) and bool((indices_CK[:, -1] < layout.size).all())
        if not inside or not bool((indices_CK.diff(dim=1) > 0).all()):
            raise RunError(f"top-k: the indices do not ascend from 0 to {layout.size - 1}; the bytes are damaged")
        return values_CK.new_zeros(len(values_CK), layout.size).scatter_(1, indices_CK, values_CK)

    def shapes(self, layout: Layout) -> Shapes:
        """K indices, K values."""
        kept = self.kept(layout)
        return {"indices": (torch.int32, (kept,)), "values": (layout.dtype, (kept,))}


@dataclass(frozen=True, kw_only=True)
class EightBit:
    """Each number as one of 255 levels, up or down by chance so that the mean is right.

    Args:
        scale: What the outermost level, 127, stands for: the largest number ("max") or the norm ("norm", as in QSGD). With "norm" most
            levels of a long tensor are never used.
        per: Of what: each "tensor", or each "row" of it (then tables and matrices send a scale for each row).

    Raises:
        InputError: For another word.

    Guarantee:
        Unbiased, up to the precision of the draws (2^-24 of a level). For each tensor (row) v of d numbers, the expected squared distance
        is at most d / 127^2 of its squared norm; a quarter of it holds too, for a coin's variance is at most 1/4.

    Edge cases:
        A tensor of zeros arrives as zeros; one with a number that is not finite arrives as NaN throughout.

    References:
        Alistarh et al. 2017, arXiv 1610.02132 (QSGD).
    """

    name: ClassVar[str] = "8-bit"
    scale: str = "max"
    per: str = "tensor"

    def __post_init__(self) -> None:
        checks.choice("8-bit", SCALES, scale=self.scale)
        checks.choice("8-bit", PER, per=self.per)

    def encode(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Sequence[int]) -> Parts:
        """Rounds by draws that belong to the client and the round."""
        rows_CP = rows_CP.to(layout.dtype)
        lengths_S = _lengths(layout, self.per)
        scales_CS = _each(rows_CP, layout, self.per, _largest if self.scale == "max" else _norm)
        finite_CS = scales_CS.isfinite()
        safe_CS = torch.where(finite_CS & (scales_CS > 0), scales_CS, 1)
        levels_CP = (rows_CP / _spread(safe_CS, lengths_S)).mul_(LEVELS)
        levels_CP = torch.where(_spread(finite_CS, lengths_S), levels_CP, 0).clamp_(-LEVELS, LEVELS)
        below_CP = levels_CP.floor()
        for row, client in enumerate(clients):
            drawn_P = streams.generator("8-bit", round, client).random(layout.size, dtype=np.float32)
            below_CP[row] += torch.from_numpy(drawn_P).to(rows_CP.device) < levels_CP[row] - below_CP[row]
        return {"levels": below_CP.to(torch.int8), "scales": torch.where(finite_CS, scales_CS, torch.nan).to(layout.dtype)}

    def decode(self, parts: Parts, layout: Layout) -> Tensor:
        """Levels times scales."""
        return parts["levels"].to(layout.dtype) * _spread(parts["scales"] / LEVELS, _lengths(layout, self.per))

    def shapes(self, layout: Layout) -> Shapes:
        """A level for each number, a scale for each tensor or row."""
        return {"levels": (torch.int8, (layout.size,)), "scales": (layout.dtype, (len(_lengths(layout, self.per)),))}


@dataclass(frozen=True, kw_only=True)
class Sign:
    """The sign of each number, times the mean distance from 0 of its tensor (row). Biased: use `ErrorFeedback`. 0 counts as positive.

    Args:
        per: Each "tensor", or each "row" of it, has a mean of its own.

    References:
        Karimireddy et al. 2019, arXiv 1901.09847 (signSGD with error feedback).
    """

    name: ClassVar[str] = "sign"
    per: str = "tensor"

    def __post_init__(self) -> None:
        checks.choice("sign", PER, per=self.per)

    def encode(self, rows_CP: Tensor, layout: Layout, *, streams: Streams, round: int, clients: Sequence[int]) -> Parts:
        """Packs eight signs into a byte."""
        scales_CS = _each(rows_CP.to(layout.dtype), layout, self.per, _mean)
        bits = np.packbits((rows_CP >= 0).cpu().numpy(), axis=1)
        return {"signs": torch.from_numpy(bits).to(rows_CP.device), "scales": torch.where(scales_CS.isfinite(), scales_CS, torch.nan)}

    def decode(self, parts: Parts, layout: Layout) -> Tensor:
        """Signs times means."""
        bits = np.unpackbits(parts["signs"].cpu().numpy(), axis=1, count=layout.size)
        signs_CP = torch.from_numpy(bits).to(parts["scales"]) * 2 - 1
        rows_CP: Tensor = signs_CP * _spread(parts["scales"], _lengths(layout, self.per))
        return rows_CP

    def shapes(self, layout: Layout) -> Shapes:
        """A bit for each number, a mean for each tensor or row."""
        return {"signs": (torch.uint8, (-(-layout.size // 8),)), "scales": (layout.dtype, (len(_lengths(layout, self.per)),))}


def _largest(numbers: Tensor) -> Tensor:
    return numbers.abs().amax(-1)


def _norm(numbers: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(numbers, dim=-1, dtype=torch.float64)
    return norms


def _mean(numbers: Tensor) -> Tensor:
    return numbers.double().abs().mean(-1)


@lru_cache(maxsize=64)
def _lengths(layout: Layout, per: str) -> Tensor:
    """How many numbers each scale is of, (S,)."""
    found: list[int] = []
    for shape, size in zip(layout.shapes, layout.sizes, strict=True):
        rows = shape[0] if per == "row" and len(shape) > 1 else 1
        found += [size // rows] * rows
    return torch.tensor(found)


def _each(rows_CP: Tensor, layout: Layout, per: str, of: Callable[[Tensor], Tensor]) -> Tensor:
    """A number of each tensor or row, (C, S)."""
    found = []
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        numbers = rows_CP[:, layout.places()[name]]
        rows = shape[0] if per == "row" and len(shape) > 1 else 1
        found.append(of(numbers.reshape(len(rows_CP), rows, -1)))
    return torch.cat(found, dim=1).to(rows_CP.dtype)


def _spread(scales_CS: Tensor, lengths_S: Tensor) -> Tensor:
    """The scale of each number, (C, P)."""
    return scales_CS.repeat_interleave(lengths_S.to(scales_CS.device), dim=1)
