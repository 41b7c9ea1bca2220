"""Models by name: settings from a name and options, a description for the record, and saving and loading without pickles."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import nn

from holdfast.core.errors import InputError, RunError, nearest
from holdfast.models import checks
from holdfast.models.features import Featuriser, Labels, ModelSettings

KINDS = {
    "bag": "bag:Bag",
    "bilstm": "bilstm:BiLSTM",
    "transformer": "transformer:Transformer",
    "hub": "hub:Hub",
    "lstm-lm": "causal:LSTMLanguageModel",
    "decoder": "causal:Decoder",
    "encoder-mlm": "masked:MaskedEncoder",
}
"""The names of models, and where their settings live."""

FORMAT_VERSION = 1


class LoadedModel(NamedTuple):
    """What `load` gives back.

    Args:
        module: The module with its weights, in evaluation mode.
        settings: Its settings.
        featuriser: What makes its features.
        labels: What its outputs mean.
    """

    module: nn.Module
    settings: ModelSettings
    featuriser: Featuriser
    labels: Labels


def settings(name: str | ModelSettings, options: Mapping[str, Any] | None = None) -> ModelSettings:
    """Makes the settings of a model from its name, or changes settings that are there.

    Args:
        name: "bag", "bilstm", "transformer", "lstm-lm", "decoder", "encoder-mlm", "hub:FOLDER", "hub:minilm" or
            "hub:owner/name"; or a settings object.
        options: Fields of those settings, such as ``{"hidden": 64}``.

    Raises:
        InputError: For an unknown name or option, with the nearest valid one, or a value out of its bounds.

    >>> settings("bilstm", {"hidden": 64}).hidden
    64
    >>> settings("bilstm", {"hiden": 64})
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: bilstm: unknown option 'hiden'; did you mean 'hidden'? Valid: buckets, ...
    """
    options = dict(options or {})
    if not isinstance(name, str):
        checks.known_options(name.kind, type(name), options)
        return replace(name, **options)  # type: ignore[type-var]  # settings are dataclasses
    kind, _, place = name.partition(":")
    settings_class = _settings_class(kind)
    if place and kind != "hub":
        raise InputError(f"model {name!r}: only 'hub' takes something behind a colon; give {kind!r}")
    if kind == "hub":
        options = {"name": place, **options}
    checks.known_options(kind, settings_class, options)
    made: ModelSettings = settings_class(**options)
    return made


def describe(module: nn.Module, settings: ModelSettings, featuriser: Featuriser, labels: Labels) -> dict[str, object]:
    """Says in plain JSON what a model is: its settings, its featuriser, its labels and how many parameters its module has."""
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return {
        "settings": settings.describe(),
        "featuriser": featuriser.describe(),
        "labels": {"sentence": len(labels.sentence), "tokens": len(labels.tokens)} | ({"next_words": True} if labels.next_words else {}),
        "parameters": {"trainable": trainable, "frozen": sum(p.numel() for p in module.parameters()) - trainable},
    }


def save(folder: Path | str, module: nn.Module, settings: ModelSettings, featuriser: Featuriser, labels: Labels) -> None:
    """Writes a model into a folder: weights as safetensors, all else as JSON.

    Args:
        folder: Where to; it is made if it is not there.
        module: The module.
        settings: The settings that it was built from.
        featuriser: What makes its features.
        labels: What its outputs mean.

    Raises:
        InputError: For settings of a kind that `load` does not know.
    """
    _settings_class(settings.kind)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # On an accelerator the weights of an LSTM are views of one block, which safetensors refuses: each gets memory of its own.
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    featuriser.save(folder)
    document = {
        "format": "holdfast.model",
        "format_version": FORMAT_VERSION,
        "kind": settings.kind,
        "settings": asdict(settings),  # type: ignore[call-overload]  # settings are dataclasses
        "labels": labels.to_json(),
    }
    (folder / "model.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def load(folder: Path | str) -> LoadedModel:
    """Reads from a folder what `save` wrote; needs neither the files of pretrained vectors nor the network.

    Guarantee:
        The module gives the same outputs as the saved one did in evaluation mode.

    Raises:
        RunError: If a file is missing, damaged or of a later version, or the weights are not those of the settings.
    """
    folder = Path(folder)
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if document.get("format") != "holdfast.model" or document.get("format_version") != FORMAT_VERSION:
            raise RunError(f"{folder}: not a model of format version {FORMAT_VERSION}; read it with the holdfast that wrote it")
        loaded = _settings_class(document["kind"])(**document["settings"])
        labels = Labels.from_json(document["labels"])
        featuriser = loaded.load_featuriser(folder)
        weights = safetensors.torch.load_file(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise RunError(f"{folder}: the saved model cannot be read ({error}); save it again") from error
    module = loaded.skeleton(featuriser, labels)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{folder}: the weights are not those of the settings beside them: {error}") from error
    return LoadedModel(module.eval(), loaded, featuriser, labels)


def _settings_class(kind: str) -> Any:
    if kind not in KINDS:
        raise InputError(f"unknown model {kind!r}; {nearest(kind, KINDS)}")
    module, _, name = KINDS[kind].partition(":")
    return getattr(importlib.import_module(f"holdfast.models.{module}"), name)
