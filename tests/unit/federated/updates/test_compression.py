"""Compression: real bytes, counted to the last one; the block is its clients one by one; unbiased where it says so."""

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError, RunError
from holdfast.core.randomness import Streams
from holdfast.federated.updates import COMPRESSORS, Compressor, ErrorFeedback, Layout, arrived, compressor, serialised, wire

ALL = [
    ("none", {}),
    ("top-k", {"share": 0.1}),
    ("top-k", {"count": 7}),
    ("top-k", {"share": 1.0}),
    ("8-bit", {}),
    ("8-bit", {"scale": "norm"}),
    ("8-bit", {"per": "row"}),
    ("8-bit", {"scale": "norm", "per": "row"}),
    ("sign", {}),
    ("sign", {"per": "row"}),
]
each = pytest.mark.parametrize(("name", "options"), ALL)


@each
def test_the_bytes_of_each_client_say_what_the_block_says_and_are_as_long_as_counted(name, options, block, like, streams):
    made = compressor(name, options)
    assert isinstance(made, Compressor)
    layout = Layout.of(like)
    clients = np.array([5, 0, 9])
    rows_CP = made.transmit(layout.block(block), layout, streams=streams, round=2, clients=clients)
    for place, client in enumerate(clients.tolist()):
        data = made.compress(block.whole(place, like), streams=streams, round=2, client=client)
        assert isinstance(data, bytes)
        assert len(data) == made.length(layout)
        back = made.decompress(data, like)
        assert torch.equal(layout.flatten(back), rows_CP[place])
        assert all(back[key].shape == like[key].shape and back[key].dtype == like[key].dtype for key in like)


@each
def test_an_update_that_is_not_finite_is_not_finite_when_it_arrives(name, options, like, streams):
    made = compressor(name, options)
    for bad in (torch.nan, torch.inf, -torch.inf):
        like["table"][7, 1] = bad
        back = made.decompress(made.compress(like, streams=streams, round=0, client=0), like)
        assert not torch.isfinite(back["table"]).all()


@each
def test_nothing_arrives_of_nothing(name, options, like, streams):
    made = compressor(name, options)
    back = made.decompress(made.compress(like, streams=streams, round=0, client=0), like)
    assert all(not value.any() for value in back.values())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@each
def test_other_types_travel(name, options, dtype, streams):
    like = {"a": torch.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4), "b": torch.tensor(0.5)}
    made = compressor(name, options)
    data = made.compress(like, streams=streams, round=0, client=0)
    assert len(data) == made.length(Layout.of(like))
    assert made.decompress(data, like)["a"].dtype == dtype


def test_without_compression_the_tensors_travel_as_they_are(like, streams):
    made = compressor("none")
    assert made.length(Layout.of(like)) == serialised(like)
    update = {name: torch.randn(value.shape, generator=torch.Generator().manual_seed(3)) for name, value in like.items()}
    data = made.compress(update, streams=streams, round=0, client=0)
    assert data == wire.write(update)
    back = made.decompress(data, like)
    assert all(torch.equal(back[name], update[name]) for name in like)


def test_compression_is_shorter_by_what_it_promises():
    layout = Layout.of({"a": torch.zeros(100, 100)})
    whole = compressor("none").length(layout)
    assert whole == pytest.approx(40_000, abs=100)
    assert compressor("8-bit").length(layout) == pytest.approx(10_000, abs=250)
    assert compressor("8-bit", {"per": "row"}).length(layout) == pytest.approx(10_400, abs=250)
    assert compressor("sign").length(layout) == pytest.approx(1_250, abs=250)
    assert compressor("top-k", {"share": 0.01}).length(layout) == pytest.approx(800, abs=250)


def test_top_k_keeps_the_largest_wherever_they_are(streams):
    update = {"a": torch.tensor([[0.1, -9.0], [3.0, 0.0]]), "b": torch.tensor([-4.0, 2.0])}
    made = compressor("top-k", {"count": 3})
    back = made.decompress(made.compress(update, streams=streams, round=0, client=0), update)
    assert back["a"].tolist() == [[0, -9], [3, 0]]
    assert back["b"].tolist() == [-4, 0]


@pytest.mark.parametrize(("share", "size", "kept"), [(0.1, 30, 3), (0.1, 31, 4), (0.29, 100, 29), (1e-9, 5, 1), (1.0, 5, 5)])
def test_the_share_is_rounded_up_and_not_by_the_last_bit(share, size, kept):
    assert compressor("top-k", {"share": share}).scheme.kept(Layout.of({"a": torch.zeros(size)})) == kept
    assert compressor("top-k", {"count": 99}).scheme.kept(Layout.of({"a": torch.zeros(size)})) == min(99, size)


def test_sign_sends_signs_times_the_mean_distance_from_zero(streams):
    update = {"a": torch.tensor([[1.0, -2.0], [3.0, -6.0]])}
    found = []
    for made in (compressor("sign", {"per": per}) for per in ("tensor", "row")):
        found.append(made.decompress(made.compress(update, streams=streams, round=0, client=0), update))
    assert found[0]["a"].tolist() == [[3, -3], [3, -3]]
    assert found[1]["a"].tolist() == [[1.5, -1.5], [4.5, -4.5]]


