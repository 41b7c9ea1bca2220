"""Dropout that is a model's own: every draw is addressed by model, step, place in the code, row and element.

So a mask depends neither on which other models are in the batch, nor on how far the rows are padded, nor on the engine.

Shapes: M models, R rows of one model, X the rows of all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy import kernels
from holdfast.privacy.kernels import native

_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)
_LOW = 0xFFFFFFFF


class CannotStackError(InputError):
    """A model that cannot share a batch with others; another engine can train it."""


class OwnDraws(TorchFunctionMode):
    """Has every dropout and every `torch.rand` inside draw what belongs to each model.

    Args:
        keys_M: A 64-bit key for each model.
        step: The step.

    Raises:
        CannotStackError: For any other random function, or numbers that do not belong to rows.
    """

    def __init__(self, keys_M: NDArray[np.uint64], step: int) -> None:
        super().__init__()
        self._keys_M = keys_M
        self._step = step
        self.sites = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls the function, or does the same with the model's own draws."""
        found = _OWN.get(func)
        if found is not None:
            return found(self, *args, **(kwargs or {}))
        if func in _FOREIGN:
            raise CannotStackError(f"the model draws by {func.__name__}, which is not known model by model; use dropout or torch.rand")
        return func(*args, **(kwargs or {}))

    def words(self, rows: int) -> NDArray[np.uint32]:
        """Two random words for each row of this place in the code, (rows, 2)."""
        models = len(self._keys_M)
        if rows % models:
            raise CannotStackError(f"{rows} rows are drawn for, which are not those of {models} models")
        self.sites += 1
        with np.errstate(over="ignore"):
            site_M = _mixed(self._keys_M + np.uint64((self._step << 16) + self.sites) * _GOLDEN)
            rows_MR = _mixed(site_M[:, None] + np.arange(1, rows // models + 1, dtype=np.uint64) * _GOLDEN)
        return rows_MR.view(np.uint32).reshape(rows, 2)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """As `torch.nn.functional.dropout`, but never in place."""
        if not training or p == 0:
            return x
        words, offsets = self.words(x.shape[0]), _offsets(tuple(x.shape[1:]))
        kept: Tensor = _Kept.apply(x, words, offsets, p)  # type: ignore[no-untyped-call]
        return kept

    def rand(
        self, *size: Any, device: torch.device | str | None = None, dtype: torch.dtype | None = None, generator: object = None
    ) -> Tensor:
        """As `torch.rand`; the first size counts rows."""
        if generator is not None:
            raise CannotStackError("the model draws from a generator of its own, which is not known model by model")
        shape = tuple(size[0]) if size and not isinstance(size[0], int) else tuple(size)
        if not shape:
            raise CannotStackError("the model draws a single number; draw one for each row")
        bits = _bits(self.words(shape[0]), _offsets(shape[1:]), torch.device(device or "cpu"))
        return ((bits >> 8).to(dtype or torch.get_default_dtype()) / (1 << 24)).view(shape)

    def rand_like(self, x: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
        """As `torch.rand_like`."""
        return self.rand(tuple(x.shape), device=x.device, dtype=dtype or x.dtype)

    def attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """As `torch.nn.functional.scaled_dot_product_attention`; with dropout, in its steps."""
        if dropout_p == 0:
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if enable_gqa:
            raise CannotStackError("attention drops numbers with grouped heads, which is not known model by model")
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), -torch.inf)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return self.dropout(scores.softmax(-1), dropout_p) @ value


_OWN: dict[Any, Callable[..., Tensor]] = {
    F.dropout: OwnDraws.dropout,
    torch.rand: OwnDraws.rand,
    torch.rand_like: OwnDraws.rand_like,
    F.scaled_dot_product_attention: OwnDraws.attention,
}
_FOREIGN = frozenset(
    {
        *(torch.randn, torch.randn_like, torch.randint, torch.randint_like, torch.randperm, torch.bernoulli, torch.multinomial),
        *(torch.normal, torch.dropout, torch.Tensor.bernoulli_, torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.bernoulli),
        *(F.alpha_dropout, F.feature_alpha_dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.gumbel_softmax, F.rrelu),
    }
)


def keys_of(streams: Sequence[Streams]) -> NDArray[np.uint64]:
    """One key for the dropout of each model."""
    return np.array([each.integer("ensemble dropout") for each in streams], dtype=np.uint64)


class _Kept(torch.autograd.Function):
    """Keeps some elements, scaled, and drops the others."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, words_X2: NDArray[np.uint32], offsets: NDArray[np.uint32], p: float) -> Tensor:
        """Draws and keeps."""
        threshold, scale, core = min(round(p * 2**32), _LOW), 1 / (1 - p), kernels._core()
        if core is not None and native.takes((x.detach(),), torch.float32):
            x = x.contiguous()
            out, kept = torch.empty_like(x), torch.empty(x.shape, dtype=torch.bool)
            pointers = (*(tensor.data_ptr() for tensor in (x, out, kept)), words_X2.ctypes.data, offsets.ctypes.data)
            core.table.keep_some(*pointers, len(x), len(offsets), threshold, scale, torch.get_num_threads())
        else:
            kept = (_bits(words_X2, offsets, x.device) >= threshold).view(x.shape)
            out = torch.where(kept, x * scale, 0.0)
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Lets through what was kept."""
        (kept,) = ctx.saved_tensors
        return torch.where(kept, grads[0] * ctx.scale, 0.0), None, None, None


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mixes 64 bits so that each depends on all (splitmix64; Steele, Lea and Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def _offsets(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """A number for each element of a row that depends on its coordinates and not on how large the other sizes are, flat."""
    if len(shape) > len(_PRIMES):
        raise CannotStackError(f"a row that is drawn for has {len(shape)} axes; at most {len(_PRIMES)} are known")
    found = np.zeros((1,) * len(shape) or (1,), dtype=np.uint32)
    for axis, size in enumerate(shape):
        along = np.arange(size, dtype=np.uint32) * np.uint32(_PRIMES[len(shape) - 1 - axis])
        found = found + along.reshape((size,) + (1,) * (len(shape) - 1 - axis))
    return np.ascontiguousarray(found).reshape(-1)


def _bits(words_X2: NDArray[np.uint32], offsets: NDArray[np.uint32], device: torch.device) -> Tensor:
    """32 random bits for each element of each row, (X, elements), int64: the twin of the core's hash."""
    words = torch.from_numpy(words_X2.astype(np.int64)).to(device)
    x = ((words[:, :1] + torch.from_numpy(offsets.astype(np.int64)).to(device)) & _LOW) ^ words[:, 1:]
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _LOW
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _LOW
    return x ^ (x >> 15)
