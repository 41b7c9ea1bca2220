"""Which parameters of a model are trained and travel: all, the heads alone, all but frozen ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from holdfast.core.errors import InputError, nearest
from holdfast.federated.updates import lora
from holdfast.federated.updates.prefixes import check, covered

Spec = str | Mapping[str, Sequence[str]]
WORDS = ("all", "heads", "lora")
KEYS = ("freeze", "only")


def trainable(module: nn.Module, spec: Spec = "all") -> tuple[str, ...]:
    """Names the parameters that are trained.

    Args:
        module: The model.
        spec: "all"; "heads" (what is under `heads`, in which the models of this library end); "lora" (the low-rank matrices);
            ``{"freeze": prefixes}`` (all but these) or ``{"only": prefixes}``. A prefix ends where a part of a name ends:
            "layers.1" covers "layers.1.forth.bias" and not "layers.11.forth.bias".

    Returns:
        The names, in the order of the model.

    Raises:
        InputError: For an unknown word, key or prefix, with the nearest one; if nothing is left to train.

    Guarantee:
        A parameter that the model itself has frozen (pretrained vectors, the weights under a low-rank pair) is never among them.

    >>> trainable(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), {"freeze": ["0"]})
    ('1.weight', '1.bias')
    """
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    if isinstance(spec, str):
        chosen = _by_word(module, names, spec)
    else:
        key, prefixes = _key(spec)
        check("trainable", prefixes, [name for name, _ in module.named_parameters()])
        chosen = [name for name in names if covered(name, prefixes) == (key == "only")]
    if not chosen:
        raise InputError(f"trainable: {label(spec)!r} leaves nothing to train; the model's unfrozen parameters are: {', '.join(names)}")
    return tuple(chosen)


def label(spec: Spec) -> str:
    """The spec in a few words, for a condition of an estimate.

    >>> label({"freeze": ["words", "layers.0"]})
    'all but words, layers.0'
    """
    if isinstance(spec, str):
        return spec
    key, prefixes = _key(spec)
    return ("all but " if key == "freeze" else "") + ", ".join(prefixes)


def describe(module: nn.Module, spec: Spec = "all") -> dict[str, Any]:
    """Says in plain JSON what is trained of a model.

    Returns:
        "trainable" (a few words), "parameters" (numbers that are trained and travel), "of" (all numbers of the model), "tensors",
        and "lora" (the settings of `with_lora`) where the model has low-rank pairs.
    """
    names = set(trainable(module, spec))
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    parameters = sum(size for name, size in sizes.items() if name in names)
    found = {"trainable": label(spec), "parameters": parameters, "of": sum(sizes.values()), "tensors": len(names)}
    settings = lora.settings(module)
    return found if settings is None else {**found, "lora": settings}


def _by_word(module: nn.Module, names: list[str], spec: str) -> list[str]:
    if spec not in WORDS:
        raise InputError(f"trainable: there is no {spec!r}; {nearest(spec, WORDS)}; or give a table with 'freeze' or 'only'")
    if spec == "all":
        return names
    if spec == "lora":
        return [name for name in names if lora.is_factor(name)]
    if getattr(module, "heads", None) is None:
        raise InputError("trainable: 'heads' is for models that end in `heads`; name the last layers by {'only': [...]}")
    return [name for name in names if covered(name, ["heads"])]


def _key(spec: Mapping[str, Sequence[str]]) -> tuple[str, tuple[str, ...]]:
    unknown = [key for key in spec if key not in KEYS]
    if unknown:
        raise InputError(f"trainable: unknown option {unknown[0]!r}; {nearest(str(unknown[0]), KEYS)}")
    if len(spec) != 1:
        raise InputError(f"trainable: {len(spec)} options; give one of 'freeze' and 'only'")
    key, prefixes = next(iter(spec.items()))
    if isinstance(prefixes, str) or not prefixes or not all(isinstance(prefix, str) and prefix for prefix in prefixes):
        raise InputError(f"trainable: {key} is {prefixes!r}; give a list of one prefix or more")
    return key, tuple(prefixes)
