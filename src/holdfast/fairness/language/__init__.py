"""Language models as the metrics of fairness see them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from holdfast.fairness.language.access import CausalAccess, EncodingAccess, GeneratingAccess, Masked, MaskedAccess, Pieces, ReadsText

if TYPE_CHECKING:
    from holdfast.fairness.language.hub import HubCausal, HubEncoder, HubMasked, open_access
    from holdfast.fairness.language.runs import OwnCausal, OwnEncoder, OwnMasked, of_run

__all__ = [
    "CausalAccess",
    "EncodingAccess",
    "GeneratingAccess",
    "HubCausal",
    "HubEncoder",
    "HubMasked",
    "Masked",
    "MaskedAccess",
    "OwnCausal",
    "OwnEncoder",
    "OwnMasked",
    "Pieces",
    "ReadsText",
    "of_run",
    "open_access",
]

_HOMES = dict.fromkeys(["HubCausal", "HubEncoder", "HubMasked", "open_access"], "hub")
_HOMES |= dict.fromkeys(["OwnCausal", "OwnEncoder", "OwnMasked", "of_run"], "runs")


def __getattr__(name: str) -> Any:
    """Imports what needs torch when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
