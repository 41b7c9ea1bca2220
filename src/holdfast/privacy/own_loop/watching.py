"""What could void the promise of a loop of your own, and is looked at in every step: the model, the optimiser, the losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.privacy import preflight
from holdfast.privacy.engine import Tape, trainable

_ATTACHED: set[int] = set()  # parameters of every attached model


def check_model(model: nn.Module, *, private: bool) -> None:
    """Refuses what cannot be attached.

    Raises:
        InputError: For a wrapped model, or in one of several processes.
        PreflightError: If nothing is trainable, or a private model mixes examples through batch statistics.
    """
    kind = type(model).__name__
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel | torch.jit.ScriptModule) or kind == "OptimizedModule":
        raise InputError(f"the model is wrapped in {kind}, behind which nothing can be recorded; attach the bare model and use it")
    if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        raise InputError(
            f"a loop of your own runs in one process, this is one of {torch.distributed.get_world_size()}; "
            "`torchrun -m holdfast train` shares the work of a study among processes"
        )
    preflight.check_model(model, private=private)


def claim_parameters(model: nn.Module) -> frozenset[int]:
    """Marks the parameters of a model as attached.

    Raises:
        InputError: If one of them is attached already.
    """
    keys = frozenset(id(parameter) for parameter in model.parameters())
    if keys & _ATTACHED:
        raise InputError("the model, or a part of it, is attached already; leave that `with` block first")
    _ATTACHED.update(keys)
    return keys


def release_parameters(keys: frozenset[int]) -> None:
    """Undoes `claim_parameters`."""
    _ATTACHED.difference_update(keys)


@dataclass(frozen=True)
class Shape:
    """Which modules and parameters a model has, and which of them learn.

    Args:
        parameters: Name to identity, shape (None where it has none yet) and whether it learns.
        modules: Name to type.
    """

    parameters: dict[str, tuple[int, torch.Size | None, bool]]
    modules: dict[str, type[nn.Module]]

    @classmethod
    def of(cls, model: nn.Module) -> Shape:
        """The shape of a model as it is now."""
        parameters = {name: (id(one), _shape(one), one.requires_grad) for name, one in model.named_parameters()}
        return cls(parameters, {name: type(module) for name, module in model.named_modules()})

    def check(self, model: nn.Module) -> None:
        """Refuses a model that is no longer the one that was attached.

        Raises:
            InputError: Naming what changed.
        """
        now = Shape.of(model)
        if now == self:
            return
        changed = "; ".join(self._changes(now))
        raise InputError(
            f"the model was changed after it was attached: {changed}. Change it before, or end the block, attach again and "
            "hand private.state_dict() on to go on counting"
        )

    def _changes(self, now: Shape) -> Iterator[str]:
        for kind, before, after in (("module", self.modules, now.modules), ("parameter", self.parameters, now.parameters)):
            yield from (f"{kind} {name} was added" for name in sorted(after.keys() - before.keys()))
            yield from (f"{kind} {name} was removed" for name in sorted(before.keys() - after.keys()))
        yield from (
            f"module {name} was replaced"
            for name in self.modules.keys() & now.modules.keys()
            if self.modules[name] is not now.modules[name]
        )
        for name in sorted(self.parameters.keys() & now.parameters.keys()):
            one, two = self.parameters[name], now.parameters[name]
            if one[:2] != two[:2]:
                yield f"parameter {name} was replaced"
            elif one != two:
                yield f"parameter {name} was {'unfrozen' if two[2] else 'frozen'}"


def _shape(parameter: Tensor) -> torch.Size | None:
    return None if nn.parameter.is_lazy(parameter) else parameter.shape


def check_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, *, before: torch.optim.Optimizer | None) -> None:
    """Refuses an optimiser that would update anything without noise.

    Args:
        optimizer: What `step` was given.
        model: The attached model.
        before: What `step` was given for the part before of the same batch, if there was one.

    Raises:
        InputError: If so.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"optimizer is {type(optimizer).__name__}; give a torch.optim.Optimizer")
    if before is not None and optimizer is not before:
        raise InputError("the parts of one batch were stepped on with two optimisers; use one")
    own = {id(parameter) for parameter in model.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in own:
                raise InputError(
                    f"the optimiser also updates a tensor of shape {tuple(parameter.shape)} that is no parameter of the attached model, so "
                    "it would learn without noise; attach one module that holds everything that learns, and make the optimiser after "
                    "the model has its final parameters"
                )


def check_losses(losses: Tensor, count: int, model: nn.Module, *, tape: Tape | None) -> list[Tensor]:
    """Refuses losses that are not one for each example, with the graph that the tape recorded.

    Args:
        losses: What `step` was given.
        count: Examples of the part.
        model: The attached model.
        tape: What recorded the forward pass; None where nothing is recorded.

    Returns:
        Tensors beside the model's parameters at which gradients of the losses would arrive.

    Raises:
        InputError: With the reason.
    """
    if not isinstance(losses, Tensor):
        raise InputError(f"losses is {type(losses).__name__}; give a tensor with one loss for each example")
    if losses.shape != (count,):
        found = "one number (a mean or a sum?)" if losses.dim() == 0 else f"of shape {tuple(losses.shape)}"
        raise InputError(
            f"losses is {found} for {count} examples; give one loss for each example, in the order of the batch "
            "(reduction='none', then summed or averaged over the example's own tokens)"
        )
    if not losses.requires_grad:
        raise InputError("the losses depend on no trainable parameter; compute them with gradients, from the batch that was handed out")
    if tape is not None and tape.names_met():
        raise InputError("backward was called before step; leave it to private.step, which needs each example's own gradient")
    strangers = _strangers(losses, model, tape)
    for leaf in strangers:
        if isinstance(leaf, nn.Parameter):
            raise InputError(
                f"the losses also depend on a parameter of shape {tuple(leaf.shape)} that is not of the attached model; attach one "
                "module that holds everything that learns"
            )
    return strangers


def _strangers(losses: Tensor, model: nn.Module, tape: Tape | None) -> list[Tensor]:
    """The tensors at which gradients of the losses would arrive, and which are no trainable parameters of the model.

    A forward pass may make such tensors for itself (T5 does, where activations are computed again). A gradient that is left
    on one that somebody keeps would be neither clipped nor blurred.
    """
    own = {id(parameter) for parameter in trainable(model).values()}
    return [leaf for leaf in _leaves(losses) if id(leaf) not in own and not (tape is not None and tape.wants(leaf))]


def _leaves(losses: Tensor) -> Iterator[Tensor]:
    """The tensors at which gradients of the losses would arrive."""
    waiting, seen = [losses.grad_fn], {losses.grad_fn}  # nodes are kept, so that none comes back under the name of another
    if losses.grad_fn is None:
        yield losses
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            yield leaf
        for following, _ in node.next_functions:
            if following not in seen:
                seen.add(following)
                waiting.append(following)
