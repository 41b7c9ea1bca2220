"""Models that label sentences and words or predict next words: settings, features, saving without pickles. Loaded on demand."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.models.bag import Bag
    from holdfast.models.bilstm import BiLSTM
    from holdfast.models.causal import Decoder, LSTMLanguageModel
    from holdfast.models.crf import Transitions
    from holdfast.models.features import Encoded, Features, Featuriser, Labels, Logits, ModelSettings, Precomputing
    from holdfast.models.hub import Hub
    from holdfast.models.masked import MaskedEncoder
    from holdfast.models.registry import LoadedModel, describe, load, save, settings
    from holdfast.models.transformer import Transformer

__all__ = [
    "Bag",
    "BiLSTM",
    "Decoder",
    "Encoded",
    "Features",
    "Featuriser",
    "Hub",
    "LSTMLanguageModel",
    "Labels",
    "LoadedModel",
    "Logits",
    "MaskedEncoder",
    "ModelSettings",
    "Precomputing",
    "Transformer",
    "Transitions",
    "describe",
    "load",
    "save",
    "settings",
]

_HOMES = {"Bag": "bag", "BiLSTM": "bilstm", "Hub": "hub", "Transformer": "transformer", "Transitions": "crf"}
_HOMES["MaskedEncoder"] = "masked"
_HOMES |= dict.fromkeys(["Decoder", "LSTMLanguageModel"], "causal")
_HOMES |= dict.fromkeys(["Encoded", "Features", "Featuriser", "Labels", "Logits", "ModelSettings", "Precomputing"], "features")
_HOMES |= dict.fromkeys(["LoadedModel", "describe", "load", "save", "settings"], "registry")


def __getattr__(name: str) -> Any:
    """Imports the module of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
