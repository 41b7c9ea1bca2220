"""Matrix products by the library that is fastest on this processor."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from holdfast.privacy.kernels import native

SMALLEST = 1 << 22
"""Multiplications below which a product is left to `torch.mm`: the way to oneDNN costs some microseconds."""


def product(left_XK: Tensor, right_KN: Tensor) -> Tensor | None:
    """``left @ right`` by oneDNN, or None where `torch.mm` is to be preferred.

    On AMD's processors `torch.mm` leads to a library that does not use AVX-512; oneDNN, which torch brings too and uses for its
    own LSTM, does, and takes about half the time. Which of the two is taken depends on the processor and on the sizes alone, so that
    a resumed run computes what an uninterrupted one would.

    Args:
        left_XK: Of any strides.
        right_KN: Likewise.
    """
    if left_XK.numel() * right_KN.shape[1] < SMALLEST or not torch.backends.mkldnn.enabled:
        return None
    if not native.takes((left_XK, right_KN), torch.float32):
        return None
    multiply = _onednn()
    if multiply is None:
        return None
    (x, k), n = left_XK.shape, right_KN.shape[1]
    if left_XK.stride(1) != 1 and x * k > n * k + 2 * x * n:  # it packs its first operand: the smaller one, then, and the result is turned
        return multiply(right_KN.mT, left_XK, None, "none", [], "").mT.contiguous()  # type: ignore[no-any-return]
    return multiply(left_XK, right_KN.mT, None, "none", [], "")  # type: ignore[no-any-return]


def products_by() -> str:
    """What forms large products of weighted gradients in float32 on the CPU: "oneDNN" or "torch.mm"."""
    return "torch.mm" if _onednn() is None or not torch.backends.mkldnn.enabled else "oneDNN"


@functools.cache
def _onednn() -> Any:
    """The operation, where it is there and faster: an AMD processor with AVX-512."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    try:
        vendor = "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return torch.ops.mkldnn._linear_pointwise.default if vendor else None
    except (OSError, AttributeError, RuntimeError):
        return None
