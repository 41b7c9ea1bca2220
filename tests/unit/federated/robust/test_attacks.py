"""Attacks: what they put in, and which rules withstand them where the plain mean does not."""

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.robust import Attack, Noise, Push, SignFlip, attack, rule

STREAMS = Streams.from_seed(8)
CLIENTS = np.array([3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46])
BAD = np.array([14, 89, 1000])


def honest() -> torch.Tensor:
    """About the same direction for all, as after a few local steps."""
    draw = STREAMS.generator("honest")
    return torch.from_numpy(draw.normal(size=200) + 0.3 * draw.normal(size=(len(CLIENTS), 200))).float()


ATTACKS: list[Attack] = [SignFlip(times=20), Noise(norm=500), Push(norm=500)]
each = pytest.mark.parametrize("made", ATTACKS, ids=lambda made: made.name)


@each
def test_only_bad_clients_change_and_the_input_never(made):
    before = honest()
    kept = before.clone()
    found = made(before, CLIENTS, BAD, streams=STREAMS, round=0)
    changed = (found != before).any(1).numpy()
    assert CLIENTS[changed].tolist() == [14, 89]
    assert torch.equal(before, kept)
    assert torch.equal(made(before, CLIENTS, np.array([], dtype=np.int64), streams=STREAMS, round=0), before)


@each
def test_what_is_put_in_belongs_to_the_client_and_not_to_the_block(made):
    before = honest()
    whole = made(before, CLIENTS, BAD, streams=STREAMS, round=3)
    parts = [made(before[a:b], CLIENTS[a:b], BAD, streams=STREAMS, round=3) for a, b in [(0, 2), (2, 11)]]
    assert torch.equal(torch.cat(parts), whole)


def test_each_puts_in_what_it_says():
    before = honest()
    flipped = SignFlip(times=3)(before, CLIENTS, BAD, streams=STREAMS, round=0)
    assert torch.equal(flipped[1], -3 * before[1])
    noise = [Noise(norm=7)(before, CLIENTS, BAD, streams=STREAMS, round=round) for round in (0, 1)]
    push = [Push(norm=7)(before, CLIENTS, BAD, streams=STREAMS, round=round) for round in (0, 1)]
    for found in (*noise, *push):
        assert found[[1, 6]].norm(dim=1).tolist() == pytest.approx([7, 7], rel=1e-5)
    assert not torch.equal(noise[0][1], noise[0][6])
    assert not torch.equal(noise[0][1], noise[1][1])
    assert torch.equal(push[0][1], push[0][6])
    assert torch.equal(push[0][1], push[1][1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("median", {}),
        ("trimmed-mean", {"share": 0.2}),
        ("krum", {"attackers": 2}),
        ("multi-krum", {"attackers": 2}),
        ("geometric-median", {}),
        ("norm-bound", {"bound": 15.0}),
    ],
)
@each
def test_the_rules_withstand_what_the_plain_mean_does_not(made, name, options):
    """Two of eleven clients attack. Close is: nearer to the honest mean than the farthest honest client; the plain mean is far outside."""
    before = honest()
    good = ~np.isin(CLIENTS, BAD)
    mean = before[good].mean(0)
    farthest = float((before[good] - mean).norm(dim=1).max())
    found = made(before, CLIENTS, BAD, streams=STREAMS, round=0)
    weights = np.full(len(CLIENTS), 1 / len(CLIENTS))
    plain = rule("trimmed-mean", {"share": 0.0})(found, weights)
    assert float((plain - mean).norm()) > 5 * farthest
    robust = rule(name, options)(found, weights)
    allowed = 2 * farthest if name == "norm-bound" else farthest  # the bound damps, it does not drop
    assert float((robust - mean).norm()) <= allowed


def test_more_attackers_than_planned_win_or_the_test_above_shows_nothing():
    """Six of eleven that push together are the majority, and Krum, the median and the geometric median follow them."""
    found = Push(norm=500)(honest(), CLIENTS, CLIENTS[:6], streams=STREAMS, round=0)
    for name, options in [("krum", {"attackers": 2}), ("median", {}), ("geometric-median", {})]:
        robust = rule(name, options)(found, np.full(11, 1 / 11))
        assert float((robust - found[0]).norm()) < 0.5 * float(found[0].norm())


def test_a_minority_that_differs_is_dropped_as_an_attacker_would_be():
    """The pitfall in numbers: two honest users of a rare language alone move the words that only they use."""
    deltas = torch.zeros(11, 4)
    deltas[:, :2] = 1.0
    deltas[:2, 2:] = 1.0  # words of the rare language
    weights = np.full(11, 1 / 11)
    assert rule("trimmed-mean", {"share": 0.0})(deltas, weights)[2:].tolist() == pytest.approx([2 / 11, 2 / 11])
    assert rule("norm-bound", {"bound": 10.0})(deltas, weights)[2:].tolist() == pytest.approx([2 / 11, 2 / 11])
    for name, options in [("median", {}), ("trimmed-mean", {"share": 0.2}), ("krum", {"attackers": 2}), ("multi-krum", {"attackers": 2})]:
        assert rule(name, options)(deltas, weights).tolist() == pytest.approx([1, 1, 0, 0])
    assert rule("geometric-median")(deltas, weights)[2:].max() < 0.05


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("flip", {}, "there is no attack 'flip'"),
        ("sign flip", {"times": 0}, "times is 0"),
        ("sign flip", {"time": 1}, "did you mean 'times'"),
        ("noise", {}, "'norm'; give it among the options"),
        ("noise", {"norm": -1}, "norm is -1"),
        ("push", {"norm": 0}, "norm is 0"),
    ],
)
def test_bad_options_are_refused(name, options, words):
    with pytest.raises(InputError, match=words):
        attack(name, options)


def test_attacks_describe_themselves():
    assert attack("sign flip", {"times": 2}).describe() == {"attack": "sign flip", "times": 2}
    assert attack("push", {"norm": 2}).describe() == {"attack": "push", "norm": 2}
