"""Finds and loads the compiled core, and hands it tensors as pointers, sizes and strides.

Shapes: B examples, T rows of one example, D and P widths; in an LSTM D directions and H hidden units.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from ctypes import c_double, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from holdfast.privacy.kernels.portable import GramNorms

ABI = 6
"""Version of the types and signatures below; `core/kernels.h` carries the same number."""

LEVELS = ("baseline", "avx2", "avx512")
"""What processors the kernels are compiled for, from the slowest to the fastest."""

_LOG = logging.getLogger(__name__)


class _Matrix(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("width", c_int64), ("example_stride", c_int64), ("row_stride", c_int64))


class _Steps(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("direction_stride", c_int64), ("row_stride", c_int64))


class _Track(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("direction_stride", c_int64), ("position_stride", c_int64), ("row_stride", c_int64))


class TableOfRows(ctypes.Structure):
    """Tables of rows of several models; `rows` fills it."""

    _fields_ = (
        *((name, c_void_p) for name in ("values", "first", "second", "last", "met", "slot")),
        *((name, c_int64) for name in ("models", "rows", "width")),
    )


class MissedSteps(ctypes.Structure):
    """What rows go through in steps that do not meet them; `rows` fills it."""

    _fields_ = (*((name, c_void_p) for name in ("move", "floor", "first_decay", "second_decay")), ("model_stride", c_int64))


_ADD_NOISE = ctypes.CFUNCTYPE(None, c_void_p, c_int64, c_double, c_double, c_void_p, c_uint64, c_int32, c_int32)


class _Table(ctypes.Structure):
    _fields_ = (
        (
            "gram_norms",
            ctypes.CFUNCTYPE(c_int32, *[c_void_p, c_int64] * 3, c_int64, c_int64, *[c_void_p] * 3, c_int32),
        ),
        ("layer_norm_backward", ctypes.CFUNCTYPE(None, *[c_void_p] * 5, c_int64, c_int64, c_int64, *[c_void_p] * 3, c_int32)),
        ("lstm_forward_step", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 4, c_int64, c_int64, c_int64, c_int32)),
        ("lstm_backward_step", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 5, c_int64, c_int64, c_int64, c_int32)),
        ("lstm_walk", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 4, *[c_int64] * 4, c_int32, c_int32)),
        ("lstm_walk_back", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 6, *[c_int64] * 4, c_int32, c_int32)),
        ("add_noise_float", _ADD_NOISE),
        ("add_noise_double", _ADD_NOISE),
        ("key_stream", ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_uint32, c_int64, c_void_p)),
        ("rows_meet", ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_int64, c_int32, *[c_void_p] * 3, c_int64, c_void_p, c_int32)),
        ("rows_mean", ctypes.CFUNCTYPE(None, *[c_void_p] * 3, c_int64, c_int64, c_void_p, c_int32)),
        ("rows_add", ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int32)),
        ("rows_mean_add", ctypes.CFUNCTYPE(None, *[c_void_p] * 3, c_int64, c_int64, c_void_p, c_int64, c_void_p, c_int32)),
        (
            "rows_move",
            ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_int32, c_void_p, *[c_float] * 4, c_int32),
        ),
        ("packed_walk", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 5, *[c_int64] * 4, c_int32)),
        ("packed_walk_back", ctypes.CFUNCTYPE(c_int32, *[c_void_p] * 5, *[c_int64] * 4, c_int32)),
        ("keep_some", ctypes.CFUNCTYPE(None, *[c_void_p] * 5, c_int64, c_int64, c_uint32, c_float, c_int32)),
    )


def takes(tensors: Iterable[Tensor], *dtypes: torch.dtype) -> bool:
    """True where every tensor is plain memory of this process in one of the dtypes, and nobody wants a gradient through it."""
    graded = torch.is_grad_enabled()
    return all(
        tensor.dtype in dtypes
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and type(tensor) in (Tensor, torch.nn.Parameter)  # anything else may have no memory at all
        and not tensor.is_neg()
        and not (graded and tensor.requires_grad)
        for tensor in tensors
    )


@dataclass(frozen=True)
class Core:
    """The compiled kernels at one level.

    Args:
        level: One of `LEVELS`.
        table: The functions.
    """

    level: str
    table: _Table

    def gram_norms(
        self, inputs: Sequence[Tensor], output_grads: Sequence[Tensor], ids: Sequence[Tensor], column_sums: Sequence[bool]
    ) -> GramNorms:
        """As `holdfast.privacy.kernels.gram_norms`; B and T are at least 1."""
        inputs, output_grads = [_rows(x) for x in inputs], [_rows(g) for g in output_grads]
        ids = [x.contiguous() for x in ids]
        examples, rows, _ = output_grads[0].shape
        squared, diagonal = output_grads[0].new_empty(examples), output_grads[0].new_empty(examples)
        sums = [g.new_empty(examples, g.shape[2]) if wanted else None for g, wanted in zip(output_grads, column_sums, strict=True)]
        failed = self.table.gram_norms(
            *(_matrices(inputs), len(inputs), _matrices(output_grads), len(output_grads)),
            *(_pointers(ids), len(ids), examples, rows, _pointers(sums), squared.data_ptr(), diagonal.data_ptr(), torch.get_num_threads()),
        )
        if failed:
            raise MemoryError(f"no memory for the partial norms of {examples} examples of {rows} rows")
        return GramNorms(squared, diagonal, sums)

    def layer_norm_backward(
        self, x: Tensor, grad: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, examples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `holdfast.privacy.kernels.layer_norm_backward`; there is at least one example."""
        x, grad, weight, mean, rstd = (tensor.contiguous() for tensor in (x, grad, weight, mean, rstd))
        width = x.shape[-1]
        x_grad, scale_grad_BD, shift_grad_BD = torch.empty_like(x), x.new_empty(examples, width), x.new_empty(examples, width)
        self.table.layer_norm_backward(
            *(tensor.data_ptr() for tensor in (x, grad, weight, mean, rstd)),
            *(examples, mean.numel() // examples, width),
            *(tensor.data_ptr() for tensor in (x_grad, scale_grad_BD, shift_grad_BD)),
            torch.get_num_threads(),
        )
        return x_grad, scale_grad_BD, shift_grad_BD

    def lstm_forward_step(self, *tensors: Tensor) -> bool:
        """As `holdfast.privacy.kernels.lstm_forward_step`; False where nothing was done because tensors overlap."""
        return self._step(self.table.lstm_forward_step, tensors)

    def lstm_backward_step(self, *tensors: Tensor) -> bool:
        """As `holdfast.privacy.kernels.lstm_backward_step`; False where nothing was done because tensors overlap."""
        return self._step(self.table.lstm_backward_step, tensors)

    @staticmethod
    def _step(function: Callable[..., int], tensors: tuple[Tensor, ...]) -> bool:
        directions, examples, hidden = tensors[1].shape
        if any(tensor.stride(2) != 1 for tensor in tensors) or tensors[1].numel() == 0:
            return False
        return function(*map(_steps, tensors), directions, examples, hidden, torch.get_num_threads()) == 0

    def lstm_walk(self, gates: Tensor, hidden: Tensor, cells: Tensor, weights: Sequence[Tensor], turned: bool) -> None:
        """As `holdfast.privacy.kernels.lstm_walk`, for buffers that are `apart` and not empty."""
        self._walk(self.table.lstm_walk, gates, map(_track, (gates, hidden, cells)), weights, turned)

    def lstm_walk_back(
        self,
        gates: Tensor,
        cells: Tensor,
        hidden_grads: Tensor,
        cell_grads: Tensor,
        weights: Sequence[Tensor],
        turned: bool,
        first_grads: Tensor | None,
    ) -> None:
        """As `holdfast.privacy.kernels.lstm_walk_back`, likewise."""
        first = ctypes.byref(_Steps()) if first_grads is None else _steps(first_grads)
        buffers = (*map(_track, (gates, cells, hidden_grads)), _steps(cell_grads), first)
        self._walk(self.table.lstm_walk_back, gates, buffers, weights, turned)

    @staticmethod
    def _walk(
        function: Callable[..., int], gates: Tensor, buffers: Iterable[ctypes._CArgObject], weights: Sequence[Tensor], turned: bool
    ) -> None:
        directions, steps, examples, width = gates.shape
        weights = [weight.contiguous() for weight in weights]
        sizes = (directions, steps, examples, width // 4)
        if function(*buffers, _pointers(weights), *sizes, turned, torch.get_num_threads()):
            raise MemoryError(f"no memory for the recurrent weights of {directions} directions of {width // 4} units")

    def add_noise(self, total: Tensor, deviation: float, key: Sequence[int], nonce: int, scale: float, draws: int) -> None:
        """As `holdfast.privacy.kernels.add_noise`, for float32 and float64."""
        add = self.table.add_noise_float if total.dtype == torch.float32 else self.table.add_noise_double
        packed = total.contiguous()
        add(packed.data_ptr(), packed.numel(), deviation, scale, _words(key), nonce, draws, torch.get_num_threads())
        if packed is not total:
            total.copy_(packed)

    def key_stream(self, key: Sequence[int], nonce: int, blocks: int, first: int, draw: int) -> Tensor:
        """As `holdfast.privacy.kernels.key_stream`."""
        words = torch.empty(blocks, 16, dtype=torch.int32)
        self.table.key_stream(_words(key), nonce, draw, first, blocks, words.data_ptr())
        return words


def _words(key: Sequence[int]) -> ctypes.Array[c_uint32]:
    return (c_uint32 * 8)(*key)


def _steps(x_DBH: Tensor) -> ctypes._CArgObject:
    return ctypes.byref(_Steps(x_DBH.data_ptr(), x_DBH.stride(0), x_DBH.stride(1)))


def _track(x_DTBH: Tensor) -> ctypes._CArgObject:
    return ctypes.byref(_Track(x_DTBH.data_ptr(), *x_DTBH.stride()[:3]))


def apart(tensors: Iterable[Tensor]) -> bool:
    """True where each buffer (D, T, B, H) or (D, B, H) lies in memory without gaps, steps or examples first, and none meets another."""
    ranges = []
    for x in tensors:
        if not (x.is_contiguous() or (x.dim() == 4 and x.transpose(1, 2).is_contiguous())):
            return False
        ranges.append((x.data_ptr(), x.data_ptr() + x.nbytes))
    ranges.sort()
    return all(end <= begin for (_, end), (begin, _) in pairwise(ranges))


def _rows(x_BTD: Tensor) -> Tensor:
    """The tensor with the values of a row side by side."""
    return x_BTD if x_BTD.stride(2) == 1 or x_BTD.shape[2] == 1 else x_BTD.contiguous()


def _matrices(tensors: Sequence[Tensor]) -> ctypes.Array[_Matrix]:
    return (_Matrix * len(tensors))(*[_Matrix(x.data_ptr(), x.shape[2], x.stride(0), x.stride(1)) for x in tensors])


def _pointers(tensors: Sequence[Tensor | None]) -> ctypes.Array[c_void_p]:
    return (c_void_p * len(tensors))(*[None if x is None else x.data_ptr() for x in tensors])


@dataclass(frozen=True)
class Library:
    """The compiled core as it was found.

    Args:
        path: The file.
        sources: A digest of the sources that it was built from.
        threaded: False where it was built without OpenMP.
        cores: The levels that this processor has, from the slowest to the fastest.
    """

    path: Path
    sources: str
    threaded: bool
    cores: tuple[Core, ...]


@functools.cache
def library() -> Library | None:
    """The compiled core, or None where it was not built, cannot be loaded, or is not the one that this module knows."""
    path = _find()
    if path is None:
        _LOG.info("no compiled core beside %s: torch does its work", __name__)
        return None
    try:
        # torch is loaded, so a library that needs libgomp.so.1 gets the one of torch, and both share one pool of threads.
        loaded = ctypes.CDLL(str(path))
        version = loaded.holdfast_abi()
    except (OSError, AttributeError) as error:
        _LOG.warning("the compiled core %s cannot be loaded, torch does its work: %s", path, error)
        return None
    if version != ABI:
        _LOG.warning(
            "the compiled core %s has version %s, this holdfast needs %s: torch does its work; install holdfast again", path, version, ABI
        )
        return None
    loaded.holdfast_sources.restype = ctypes.c_char_p
    loaded.holdfast_kernels.restype = ctypes.POINTER(_Table)
    tables = [(name, loaded.holdfast_kernels(number)) for number, name in enumerate(LEVELS)]
    cores = tuple(Core(name, table.contents) for name, table in tables if table)
    return Library(path, loaded.holdfast_sources().decode(), bool(loaded.holdfast_threaded()), cores)


def _find() -> Path | None:
    """The file of the library; an editable install adds the folder of built files to the package's path."""
    package = sys.modules[__name__.rpartition(".")[0]]
    folders = [Path(folder) for folder in package.__path__]
    found = [path for folder in folders for path in sorted(folder.glob("holdfast_core.*")) if path.suffix in (".so", ".dylib", ".dll")]
    return found[0] if found else None
