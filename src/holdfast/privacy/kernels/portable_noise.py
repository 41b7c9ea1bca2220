"""The noise of the compiled core once more in torch operations, the same bit for bit: for any device.

Every step here is one IEEE operation, as it is there, and in the same order. Devices without double precision get noise
that was made on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LANES = 16
"""Blocks of a group; the values of a group are those of its first words in all blocks, then the next, and so on."""

_SIGMA = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_ROUNDS = (*((i, 4 + i, 8 + i, 12 + i) for i in range(4)), *((i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)))


def chunk_of(device: torch.device) -> int:
    """Blocks at a time: on a processor few enough for its cache; elsewhere enough to be worth some 1,500 launches of small kernels."""
    return 2**15 if device.type == "cpu" else 2**21


def add_noise(totals: Sequence[Tensor], deviation: float, key: Sequence[int], nonces: Sequence[int], scale: float, draws: int) -> None:
    """As `holdfast.privacy.kernels.add_noise_to_all`, for tensors of one device.

    Tensors go through together: one at a time, a model of a hundred tensors would wait for 150,000 launches on a GPU.
    """
    flats = [total.detach().reshape(-1) for total in totals]
    device = torch.device("cpu") if flats[0].device.type == "mps" else flats[0].device
    for batch in _batches(flats, nonces, chunk_of(device)):
        normals = torch.zeros(8 * sum(piece.blocks for piece in batch), dtype=torch.float64, device=device)
        for draw in range(draws):
            normals += _normals(_words(key, batch, draw, device))
        noise = normals.mul_(0.5 if draws == 4 else 1.0).mul_(deviation)
        for piece, values in zip(batch, noise.split([8 * piece.blocks for piece in batch]), strict=True):
            noisy = piece.part.to(device, torch.float64) + values[: len(piece.part)]
            piece.part.copy_(noisy.mul_(scale))
    for total, flat in zip(totals, flats, strict=True):
        total.copy_(flat.view_as(total))


def key_stream(key: Sequence[int], nonce: int, blocks: int, first: int, draw: int) -> Tensor:
    """As `holdfast.privacy.kernels.key_stream`."""
    return torch.stack(_words(key, [_Piece(torch.empty(0), nonce, first, blocks)], draw, torch.device("cpu")), 1)


@dataclass(frozen=True)
class _Piece:
    """Values that lie end to end, and the blocks that their noise is made of."""

    part: Tensor
    nonce: int
    first: int
    blocks: int


def _batches(flats: Sequence[Tensor], nonces: Sequence[int], most: int) -> Iterator[list[_Piece]]:
    """All values in pieces that share a call, each batch of at most `most` blocks."""
    batch: list[_Piece] = []
    for flat, nonce in zip(flats, nonces, strict=True):
        for begin in range(0, flat.numel(), 8 * most):
            part = flat[begin : begin + 8 * most]
            piece = _Piece(part, nonce, begin // 8, -(-len(part) // (8 * LANES)) * LANES)
            if batch and sum(one.blocks for one in batch) + piece.blocks > most:
                yield batch
                batch = []
            batch.append(piece)
    if batch:
        yield batch


def _words(key: Sequence[int], batch: Sequence[_Piece], draw: int, device: torch.device) -> list[Tensor]:
    """The 16 words of each block, each (blocks,) int32."""
    counters = torch.cat([torch.arange(piece.first, piece.first + piece.blocks, device=device) for piece in batch]).to(torch.int32)
    lengths = torch.tensor([piece.blocks for piece in batch], device=device)
    nonces = [[_signed(piece.nonce >> shift & 0xFFFFFFFF) for piece in batch] for shift in (0, 32)]
    low, high = (torch.tensor(words, dtype=torch.int32, device=device).repeat_interleave(lengths) for words in nonces)
    fixed = [counters.new_full(counters.shape, _signed(word)) for word in (*_SIGMA, *key, draw)]
    start = [*fixed[:12], counters, low, high, fixed[12]]
    words = [word.clone() for word in start]
    spare = torch.empty_like(counters)
    for _ in range(10):
        for a, b, c, d in _ROUNDS:
            _quarter_round(words[a], words[b], words[c], words[d], spare)
    return [word.add_(one) for word, one in zip(words, start, strict=True)]


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word


def _quarter_round(a: Tensor, b: Tensor, c: Tensor, d: Tensor, spare: Tensor) -> None:
    for one, two, three, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        one.add_(two)
        three.bitwise_xor_(one)
        torch.bitwise_right_shift(three, 32 - bits, out=spare)
        spare.bitwise_and_(2**bits - 1)  # the shift brought copies of the sign along
        three.bitwise_left_shift_(bits).bitwise_or_(spare)


def _normals(words: Sequence[Tensor]) -> Tensor:
    """Eight standard normals from the words of each block, (8 * blocks,), in the order of `LANES`."""
    found = []
    for pair in range(0, 16, 4):
        high, low, turn, fraction = words[pair : pair + 4]
        radius = _roots(_logs_of_fractions(_numbers(high) * 4294967296.0 + (_numbers(low) + 0.5)) * -2.0)
        angle = (_numbers(turn & 0x3FFFFFFF) - 536870912.0) * 4294967296.0 + (_numbers(fraction) + 0.5)
        angle *= 1.57079632679489655800e00 / 2**62
        along, across = radius * _cosines(angle), radius * _sines(angle)
        mirrored, turned = (turn & 0x40000000) != 0, turn < 0
        for one, other in ((along, across), (across, along)):
            value = torch.where(mirrored, other, one)
            found.append(torch.where(turned, -value, value).view(-1, 1, LANES))
    return torch.cat(found, 1).flatten()


def _numbers(words: Tensor) -> Tensor:
    """Words as doubles; they are unsigned in signed disguise."""
    return (words ^ -(2**31)).double() + 2147483648.0


def _roots(x: Tensor) -> Tensor:
    """Square roots, correctly rounded: on the CPU torch's own are off by a bit now and then, numpy's are not."""
    return torch.from_numpy(np.sqrt(x.numpy())) if x.device.type == "cpu" else x.sqrt()


def _logs_of_fractions(x: Tensor) -> Tensor:
    """ln(x / 2^64)."""
    root_half, one = 0x3FE6A09E00000000, 0x3FF0000000000000
    bits = x.view(torch.int64) + (one - root_half)
    k = ((bits >> 52) | 0x4330000000000000).view(torch.float64) - (4503599627370496.0 + 1023.0 + 64.0)
    f = ((bits & 0x000FFFFFFFFFFFFF) + root_half).view(torch.float64) - 1.0
    half, s = 0.5 * f * f, f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    even = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01)))
    return ((s * (half + (even + odd)) + k * 1.90821492927058770002e-10) - half) + f + k * 6.93147180369123816490e-01


def _sines(x: Tensor) -> Tensor:
    z = x * x
    w = z * z
    r = (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * 2.75573137070700676789e-06)) + z * w * (
        -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    )
    return x + z * x * (-1.66666666666666324348e-01 + z * r)


def _cosines(x: Tensor) -> Tensor:
    z = x * x
    w = z * z
    half = 0.5 * z
    one = 1.0 - half
    r = z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) + w * w * (
        -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
    )
    return one + (((1.0 - one) - half) + z * r)