@pytest.mark.parametrize("options", [{}, {"scale": "norm"}, {"per": "row"}])
def test_eight_bits_are_unbiased_and_vary_no_more_than_they_may(options):
    """A z-test of the mean of each number, and the bounds d / s^2 and d / (4 s^2) of the expected squared distance."""
    draw = Streams.from_seed(5).generator("numbers")
    update = {"a": torch.from_numpy(draw.normal(size=(4, 10)).astype(np.float32)), "b": torch.tensor([0.003, -0.9, 0.0])}
    layout = Layout.of(update)
    row_P = layout.flatten(update).double()
    repeats = 4000
    rows = layout.flatten(update).expand(repeats, -1)
    made = compressor("8-bit", options)
    found = made.transmit(rows, layout, streams=Streams.from_seed(6), round=0, clients=np.arange(repeats)).double()
    off_RP = found - row_P
    deviation_P = off_RP.std(0)
    moving = deviation_P > 1e-6
    z = off_RP.mean(0)[moving] / (deviation_P[moving] / repeats**0.5)
    assert moving.sum() >= layout.size - 6
    assert z.abs().max() < 4.5
    assert 0.5 < z.std() < 1.6
    assert (off_RP.mean(0)[~moving].abs() < 1e-6).all()
    for place in layout.places().values():
        spread = off_RP[:, place].square().sum(1).mean()
        norm = row_P[place].square().sum()
        assert 0 < spread <= (place.stop - place.start) / (4 * 127**2) * norm
    assert off_RP.abs().max() <= (row_P.norm() if "scale" in options else row_P.abs().max()) / 127 + 1e-6


def test_rounding_to_the_nearest_level_would_fail_that_z_test():
    """The number that lies a quarter of a level above one: by chance its mean is right; by the nearest level it never is."""
    update = {"a": torch.tensor([1.0, 10.25 / 127])}
    layout = Layout.of(update)
    rows = layout.flatten(update).expand(2000, -1)
    found = compressor("8-bit").transmit(rows, layout, streams=Streams.from_seed(1), round=0, clients=np.arange(2000))
    levels = found[:, 1] * 127
    assert set(levels.round().tolist()) == {10, 11}
    assert levels.mean().item() == pytest.approx(10.25, abs=4.5 * (0.25 * 0.75 / 2000) ** 0.5)
    assert (found[:, 0] == 1).all()


def test_what_a_client_draws_is_its_own(block, like, streams):
    made, layout = compressor("8-bit"), Layout.of(like)
    row_P = layout.block(block)[2]
    rows = row_P.expand(4, -1)
    found = made.transmit(rows, layout, streams=streams, round=1, clients=[3, 4, 3, 5])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[1:2], made.transmit(rows[:1], layout, streams=streams, round=1, clients=[4]))
    assert not torch.equal(found[1:2], made.transmit(rows[:1], layout, streams=streams, round=2, clients=[4]))


def test_a_block_arrives_as_whole_updates(block, like, streams):
    layout = Layout.of(like)
    found = arrived(block, layout, compressor("top-k", {"count": 2}), streams=streams, round=0, clients=[1, 2, 3])
    assert not found.tables
    assert set(found.dense) == set(like)
    assert (layout.block(found) != 0).sum(1).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"indices": torch.tensor([0, 9], dtype=torch.int32), "values": torch.ones(2)}, "do not ascend"),
        ({"indices": torch.tensor([-1, 2], dtype=torch.int32), "values": torch.ones(2)}, "do not ascend"),
        ({"indices": torch.tensor([2, 2], dtype=torch.int32), "values": torch.ones(2)}, "do not ascend"),
        ({"indices": torch.tensor([0, 2]), "values": torch.ones(2)}, "other weights or other options"),
        ({"indices": torch.tensor([0], dtype=torch.int32), "values": torch.ones(1)}, "other weights or other options"),
        ({"values": torch.ones(2)}, "other weights or other options"),
    ],
)
def test_bytes_that_lie_are_refused(parts, words):
    like = {"a": torch.zeros(9)}
    with pytest.raises(RunError, match=words):
        compressor("top-k", {"count": 2}).decompress(wire.write(parts, "top-k 1"), like)


def test_bytes_of_another_compressor_are_refused(like, streams):
    data = compressor("sign").compress(like, streams=streams, round=0, client=0)
    with pytest.raises(RunError, match="marked 'sign 1', not '8-bit 1'"):
        compressor("8-bit").decompress(data, like)
    with pytest.raises(RunError, match="no safetensors"):
        compressor("sign").decompress(data[:-3], like)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("topk", {}, "did you mean 'top-k'"),
        ("top-k", {}, "give one of share and count"),
        ("top-k", {"share": 0.1, "count": 3}, "give one of share and count"),
        ("top-k", {"share": 0}, "share is 0"),
        ("top-k", {"share": 1.5}, "share is 1.5"),
        ("top-k", {"count": 0}, "count is 0; give a whole number >= 1"),
        ("top-k", {"shares": 0.1}, "did you mean 'share'"),
        ("8-bit", {"scale": "maximum"}, "did you mean 'max'"),
        ("8-bit", {"per": "rows"}, "did you mean 'row'"),
        ("sign", {"scale": "max"}, "unknown option 'scale'"),
        ("none", {"share": 1}, "unknown option 'share'"),
    ],
)
def test_bad_options_are_refused(name, options, words):
    with pytest.raises(InputError, match=words):
        compressor(name, options)


def test_a_block_needs_a_row_for_each_client(streams):
    layout = Layout.of({"a": torch.zeros(4)})
    with pytest.raises(InputError, match="a row for each client"):
        compressor("none").transmit(torch.zeros(2, 4), layout, streams=streams, round=0, clients=[1])


def test_compressors_describe_themselves():
    assert COMPRESSORS == ("none", "top-k", "8-bit", "sign")
    assert compressor("none").describe() == {"compression": "none"}
    assert compressor("8-bit", {"per": "row"}).describe() == {"compression": "8-bit", "scale": "max", "per": "row"}
    kept = ErrorFeedback(compressor("sign"), capacity=5).describe()
    assert kept == {"compression": "sign", "per": "tensor", "error_feedback": True, "capacity": 5}
