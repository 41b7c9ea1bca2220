"""Rules and attacks by name, and a bound that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.core.errors import InputError, nearest
from holdfast.models import checks


def made(owner: str, kinds: Mapping[str, type[Any]], name: str, options: Mapping[str, Any] | None) -> Any:
    """Makes one of some dataclasses by its name.

    Args:
        owner: What they are, for errors.
        kinds: By name.
        name: Which one.
        options: Its fields.

    Raises:
        InputError: For an unknown name or option, with the nearest one, or one that is missing.
    """
    if name not in kinds:
        raise InputError(f"there is no {owner} {name!r}; {nearest(str(name), kinds)}")
    kind, given = kinds[name], dict(options or {})
    checks.known_options(name, kind, given)
    try:
        return kind(**given)
    except TypeError as error:  # known_options leaves only a missing one
        raise InputError(f"{name}: {str(error).partition('missing ')[2] or error}; give it among the options") from None


def above_zero(owner: str, *, norm: float = 1.0, times: float = 1.0, bound: float = 1.0, smoothing: float = 1.0) -> None:
    """Holds a setting to a finite number above 0.

    Args:
        owner: Whose it is.
        norm: A length.
        times: A factor.
        bound: A length.
        smoothing: A share.

    Raises:
        InputError: Naming the one that is none.
    """
    for name, value in {"norm": norm, "times": times, "bound": bound, "smoothing": smoothing}.items():
        checks.number(owner, least=0, **{name: value})
        if value == 0:
            raise InputError(f"{owner}: {name} is 0; give a number above 0")
