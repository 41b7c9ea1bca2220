"""The clients of a block as one stacked module, of large tables only the rows that each client uses.

Shapes: C clients of a block, A of them that take a step: the first ones. B rows of one client, V rows of a table, R of one client.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.federated.local.active import ABSENT, ActiveRows, Slots, Tokens
from holdfast.federated.local.blocks import Block
from holdfast.federated.local.moves import Moves
from holdfast.federated.local.solver import LocalSolver
from holdfast.federated.local.updates import TableRows, Updates
from holdfast.federated.local.workload import Workload
from holdfast.models.vocabulary import UNKNOWN
from holdfast.tasks import Batch
from holdfast.training.ensembles import leaves
from holdfast.training.ensembles.leaves import Fold
from holdfast.training.ensembles.randomness import OwnDraws
from holdfast.training.ensembles.stacking import Stack

MANY_ROWS = 512
"""Rows of a table from which on a client has only those that it uses; a smaller one is copied as a whole."""
BYTES = 1 << 25
"""What the weights of the clients of a block may take, but for tables of which they have some rows."""
MOST = 64
"""Clients of a block at most: of small models more were no quicker."""


FEW = 32
"""Rows that every client has of a table beside those of its words, at most."""


class AbsentRowError(Exception):
    """A layer was asked for rows that are no tokens of the client's examples.

    Args:
        layer: Which.
        ids: The rows.
    """

    def __init__(self, layer: nn.Embedding, ids: list[int]) -> None:
        super().__init__(f"{len(ids)} rows of a table are no tokens of the examples")
        self.layer, self.ids = layer, ids


class Stacked:
    """Trains the clients of a block as one module.

    Args:
        workload: What is trained.
        solver: How.

    Raises:
        CannotStackError: For a module that `training.ensembles.stacking` cannot stack.

    Guarantee:
        Of a large table a client has the rows alone that its examples use, and a few that its layer is asked for besides, such as
        the unknown word or the mark before a first word. Each id is looked up: where one is missing, the block is begun anew
        with that row for every client, or with the whole table where there are many. A row that is not there has no gradient,
        so no optimiser moves it; with weight decay, or a correction for the table, all rows move and are there.
    """

    name = "stacked"

    def __init__(self, workload: Workload, solver: LocalSolver) -> None:
        self._workload, self._solver = workload, solver
        self._stack = Stack([_copied(workload.module)], 1)
        self._draws = True
        self._steps = 0
        self._tables: dict[str, nn.Embedding] = {}
        for name in self._stack.parameters:
            layer = self._stack.module_of(name)
            if type(layer) is nn.Embedding and layer.num_embeddings >= MANY_ROWS:
                self._tables[name] = layer
                object.__setattr__(layer, "forward", functools.partial(self._looked_up, layer, self._stack.fold))
        always = np.array(sorted({UNKNOWN, workload.encoded.encoded.padding}))
        sizes = {layer.num_embeddings for layer in self._tables.values()}
        self._slots = {size: Slots(size, always=always[always < size]) for size in sizes}
        self._active: dict[nn.Module, tuple[ActiveRows, Tensor]] = {}
        whole = [value[0] for name, value in self._stack.parameters.items() if name not in self._tables or solver.weight_decay]
        size = sum(value.numel() * value.element_size() for value in whole)
        self.most = min([max(1, BYTES // max(1, size)), MOST, *(slots.most for slots in self._slots.values())])

    def train(self, weights: Mapping[str, Tensor], block: Block) -> Updates:
        """Trains the clients of a block.

        Args:
            weights: The server's, by name.
            block: The clients and their batches.
        """
        while True:
            self._find_rows(block)
            try:
                return self._train(weights, block)
            except AbsentRowError as absent:
                slots = self._slots[absent.layer.num_embeddings]
                if len(slots.always) + len(absent.ids) <= FEW:
                    slots.always = np.union1d(slots.always, absent.ids)
                else:
                    self._tables = {name: layer for name, layer in self._tables.items() if layer is not absent.layer}

    def _find_rows(self, block: Block) -> None:
        """Finds the rows of each table that is not to be copied as a whole."""
        self._active.clear()
        names = [name for name in self._tables if name not in block.corrections and not self._solver.weight_decay]
        if not names:
            return
        tokens = Tokens.of(self._workload.encoded.encoded.pieces, block.examples)
        clients = np.repeat(block.clients(), tokens.lengths)
        found: dict[int, tuple[ActiveRows, Tensor]] = {}
        for layer in (self._tables[name] for name in names):
            size = layer.num_embeddings
            if size not in found:
                known = tokens.ids < size
                rows = self._slots[size].find(clients[known], tokens.ids[known], len(block))
                found[size] = rows, torch.from_numpy(rows.slots).to(self._workload.device)
            self._active[layer] = found[size]

    @torch.enable_grad()
    def _train(self, weights: Mapping[str, Tensor], block: Block) -> Updates:
        stack, task, device, C = self._stack, self._workload.task, self._workload.device, len(block)
        rows = {name: self._active[layer][0] for name, layer in self._tables.items() if layer in self._active}
        start = {name: F.embedding(rows[name].rows_CR.to(device), weights[name]) if name in rows else weights[name] for name in weights}
        for name, value in start.items():
            stack.parameters[name] = value.clone() if name in rows else value.expand(C, *value.shape).clone()
        ways = {name: torch.zeros_like(value) for name, value in stack.parameters.items()}
        moves = Moves(self._solver, ways, start, block.corrections)
        totals_C, shares_R = torch.zeros(C, dtype=torch.float64, device=device), torch.from_numpy(block.shares()).to(device)
        stack.module.train()
        shown = -1
        for step, active in enumerate(block.active.tolist()):
            if active != shown:
                stack.show(active)
                shown = active
            part = block.rows(step)
            batch = task.collate(self._workload.encoded, block.examples[part]).to(device)
            losses_AB = self._losses(batch, block, step).view(active, -1)
            shares_AB = shares_R[part].view(active, -1)
            (losses_AB * shares_AB.to(losses_AB.dtype)).sum().backward()
            totals_C[:active] += torch.where(shares_AB > 0, losses_AB.detach(), 0.0).sum(1)
            found = stack.grads()
            grads = {name: value if value is not None else torch.zeros_like(ways[name][:active]) for name, value in found.items()}
            moves.step(grads, step, active)
            for name, way in ways.items():
                torch.add(start[name] if name not in rows else start[name][:active], way[:active], out=stack.parameters[name][:active])
        dense = {name: way for name, way in ways.items() if name not in rows}
        tables = {name: TableRows(rows[name].rows_CR.to(device), ways[name], rows[name].size) for name in rows}
        return Updates(block.places, dense, tables, block.steps, block.mean_losses(totals_C))

    def _losses(self, batch: Batch, block: Block, step: int) -> Tensor:
        """The loss of each row; what has drawn nothing in two steps is not asked again."""
        task, module = self._workload.task, self._stack.module
        if not self._draws:
            return task.per_example_loss(module, batch)
        with OwnDraws(block.keys[: int(block.active[step])], step) as own:
            losses = task.per_example_loss(module, batch)
        self._steps += 1
        self._draws = self._steps < 2 or own.sites > 0
        return losses

    def _looked_up(self, layer: nn.Embedding, fold: Fold, ids: Tensor) -> Tensor:
        """Rows of the table of each client."""
        if layer not in self._active:
            return leaves.embedding(layer, fold, ids)
        rows, slots = self._active[layer]
        if bool(((ids < 0) | (ids >= rows.size)).any()):
            raise IndexError(f"ids from {int(ids.min())} to {int(ids.max())} are looked up in a table of {rows.size} rows")
        clients = torch.arange(fold.models, device=ids.device).view(-1, *[1] * ids.dim()) * rows.size
        places = slots[fold.by_model(ids) + clients].flatten(0, 1)
        if bool((places == ABSENT).any()):
            raise AbsentRowError(layer, ids[places == ABSENT].unique().tolist())
        return F.embedding(places, layer.weight.flatten(0, 1))


def _copied(module: nn.Module) -> nn.Module:
    """A copy that shares what is not trained, and has the mode of the original."""
    kept = [value for value in module.parameters() if not value.requires_grad]
    return copy.deepcopy(module, {id(value): value for value in kept})
