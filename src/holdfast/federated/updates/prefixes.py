"""Parts of a model by the beginning of their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.core.errors import InputError, nearest


def covered(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a name is one of the prefixes or under one; a prefix ends where a part of a name ends.

    >>> covered("layers.1.bias", ["layers.1"]), covered("layers.11.bias", ["layers.1"])
    (True, False)
    """
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def check(owner: str, prefixes: Iterable[str], names: Sequence[str], *, what: str = "parameter") -> None:
    """Holds prefixes to names that there are.

    Args:
        owner: Whose prefixes these are.
        prefixes: Each must cover a name.
        names: All of them.
        what: What the names are of.

    Raises:
        InputError: For one that covers none, with what stands in its place: what there is beside the first part that is unknown.
    """
    for prefix in prefixes:
        if any(covered(name, [prefix]) for name in names):
            continue
        parts = prefix.split(".")
        starts = [".".join(parts[:depth]) for depth in range(len(parts))]
        known = max(depth for depth, start in enumerate(starts) if not depth or any(covered(name, [start]) for name in names))
        beside = {".".join(name.split(".")[: known + 1]) for name in names if not known or covered(name, [starts[known]])}
        raise InputError(f"{owner}: no {what} is under {prefix!r}; {nearest('.'.join(parts[: known + 1]), beside)}")
