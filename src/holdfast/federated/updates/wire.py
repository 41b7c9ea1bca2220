"""What travels: tensors as safetensors bytes, whole or as rows of a table, and how long these bytes are without making them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from holdfast.core.errors import InputError, RunError

ROWS, VALUES = "/rows", "/values"
"""Behind the name of a table of which only some rows travel."""
MARK = "holdfast"
"""The one key beside the tensors: safetensors keeps no order of several, and the bytes of an update should be the same each time."""
_NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ORDER = {dtype: place for place, dtype in enumerate(_NAMES)}
Entry = tuple[str, torch.dtype, tuple[int, ...]]


def serialised(weights: Mapping[str, Tensor]) -> int:
    """How many bytes these tensors take as safetensors, in their own types.

    Guarantee:
        Equal to the length of what `safetensors.torch.save` writes; only the shapes are looked at.

    >>> serialised({"bias": torch.zeros(4)}) == len(save({"bias": torch.zeros(4)}))
    True
    """
    return length(tuple((name, value.dtype, tuple(value.shape)) for name, value in weights.items()))


@lru_cache(maxsize=4096)
def length(entries: tuple[Entry, ...], mark: str | None = None) -> int:
    """How many bytes tensors of these names, types and shapes take as safetensors.

    Args:
        entries: Name, type and shape of each.
        mark: The note that `write` puts beside them.

    Raises:
        InputError: For a type that does not travel.
    """
    header: dict[str, object] = {} if mark is None else {"__metadata__": {MARK: mark}}
    end = 0
    for name, dtype, shape in sorted(entries, key=lambda entry: (_ORDER.get(entry[1], 0), entry[0])):
        if dtype not in _NAMES:
            raise InputError(f"wire: {name!r} is of {dtype}; give tensors of {', '.join(_NAMES.values())}")
        start, end = end, end + dtype.itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = len(json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode())
    return 8 + text + -text % 8 + end


def write(tensors: Mapping[str, Tensor], mark: str | None = None) -> bytes:
    """Tensors as safetensors bytes.

    Args:
        tensors: By name.
        mark: A note of what they are.
    """
    plain = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    return save(plain, None if mark is None else {MARK: mark})


def read(data: bytes, mark: str | None = None) -> dict[str, Tensor]:
    """What `write` wrote.

    Raises:
        RunError: If these are no such bytes, or have another note beside them.
    """
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # a type that torch lacks is a KeyError
        raise RunError(f"wire: these bytes are no safetensors ({error}); they are damaged or of something else") from None
    found = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {}).get(MARK)
    if found != mark:
        raise RunError(f"wire: these bytes are marked {found!r}, not {mark!r}; read them with what wrote them")
    return tensors


def pack(dense: Mapping[str, Tensor], tables: Mapping[str, tuple[Tensor, Tensor]]) -> bytes:
    """One client's update as bytes.

    Args:
        dense: Whole tensors by name.
        tables: Of tables of which some rows were moved: which, (k,), and how far, (k, D); they travel as they are given.
    """
    sparse = {name + ROWS: rows.to(torch.int32) for name, (rows, _) in tables.items()}
    return write({**dense, **sparse, **{name + VALUES: values for name, (_, values) in tables.items()}})


def unpack(data: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` packed, as whole tensors.

    Args:
        data: The bytes of a client; they need not be trusted.
        like: The weights, for names, types and shapes.

    Raises:
        RunError: If the bytes do not fit these weights.
    """
    found = read(data)
    whole = {}
    for name, value in like.items():
        if name in found:
            whole[name] = found.pop(name)
        elif name + ROWS in found and name + VALUES in found:
            whole[name] = _from_rows(name, found.pop(name + ROWS), found.pop(name + VALUES), value)
        if name not in whole or whole[name].shape != value.shape or whole[name].dtype != value.dtype:
            raise RunError(f"wire: the bytes hold no {name!r} of {tuple(value.shape)} {value.dtype}; they are of other weights")
    if found:
        raise RunError(f"wire: the bytes hold {sorted(found)[0]!r}, which is none of the weights")
    return whole


def _from_rows(name: str, rows: Tensor, values: Tensor, like: Tensor) -> Tensor:
    fits = rows.dtype == torch.int32 and rows.ndim == 1 and like.ndim >= 1 and values.shape == (*rows.shape, *like.shape[1:])
    if not fits or values.dtype != like.dtype or (len(rows) and not (rows.min() >= 0 and rows.max() < len(like))):
        raise RunError(f"wire: the rows of {name!r} do not fit a table of {tuple(like.shape)} {like.dtype}")
    return torch.zeros_like(like, device="cpu").index_add_(0, rows.long(), values)
