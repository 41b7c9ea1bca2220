"""What happens where a torch function meets a trainable parameter: one short rule for each kind of function.

A rule gets the `Meeting` and the function's own arguments, and returns the function's result with the parameter's part
recorded, or `NotImplemented` where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast.privacy.engine.recurrent import RECURRENT_RULES
from holdfast.privacy.engine.rules import broadcasting, normals, products, rows

__all__ = ["BROADCASTING", "RULES", "VIEWS"]


def _named(*names: str) -> list[Any]:
    """The functions of these names, as functions and as methods."""
    return [getattr(place, name) for place in (torch, Tensor) for name in names if hasattr(place, name)]


_IN_PLACE = ("add_", "sub_", "mul_", "div_", "__iadd__", "__isub__", "__imul__", "__itruediv__")
_ELEMENTWISE = ("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "maximum", "minimum", "pow")
_OPERATORS = ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__rdiv__", "rsub")
_MORE = ("__pow__", "__rpow__", "where", "lerp", "addcmul", "addcdiv", "clamp")
_EXPANSIONS = _named("expand", "expand_as", "broadcast_to")
_CONVOLUTIONS = (F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)

BROADCASTING = frozenset([*_named(*_IN_PLACE, *_ELEMENTWISE, *_OPERATORS, *_MORE), F.cosine_similarity])
"""Functions whose rule finds out to whom looked-up rows belong."""

VIEWS = frozenset([*_EXPANSIONS, *_named("unsqueeze"), Tensor.repeat, Tensor.__getitem__])
"""Functions that leave it open."""

RULES: dict[Any, Callable[..., Any]] = {
    F.linear: products.linear,
    **dict.fromkeys(_named("addmm"), products.addmm),
    **dict.fromkeys(_named("matmul", "mm", "bmm", "__matmul__"), products.matmul),
    Tensor.__rmatmul__: products.matmul_reversed,
    torch.einsum: products.einsum,
    F.conv1d: products.conv1d,
    **{func: products.convolution(func) for func in _CONVOLUTIONS},
    F.bilinear: products.example_by_example(F.bilinear),
    F.embedding_bag: products.embedding_bag,
    F.layer_norm: normals.layer_norm,
    F.rms_norm: normals.rms_norm,
    torch.rms_norm: normals.rms_norm,
    F.group_norm: normals.group_norm,
    F.instance_norm: normals.instance_norm,
    F.prelu: normals.prelu,
    torch.prelu: normals.prelu,
    **{func: broadcasting.broadcasting(func) for func in BROADCASTING},
    **dict.fromkeys(_named("masked_fill"), broadcasting.masked_fill),
    **{func: broadcasting.joined(func) for func in (torch.cat, torch.concat, torch.stack)},
    F.scaled_dot_product_attention: broadcasting.attention,
    **dict.fromkeys(_EXPANSIONS, broadcasting.expand),
    Tensor.repeat: broadcasting.repeat,
    **{func: broadcasting.cast(func) for func in _named("to", "type_as")},
    F.embedding: rows.embedding,
    Tensor.__getitem__: rows.getitem,
    Tensor.__setitem__: rows.setitem,
    **dict.fromkeys(_named("index_select"), rows.index_select),
    **dict.fromkeys(_named("unsqueeze"), rows.unsqueeze),
    Tensor.__iter__: rows.iterate,
    **RECURRENT_RULES,
}
"""Torch function to its rule. Functions of parameters and constants alone need none."""
