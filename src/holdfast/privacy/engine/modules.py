"""Modules that are patched while recording: multi-head attention is opaque, recurrent layers know the order in packed sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from holdfast.privacy.engine.attention import attention_forward
from holdfast.privacy.engine.recurrent import packed_forward
from holdfast.privacy.engine.tape import Tape

_FORWARDS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.LSTM: packed_forward,
    nn.GRU: packed_forward,
    nn.RNN: packed_forward,
    nn.MultiheadAttention: attention_forward,
}


@contextmanager
def patched(modules: Iterable[nn.Module], tape: Tape) -> Iterator[None]:
    """Replaces the forward pass of such modules while the block runs; a subclass with its own forward is left alone."""
    changed = []
    try:
        for module in modules:
            replacement = _replacement(module)
            learns = any(tape.wants(parameter) for parameter in module.parameters(recurse=False))
            if replacement is not None and (learns or isinstance(module, nn.RNNBase)):  # whose first state may be learned elsewhere
                module.forward = partial(replacement, module, tape)
                changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _replacement(module: nn.Module) -> Callable[..., Any] | None:
    if "forward" in vars(module):  # somebody else replaced it
        return None
    own = getattr(type(module), "forward", None)  # a scripted module has none
    return next((forward for kind, forward in _FORWARDS.items() if own is kind.forward), None)
