"""Adam for noisy gradients: the part of the second moment that is noise alone is taken off before the division."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class DPAdamBC(torch.optim.Optimizer):
    """Adam with the bias that privacy noise adds to its second moment corrected.

    Noise of variance s^2 in every coordinate of the gradient adds s^2 to the second moment, so where the noise is larger
    than the gradient, Adam divides by the noise and becomes SGD with momentum. Here the same running average is taken of
    the known variance, and subtracted: ``lr * m_hat / sqrt(max(v_hat - s_hat, floor))``. The variance is public, so
    this is post-processing and costs no privacy. Without noise the updates are Adam's.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, > 0.
        betas: Decay of the two running averages, each in [0, 1).
        floor: Smallest corrected second moment, > 0: it bounds the update where the gradient drowns in the noise. Too small a
            floor makes such coordinates jump; a first try is a hundredth of the noise's variance.
        weight_decay: Of the gradient, as in Adam, >= 0.

    Each group has a "noise_variance", 0 at first, to be set before a step to the variance of the noise in each coordinate of
    the gradient of that step.

    References:
        After Tang, Shpilevskiy, Lecuyer 2024, "DP-AdamBC" (arXiv 2312.14334), algorithm 1; the running average of a variance
        that changes by step is ours, and equals theirs for a constant one.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        floor: float = 5e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "floor": floor, "weight_decay": weight_decay, "noise_variance": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch's overloads
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"], state["noise"] = torch.zeros(()), torch.zeros((), dtype=parameter.dtype)
            state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        beta1, beta2 = group["betas"]
        state["step"] += 1
        state["first"].lerp_(gradient, 1 - beta1)
        state["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        state["noise"].mul_(beta2).add_((1 - beta2) * group["noise_variance"])
        correction1, correction2 = (1 - beta ** float(state["step"]) for beta in (beta1, beta2))
        corrected = (state["second"] - float(state["noise"])).div_(correction2).clamp_min_(group["floor"])
        parameter.addcdiv_(state["first"], corrected.sqrt_(), value=-group["lr"] / correction1)
