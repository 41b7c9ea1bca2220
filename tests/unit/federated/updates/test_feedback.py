"""Error feedback: nothing is lost, whatever is sent at a time; the memory is bounded, resumes, and does not know of blocks."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from holdfast.core.errors import InputError, RunError
from holdfast.core.randomness import Streams
from holdfast.federated.updates import Compressor, ErrorFeedback, Layout, compressor

LIKE = {"a": torch.zeros(3, 4), "b": torch.zeros(5)}
LAYOUT = Layout.of(LIKE)


def rows(clients: int, round: int = 0) -> torch.Tensor:
    return torch.from_numpy(Streams.from_seed(3).generator("rows", round).normal(size=(clients, LAYOUT.size)).astype(np.float32))


@pytest.mark.parametrize(("name", "options"), [("top-k", {"count": 2}), ("sign", {}), ("8-bit", {})])
def test_what_arrived_and_what_is_kept_add_up_to_all_updates(name, options, streams):
    feedback = ErrorFeedback(compressor(name, options))
    total, sent = torch.zeros(4, LAYOUT.size), torch.zeros(4, LAYOUT.size)
    for round in range(30):
        total += rows(4, round)
        sent += feedback.transmit(rows(4, round), LAYOUT, streams=streams, round=round, clients=range(4))
    kept = torch.stack([feedback.residual(client) for client in range(4)])
    torch.testing.assert_close(sent + kept, total, atol=1e-4, rtol=1e-4)


def test_top_k_sends_everything_in_the_end_and_alone_it_never_does(streams):
    """One update and then none: seventeen numbers at two a round are through after nine rounds."""
    plain, feedback = compressor("top-k", {"count": 2}), ErrorFeedback(compressor("top-k", {"count": 2}))
    first, nothing = rows(1), torch.zeros(1, LAYOUT.size)
    sent, lost = torch.zeros(1, LAYOUT.size), torch.zeros(1, LAYOUT.size)
    for round in range(9):
        update = nothing if round else first
        sent += feedback.transmit(update, LAYOUT, streams=streams, round=round, clients=[0])
        lost += plain.transmit(update, LAYOUT, streams=streams, round=round, clients=[0])
        assert torch.equal(sent, first) == (round == 8)
    assert lost.count_nonzero() == 2
    assert not feedback.residual(0).any()


@pytest.mark.parametrize(("name", "options"), [("none", {}), ("top-k", {"count": 3}), ("sign", {"per": "row"}), ("8-bit", {})])
def test_bytes_and_blocks_and_single_clients_agree(name, options, streams):
    together, apart, bytewise = (ErrorFeedback(compressor(name, options)) for _ in range(3))
    assert isinstance(together, Compressor)
    clients = [4, 1, 4, 7, 4]  # one of them was drawn three times
    for round in range(3):
        rows_CP = rows(5, round)
        block = together.transmit(rows_CP, LAYOUT, streams=streams, round=round, clients=clients)
        for place, client in enumerate(clients):
            one = apart.transmit(rows_CP[place : place + 1], LAYOUT, streams=streams, round=round, clients=[client])
            data = bytewise.compress(LAYOUT.unflatten(rows_CP[place]), streams=streams, round=round, client=client)
            assert len(data) == bytewise.length(LAYOUT) == compressor(name, options).length(LAYOUT)
            assert torch.equal(block[place], one[0])
            assert torch.equal(block[place], LAYOUT.flatten(bytewise.decompress(data, LIKE)))
    for client in {*clients}:
        assert torch.equal(together.residual(client), apart.residual(client))
        assert torch.equal(together.residual(client), bytewise.residual(client))


def test_a_client_drawn_twice_sends_what_the_first_message_left(streams):
    feedback = ErrorFeedback(compressor("top-k", {"count": 1}))
    update = torch.zeros(2, LAYOUT.size)
    update[:, 0], update[:, 1] = 5.0, 3.0
    sent = feedback.transmit(update, LAYOUT, streams=streams, round=0, clients=[8, 8])
    assert sent[0].nonzero().tolist() == [[0]]
    assert sent[1].nonzero().tolist() == [[1]]
    assert sent[1, 1] == 6.0
    assert feedback.residual(8)[:2].tolist() == [5.0, 0.0]


def test_an_update_that_is_not_finite_leaves_the_memory_as_it_was(streams):
    feedback = ErrorFeedback(compressor("8-bit"))
    feedback.transmit(rows(2), LAYOUT, streams=streams, round=0, clients=[0, 1])
    before = feedback.residual(0).clone()
    bad = rows(2, 1)
    bad[0, 3] = torch.nan
    sent = feedback.transmit(bad, LAYOUT, streams=streams, round=1, clients=[0, 1])
    assert not sent[0].isfinite().all()
    assert sent[1].isfinite().all()
    assert torch.equal(feedback.residual(0), before)


def test_the_memory_is_bounded_from_one_round_to_the_next_and_keeps_who_came_last(streams):
    feedback = ErrorFeedback(compressor("sign"), capacity=2)
    for round, clients in enumerate([[0, 1, 2], [1, 3], [9]]):
        feedback.transmit(rows(len(clients), round), LAYOUT, streams=streams, round=round, clients=clients)
    assert {client for client in range(10) if feedback.residual(client) is not None} == {1, 3, 9}
    assert (len(feedback), feedback.forgotten) == (3, 2)  # 0 before the second round, 2 before the third


def test_a_bounded_memory_does_not_know_of_blocks(streams):
    whole, cut = (ErrorFeedback(compressor("top-k", {"count": 2}), capacity=1) for _ in range(2))
    for round in range(4):
        rows_CP, clients = rows(4, round), [round % 3, 5, 4, 3]
        block = whole.transmit(rows_CP, LAYOUT, streams=streams, round=round, clients=clients)
        parts = [
            cut.transmit(rows_CP[a:b], LAYOUT, streams=streams, round=round, clients=clients[a:b]) for a, b in [(0, 1), (1, 1), (1, 4)]
        ]
        assert torch.equal(block, torch.cat(parts))
    assert whole.forgotten == cut.forgotten == 9


def test_it_resumes_where_it_stood(streams):
    whole, resumed = (ErrorFeedback(compressor("top-k", {"count": 2}), capacity=2) for _ in range(2))
    whole.transmit(rows(3), LAYOUT, streams=streams, round=0, clients=[2, 0, 1])
    resumed.load_state_dict(load(save(whole.state_dict())))
    for round in (1, 2):
        sent = [f.transmit(rows(2, round), LAYOUT, streams=streams, round=round, clients=[0, 2]) for f in (whole, resumed)]
        assert torch.equal(*sent)
    assert whole.forgotten == resumed.forgotten == 2  # client 0 before the second round, client 1 before the third
    empty = ErrorFeedback(compressor("sign"))
    empty.load_state_dict(load(save(ErrorFeedback(compressor("sign")).state_dict())))
    assert len(empty) == 0


def test_another_memory_or_another_model_is_refused(streams):
    feedback = ErrorFeedback(compressor("sign"))
    with pytest.raises(RunError, match="a memory has clients, rounds, residuals"):
        feedback.load_state_dict({"clients": torch.zeros(1)})
    feedback.transmit(rows(1), LAYOUT, streams=streams, round=0, clients=[0])
    other = Layout.of({"a": torch.zeros(2)})
    with pytest.raises(InputError, match="17 are remembered"):
        feedback.transmit(torch.ones(1, 2), other, streams=streams, round=1, clients=[0])
    with pytest.raises(InputError, match="capacity is 0"):
        ErrorFeedback(compressor("sign"), capacity=0)
