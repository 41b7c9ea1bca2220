"""Comparators that look at losses, against their formulas worked out by hand."""

import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.selection import Signals, View, selector
from holdfast.federated.selection.losses import Oort

STREAMS = Streams.from_seed(2)


def told(clients: int, rounds: dict[int, list[int]], losses: dict[int, float], seconds: dict[int, float] | None = None) -> Signals:
    signals = Signals.nothing(clients)
    for round, members in rounds.items():
        chosen = np.array(members)
        times = None if seconds is None else np.array([seconds[client] for client in members])
        signals.note(chosen, round=round, loss=np.array([losses[client] for client in members]), seconds=times)
    return signals


def select(name, options, view, *, size, round=0):
    return selector(name, options).select(view, size=size, round=round, rounds=500, streams=STREAMS)


def test_power_of_choice_keeps_the_highest_current_losses_of_its_candidates():
    asked = []

    def losses_of(clients):
        asked.append(clients)
        return clients * 1.0

    counts = np.arange(1, 41)
    cohort = select("power-of-choice", {"candidates": 12}, View(counts, losses_of=losses_of), size=5)
    assert len(asked[0]) == 12
    assert cohort.clients.tolist() == sorted(asked[0].tolist())[-5:]
    assert (cohort.exactness, cohort.never) == ("unknown", 0)
    assert np.isfinite(cohort.inclusion).all()


def test_power_of_choice_asks_twice_the_cohort_and_no_more_than_there_are():
    asked = []
    view = View(np.ones(30, dtype=np.int64), losses_of=lambda clients: asked.append(len(clients)) or np.zeros(len(clients)))
    select("power-of-choice", {}, view, size=6)
    assert len(select("power-of-choice", {}, view, size=20)) == 20
    assert asked == [12, 30]


def test_power_of_choice_with_equal_losses_favours_nobody():
    view = View(np.ones(10, dtype=np.int64), losses_of=lambda clients: np.zeros(len(clients)))
    times = np.zeros(10)
    for round in range(400):
        cohort = select("power-of-choice", {"candidates": 10}, view, size=3, round=round)
        np.testing.assert_allclose(cohort.inclusion, 0.3)  # the guess is right here
        times[cohort.clients] += 1
    assert np.abs(times - 120).max() < 4.5 * math.sqrt(120 * 0.7)


def test_power_of_choice_by_last_losses_takes_the_unknown_first():
    signals = told(6, {0: [0, 1, 2, 3]}, {0: 0.1, 1: 0.9, 2: 0.5, 3: 0.2})
    view = View(np.ones(6, dtype=np.int64), signals=signals)
    cohort = select("power-of-choice", {"candidates": 6, "loss": "last"}, view, size=4)
    assert cohort.clients.tolist() == [1, 2, 4, 5]


def test_power_of_choice_puts_a_loss_that_is_not_a_number_last():
    view = View(np.ones(3, dtype=np.int64), losses_of=lambda clients: np.where(clients == 1, np.nan, 0.5))
    assert select("power-of-choice", {"candidates": 3}, view, size=2).clients.tolist() == [0, 2]


def test_power_of_choice_says_what_it_lacks():
    with pytest.raises(InputError, match="give loss='last'"):
        select("power-of-choice", {}, View(np.ones(3, dtype=np.int64)), size=1)
    with pytest.raises(InputError, match="candidates is 3 for a cohort of 4"):
        select("power-of-choice", {"candidates": 3, "loss": "last"}, View(np.ones(9, dtype=np.int64)), size=4)


def test_oort_utilities_by_hand():
    """Five clients, clipped at the median, the fourth twice as slow as T."""
    counts = np.array([1, 2, 3, 4, 10])
    signals = told(5, {0: [0, 1], 3: [2, 3, 4]}, dict.fromkeys(range(5), 2.0), {0: 1.0, 1: 1.0, 2: 1.0, 3: 2.0, 4: 1.0})
    clients = np.arange(5)
    plain = Oort(clip=0.5, scale=False, preferred=0.5).utilities(counts, signals, clients, round=9)
    stale = [math.sqrt(0.1 * math.log(10) / last) for last in (1, 1, 4, 4, 4)]
    by_hand = [2 + stale[0], 4 + stale[1], 6 + stale[2], (6 + stale[3]) / 4, 6 + stale[4]]
    np.testing.assert_allclose(plain, by_hand, rtol=1e-6)
    scaled = Oort(clip=0.5, preferred=1.0).utilities(counts, signals, clients, round=9)
    np.testing.assert_allclose(scaled, np.array([0, 0.5, 1, 1, 1]) + stale, rtol=1e-6)


