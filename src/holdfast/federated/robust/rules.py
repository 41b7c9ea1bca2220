"""Robust rules by name, as study files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.federated.robust.bounding import NormBound
from holdfast.federated.robust.contract import Rule
from holdfast.federated.robust.coordinates import Median, TrimmedMean
from holdfast.federated.robust.distances import GeometricMedian, Krum, MultiKrum
from holdfast.federated.robust.named import made

_RULES: dict[str, type[Any]] = {kind.name: kind for kind in (NormBound, Median, TrimmedMean, Krum, MultiKrum, GeometricMedian)}
RULES = tuple(_RULES)


def rule(name: str, options: Mapping[str, Any] | None = None) -> Rule:
    """Makes a rule by its name.

    Args:
        name: "norm-bound", "median", "trimmed-mean", "krum", "multi-krum" or "geometric-median".
        options: Of `NormBound` (bound), `TrimmedMean` (share), `Krum` (attackers), `MultiKrum` (attackers, keep) or `GeometricMedian`.

    Raises:
        InputError: For an unknown name or option, with the nearest one, or one that is missing.

    >>> rule("krum", {"attackers": 2}).needs_single_updates
    True
    """
    return made("robust rule", _RULES, name, options)  # type: ignore[no-any-return]  # each kind is a Rule
