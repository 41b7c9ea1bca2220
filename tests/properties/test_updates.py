"""Properties of what travels: any tensors, any clients, any blocks."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from holdfast.core.randomness import Streams
from holdfast.federated.local import TableRows, Updates
from holdfast.federated.robust import rule
from holdfast.federated.updates import ErrorFeedback, Layout, compressor, message, sent, serialised, unpack

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda name: name != "__metadata__")
SHAPES = st.lists(st.integers(1, 5), max_size=3).map(tuple)
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
LIKE = st.dictionaries(NAMES, st.tuples(SHAPES, DTYPES), min_size=1, max_size=5).map(
    lambda kinds: {name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in kinds.items()}
)
COMPRESSORS = st.sampled_from(
    [
        ("none", {}),
        ("top-k", {"share": 0.3}),
        ("top-k", {"count": 2}),
        ("8-bit", {}),
        ("8-bit", {"per": "row", "scale": "norm"}),
        ("sign", {}),
    ]
)
STREAMS = Streams.from_seed(2)


def filled(like: dict[str, torch.Tensor], *counters: int) -> dict[str, torch.Tensor]:
    draw = STREAMS.generator("filled", *counters)
    return {name: torch.from_numpy(np.asarray(draw.normal(size=tuple(value.shape)))).to(value.dtype) for name, value in like.items()}


@settings(max_examples=60, deadline=None)
@given(LIKE)
def test_counted_bytes_are_the_bytes_of_any_tensors(like):
    assert serialised(like) == len(save(like))


@settings(max_examples=60, deadline=None)
@given(LIKE)
def test_any_update_is_a_row_and_back(like):
    layout, update = Layout.of(like), filled(like)
    back = layout.unflatten(layout.flatten(update))
    assert all(torch.equal(back[name], update[name]) for name in like)
    assert layout.size == sum(math.prod(value.shape) for value in like.values())


@settings(max_examples=60, deadline=None)
@given(LIKE, COMPRESSORS)
def test_bytes_are_as_long_as_counted_and_arrive_in_the_shapes_and_types_of_the_weights(like, kind):
    made, update = compressor(*kind), filled(like)
    data = made.compress(update, streams=STREAMS, round=1, client=4)
    assert len(data) == made.length(Layout.of(like))
    back = made.decompress(data, like)
    assert {name: (value.shape, value.dtype) for name, value in back.items()} == {name: (v.shape, v.dtype) for name, v in like.items()}
    assert made.compress(update, streams=STREAMS, round=1, client=4) == data


@settings(max_examples=40, deadline=None)
@given(COMPRESSORS, st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_error_feedback_loses_nothing_and_does_not_know_of_blocks(kind, cohorts, capacity, data):
    layout = Layout.of({"a": torch.zeros(2, 3), "b": torch.zeros(3)})
    bounded, cut, all_kept = (ErrorFeedback(compressor(*kind), capacity=most) for most in (capacity, capacity, None))
    total, arrived = torch.zeros(4, 9), torch.zeros(4, 9)
    for round, clients in enumerate(cohorts):
        rows_CP = torch.from_numpy(STREAMS.generator("rows", round).normal(size=(len(clients), 9)).astype(np.float32))
        at = data.draw(st.integers(0, len(clients)))
        sent_CP = bounded.transmit(rows_CP, layout, streams=STREAMS, round=round, clients=clients)
        parts = [cut.transmit(rows_CP[s], layout, streams=STREAMS, round=round, clients=clients[s]) for s in (slice(at), slice(at, None))]
        assert torch.equal(sent_CP, torch.cat(parts))
        kept_CP = all_kept.transmit(rows_CP, layout, streams=STREAMS, round=round, clients=clients)
        total.index_add_(0, torch.tensor(clients), rows_CP)
        arrived.index_add_(0, torch.tensor(clients), kept_CP)
    for client in {client for clients in cohorts for client in clients}:
        torch.testing.assert_close(arrived[client] + all_kept.residual(client), total[client], atol=1e-5, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 4), st.data())
def test_rows_of_tables_are_counted_and_read_as_they_are_sent(clients, size, width, data):
    room = data.draw(st.integers(0, size))
    rows = np.stack([STREAMS.generator("places", client).permutation(size)[:room] for client in range(clients)]).reshape(clients, room)
    moved = data.draw(arrays.arrays(np.bool_, (clients, room)))
    values = STREAMS.generator("values").normal(size=(clients, room, width)).astype(np.float32) * moved[:, :, None]
    table = TableRows(torch.from_numpy(rows), torch.from_numpy(values), size)
    block = Updates(np.arange(clients), {}, {"t": table}, np.ones(clients, dtype=np.int64), np.zeros(clients))
    like = {"t": torch.zeros(size, width)}
    counted = sent(block, like)
    for client in range(clients):
        message_of = message(block, client, like)
        assert len(message_of) == counted.bytes[client] <= serialised(like)
        assert torch.equal(unpack(message_of, like)["t"], block.whole(client, like)["t"])
    layout = Layout.of(like)
    assert torch.equal(layout.block(block), torch.stack([layout.flatten(block.whole(client, like)) for client in range(clients)]))


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float64, st.tuples(st.integers(7, 10), st.integers(1, 6)), elements=st.floats(-1e6, 1e6)), st.floats(0.01, 100))
def test_every_rule_stays_among_the_updates_and_follows_their_scale(deltas, factor):
    """No number of the answer lies outside those of the clients; updates times a number give the answer times that number."""
    weights = np.full(len(deltas), 1 / len(deltas))
    least, most = deltas.min(0), deltas.max(0)
    slack = 1e-9 * (1 + np.abs(deltas).max())
    kinds = [
        ("median", {}),
        ("trimmed-mean", {"share": 0.3}),
        ("krum", {"attackers": 2}),
        ("multi-krum", {"attackers": 2}),
        ("geometric-median", {}),
    ]
    for name, options in kinds:
        found = rule(name, options)(torch.from_numpy(deltas), weights).numpy()
        assert (found >= least - slack).all()
        assert (found <= most + slack).all()
        if "median" in name or "mean" in name:  # Krum may choose another where scores are about equal
            scaled = rule(name, options)(torch.from_numpy(deltas * factor), weights).numpy()
            np.testing.assert_allclose(scaled, found * factor, atol=1e-4 * factor * (1 + np.abs(deltas).max()))
    bounded = rule("norm-bound", {"bound": 3.0})(torch.from_numpy(deltas), weights).numpy()
    assert np.linalg.norm(bounded) <= 3.0 * (1 + 1e-9)
