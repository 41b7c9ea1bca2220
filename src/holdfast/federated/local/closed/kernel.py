"""Trains the clients of a block by gradients that were derived by hand, in batched products.

Shapes: C clients of a block, A of them that take a step: the first ones. B rows of each, R rows of a block.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.federated.local.blocks import Block
from holdfast.federated.local.closed.features import CachedStates, Source, WordVectors
from holdfast.federated.local.closed.layers import Layer, passed
from holdfast.federated.local.closed.network import network_of
from holdfast.federated.local.moves import Moves
from holdfast.federated.local.solver import LocalSolver
from holdfast.federated.local.updates import TableRows, Updates
from holdfast.federated.local.workload import Workload
from holdfast.training.ensembles.randomness import OwnDraws


class ClosedForm:
    """Trains the clients of a block without autograd.

    Args:
        workload: What is trained: a bag of words that labels sentences, or a head over cached states of a frozen encoder.
        solver: How.

    Raises:
        DeclinedError: For any other model, saying why.

    Guarantee:
        Dropout of words and of numbers before the head is drawn as the other kernels draw it.
    """

    name = "closed form"

    def __init__(self, workload: Workload, solver: LocalSolver) -> None:
        self._workload, self._solver, self._network = workload, solver, network_of(workload)
        encoded, fixed, device = workload.encoded.encoded, dict(workload.module.named_parameters()), workload.device
        self._source: Source
        if self._network.reads_words:
            self._source = WordVectors(self._network, encoded, fixed, device, whole=solver.weight_decay > 0)
        else:
            self._source = CachedStates(encoded, device)
        layers = [layer for layer in (self._network.hidden, self._network.head) if layer is not None]
        self._fixed = {f"{layer}.{kind}": fixed[f"{layer}.{kind}"].detach() for layer in layers for kind in ("weight", "bias")}
        self.most = self._source.most

    @torch.no_grad()
    def train(self, weights: Mapping[str, Tensor], block: Block) -> Updates:
        """Trains the clients of a block.

        Args:
            weights: The server's, by name.
            block: The clients and their batches.
        """
        run = _Run(self, weights, block)
        for step in range(len(block.active)):
            run.step(step)
        return run.updates()


class _Run:
    """The training of one block.

    Where a step is minus the learning rate times the gradient, weights are moved by the products themselves; otherwise `Moves`
    moves the ways from the server's weights, and weights are their sum.
    """

    def __init__(self, kernel: ClosedForm, weights: Mapping[str, Tensor], block: Block) -> None:
        self._solver, self._network, self._block, self._weights = kernel._solver, kernel._network, block, weights
        device, sentence = kernel._workload.device, kernel._workload.encoded.sentence
        assert sentence is not None  # or it was declined
        table = self._network.table
        whole = table in block.corrections or self._solver.weight_decay > 0
        self._features = kernel._source.of(block, weights, whole=whole)
        self._plain = Moves.plain(self._solver, block.corrections)
        self._trained = [name for name in kernel._fixed if name in weights]
        own = {name: weights.get(name, value).expand(len(block), *value.shape) for name, value in kernel._fixed.items()}
        self._values = {name: value.clone() if name in weights else value for name, value in own.items()}
        self._ways = {} if self._plain else {name: torch.zeros_like(self._values[name]) for name in self._trained}
        if self._features.ways_CUD is not None and table is not None:
            self._ways[table] = self._features.ways_CUD
        self._moves = Moves(self._solver, self._ways, weights, block.corrections)
        hidden = any(name.startswith(f"{self._network.hidden}.") for name in self._trained)
        self._deepest = 2 if self._features.ways_CUD is not None else int(hidden)
        real_R = torch.from_numpy(block.real).to(device)
        self._targets_R = torch.from_numpy(sentence[block.examples]).to(device)
        self._shares_R = torch.from_numpy(block.shares()).to(device, next(iter(self._values.values())).dtype)
        self._real_R, self._totals_C = real_R, torch.zeros(len(block), dtype=torch.float64, device=device)

    def step(self, step: int) -> None:
        """Takes one step of all clients that take it."""
        block, features = self._block, self._features
        rows, shape = block.rows(step), (int(block.active[step]), int(block.width[step]))
        own = OwnDraws(block.keys[: shape[0]], step)
        x_ABD = features.forward(step, own)
        targets_AB, shares_AB, real_AB = (one[rows].view(shape) for one in (self._targets_R, self._shares_R, self._real_R))
        found = passed(self._network, self._values, x_ABD, targets_AB, shares_AB, own=own, deepest=self._deepest)
        self._totals_C[: shape[0]] += torch.where(real_AB, found.losses_AB, 0.0).sum(1)
        if self._plain:
            self._slide(found.layers, step, found.grads_ABD)
        else:
            self._move(found.layers, step, found.grads_ABD)

    def _slide(self, layers: tuple[Layer, ...], step: int, grads_ABD: Tensor | None) -> None:
        """Moves weights by minus the learning rate times the gradient, which is not made."""
        rate = -self._solver.learning_rate
        for layer in layers:
            A = len(layer.grads_ABO)
            if f"{layer.name}.weight" in self._weights:
                self._values[f"{layer.name}.weight"][:A].baddbmm_(layer.grads_ABO.mT, layer.inputs_ABI, alpha=rate)
            if f"{layer.name}.bias" in self._weights:
                self._values[f"{layer.name}.bias"][:A].add_(layer.grads_ABO.sum(1), alpha=rate)
        if self._features.ways_CUD is not None and grads_ABD is not None:
            self._features.backward(step, grads_ABD * rate, self._features.ways_CUD[: len(grads_ABD)])

    def _move(self, layers: tuple[Layer, ...], step: int, grads_ABD: Tensor | None) -> None:
        """Makes the gradients and lets the optimiser move the ways by them."""
        grads, A = {}, int(self._block.active[step])
        for layer in layers:
            grads[f"{layer.name}.weight"] = torch.bmm(layer.grads_ABO.mT, layer.inputs_ABI)
            grads[f"{layer.name}.bias"] = layer.grads_ABO.sum(1)
        grads = {name: grads[name] for name in self._trained}
        if self._features.ways_CUD is not None and grads_ABD is not None and self._network.table is not None:
            grads[self._network.table] = torch.zeros_like(self._features.ways_CUD[:A])
            self._features.backward(step, grads_ABD, grads[self._network.table])
        self._moves.step(grads, step, A)
        for name in self._trained:
            torch.add(self._weights[name], self._ways[name][:A], out=self._values[name][:A])

    def updates(self) -> Updates:
        """What has come of it."""
        block, table = self._block, self._network.table
        dense = {name: self._values[name].sub_(self._weights[name]) if self._plain else self._ways[name] for name in self._trained}
        tables = {}
        if self._features.ways_CUD is not None and table is not None:
            active, ways_CUD = self._features.active, self._features.ways_CUD
            if active is None:
                dense[table] = ways_CUD
            else:
                tables[table] = TableRows(active.rows_CR.to(ways_CUD.device), ways_CUD, active.size)
        return Updates(block.places, dense, tables, block.steps, block.mean_losses(self._totals_C))
