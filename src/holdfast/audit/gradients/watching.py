"""What goes into the parts of a model while it reads some features: the eyes of both attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.audit.gradients.rounds import in_mode
from holdfast.core.access import OpenModel

CHUNK = 512
"""Sentences that go through the model together."""


class _Enough(Exception):
    """All that was asked for has been seen, so the rest of the model need not run."""


def features_of(model: OpenModel, sentences: Sequence[Sequence[str]]) -> Any:
    """The features of some sentences, in one padded batch, where the model is."""
    encoded = model.featuriser.encode(sentences)
    return model.featuriser.collate(encoded, np.arange(len(sentences))).to(model.device)


def seen_by_all(model: OpenModel, features: Any, kinds: tuple[type[nn.Module], ...]) -> list[tuple[str, Tensor]]:
    """The first argument of each call of a module of some kinds, in the order of the calls, by the name of the module.

    Args:
        model: The model; it runs in evaluation mode, without gradients.
        features: What it reads.
        kinds: Classes of modules.
    """
    calls: list[tuple[str, Tensor]] = []
    watched = ((name, part) for name, part in model.module.named_modules() if isinstance(part, kinds))
    with _watching(watched, lambda name, value: calls.append((name, value))), torch.no_grad(), in_mode(model.module, "evaluation"):
        model.module(features)
    return calls


def seen_by(model: OpenModel, features: Any, name: str) -> Tensor:
    """The first argument of the first call of one module; what comes behind it does not run.

    Args:
        model: The model; it runs in evaluation mode, without gradients.
        features: What it reads.
        name: Of the module.
    """
    found: list[Tensor] = []

    def keep(_: str, value: Tensor) -> None:
        found.append(value)
        raise _Enough

    watching = _watching([(name, model.module.get_submodule(name))], keep)
    with watching, torch.no_grad(), in_mode(model.module, "evaluation"), suppress(_Enough):
        model.module(features)
    return found[0]


@contextmanager
def _watching(parts: Iterable[tuple[str, nn.Module]], tell: Callable[[str, Tensor], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, part in parts:

            def hook(_: nn.Module, arguments: tuple[Any, ...], name: str = name) -> None:
                if arguments and isinstance(arguments[0], Tensor):
                    tell(name, arguments[0])

            handle = part.register_forward_pre_hook(hook)
            stack.callback(handle.remove)
        yield
