"""The steps of the local solver for the parameters of many clients at once, each as by an optimiser of its own.

Shapes: C clients of a block, A of them that still take steps: the first ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from holdfast.federated.local.solver import LocalSolver

FIRST_DECAY, SECOND_DECAY, FLOOR = 0.9, 0.999, 1e-8
"""Of Adam, torch's own."""


class Moves:
    """Moves parameters by their gradients.

    A client that has taken its steps stands behind the active ones and is not touched, neither its weights nor its moments.

    Args:
        solver: What the clients do.
        ways: How far each client has come from the server's weights, by name, (C, ...); moved in place.
        start: The server's weights by name, without the first axis, or with one of their own where a client has some rows only.
        corrections: By name, what is added to each gradient, (C, ...).
    """

    def __init__(
        self, solver: LocalSolver, ways: Mapping[str, Tensor], start: Mapping[str, Tensor], corrections: Mapping[str, Tensor]
    ) -> None:
        self._solver, self._ways, self._start, self._corrections = solver, ways, start, corrections
        remembers = solver.optimizer != "sgd"
        self._first = {name: torch.zeros_like(value) for name, value in ways.items()} if remembers else {}
        squares = solver.optimizer in ("adam", "adamw")
        self._second = {name: torch.zeros_like(value) for name, value in ways.items()} if squares else {}

    @staticmethod
    def plain(solver: LocalSolver, corrections: Mapping[str, Tensor]) -> bool:
        """Whether a step is minus the learning rate times the gradient and nothing else."""
        return solver.optimizer == "sgd" and not solver.weight_decay and not solver.proximal and not corrections

    @torch.no_grad()
    def step(self, grads: Mapping[str, Tensor], step: int, active: int) -> None:
        """Moves the first `active` clients.

        Args:
            grads: By name, (A, ...) each; changed.
            step: Counted from 0.
            active: A.
        """
        solver, names = self._solver, list(grads)
        ways = [self._ways[name][:active] for name in names]
        for name, way in zip(names, ways, strict=True):
            self._bend(name, grads[name], way, active)
        given = [grads[name] for name in names]
        if solver.optimizer == "sgd":
            torch._foreach_add_(ways, given, alpha=-solver.learning_rate)
            return
        first = [self._first[name][:active] for name in names]
        if solver.optimizer == "momentum":
            buffers: list[Tensor | None] = list(first)
            sgd(
                *(ways, given, buffers),
                fused=True,
                lr=solver.learning_rate,
                momentum=solver.momentum,
                weight_decay=0.0,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            return
        adam(
            *(ways, given, first, [self._second[name][:active] for name in names], []),
            [torch.full((), float(step), device=way.device) for way in ways],
            fused=True,
            amsgrad=False,
            beta1=FIRST_DECAY,
            beta2=SECOND_DECAY,
            lr=solver.learning_rate,
            weight_decay=0.0,
            eps=FLOOR,
            maximize=False,
        )

    def _bend(self, name: str, grad: Tensor, way: Tensor, active: int) -> None:
        """Adds to a gradient what does not come from the loss."""
        solver, decay = self._solver, self._solver.weight_decay
        if name in self._corrections:
            grad.add_(self._corrections[name][:active])
        if solver.proximal:
            grad.add_(way, alpha=solver.proximal)
        if not decay:
            return
        start = self._start[name]
        start = start if start.dim() < way.dim() else start[:active]
        if solver.optimizer == "adamw":
            way.mul_(1 - solver.learning_rate * decay).sub_(start, alpha=solver.learning_rate * decay)
        else:
            grad.add_(way, alpha=decay).add_(start, alpha=decay)
