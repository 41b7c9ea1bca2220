"""A round of federated learning as an observer sees it: one sum of clipped updates with noise, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.access import OpenModel
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset

Mode = Literal["evaluation", "training"]
"""Whether clients drop numbers (dropout) while they take the gradient."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """What one round shows to whoever sees the sum, be it the server or a listener.

    Args:
        update: Name of a trained parameter to the sum over the cohort, divided by `divisor`. A gradient or a change of
            weights: the attacks look at directions and at which rows are zero, so neither the sign nor a learning rate matters.
        cohort: Clients in the sum, at least 1.
        clip_norm: Largest L2 norm of one client's update, over all parameters together; None without clipping.
        noise_multiplier: Standard deviation of the Gaussian noise on the sum, over `clip_norm`; 0 for none.
        divisor: What the sum was divided by: 1 for a sum, the size of the cohort for a mean.

    Raises:
        InputError: For a value out of its bounds, or noise without a clip norm.
    """

    update: Mapping[str, Tensor]
    cohort: int = 1
    clip_norm: float | None = None
    noise_multiplier: float = 0.0
    divisor: float = 1.0

    def __post_init__(self) -> None:
        _check_noise(self.clip_norm, self.noise_multiplier)
        if self.cohort < 1:
            raise InputError(f"round: cohort is {self.cohort}; at least one client is in the sum")
        if not (math.isfinite(self.divisor) and self.divisor > 0):
            raise InputError(f"round: divisor is {self.divisor}; give 1 for a sum or the size of the cohort for a mean")

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on each number of `update`."""
        return self.noise_multiplier * (self.clip_norm or 0.0) / self.divisor


def observe(
    model: OpenModel,
    clients: Sequence[Dataset],
    *,
    streams: Streams,
    clip_norm: float | None = None,
    noise_multiplier: float = 0.0,
    divisor: float = 1.0,
    mode: Mode = "evaluation",
) -> Round:
    """Makes the round that some clients give in federated SGD: one gradient each, clipped, summed, with noise.

    The gradient of a client is that of the mean loss over its examples. It is clipped as a whole, which bounds what one client
    can change: the unit of privacy is the user. One client with noise is also what an observer sees who knows the updates of
    all others of a cohort and takes them off the sum.

    Args:
        model: The model that the server sent.
        clients: The examples of each client, at least one client of at least one example.
        streams: For the noise, and for dropout in training mode.
        clip_norm: Largest L2 norm of one client's gradient, > 0; None leaves it as it is.
        noise_multiplier: Noise on the sum, over `clip_norm`; 0 for none.
        divisor: As in `Round`.
        mode: "evaluation", or "training" where the clients drop numbers. It is set for the call alone.

    Raises:
        InputError: For a value out of its bounds, noise without a clip norm, or no clients.
    """
    _check_noise(clip_norm, noise_multiplier)
    if not clients or not all(map(len, clients)):
        raise InputError(f"observe: {len(clients)} clients, of which {sum(not len(c) for c in clients)} are empty; give each an example")
    total: dict[str, Tensor] = {}
    for number, data in enumerate(clients):
        gradient = client_gradient(model, data, mode=mode, streams=streams.child("client", number))
        scale = 1.0 if clip_norm is None else min(1.0, clip_norm / max(norm_of(gradient), torch.finfo(torch.float32).tiny))
        for name, value in gradient.items():
            total[name] = value * scale if name not in total else total[name].add_(value, alpha=scale)
    source = torch.Generator().manual_seed(streams.integer("noise"))
    std = noise_multiplier * (clip_norm or 0.0)
    for value in total.values():
        if std:
            value += torch.randn(value.shape, generator=source, dtype=value.dtype).to(value.device) * std
        value /= divisor
    return Round(update=total, cohort=len(clients), clip_norm=clip_norm, noise_multiplier=noise_multiplier, divisor=divisor)


def client_gradient(model: OpenModel, data: Dataset, *, mode: Mode, streams: Streams) -> dict[str, Tensor]:
    """The gradient of the mean loss over some examples: one tensor for each trained parameter, zeros where nothing reaches it.

    Args:
        model: The model.
        data: At least one example.
        mode: As in `observe`.
        streams: For dropout in training mode.
    """
    named = [(name, parameter) for name, parameter in model.module.named_parameters() if parameter.requires_grad]
    encoded = model.task.encode(data, model.featuriser, model.labels)
    batch = encoded.batch(np.arange(len(data))).to(model.device)
    # On a GPU, cuDNN's LSTM refuses to go backwards in evaluation mode; torch's own does not.
    with in_mode(model.module, mode), torch.random.fork_rng(), torch.backends.cudnn.flags(enabled=mode == "training"):
        torch.manual_seed(streams.integer("dropout"))
        loss = model.task.per_example_loss(model.module, batch).mean()
        found = torch.autograd.grad(loss, [parameter for _, parameter in named], allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient.detach()
        for (name, parameter), gradient in zip(named, found, strict=True)
    }


def norm_of(update: Mapping[str, Tensor]) -> float:
    """The L2 norm over all parameters together."""
    return math.sqrt(sum(float(torch.linalg.vector_norm(value, dtype=torch.float64)) ** 2 for value in update.values()))


@contextmanager
def in_mode(module: nn.Module, mode: Mode) -> Iterator[None]:
    """Sets the mode of a module, and puts each of its parts back as it was."""
    if mode not in get_args(Mode):
        raise InputError(f"mode is {mode!r}; choose one of {get_args(Mode)}")
    before = [(part, part.training) for part in module.modules()]
    module.train(mode == "training")
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _check_noise(clip_norm: float | None, noise_multiplier: float) -> None:
    if clip_norm is not None and not (math.isfinite(clip_norm) and clip_norm > 0):
        raise InputError(f"clip_norm is {clip_norm}; give a number > 0, or None for no clipping")
    if not (math.isfinite(noise_multiplier) and noise_multiplier >= 0):
        raise InputError(f"noise_multiplier is {noise_multiplier}; give a finite number >= 0")
    if noise_multiplier and clip_norm is None:
        raise InputError(f"noise_multiplier is {noise_multiplier} without a clip_norm; noise is a multiple of it, so give one")
