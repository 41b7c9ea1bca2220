"""Random streams: addressed, replayable, pinned for ever, and never two of one address."""

import hashlib
import itertools

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

NAMES = ["noise", "sampling", "dropout", "a/b", "a/1b", "ä", "", "5"]


def test_draws_of_a_seed_never_change():
    """A change here would break the replay of every run that was ever recorded."""
    streams = Streams.from_seed(7)
    assert streams.words("noise", 3)[:3] == (2239857499, 4219122381, 1069484466)
    assert streams.integer("noise", 3) == 8897620609601733467
    assert streams.generator("noise", 3).standard_normal(3).tolist() == [-2.185476578207634, -0.9669046833900201, -1.5893321099510453]
    assert streams.child("client", 5).key == 10317881864993598308765954216508885799691452938111713473689148833883967426166


def test_words_are_those_of_the_hash_of_the_address():
    digest = hashlib.sha256(b"holdfast/7/noise/3/14").digest()
    assert Streams(7).words("noise", 3, 14) == tuple(np.frombuffer(digest, "<u4").tolist())


def test_an_address_gives_the_same_draws_whenever_it_is_asked():
    streams = Streams.from_seed(1)
    first = streams.generator("noise", 2).normal(size=5)
    for step in (9, 0, 2):
        streams.generator("noise", step).normal(size=1000)
    assert np.array_equal(first, streams.generator("noise", 2).normal(size=5))
    assert np.array_equal(first, Streams.from_seed(1).generator("noise", np.int64(2)).normal(size=5))


def test_no_two_addresses_share_words():
    addresses = [(name, counters) for name in NAMES for counters in [(), (0,), (1,), (-1,), (0, 0), (0, 1), (1, 0), (11,), (1, 1)]]
    families = [
        Streams(0),
        Streams(1),
        Streams(10),
        Streams(0).child("noise"),
        Streams(0).child("noise", 0),
        Streams(0).child("noise").child("a"),
    ]
    words = {family.words(name, *counters) for family in families for name, counters in addresses}
    assert len(words) == len(families) * len(addresses)


@pytest.mark.parametrize("name", ["noise/1", "a/b/22", "/0", "noise/-1"])
def test_a_name_that_could_be_taken_for_a_counter_is_refused(name: str):
    with pytest.raises(InputError, match="as a counter"):
        Streams(0).words(name)
    with pytest.raises(InputError, match="as a counter"):
        Streams(0).child(name)


def test_every_pair_of_steps_draws_apart():
    streams = Streams.from_seed(0)
    draws = [streams.generator("noise", step).integers(2**63) for step in range(5000)]
    assert len(set(draws)) == len(draws)


def test_children_share_nothing_with_parents_or_siblings():
    parent = Streams.from_seed(3)
    families = [parent, *(parent.child("client", number) for number in range(50)), parent.child("client"), parent.child("server")]
    first = [family.generator("noise").integers(2**63) for family in families]
    assert len(set(first)) == len(first)
    assert parent.child("client", 4) == Streams.from_seed(3).child("client", 4)


def test_integers_fit_a_torch_generator():
    values = [Streams.from_seed(seed).integer("init", step) for seed, step in itertools.product(range(20), range(50))]
    assert all(0 <= value < 2**63 for value in values)
    assert max(values) > 2**62
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("seed", [-1, 1.0, "7", True, np.float64(3)])
def test_a_seed_that_is_none_is_refused(seed: object):
    with pytest.raises(InputError, match="integer >= 0"):
        Streams.from_seed(seed)


def test_a_seed_of_any_size_will_do():
    assert Streams.from_seed(0) != Streams.from_seed(2**200)
    assert not Streams.from_seed(2**200).secret


def test_without_a_seed_the_key_is_secret_and_new():
    one, two = Streams.from_seed(None), Streams.from_seed(None)
    assert one.secret
    assert one.child("noise").secret
    assert one.key != two.key
    assert one.key.bit_length() > 64
