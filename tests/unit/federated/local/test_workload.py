"""What travels, and the blocks that a kernel is tried on."""

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import tasks
from holdfast.core.errors import InputError
from holdfast.federated.local import LocalSolver, Workload
from holdfast.federated.local.blocks import Cohort
from holdfast.models.features import Features, Logits

from . import worlds


def test_names_of_what_is_trained():
    given = worlds.workload("bag")
    part = Workload(given.task, given.module, given.encoded, ("heads.sentence.bias",))
    assert list(part.weights()) == ["heads.sentence.bias"]
    assert [name for name, value in given.module.named_parameters() if value.requires_grad] == ["heads.sentence.bias"]
    with pytest.raises(InputError, match=r"'heads\.bias' is no parameter of the model; it has: words\.trained\.weight"):
        Workload(given.task, given.module, given.encoded, ("heads.bias",))
    given.module.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of the model is trainable"):
        Workload(given.task, given.module, given.encoded)


def test_weights_are_copies_and_are_put_back():
    given = worlds.workload("bag")
    weights = given.weights()
    moved = {name: value + 1 for name, value in weights.items()}
    given.load(moved)
    assert worlds.apart(given.weights(), moved) == 0
    assert worlds.apart(weights, moved) == 1


class Normed(nn.Module):
    """A model with running statistics, which do not travel."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm, self.out = nn.Embedding(worlds.WORDS, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)

    def forward(self, features: Features) -> Logits:
        """Scores by the first word."""
        return Logits(self.out(self.norm(self.table(features.ids_BT[:, 0]))), None)


def test_buffers_are_put_back_after_each_client():
    module = Normed().double()
    given = Workload(tasks.Classification(), module, worlds.encoded(examples=40))
    before = {name: value.clone() for name, value in module.named_buffers()}
    solver = LocalSolver(learning_rate=0.1, batch_size=4)
    whole = worlds.updates(given, solver, worlds.cohort([8, 4]), kernel="sequential")
    assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())
    alone = worlds.updates(given, solver, worlds.cohort([4], first=8), kernel="sequential", clients=[101])
    assert worlds.apart(alone, {name: value[1:] for name, value in whole.items()}) == 0


@pytest.mark.parametrize(("clients", "steps"), [(2, 1), (3, 2), (9, 9)])
def test_the_head_of_a_block_is_its_first_clients_and_steps(clients: int, steps: int):
    solver = LocalSolver(learning_rate=0.1, batch_size=3)
    (block,) = Cohort.of(solver, worlds.cohort([7, 2, 4, 1]), np.arange(4), streams=worlds.STREAMS, round=0).blocks(solver, most=4)
    head = block.head(clients, steps)
    assert head.steps.tolist() == np.minimum(block.steps[:clients], steps).tolist()
    assert len(head.active) == min(steps, len(block.active))
    for step, active in enumerate(head.active):
        assert active == min(clients, block.active[step])
        for name in ("examples", "real"):
            whole = getattr(block, name)[block.rows(step)].reshape(block.active[step], -1)
            np.testing.assert_array_equal(getattr(head, name)[head.rows(step)].reshape(active, -1), whole[:active])
    np.testing.assert_allclose(head.shares()[head.rows(0)].sum(), min(clients, 4))
