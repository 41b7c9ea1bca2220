"""The arithmetic that private training adds to ordinary training: a compiled core, and its twin in torch.

Every function here gives the same result whichever of the two does the work. The compiled core takes float32 tensors on
the CPU; everything else, and every machine without a compiler, gets the twin. `backend` says which one is at work, and
the environment variable `HOLDFAST_KERNELS=torch` switches the core off.

Shapes: B examples, T rows of one example (tokens, characters, ...), D and P widths; in an LSTM D directions and H hidden
units.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.errors import InputError, nearest
from holdfast.privacy.kernels import native, portable, portable_noise
from holdfast.privacy.kernels.portable import GramNorms
from holdfast.privacy.kernels.products import product as product  # told to mypy too
from holdfast.privacy.kernels.products import products_by as products_by

__all__ = [
    *("GramNorms", "add_noise", "add_noise_to_all", "backend", "by_step", "gram_norms", "key_stream", "layer_norm_backward"),
    *("lstm_backward_step", "lstm_forward_step", "lstm_walk", "lstm_walk_back", "product", "products_by", "using"),
]

_CHOICES = ("compiled", "torch", *native.LEVELS)
_chosen: list[str] = []  # what `using` asks for, the innermost last


def backend() -> str:
    """What does the work for float32 tensors on the CPU, such as "compiled (avx512)", or "torch"."""
    core = _core()
    return "torch" if core is None else f"compiled ({core.level})"


@contextmanager
def using(name: str) -> Iterator[None]:
    """Has one implementation do the work meanwhile, in the whole process.

    Args:
        name: "torch"; "compiled" for the fastest level of this processor; or a level: "baseline", "avx2", "avx512".

    Raises:
        InputError: For an unknown name, or one that this machine does not have.
    """
    _find(name)
    _chosen.append(name)
    try:
        yield
    finally:
        _chosen.pop()


def _core() -> native.Core | None:
    """The compiled core to use, or None for torch."""
    if _chosen:
        return _find(_chosen[-1])
    wanted = os.environ.get("HOLDFAST_KERNELS", "")
    if wanted:
        return _find(wanted, source="HOLDFAST_KERNELS")
    library = native.library()
    return None if library is None else library.cores[-1]


def _find(name: str, *, source: str = "the kernel implementation") -> native.Core | None:
    if name not in _CHOICES:
        raise InputError(f"{source} is {name!r}; {nearest(name, _CHOICES)}")
    if name == "torch":
        return None
    library = native.library()
    cores = () if library is None else library.cores
    fitting = [core for core in cores if name in ("compiled", core.level)]
    if not fitting:
        present = ", ".join(["torch", *(core.level for core in cores)])
        raise InputError(f"{source} is {name!r}, which this machine does not have; it has: {present}")
    return fitting[-1]


def gram_norms(
    inputs: Sequence[Tensor], output_grads: Sequence[Tensor], *, ids: Sequence[Tensor] = (), column_sums: Sequence[bool] = ()
) -> GramNorms:
    """Squared norms of per-example products, without forming the products.

    With inputs A_i, output gradients G_j and lists of ids, the sum over rows t and s of
    ``(sum_i <a_i[t], a_i[s]> + sum_k [ids_k[t] == ids_k[s]]) * sum_j <g_j[t], g_j[s]>``: the squared norm of all products
    G_j' A_i and of all tables into which the rows of G_j are added at ids_k, taken together.

    Args:
        inputs: Each (B, T, D), with widths of their own.
        output_grads: Each (B, T, P), with widths of their own; at least one.
        ids: Each (B, T), int64.
        column_sums: For each output gradient, whether its sum over T is wanted; none by default.

    Returns:
        The squared norms (B,) in float32 or wider, their diagonal parts, and for each output gradient its sum over T or None.

    Raises:
        InputError: For shapes that do not fit.

    Edge cases:
        A NaN or an infinity in one example makes the norm of that example, and of no other, NaN or infinite. No rows
        (T = 0) have norm 0.

    References:
        Li et al. 2022 (arXiv 2110.05679), section 4, where it is called ghost clipping.
    """
    column_sums = list(column_sums) or [False] * len(output_grads)
    _check_rows(inputs, output_grads, ids, column_sums)
    core = _core()
    compiled = core is not None and output_grads[0].shape[:2].numel() > 0
    compiled = compiled and native.takes([*inputs, *output_grads], torch.float32) and native.takes(ids, torch.int64)
    if core is not None and compiled:
        return core.gram_norms(inputs, output_grads, ids, column_sums)
    return portable.gram_norms(inputs, output_grads, ids, column_sums)


def _check_rows(inputs: Sequence[Tensor], output_grads: Sequence[Tensor], ids: Sequence[Tensor], column_sums: Sequence[bool]) -> None:
    if not output_grads:
        raise InputError("output_grads is empty; give at least one tensor of shape (B, T, P)")
    shapes = [tuple(x.shape) for x in (*inputs, *output_grads)]
    rows = shapes[-1][:2]
    if any(len(shape) != 3 or shape[:2] != rows for shape in shapes) or any(tuple(x.shape) != rows for x in ids):
        found = ", ".join(map(str, [*shapes, *(tuple(x.shape) for x in ids)]))
        raise InputError(f"rows of different examples or lengths: {found}; inputs and gradients are (B, T, width), ids (B, T)")
    if len(column_sums) != len(output_grads):
        raise InputError(f"column_sums has {len(column_sums)} entries for {len(output_grads)} output gradients; give one for each, or none")


def layer_norm_backward(
    x: Tensor, grad: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, *, examples: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The backward pass of ``(x - mean) * rstd * weight + bias``, with scale and shift gradients of each example.

    Args:
        x: (rows, ..., D); the rows of one example stand together, as many for each.
        grad: Gradient with respect to the output, of the shape of x.
        weight: The scale, (D,).
        mean: Mean of each row as `torch.native_layer_norm` gives it: the shape of x with 1 in place of D, or without it.
        rstd: One over the standard deviation of each row, likewise.
        examples: B.

    Returns:
        Gradient of x, in its shape and dtype; gradients of scale and shift (B, D), in float32 or wider.

    Raises:
        InputError: For shapes that do not fit.
    """
    rows, width = x.shape[:-1].numel(), x.shape[-1]
    if grad.shape != x.shape or weight.shape != (width,) or mean.numel() != rows or rstd.numel() != rows:
        found = ", ".join(str(tuple(tensor.shape)) for tensor in (x, grad, weight, mean, rstd))
        raise InputError(f"x, grad, weight, mean and rstd have shapes {found}; they must be (..., D) twice, (D,), one number a row twice")
    if examples < 0 or rows != (rows // examples * examples if examples else 0):
        raise InputError(f"{rows} rows are not {examples} examples of one length; give each example as many rows")
    core = _core()
    if core is not None and rows > 0 and native.takes((x, grad, weight, mean, rstd), torch.float32):
        return core.layer_norm_backward(x, grad, weight, mean, rstd, examples)
    return portable.layer_norm_backward(x, grad, weight, mean, rstd, examples)


def lstm_forward_step(gates_DBG: Tensor, cell_DBH: Tensor, next_cell_DBH: Tensor, next_hidden_DBH: Tensor) -> None:
    """One step of an LSTM in all its directions: ``c' = f c + i g`` and ``h' = o tanh(c')``.

    All tensors may be views with any strides, such as one step of a buffer (D, T, B, 4H).

    Args:
        gates_DBG: Pre-activations (D, B, 4H) in torch's order i, f, g, o; become the activations in place.
        cell_DBH: c, (D, B, H).
        next_cell_DBH: c' is written here.
        next_hidden_DBH: h' is written here.

    Raises:
        InputError: For shapes that do not fit.
    """
    _check_steps(gates_DBG, cell_DBH, next_cell_DBH, next_hidden_DBH)
    core, tensors = _core(), (gates_DBG, cell_DBH, next_cell_DBH, next_hidden_DBH)
    if core is None or not native.takes(tensors, torch.float32) or not core.lstm_forward_step(*tensors):
        portable.lstm_forward_step(*tensors)


def lstm_backward_step(gates_DBG: Tensor, cell_DBH: Tensor, next_cell_DBH: Tensor, hidden_grad_DBH: Tensor, cell_grad_DBH: Tensor) -> None:
    """The backward pass of `lstm_forward_step`.

    Args:
        gates_DBG: The activations (D, B, 4H); become the gradients of the pre-activations in place.
        cell_DBH: c, (D, B, H).
        next_cell_DBH: c'.
        hidden_grad_DBH: Gradient of h'.
        cell_grad_DBH: Gradient of c' by way of later steps; becomes the gradient of c in place.

    Raises:
        InputError: For shapes that do not fit.
    """
    _check_steps(gates_DBG, cell_DBH, next_cell_DBH, hidden_grad_DBH, cell_grad_DBH)
    core, tensors = _core(), (gates_DBG, cell_DBH, next_cell_DBH, hidden_grad_DBH, cell_grad_DBH)
    if core is None or not native.takes(tensors, torch.float32) or not core.lstm_backward_step(*tensors):
        portable.lstm_backward_step(*tensors)


def by_step(x_DTBW: Tensor, *, turned: bool) -> list[Tensor]:
    """Views (D, B, W) of what a buffer of a walk over time holds for each step.

    Buffers list positions, and where `turned`, step s of the second direction stands at position T - 1 - s: nothing is
    ever turned round or copied for it. Of a buffer of states, which has one position more, the view of step s is the
    state before that step, and the last is the state after the last step.

    Args:
        x_DTBW: The buffer; no stride is negative, and directions are the outermost in memory.
        turned: Whether the second direction starts at the last position.
    """
    return portable.by_step(x_DTBW, turned=turned)


def lstm_walk(gates_DTBG: Tensor, hidden_DTBH: Tensor, cells_DTBH: Tensor, weights_GH: Sequence[Tensor], *, turned: bool) -> None:
    """All steps of an LSTM in all its directions.

    Args:
        gates_DTBG: The input's part of the pre-activations, (D, T, B, 4H); become the activations in place.
        hidden_DTBH: States, (D, T + 1, B, H), by position as `by_step` says; the first is there, the others are written here.
        cells_DTBH: Cells, likewise, but by step in both directions.
        weights_GH: The recurrent weights of each direction, (4H, H).
        turned: Whether the second direction starts at the last position.

    Raises:
        InputError: For shapes that do not fit.
    """
    _check_walk(gates_DTBG, weights_GH, states=(hidden_DTBH, cells_DTBH))
    core = _walking((gates_DTBG, hidden_DTBH, cells_DTBH), weights_GH)
    if core is None:
        portable.lstm_walk(gates_DTBG, hidden_DTBH, cells_DTBH, weights_GH, turned)
    else:
        core.lstm_walk(gates_DTBG, hidden_DTBH, cells_DTBH, weights_GH, turned)


def lstm_walk_back(
    gates_DTBG: Tensor,
    cells_DTBH: Tensor,
    hidden_grads_DTBH: Tensor,
    cell_grads_DBH: Tensor,
    weights_GH: Sequence[Tensor],
    *,
    turned: bool,
    first_grads_DBH: Tensor | None = None,
) -> None:
    """The backward pass of `lstm_walk`.

    Args:
        gates_DTBG: The activations; become the gradients of the pre-activations in place.
        cells_DTBH: The cells.
        hidden_grads_DTBH: Gradients of the states after each step, (D, T, B, H), by position; those by way of later steps
            are added in place.
        cell_grads_DBH: Gradient of the last cells; becomes that of the first in place.
        weights_GH: The recurrent weights of each direction, (4H, H).
        turned: Whether the second direction starts at the last position.
        first_grads_DBH: The gradient of the first states is added here.

    Raises:
        InputError: For shapes that do not fit.
    """
    _check_walk(gates_DTBG, weights_GH, states=(cells_DTBH,), grads=hidden_grads_DTBH)
    first = [] if first_grads_DBH is None else [first_grads_DBH]
    if any(one.shape != cells_DTBH[:, 0].shape for one in (cell_grads_DBH, *first)):
        raise InputError(
            f"gradients of single states have shape {tuple(cell_grads_DBH.shape)}; they must be {tuple(cells_DTBH[:, 0].shape)}"
        )
    core = _walking((gates_DTBG, cells_DTBH, hidden_grads_DTBH, cell_grads_DBH, *first), weights_GH)
    walk_back = portable.lstm_walk_back if core is None else core.lstm_walk_back
    walk_back(gates_DTBG, cells_DTBH, hidden_grads_DTBH, cell_grads_DBH, weights_GH, turned, first_grads_DBH)


def _walking(buffers: Sequence[Tensor], weights: Sequence[Tensor]) -> native.Core | None:
    """The core, if it takes these; at the baseline its products are slower than those of torch, which asks the processor itself."""
    core = _core()
    fast = core is not None and core.level != "baseline"
    takes = fast and buffers[0].numel() > 0 and native.takes([*buffers, *weights], torch.float32) and native.apart(buffers)
    return core if takes else None


def _check_walk(gates: Tensor, weights: Sequence[Tensor], *, states: Sequence[Tensor], grads: Tensor | None = None) -> None:
    directions, steps, rows, width = gates.shape if gates.dim() == 4 else (0, 0, 0, 1)
    hidden = width // 4
    shapes = [tuple(x.shape) for x in (gates, *states, *([] if grads is None else [grads]), *weights)]
    fitting: list[tuple[int, ...]] = [(directions, steps, rows, 4 * hidden), *[(directions, steps + 1, rows, hidden)] * len(states)]
    fitting += [(directions, steps, rows, hidden)] * (grads is not None) + [(4 * hidden, hidden)] * directions
    if shapes != fitting:
        raise InputError(
            f"gates, states, gradients and weights have shapes {', '.join(map(str, shapes))}; gates are (D, T, B, 4H), "
            "states (D, T + 1, B, H), gradients (D, T, B, H), and weights (4H, H), one for each direction"
        )


def _check_steps(gates: Tensor, *states: Tensor) -> None:
    shape = tuple(states[0].shape)
    if len(shape) != 3 or any(tuple(state.shape) != shape for state in states) or tuple(gates.shape) != (*shape[:2], 4 * shape[2]):
        found = ", ".join(str(tuple(tensor.shape)) for tensor in (gates, *states))
        raise InputError(f"gates and states have shapes {found}; gates are (D, B, 4H), states (D, B, H)")


def add_noise(
    total: Tensor, standard_deviation: float, *, key: Sequence[int], nonce: int, scale: float = 1.0, draws: Literal[1, 4] = 1
) -> None:
    """Adds Gaussian noise and scales, in place and in one pass: ``(total + standard_deviation * z) * scale``.

    z[i] is standard normal, computed in double precision from the ChaCha20 key stream (RFC 8439) of key and nonce: 64 bits
    for a radius and 64 for an angle, by Box and Muller's transform. It depends on key, nonce and the position i alone, and
    is the same bit for bit on every processor, device and number of threads.

    Args:
        total: A floating-point tensor of at most 2^35 values; position i counts them in row-major order.
        standard_deviation: >= 0 and finite. With 0 nothing is drawn.
        key: Eight 32-bit words. Whoever knows them can take the noise off again.
        nonce: In [0, 2^64). Two tensors under one key need two nonces.
        scale: Finite. With a standard deviation of 0 and a scale of 1 nothing is touched.
        draws: 4 sums four draws and halves them, against attacks on the last bits of floating-point noise; four times the work.

    Raises:
        InputError: For a value outside its range.

    Edge cases:
        |z| is at most 9.5. The probability of more is below 1e-20.

    References:
        RFC 8439; Box and Muller 1958; Holohan and Braghin 2021 (arXiv 2107.10138), section 4, for `draws`.
    """
    add_noise_to_all([total], standard_deviation, key=key, nonces=[nonce], scale=scale, draws=draws)


def add_noise_to_all(
    totals: Sequence[Tensor],
    standard_deviation: float,
    *,
    key: Sequence[int],
    nonces: Sequence[int],
    scale: float = 1.0,
    draws: Literal[1, 4] = 1,
) -> None:
    """`add_noise` to several tensors, each with a nonce of its own; on a GPU far quicker than one by one."""
    if not (math.isfinite(standard_deviation) and standard_deviation >= 0 and math.isfinite(scale)):
        raise InputError(f"standard_deviation is {standard_deviation} and scale {scale}; both must be finite, the first >= 0")
    if draws not in (1, 4):
        raise InputError(f"draws is {draws}; choose 1, or 4 to harden the noise")
    core, waiting = _core(), defaultdict(list)
    for total, nonce in zip(totals, nonces, strict=True):
        _check_stream(key, nonce, (total.numel() + 7) // 8)
        if not total.is_floating_point():
            raise InputError(f"noise is added to floating-point tensors, not to {total.dtype}")
        if standard_deviation == 0:
            if scale != 1:
                total.mul_(scale)
        elif core is not None and native.takes((total,), torch.float32, torch.float64):
            core.add_noise(total, standard_deviation, key, nonce, scale, draws)
        else:
            waiting[total.device].append((total, nonce))
    for pairs in waiting.values():
        portable_noise.add_noise([one for one, _ in pairs], standard_deviation, key, [nonce for _, nonce in pairs], scale, draws)


def key_stream(key: Sequence[int], nonce: int, *, blocks: int, first: int = 0, draw: int = 0) -> Tensor:
    """The ChaCha20 key stream that noise is made of.

    Args:
        key: Eight 32-bit words.
        nonce: The first two words of the nonce, in [0, 2^64); the first word is the low half.
        blocks: How many blocks.
        first: Number of the first one.
        draw: The third word of the nonce, which numbers the draws that are summed.

    Returns:
        (blocks, 16) words, int32 with the bits of the unsigned ones.

    References:
        RFC 8439, section 2.3.
    """
    _check_stream(key, nonce, first + blocks)
    core = _core()
    if core is not None:
        return core.key_stream(key, nonce, blocks, first, draw)
    return portable_noise.key_stream(key, nonce, blocks, first, draw)


def _check_stream(key: Sequence[int], nonce: int, blocks: int) -> None:
    if len(key) != 8 or not all(0 <= word < 2**32 for word in key):
        raise InputError(f"a key has eight words of 32 bits; this one has {len(key)}, or one of them is out of range")
    if not 0 <= nonce < 2**64:
        raise InputError(f"nonce is {nonce}; it must lie in [0, 2^64)")
    if not 0 <= blocks <= 2**32:
        raise InputError(
            f"{blocks} blocks of key stream are more than the 2^32 of one nonce; give each part of the tensor a nonce of its own"
        )
