"""Sums and norms of updates against whole tensors."""

import numpy as np
import pytest
import torch

from holdfast.federated.local import TableRows, Updates


@pytest.fixture
def updates() -> Updates:
    generator = torch.Generator().manual_seed(0)
    rows = torch.tensor([[1, 4, 6], [0, 4, 0], [2, 0, 0]])
    values = torch.randn(3, 3, 2, generator=generator, dtype=torch.float64)
    values[1, 2:], values[2, 1:] = 0, 0
    dense = {"bias": torch.randn(3, 4, generator=generator, dtype=torch.float64)}
    return Updates(np.arange(3), dense, {"table": TableRows(rows, values, 8)}, np.ones(3, dtype=np.int64), np.zeros(3))


LIKE = {"bias": torch.zeros(4, dtype=torch.float64), "table": torch.zeros(8, 2, dtype=torch.float64)}


def test_the_weighted_sum_is_that_of_whole_updates(updates):
    for weights in (np.array([0.5, -2.0, 3.0]), np.array([0.0, 1.0, 0.25])):
        total = {name: value.clone() for name, value in LIKE.items()}
        updates.add_to(total, weights)
        for name, found in total.items():
            slow = sum(weights[client] * updates.whole(client, LIKE)[name] for client in range(3))
            torch.testing.assert_close(found, slow)
    assert updates.whole(0, LIKE)["table"][[1, 4, 6]].tolist() == updates.tables["table"].values_CRD[0].tolist()
    assert updates.whole(0, LIKE)["table"][[0, 2, 3, 5, 7]].abs().max() == 0


def test_norms_are_those_of_whole_updates(updates):
    for client, norm in enumerate(updates.norms()):
        assert norm == pytest.approx(float(torch.cat([value.flatten() for value in updates.whole(client, LIKE).values()]).norm()))


def test_a_parameter_without_dimensions_counts_in_norms_and_sums():
    ones = np.ones(3, dtype=np.int64)
    values = {"scale": torch.tensor([3.0, 0.0, -1.0]), "bias": torch.tensor([[4.0, 0.0], [0.0, 0.0], [2.0, 2.0]])}
    updates = Updates(np.arange(3), values, {}, ones, np.zeros(3))
    assert updates.norms() == pytest.approx([5, 0, 3])
    total = {"scale": torch.zeros(()), "bias": torch.zeros(2)}
    updates.add_to(total, np.array([1.0, 1.0, 2.0]))
    assert (total["scale"].item(), total["bias"].tolist()) == (1.0, [8.0, 4.0])
    none = Updates(np.arange(0), {name: value[:0] for name, value in values.items()}, {}, ones[:0], np.zeros(0))
    assert none.norms().tolist() == []


def test_a_client_of_weight_zero_adds_nothing_even_where_it_is_not_finite(updates):
    updates.dense["bias"][1], updates.tables["table"].values_CRD[1, 0] = torch.nan, torch.inf
    total = {name: value.clone() for name, value in LIKE.items()}
    updates.add_to(total, np.array([1.0, 0.0, 1.0]))
    assert all(value.isfinite().all() for value in total.values())
    assert not np.isfinite(updates.norms()[1])
    assert np.isfinite(updates.norms()[[0, 2]]).all()
    updates.add_to(total, np.array([1.0, 1.0, 1.0]))
    assert not total["bias"].isfinite().all()
