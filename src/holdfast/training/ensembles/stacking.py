"""Folds the models of an ensemble into one module whose batch holds the rows of one model after the other.

The module is the user's own: it works row by row, so only layers with parameters need to know which model a row belongs to.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.models.bag import WordMeans
from holdfast.models.bilstm import BothWays
from holdfast.training.ensembles import leaves, recurrent
from holdfast.training.ensembles.leaves import Fold
from holdfast.training.ensembles.randomness import CannotStackError

Fits = Callable[[Any], bool]

RULES: dict[type[nn.Module], tuple[Callable[..., Any], Fits]] = {
    nn.Linear: (leaves.linear, lambda layer: True),
    nn.LayerNorm: (leaves.layer_norm, lambda layer: True),
    nn.Embedding: (
        leaves.embedding,
        lambda layer: layer.padding_idx is None and layer.max_norm is None and not layer.scale_grad_by_freq and not layer.sparse,
    ),
    nn.Conv1d: (
        leaves.convolution,
        lambda layer: layer.groups == 1 and layer.dilation == (1,) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str),
    ),
    nn.LSTM: (
        recurrent.lstm,
        lambda layer: layer.num_layers == 1 and not layer.bidirectional and layer.proj_size == 0 and layer.bias and layer.batch_first,
    ),
    BothWays: (recurrent.both_ways, lambda layer: True),
}
"""What stands in for the forward of a layer of exactly this class, and whether it knows all that the layer can do."""


class Stack:
    """Models of one architecture as one module.

    Args:
        modules: The models, one after the other; each is let go before the next is asked for, but for the first, which is changed.
        models: How many.

    Raises:
        CannotStackError: For a layer without a rule, tied parameters, hooks, or frozen parts that differ from model to model.

    Attributes:
        module: The module; its batch has the rows of the first model, then those of the second, and so on.
        fold: What its layers share.
        parameters: The trainable parameters by name, (M, ...) each.
    """

    def __init__(self, modules: Iterable[nn.Module], models: int) -> None:
        self.fold = Fold(models, torch.zeros((), requires_grad=True))
        self.parameters: dict[str, Tensor] = {}
        for number, module in enumerate(modules):
            if number == 0:
                self.module = module
                self._begin(module, models)
            else:
                self._take(module)
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    self.parameters[name][number] = parameter.detach()
        self._owners = {name: _owner(self.module, name) for name in self.parameters}
        self._fixed = {name for name, _ in self.module.named_parameters()} - set(self.parameters)
        for name, module in self.module.named_modules():
            self._replace(name, module)
        self.show(models)

    def show(self, models: int) -> None:
        """Lets the module be the first models alone."""
        self.fold.models = models
        for name, (owner, local) in self._owners.items():
            owner._parameters[local] = nn.Parameter(self.parameters[name][:models])
        for table in self.fold.tables.values():
            table.shrink(models)

    def module_of(self, name: str) -> nn.Module:
        """The layer that a parameter belongs to."""
        return self._owners[name][0]

    def grads(self) -> dict[str, Tensor | None]:
        """The gradients of the models shown, by name, and forgets them."""
        found: dict[str, Tensor | None] = {}
        for name, (owner, local) in self._owners.items():
            parameter = owner._parameters[local]
            assert parameter is not None
            found[name], parameter.grad = parameter.grad, None
        return found

    def _begin(self, module: nn.Module, models: int) -> None:
        names = [name for name, _ in module.named_parameters(remove_duplicate=False)]
        if len(names) != len(list(module.parameters())):
            raise CannotStackError("the model uses one parameter under two names")
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                self.parameters[name] = parameter.new_empty(models, *parameter.shape)
        self._shared = {name: value for name, value in module.state_dict().items() if name not in self.parameters}

    def _take(self, module: nn.Module) -> None:
        state = module.state_dict()
        for name, value in self._shared.items():
            if not torch.equal(value, state[name]):
                raise CannotStackError(f"{name} is not trained and differs from model to model")

    def _replace(self, name: str, module: nn.Module) -> None:
        own = {f"{name}.{local}" if name else local for local, _ in module.named_parameters(recurse=False)}
        trained = own & set(self.parameters)
        if module._forward_hooks or module._forward_pre_hooks:
            raise CannotStackError(f"{name or 'the model'} has hooks")
        if trained and trained != own:
            raise CannotStackError(f"{name} is trained in part")
        if isinstance(module, WordMeans) and module.trained is not None and f"{name}.trained.weight" in self.parameters:
            module.mean_rows = functools.partial(leaves.mean_of_rows, module.trained, self.fold)
        composite = type(module) is BothWays
        if not trained and not composite:
            return
        forward, fits = RULES.get(type(module), (None, bool))
        if forward is None or not fits(module):
            raise CannotStackError(f"{name or 'the model'} is a {type(module).__name__} that is not known model by model")
        if composite and not all(f"{name}.{local}" in self.parameters for local, _ in module.named_parameters()):
            return
        object.__setattr__(module, "forward", functools.partial(forward, module, self.fold))


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    place, _, local = name.rpartition(".")
    return module.get_submodule(place), local
