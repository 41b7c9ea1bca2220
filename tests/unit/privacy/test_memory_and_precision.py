"""What saves memory changes no norm: activation checkpointing, bfloat16 by autocast, large batches in small parts."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from holdfast import privacy
from holdfast.core.randomness import Streams
from holdfast.privacy import sums
from holdfast.privacy.engine import recording

B, T, WORDS, CLASSES = 6, 7, 20, 4
REENTRANT = pytest.param(True, id="reentrant"), pytest.param(False, id="not reentrant")


class Reader(nn.Module):
    """A transformer layer whose activations may be thrown away and computed again."""

    def __init__(self, *, reentrant: bool | None = None):
        super().__init__()
        self.reentrant = reentrant
        self.words, self.positions = nn.Embedding(WORDS, 16), nn.Parameter(torch.randn(T, 16))
        self.attention, self.norm = nn.Linear(16, 48), nn.LayerNorm(16)
        self.inner = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 16))
        self.head = nn.Linear(16, CLASSES)

    def layer(self, x_BTD):
        q, k, v = self.attention(self.norm(x_BTD)).chunk(3, 2)
        return x_BTD + self.inner(F.scaled_dot_product_attention(q, k, v))

    def forward(self, ids_BT):
        x_BTD = self.words(ids_BT) + self.positions
        x_BTD = self.layer(x_BTD) if self.reentrant is None else checkpoint(self.layer, x_BTD, use_reentrant=self.reentrant)
        return self.head(x_BTD.mean(1))


def twins(*, reentrant: bool) -> tuple[Reader, Reader]:
    torch.manual_seed(1)
    plain, saving = Reader(), Reader(reentrant=reentrant)
    saving.load_state_dict(plain.state_dict())
    return plain, saving


IDS = torch.randint(WORDS, (B, T), generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(B) % CLASSES


def losses_of(model, *, dtype: torch.dtype | None = None):
    def run(indices):
        torch.manual_seed(3)  # the same dropout in every pass
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            return F.cross_entropy(model(IDS[indices]).float(), LABELS[indices], reduction="none")

    return run


@pytest.mark.parametrize("reentrant", REENTRANT)
def test_checkpointed_activations_give_the_same_norms_and_sums(reentrant):
    plain, saving = twins(reentrant=reentrant)
    rule = privacy.PerExampleClipping(clip_norm=0.3).rule(plain, streams=Streams(1), step=0)
    indices, execution = np.arange(B), privacy.Execution()
    want, got = (sums.squared_norms(model, losses_of(model), indices) for model in (plain, saving))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)
    want, got = (sums.per_example(m, losses_of(m), indices, weigh=rule.weigh, execution=execution) for m in (plain, saving))
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reentrant", REENTRANT)
def test_a_loop_of_ones_own_may_checkpoint_activations(reentrant):
    """The checks on the first batch walk the graph three times."""
    plan = privacy.dp_sgd(examples=B, batch_size=B, steps=2, clip_norm=0.3, noise_multiplier=0.5, delta=1e-2, sampler="poisson")
    found = []
    for model in twins(reentrant=reentrant):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with privacy.attach(model, plan, seed=1) as private:
            for batch in private.batches(range(B), collate_fn=np.array):
                private.step(losses_of(model)(batch), optimizer)
        found.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def recorded(model, **how):
    with recording(model, B) as tape:
        losses_of(model, **how)(np.arange(B)).sum().backward(retain_graph=True)
    return tape


@pytest.mark.parametrize("reentrant", [None, *REENTRANT])
def test_under_autocast_the_norm_is_that_of_what_is_added(reentrant):
    """Activations are bfloat16, norms and sums are not: to a millionth, each example adds what was measured."""
    torch.manual_seed(1)
    model = Reader(reentrant=reentrant)
    squared_B = recorded(model, dtype=torch.bfloat16).squared_norms()[0]
    assert squared_B.dtype == torch.float32
    for example in range(B):
        tape, alone = recorded(model, dtype=torch.bfloat16), {}
        tape.squared_norms()
        tape.add_weighted_sum(F.one_hot(torch.tensor(example), B).float(), into=alone)
        assert all(gradient.dtype == torch.float32 for gradient in alone.values())
        added = sum(float(gradient.double().square().sum()) for gradient in alone.values())
        assert added == pytest.approx(float(squared_B[example]), rel=1e-5)
    exact_B = sums.squared_norms(model, losses_of(model), np.arange(B))
    torch.testing.assert_close(squared_B, exact_B, rtol=0.05, atol=0)  # three digits of bfloat16, over a few layers


def test_a_loop_of_ones_own_may_use_autocast():
    plan = privacy.dp_sgd(examples=B, batch_size=B, steps=3, clip_norm=0.3, noise_multiplier=1e-6, delta=1e-2, sampler="poisson")
    ends = []
    for dtype in (None, torch.bfloat16):
        torch.manual_seed(1)
        model = Reader()
        start = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        with privacy.attach(model, plan, seed=1) as private:
            for batch in private.batches(range(B), collate_fn=np.array):
                private.step(losses_of(model, dtype=dtype)(batch), torch.optim.SGD(model.parameters(), lr=0.5))
        ends.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]) - start)
    assert F.cosine_similarity(*ends, dim=0) > 0.99


# a batch of 4,096 where there is room for 32

LARGE, ROOM = 4096, 32


class Counting(nn.Module):
    """A small model that knows how many examples it saw together."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.table, self.head = nn.Embedding(WORDS, 8), nn.Linear(8, CLASSES)
        self.seen: list[int] = []

    def forward(self, ids_BT):
        self.seen.append(len(ids_BT))
        return self.head(self.table(ids_BT).mean(1))