def test_oort_counts_a_loss_that_is_not_finite_as_none():
    signals = told(3, {0: [0, 1, 2]}, {0: math.nan, 1: math.inf, 2: 1.0})
    values = Oort(clip=1.0, scale=False, staleness=0.0).utilities(np.array([5, 5, 5]), signals, np.arange(3), round=1)
    assert values.tolist() == [0, 0, 5]


@pytest.mark.parametrize(("round", "new"), [(0, 9), (10, 7), (74, 2), (400, 2)])
def test_oort_explores_less_and_less(round, new):
    """int(10 x .9 x .98^10) = 7; from .98^75 on the floor of .2 holds."""
    signals = told(200, {0: list(range(100))}, dict.fromkeys(range(100), 1.0))
    view = View(np.full(200, 3), signals=signals)
    cohort = select("oort", {}, view, size=10, round=round)
    assert int((cohort.clients >= 100).sum()) == new


def test_oort_exploits_those_near_the_top():
    """Of 100 that were met, ten have ten times the loss: the places go to them alone, each as likely as another."""
    losses = {client: 10.0 if client % 10 == 0 else 1.0 for client in range(100)}
    view = View(np.full(100, 3), signals=told(100, {0: list(range(100))}, losses))
    seen = np.zeros(100)
    for round in range(50):
        seen[select("oort", {}, view, size=5, round=round).clients] += 1
    assert seen[1::10].sum() == 0
    assert np.flatnonzero(seen).tolist() == list(range(0, 100, 10))
    assert seen.sum() == 250


def test_oort_explores_by_activity_or_evenly():
    counts = np.repeat([1, 99], 50)
    heavy = {
        by: sum((counts[select("oort", {"explore_by": by}, View(counts), size=5, round=r).clients] == 99).sum() for r in range(40))
        for by in ("activity", "uniform")
    }
    assert heavy["activity"] > 185
    assert 70 < heavy["uniform"] < 130


def test_oort_leaves_out_the_overused_unless_too_few_are_left():
    signals = told(20, {round: [0, 1, 2, 3] for round in range(11)} | {20: list(range(20))}, dict.fromkeys(range(20), 1.0))
    view = View(np.full(20, 3), signals=signals)
    options = {"most_times": 10, "most_left_out": 0.2}
    assert select("oort", options, view, size=16, round=30).clients.tolist() == list(range(4, 20))
    assert len(select("oort", options, view, size=17, round=30)) == 17
    assert set(select("oort", {**options, "most_left_out": 0.1}, view, size=18, round=30).clients.tolist()) == {2, 3, *range(4, 20)}
    assert set(select("oort", {"most_times": None}, view, size=20, round=30).clients.tolist()) == set(range(20))


def test_active_leaves_out_the_bottom_and_draws_the_rest_evenly():
    losses = {client: float(client) for client in range(100)}
    view = View(np.full(100, 4), signals=told(100, {0: list(range(100))}, losses))
    for round in range(30):
        guided = select("active", {"at_random": 0.0}, view, size=10, round=round)
        assert len(guided) == 10
        assert guided.clients.min() >= 75
    mixed = [int((select("active", {"at_random": 0.4}, view, size=10, round=r).clients < 75).sum()) for r in range(60)]
    assert max(mixed) <= 4
    assert 2.5 < np.mean(mixed) < 3.9  # four places among 94 clients, of whom 75 are of the bottom


def test_active_sharpness_is_the_softmax_of_root_n_times_loss():
    """Two clients of values 2 and 6 compete for a place at sharpness 0.25: the odds are e."""
    view = View(np.array([4, 9]), signals=told(2, {0: [0, 1]}, {0: 1.0, 1: 2.0}))
    options = {"left_out": 0.0, "at_random": 0.0, "sharpness": 0.25}
    heavy = sum(select("active", options, view, size=1, round=round).clients[0] for round in range(400)) + sum(
        selector("active", options).select(view, size=1, round=r, rounds=400, streams=Streams(9)).clients[0] for r in range(400)
    )
    share = math.e / (1 + math.e)
    assert abs(heavy - 800 * share) < 4 * math.sqrt(800 * share * (1 - share))


def test_active_values_the_unknown_at_the_mean():
    signals = told(4, {0: [0, 1]}, {0: 1.0, 1: 3.0})
    view = View(np.full(4, 4), signals=signals)
    assert select("active", {"left_out": 0.25, "at_random": 0.0}, view, size=3).clients.tolist() == [1, 2, 3]
    assert len(select("active", {}, View(np.full(4, 4)), size=4)) == 4  # a first round, with no loss at all


def test_half_up_rounding_of_the_random_share():
    view = View(np.full(50, 4), signals=told(50, {0: list(range(50))}, {client: float(client) for client in range(50)}))
    cohorts = [select("active", {"at_random": 0.1}, view, size=5, round=round).clients for round in range(40)]
    assert {int((cohort < 37).sum()) for cohort in cohorts} == {0, 1}
