"""An update as a row: there and back, the same for whole tensors and for rows of tables."""

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.federated.local import Updates
from holdfast.federated.updates import Layout


def test_there_and_back_whatever_the_order_of_the_names(like):
    like["half"] = torch.zeros(2, dtype=torch.bfloat16)
    layout = Layout.of(like)
    update = {name: torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).to(value.dtype) for name, value in like.items()}
    row_P = layout.flatten(dict(reversed(update.items())))
    assert row_P.shape == (layout.size,) == (12 + 3 + 100 + 2,)
    assert row_P.dtype == torch.float32
    back = layout.unflatten(row_P)
    assert all(torch.equal(back[name], update[name]) and back[name].dtype == update[name].dtype for name in like)
    assert Layout.of(dict(reversed(like.items()))) == layout


def test_places_say_where_each_tensor_lies():
    layout = Layout.of({"b": torch.zeros(2), "a": torch.zeros(3, 1), "c": torch.zeros(())})
    assert layout.places() == {"a": slice(0, 3), "b": slice(3, 5), "c": slice(5, 6)}
    assert Layout.of({"a": torch.zeros(1), "b": torch.zeros(1, dtype=torch.float64)}).dtype == torch.float64


def test_a_block_is_the_updates_of_its_clients_one_by_one(block, like):
    layout = Layout.of(like)
    rows_CP = layout.block(block)
    for client in range(3):
        assert torch.equal(rows_CP[client], layout.flatten(block.whole(client, like)))
    assert rows_CP[0, layout.places()["table"]].count_nonzero() == 4


def test_a_parameter_of_one_number_has_its_place(block):
    one = Updates(block.positions, {"b": torch.tensor([1.0, 2.0, 3.0])}, {}, block.steps, block.losses)
    layout = Layout.of({"b": torch.tensor(0.0)})
    assert layout.block(one).tolist() == [[1], [2], [3]]
    assert torch.equal(layout.updates(layout.block(one), one).dense["b"], one.dense["b"])


def test_rows_are_the_updates_of_the_same_clients_again(block, like):
    layout = Layout.of(like)
    found = layout.updates(2 * layout.block(block), block)
    total = {name: torch.zeros_like(value) for name, value in like.items()}
    twice = {name: torch.zeros_like(value) for name, value in like.items()}
    found.add_to(total, np.array([1.0, 0.5, 3.0]))
    block.add_to(twice, np.array([2.0, 1.0, 6.0]))
    for name in like:
        torch.testing.assert_close(total[name], twice[name])
    assert np.array_equal(found.steps, block.steps)


@pytest.mark.parametrize("update", [{"a": torch.zeros(2)}, {"a": torch.zeros(3), "b": torch.zeros(1)}, {"b": torch.zeros(3)}])
def test_other_tensors_are_refused(update):
    with pytest.raises(InputError, match="give the tensors of the weights"):
        Layout.of({"a": torch.zeros(3)}).flatten(update)


@pytest.mark.parametrize("like", [{}, {"a": torch.zeros(2, dtype=torch.int64)}, {"a": torch.zeros(0)}])
def test_what_is_no_update_has_no_layout(like):
    with pytest.raises(InputError, match="layout: "):
        Layout.of(like)


def test_a_row_of_another_length_and_a_block_of_other_names_are_refused(block):
    layout = Layout.of({"a": torch.zeros(3)})
    with pytest.raises(InputError, match="give 3 numbers"):
        layout.unflatten(torch.zeros(4))
    with pytest.raises(InputError, match="lay out the weights"):
        layout.block(block)
