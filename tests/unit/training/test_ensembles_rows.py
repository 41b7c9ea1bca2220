"""Rows that are moved when they are met against torch's optimisers over whole tables, and the compiled core against its twin."""

import numpy as np
import pytest
import torch

from holdfast.privacy import kernels
from holdfast.privacy.kernels import packed
from holdfast.privacy.kernels.rows import CompiledRows, PortableRows, Rows, rows
from holdfast.training.ensembles.lateness import Lateness

V, D, STEPS, RATE = 40, 3, 120, 2e-3


def rates(step: int) -> np.ndarray:
    return RATE * np.array([1.0, 0.5]) * (1 - step / (2 * STEPS))


def walked(tables: Rows, *, second: bool, scale: float, means: bool = False) -> torch.Tensor:
    """Two tables after steps that meet few rows each."""
    generator = torch.Generator().manual_seed(3)
    lateness = Lateness(second=second, models=2, steps=STEPS, dtype=tables.values_MVD.dtype)
    for step in range(STEPS):
        ids, marked, grads = drawn(generator, scale, tables.values_MVD.dtype)
        tables.begin(step + 1)
        tables.meet(ids.flatten(1), lateness.missed())
        if means:
            tables.add_mean(ids, marked, grads[:, :, 0])
        else:
            tables.add(ids.flatten(1), grads.flatten(1, 2))
        tables.move(lateness.took(rates(step)))
    tables.settle(lateness.missed())
    return tables.values_MVD


def drawn(generator: torch.Generator, scale: float, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.randint(0, V, (2, 2, 3), generator=generator)
    marked = torch.rand(2, 2, 3, generator=generator) < 0.7
    marked[:, :, 0] = True
    return ids, marked, torch.randn(2, 2, 3, D, generator=generator, dtype=torch.float64).mul(scale).to(dtype)


def whole(*, second: bool, scale: float) -> torch.Tensor:
    """The same by torch, every row at every step."""
    generator, found = torch.Generator().manual_seed(3), [torch.nn.Parameter(table) for table in first()]
    make = torch.optim.Adam if second else lambda given: torch.optim.SGD(given, momentum=0.9)
    optimisers = [make([table]) for table in found]
    for step in range(STEPS):
        ids, _, grads = drawn(generator, scale, torch.float64)
        for model, (table, optimiser) in enumerate(zip(found, optimisers, strict=True)):
            table.grad = torch.zeros_like(table).index_add_(0, ids[model].flatten(), grads[model].flatten(0, 1))
            optimiser.param_groups[0]["lr"] = rates(step)[model]
            optimiser.step()
    return torch.stack([table.detach() for table in found])


def first() -> torch.Tensor:
    return torch.randn(2, V, D, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def test_momentum_of_rows_is_that_of_whole_tables():
    got = walked(PortableRows(first(), second=False), second=False, scale=1.0)
    torch.testing.assert_close(got, whole(second=False, scale=1.0), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "median", "worst"), [(1e-2, 1e-13, 1e-7), (1e-4, 1e-9, 1e-3), (1e-6, 1e-5, 1e-3)])
def test_adam_of_rows_is_that_of_whole_tables_but_for_eps(scale: float, median: float, worst: float):
    """The error, over what the rows moved, is of second order in eps over the gradient; the worst element has next to none."""
    expected = whole(second=True, scale=scale)
    apart = (walked(PortableRows(first(), second=True), second=True, scale=scale) - expected).abs()
    moved = (expected - first()).abs().max()
    assert apart.median() < median * moved
    assert apart.max() < worst * moved


def test_a_forgotten_missed_step_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PortableRows, "_catch_up", lambda self, ids, missed: None)
    apart = walked(PortableRows(first(), second=True), second=True, scale=1e-2) - whole(second=True, scale=1e-2)
    assert apart.abs().max() > 1e-4


@pytest.mark.usefixtures("compiled_core")
@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_the_core_moves_rows_as_its_twin_does(second: bool, means: bool):
    tables = [rows(first().float(), second=second), PortableRows(first().float(), second=second)]
    assert isinstance(tables[0], CompiledRows)
    one, other = (walked(each, second=second, scale=1e-2 if second else 0.3, means=means) for each in tables)
    torch.testing.assert_close(one, other, rtol=0, atol=2e-6)
    assert (one - first()).abs().max() > 1e-2


@pytest.mark.usefixtures("compiled_core")
def test_the_core_means_rows_as_its_twin_does():
    ids, marked, _ = drawn(torch.Generator().manual_seed(0), 1.0, torch.float32)
    one, other = (make.mean(ids, marked) for make in (rows(first().float(), second=False), PortableRows(first().float(), second=False)))
    torch.testing.assert_close(one, other)


def test_the_last_models_can_be_left_out():
    generator, kept = torch.Generator().manual_seed(3), first()
    tables = PortableRows(kept.clone(), second=False)
    lateness = Lateness(second=False, models=2, steps=2, dtype=torch.float64)
    tables.shrink(1)
    tables.begin(1)
    ids, _, grads = drawn(generator, 1.0, torch.float64)
    tables.meet(ids[:1].flatten(1), lateness.missed())
    tables.add(ids[:1].flatten(1), grads[:1].flatten(1, 2))
    tables.move(lateness.took(rates(0)[:1]))
    assert len(tables.values_MVD) == 1
    assert not torch.equal(tables.values_MVD[0], kept[0])


@pytest.mark.usefixtures("compiled_core")
@pytest.mark.parametrize("hidden", [1, 5, 32])
def test_the_core_walks_packed_rows_as_its_twin_does(hidden: int):
    generator = torch.Generator().manual_seed(hidden)
    counts = torch.tensor([[4, 3, 3, 1], [4, 4, 0, 0], [4, 1, 1, 1]], dtype=torch.int32)
    gates, weights = (torch.randn(3, size, 4 * hidden, generator=generator) for size in (12, hidden))
    grads, found = torch.randn(3, 12, hidden, generator=generator), []
    real = torch.arange(12) < counts.sum(1)[:, None]
    for backend in ("compiled", "torch"):
        with kernels.using(backend):
            walk, back = gates.clone(), grads.clone()
            states = packed.walk(walk, weights.mT.contiguous(), counts)
            packed.walk_back(walk, states.cells_DNH, back, weights.mT.contiguous(), counts)
        found.append((states.hidden_DNH[real], states.cells_DNH[real], walk, back[real]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert not found[0][2][~real].any()
