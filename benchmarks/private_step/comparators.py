"""What holdfast is compared with: Opacus with hooks and with ghost clipping, a loop over examples, torch.func. Noise excluded."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from private_step.cases import Case, Data, losses

LEARNING_RATE = 1e-3


def named_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


class _Comparator:
    """A model with its rows, and SGD on the sum of the clipped gradients, its learning rate divided by the batch size.

    Args:
        model: The engine's own.
        data: Rows.
        case: Gives the batches.
        clip_norm: C.
    """

    def __init__(self, model: nn.Module, data: Data, *, case: Case, clip_norm: float) -> None:
        self.model, self.data, self.case, self.clip_norm = model, data, case, clip_norm
        self.parameters = named_trainable(model)
        self.optimizer = torch.optim.SGD(self.parameters.values(), lr=LEARNING_RATE / case.shape.batch)

    def step(self, number: int) -> None:
        """Clipped sum, step."""
        total = self.clipped_sum(self.case.indices(number))
        for name, parameter in self.parameters.items():
            parameter.grad = total[name]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        raise NotImplementedError


class Loop(_Comparator):
    """One example at a time, the ordinary way."""

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Each gradient is formed whole, measured, scaled and added."""
        parameters = list(self.parameters.values())
        total = [torch.zeros_like(parameter) for parameter in parameters]
        for index in indices:
            loss = losses(self.model, *self.data.batch(np.array([index]))).sum()
            gradients = torch.autograd.grad(loss, parameters)
            norm = torch.nn.utils.get_total_norm(gradients)
            torch._foreach_add_(total, torch._foreach_mul(gradients, (self.clip_norm / norm).clamp(max=1.0)))
        return dict(zip(self.parameters, total, strict=True))


class Vmap(_Comparator):
    """All per-example gradients at once by `torch.func.vmap(grad(...))`."""

    def __init__(self, model: nn.Module, data: Data, *, case: Case, clip_norm: float) -> None:
        super().__init__(model, data, case=case, clip_norm=clip_norm)
        frozen = {name: tensor for name, tensor in model.named_parameters() if not tensor.requires_grad} | dict(model.named_buffers())

        def loss(trained: dict[str, Tensor], tokens_T: Tensor, target: Tensor) -> Tensor:
            def called(tokens_BT: Tensor) -> Any:
                return torch.func.functional_call(model, (trained, frozen), (tokens_BT,))

            return losses(called, tokens_T[None], target[None]).sum()

        self.gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The gradients of all examples are held together, then weighted and summed."""
        trained = {name: parameter.detach() for name, parameter in self.parameters.items()}
        gradients = self.gradients(trained, *self.data.batch(indices))
        squared_B = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients.values()]).sum(0)
        weights_B = (self.clip_norm / squared_B.sqrt()).clamp(max=1.0)
        return {name: torch.tensordot(weights_B, gradient, dims=1) for name, gradient in gradients.items()}


class OpacusHooks(_Comparator):
    """`GradSampleModule` and `DPOptimizer`, as Opacus' engine assembles them."""

    def __init__(self, model: nn.Module, data: Data, *, case: Case, clip_norm: float) -> None:
        super().__init__(_readied(model), data, case=case, clip_norm=clip_norm)
        self.noise = {"noise_multiplier": 0.0, "max_grad_norm": clip_norm, "expected_batch_size": None, "loss_reduction": "sum"}
        self.wrapped, self.private = self._wrapped()

    def _wrapped(self) -> tuple[nn.Module, Any]:
        from opacus import GradSampleModule
        from opacus.optimizers import DPOptimizer

        return GradSampleModule(self.model, loss_reduction="sum"), DPOptimizer(self.optimizer, **self.noise)

    def _backward(self, indices: np.ndarray) -> None:
        losses(self.wrapped, *self.data.batch(indices)).sum().backward()

    def step(self, number: int) -> None:
        """As in Opacus' own loop."""
        self._backward(self.case.indices(number))
        self.private.step()
        self.private.zero_grad(set_to_none=True)

    def clipped_sum(self, indices: np.ndarray) -> dict[str, Tensor]:
        """What its optimizer would hand on."""
        self._backward(indices)
        self.private.pre_step()
        total = {name: parameter.grad.clone() for name, parameter in self.parameters.items()}
        self.private.zero_grad(set_to_none=True)
        return total


class OpacusGhost(OpacusHooks):
    """`GradSampleModuleFastGradientClipping` with ghost norms, and its optimizer and loss."""

    def _wrapped(self) -> tuple[nn.Module, Any]:
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
        from opacus.optimizers import DPOptimizerFastGradientClipping

        module = GradSampleModuleFastGradientClipping(
            self.model, loss_reduction="sum", max_grad_norm=self.clip_norm, use_ghost_clipping=True
        )
        return module, DPOptimizerFastGradientClipping(self.optimizer, **self.noise)

    def _backward(self, indices: np.ndarray) -> None:
        from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

        losses_B = losses(self.wrapped, *self.data.batch(indices))
        DPTensorFastGradientClipping(self.wrapped, self.private, losses_B, "sum").backward()


def _readied(model: nn.Module) -> nn.Module:
    """The model as Opacus needs it: its own LSTM, ids that are contiguous, and position ids for every row instead of one row for all."""
    from opacus.validators import ModuleValidator

    model = ModuleValidator.fix(model).train()
    rows = [1]

    def count(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        rows[0] = len(inputs[0] if inputs else named["input_ids"])

    def expand(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].expand(rows[0], -1).contiguous(), *inputs[1:])

    model.register_forward_pre_hook(count, with_kwargs=True)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.register_forward_pre_hook(expand)
    return model
