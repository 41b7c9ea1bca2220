"""Bounds that settings are held to: each error names the owner, the value, the bound and so the cure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from holdfast.core.errors import InputError, nearest


def integer(owner: str, *, least: int, most: int | None = None, **values: object) -> None:
    """Holds each value to a whole number between two bounds.

    Args:
        owner: What the values belong to, such as "bilstm".
        least: The smallest value allowed.
        most: The largest value allowed, or None for no upper bound.
        values: The values by name.

    Raises:
        InputError: Naming the first value that is out of bounds.

    >>> integer("bilstm", least=1, hidden=0)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: bilstm: hidden is 0; give a whole number >= 1
    """
    bound = f">= {least}" if most is None else f"from {least} to {most}"
    for name, value in values.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]  # whole says that it is an int
            raise InputError(f"{owner}: {name} is {value!r}; give a whole number {bound}")


def number(owner: str, *, least: float, below: float = math.inf, **values: object) -> None:
    """Holds each value to a finite number, at least `least` and smaller than `below`.

    Args:
        owner: What the values belong to.
        least: The smallest value allowed.
        below: A bound that the value must stay under.
        values: The values by name.

    Raises:
        InputError: Naming the first value that is out of bounds.
    """
    bound = f">= {least:g}" if math.isinf(below) else f"in [{least:g}, {below:g})"
    for name, value in values.items():
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not least <= value < below:  # type: ignore[operator]  # real says that it compares
            raise InputError(f"{owner}: {name} is {value!r}; give a number {bound}")


def choice(owner: str, valid: Sequence[str], **values: object) -> None:
    """Holds each value to one of some words; an unknown one is answered with the nearest valid one.

    Args:
        owner: What the values belong to.
        valid: The words allowed.
        values: The values by name.

    Raises:
        InputError: Naming the first value that is none of them.
    """
    for name, value in values.items():
        if value not in valid:
            raise InputError(f"{owner}: {name} is {value!r}; {nearest(str(value), valid)}")


def flag(owner: str, **values: object) -> None:
    """Holds each value to true or false.

    Args:
        owner: What the values belong to.
        values: The values by name.

    Raises:
        InputError: Naming the first value that is neither.
    """
    for name, value in values.items():
        if not isinstance(value, bool):
            raise InputError(f"{owner}: {name} is {value!r}; give true or false")


def known_options(owner: str, kind: type[Any], options: Mapping[str, object]) -> None:
    """Refuses an option that a settings class does not have.

    Args:
        owner: What the options belong to.
        kind: A dataclass whose fields are the options.
        options: What the caller gave.

    Raises:
        InputError: Naming the first unknown option and the nearest valid one.
    """
    known_keys(owner, [field.name for field in fields(kind) if field.init], options)


def known_keys(owner: str, valid: Sequence[str], options: Mapping[str, object]) -> None:
    """Refuses an option that is none of some names.

    Args:
        owner: What the options belong to.
        valid: The names.
        options: What the caller gave.

    Raises:
        InputError: Naming the first unknown option and the nearest valid one.
    """
    for name in options:
        if name not in valid:
            raise InputError(f"{owner}: unknown option {name!r}; {nearest(name, valid)}")