TEXTS = torch.randint(WORDS, (2 * LARGE, 5), generator=torch.Generator().manual_seed(4))


def of_texts(model, indices):
    return F.cross_entropy(model(TEXTS[indices]), TEXTS[indices, 0] % CLASSES, reduction="none")


def test_a_batch_of_4096_goes_through_a_model_with_room_for_32():
    plan = privacy.dp_sgd(examples=2 * LARGE, batch_size=LARGE, steps=1, clip_norm=0.1, noise_multiplier=1.0, delta=1e-5)
    indices = plan.sampler.indices(0, Streams.from_seed(1))
    whole, parts, own = Counting(), Counting(), Counting()
    totals = [
        plan.clipper.clipped_sum(
            model,
            lambda part, model=model: of_texts(model, part),
            indices,
            streams=Streams.from_seed(1),
            step=0,
            execution=privacy.Execution(physical_batch_size=size),
        )
        for model, size in ((whole, LARGE * 2), (parts, ROOM))
    ]
    for name, want in totals[0].items():
        torch.testing.assert_close(totals[1][name], want, rtol=1e-4, atol=1e-4)
    updates = []
    with privacy.attach(own, plan, seed=1) as private:
        optimizer = torch.optim.SGD(own.parameters(), lr=1.0)
        for batch in private.batches(range(len(TEXTS)), collate_fn=np.array, physical_batch_size=ROOM):
            updates.append(private.step(of_texts(own, batch), optimizer))
    assert max(parts.seen) == max(own.seen) == ROOM
    assert max(whole.seen) == len(indices) > LARGE - 200
    assert updates == [False] * (len(updates) - 1) + [True]
    plan.finish(totals[0], streams=Streams.from_seed(1), step=0, state=plan.clipping_state())
    for (name, parameter), start in zip(own.named_parameters(), Counting().parameters(), strict=True):
        torch.testing.assert_close(start - parameter, totals[0][name], rtol=1e-4, atol=1e-7)  # one noise, once


def test_parts_end_where_the_batch_ends():
    sizes = [len(part) for part in privacy.Execution(physical_batch_size=ROOM).parts(np.arange(LARGE + 1))]
    assert sizes == [ROOM] * (LARGE // ROOM) + [1]
    starts = np.cumsum([0, *sizes])
    assert all(b - a <= ROOM for a, b in pairwise(starts))
