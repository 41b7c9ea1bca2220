"""Options of metrics as study files and commands write them, in the types that the metrics declare."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError

_WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
_SEQUENCES = (tuple, list, Sequence)


def as_declared(owner: str, kind: Any, key: str, value: Any) -> Any:
    """A value of a study file in the type that a metric declares: a path for a text, a tuple for a list or for the one thing in it.

    Args:
        owner: The metric's name, for errors.
        kind: The metric's class.
        key: Name of the option.
        value: As it was written.

    Raises:
        InputError: For a value of another type.
    """
    declared = typing.get_type_hints(kind).get(key, Any)
    if isinstance(value, list):
        value = tuple(value)
    alternatives = _alternatives(declared)
    if not _fits_any(value, alternatives) and _fits_any((value,), alternatives):
        value = (value,)  # one test, one file, one domain
    if not _fits_any(value, alternatives):
        shown = list(value) if isinstance(value, tuple) else value
        raise InputError(f"{owner}: the option {key!r} is {shown!r}; give {_worded(alternatives)}")
    if isinstance(value, str) and Path in alternatives:
        return Path(value)
    if isinstance(value, tuple) and any(Path in typing.get_args(one) for one in alternatives):
        return tuple(Path(item) if isinstance(item, str) else item for item in value)
    return value


def _alternatives(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return tuple(part for one in typing.get_args(declared) for part in _alternatives(one))
    return (declared,)


def _fits_any(value: Any, alternatives: Sequence[Any]) -> bool:
    return any(_fits(value, declared) for declared in alternatives)


def _fits(value: Any, declared: Any) -> bool:
    origin = typing.get_origin(declared)
    if origin is typing.Literal:
        return isinstance(value, tuple({type(choice) for choice in typing.get_args(declared)}))  # the metric names the nearest
    if origin in _SEQUENCES or declared in _SEQUENCES:
        parts = [part for part in typing.get_args(declared) if part is not ...]
        return isinstance(value, tuple) and all(_fits_any(item, _alternatives(parts[0])) for item in value if parts)
    if origin is not None:
        return isinstance(value, origin)
    if isinstance(value, bool) or declared is bool:
        return isinstance(value, bool) and declared in (bool, Any)
    try:
        return declared is Any or isinstance(value, {float: (int, float), Path: (str, Path)}.get(declared, declared))
    except TypeError:  # a protocol that cannot be looked for: nothing that stands in a file fulfils one
        return False


def _worded(alternatives: Sequence[Any]) -> str:
    words = []
    for one in alternatives:
        inside = [_WORDS.get(part, "a value") for part in typing.get_args(one) if part is not ...]
        if typing.get_origin(one) in _SEQUENCES:
            words.append(f"a list such as [{inside[0]}]" if inside else "a list")
        elif typing.get_origin(one) is typing.Literal:
            words.append(" or ".join(map(repr, typing.get_args(one))))
        elif one in _WORDS:
            words.append(_WORDS[one])
    return " or ".join(dict.fromkeys(words)) or "what the metric asks for"
