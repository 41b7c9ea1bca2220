"""One client after the other by torch's own optimisers: works for every module and task, and is what the fast kernels are held to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.federated.local.blocks import Block, Ints
from holdfast.federated.local.moves import FIRST_DECAY, FLOOR, SECOND_DECAY
from holdfast.federated.local.solver import LocalSolver
from holdfast.federated.local.updates import Updates
from holdfast.federated.local.workload import Workload
from holdfast.training.ensembles.randomness import CannotStackError, OwnDraws

BYTES = 1 << 26
"""What the updates of the clients of a block may take."""


class Sequential:
    """Trains clients in the module of the workload, which has its weights, buffers and mode back before an update is handed out.

    Args:
        workload: What is trained.
        solver: How.

    Edge cases:
        Draws that are not known model by model (`training.ensembles.randomness`) come from torch's own generator, seeded anew
        for each step of each client from the client's key; it is left as it was.
    """

    name = "sequential"

    def __init__(self, workload: Workload, solver: LocalSolver) -> None:
        self._workload, self._solver = workload, solver
        self._own = True
        parameters = dict(workload.module.named_parameters())
        self._parameters = {name: parameters[name] for name in workload.trainable}
        size = sum(value.numel() * value.element_size() for value in self._parameters.values())
        self.most = max(1, BYTES // size)

    def train(self, weights: Mapping[str, Tensor], block: Block) -> Updates:
        """Trains the clients of a block.

        Args:
            weights: The server's, by name.
            block: The clients and their batches.
        """
        dense = {name: value.new_zeros(len(block), *value.shape) for name, value in weights.items()}
        losses = np.full(len(block), np.nan)
        with self._borrowed():
            for client in range(len(block)):
                if not block.steps[client]:
                    continue
                for name, parameter in self._parameters.items():
                    parameter.detach().copy_(weights[name])
                losses[client] = self._train(weights, block, client)
                for name, parameter in self._parameters.items():
                    torch.sub(parameter.detach(), weights[name], out=dense[name][client])
        return Updates(block.places, dense, {}, block.steps, losses)

    def _train(self, weights: Mapping[str, Tensor], block: Block, client: int) -> float:
        """Takes the steps of one client; gives its mean loss."""
        optimizer, total = self._optimizer(), torch.zeros((), dtype=torch.float64, device=self._workload.device)
        buffers = {name: value.clone() for name, value in self._workload.module.named_buffers()}
        for step in range(int(block.steps[client])):
            width, size = int(block.width[step]), int(block.sizes[step, client])
            first = int(block.offsets[step]) + client * width
            losses = self._losses(block.examples[first : first + size], block.keys[client : client + 1], step)
            grads = torch.autograd.grad(losses.mean(), list(self._parameters.values()), allow_unused=True)
            for (name, parameter), grad in zip(self._parameters.items(), grads, strict=True):
                own = torch.zeros_like(parameter) if grad is None else grad
                if name in block.corrections:
                    own = own + block.corrections[name][client]
                if self._solver.proximal:
                    own = own + self._solver.proximal * (parameter.detach() - weights[name])
                parameter.grad = own
            optimizer.step()
            total += losses.detach().sum()
        for name, value in self._workload.module.named_buffers():
            value.copy_(buffers[name])
        return float(total) / int(block.sizes[:, client].sum())

    def _losses(self, examples: Ints, key: NDArray[np.uint64], step: int) -> Tensor:
        """The loss of each example, with the draws that belong to this step of this client."""
        task, module = self._workload.task, self._workload.module
        batch = task.collate(self._workload.encoded, examples).to(self._workload.device)
        torch.manual_seed(int(key[0] >> np.uint64(1)) + step)
        if self._own:
            try:
                with OwnDraws(key, step):
                    return task.per_example_loss(module, batch)
            except CannotStackError:
                self._own = False
        return task.per_example_loss(module, batch)

    def _optimizer(self) -> torch.optim.Optimizer:
        solver, given = self._solver, list(self._parameters.values())
        rate, decay = solver.learning_rate, solver.weight_decay
        if solver.optimizer in ("sgd", "momentum"):
            momentum = solver.momentum if solver.optimizer == "momentum" else 0.0
            return torch.optim.SGD(given, lr=rate, momentum=momentum, weight_decay=decay)
        kind = torch.optim.Adam if solver.optimizer == "adam" else torch.optim.AdamW
        return kind(given, lr=rate, betas=(FIRST_DECAY, SECOND_DECAY), eps=FLOOR, weight_decay=decay)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[None]:
        """Lends the module, in training mode, and puts everything back."""
        module, device = self._workload.module, self._workload.device
        before, modes = self._workload.weights(), {part: part.training for part in module.modules()}
        devices = [device] if device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices), torch.enable_grad():
                module.train()
                yield
        finally:
            self._workload.load(before)
            for part, mode in modes.items():
                part.training = mode
            for parameter in self._parameters.values():
                parameter.grad = None
