"""Tensors that a model computed from parameters alone, and what stands in for them until the end of the pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from holdfast.core.errors import PreflightError


class Derived:
    """Keeps each such tensor with its graph; a stand-in, cut off from the graph, is what the data meet.

    Gradients of stand-ins come by example, and are carried back through the small graphs at the end.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Tensor, Tensor, str]] = {}
        self._over = False

    def __contains__(self, key: int) -> bool:
        return key in self._kept

    def add(self, result: Tensor, names: Iterable[str]) -> Tensor:
        """Keeps a tensor that was computed from the parameters of these names, and returns its stand-in."""
        stand_in, behind = result.detach().requires_grad_(), " and ".join(sorted(set(names)))
        stand_in.register_hook(partial(self.refuse_if_over, behind))
        self._kept[id(stand_in)] = (stand_in, result, behind)
        return stand_in

    def name(self, key: int) -> str:
        """The names of the parameters behind a stand-in."""
        return self._kept[key][2]

    def stand_ins(self) -> list[Tensor]:
        """All stand-ins, in the order of the forward pass."""
        return [stand_in for stand_in, _, _ in self._kept.values()]

    def last_first(self) -> Iterator[tuple[int, Tensor]]:
        """Key of the stand-in and tensor with its graph, later ones first: they may have been computed from earlier ones."""
        return ((key, result) for key, (_, result, _) in reversed(self._kept.items()))

    def leaks(self) -> list[str]:
        """Names behind stand-ins that met something unseen: gradients of theirs went past the tape."""
        return [names for stand_in, _, names in self._kept.values() if stand_in.grad is not None]

    def close(self) -> None:
        """From now on gradients that arrive, because a model kept what it computed, are refused."""
        self._over = True

    def refuse_if_over(self, names: str, gradient: Tensor | None = None) -> None:
        """Refuses a gradient of something computed from the parameters of these names, once the pass is over."""
        if self._over:
            raise PreflightError(
                [f"what was computed from {names} was kept from a pass that is over, so it would not learn; compute it in every pass"]
            )

    def pulled_back(self, result: Tensor, gradients_B: Tensor, sources: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Gradients by example of what a tensor was computed from, given its own."""
        over, self._over = self._over, False
        wanted = gradients_B.to(result.dtype)
        found = torch.autograd.grad(result, sources, wanted, is_grads_batched=True, retain_graph=True, allow_unused=True)
        self._over = over
        return ((source, gradient_B) for source, gradient_B in zip(sources, found, strict=True) if gradient_B is not None)


def lasting_graph() -> AbstractContextManager[Any]:
    """Keeps what the graph of a derived tensor needs, also where activations are forgotten: it is walked back after the pass."""
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.detach(), lambda kept: kept)
