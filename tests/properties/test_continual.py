"""Properties of the continual clock under any population, any times and any retention; hypothesis picks them."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.core.randomness import Streams
from holdfast.federated.continual import Cap, Clock, Cumulative, Latest, Sliding, TimeToLive
from holdfast.federated.population import Clients

DAY = 86_400
MANY = settings(max_examples=150, deadline=None)


@st.composite
def populations(draw):
    """Clients, of all positions or of some, times of all positions, and edges around them."""
    size = draw(st.integers(0, 25))
    owners = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), dtype=np.int64)
    times = np.array(draw(st.lists(st.integers(0, 60), min_size=size, max_size=size)), dtype=np.int64)
    inner = draw(st.lists(st.integers(1, 60), max_size=5, unique=True))
    clients = Clients.of_assignment(owners, 5)
    if draw(st.booleans()):
        clients = clients.take(np.array(draw(st.lists(st.integers(0, 4), unique=True, min_size=1)), dtype=np.int64))
    return clients, times, np.array([0, *sorted(inner), 61], dtype=np.int64)


RETENTIONS = st.one_of(
    st.just(Cumulative()),
    st.just(Latest()),
    st.builds(Sliding, window=st.integers(1, 4)),
    st.builds(TimeToLive, days=st.integers(1, 80).map(lambda seconds: seconds / DAY)),
    st.builds(Cap, most=st.integers(1, 6), rule=st.sampled_from(["fifo", "reservoir"])),
)


def slow_view(clients, times, edges, retention, period):
    """What each client should have, one event at a time; for a reservoir only how many."""
    found = []
    for client in range(len(clients)):
        past = [int(at) for at in clients.of(client) if times[at] < edges[period + 1]]
        begins = edges[period]
        if isinstance(retention, Latest):
            past = [at for at in past if times[at] >= begins]
        if isinstance(retention, Sliding):
            past = [at for at in past if times[at] >= edges[max(period - retention.window + 1, 0)]]
        if isinstance(retention, TimeToLive):
            past = [at for at in past if edges[period + 1] - times[at] <= retention.days * DAY]
        if isinstance(retention, Cap) and retention.rule == "fifo":
            newest = sorted(past, key=lambda at: (times[at], at))[-retention.most :]
            past = [at for at in past if at in newest]
        found.append(past)
    return found


@MANY
@given(populations(), RETENTIONS, st.integers(0, 3))
def test_a_view_holds_what_its_retention_keeps_and_nothing_else(population, retention, seed):
    clients, times, edges = population
    clock = Clock(clients, times_n=times, edges=edges, retention=retention, streams=Streams.from_seed(seed))
    for period in range(clock.periods):
        view = clock.view(period)
        expected = slow_view(clients, times, edges, retention, period)
        found = [view.of(client).tolist() for client in range(len(view))]
        if isinstance(retention, Cap) and retention.rule == "reservoir":
            assert [len(own) for own in found] == [min(len(past), retention.most) for past in expected]
            assert all(set(own) <= set(past) for own, past in zip(found, expected, strict=True))
        else:
            assert found == expected
        assert view.counts.tolist() == [len(own) for own in found]


@MANY
@given(populations(), RETENTIONS)
def test_periods_share_out_the_events_and_none_is_seen_ahead(population, retention):
    clients, times, edges = population
    clock = Clock(clients, times_n=times, edges=edges, retention=retention)
    own = sorted(at for client in range(len(clients)) for at in clients.of(client).tolist())
    assert sorted(at for period in range(clock.periods) for at in clock.events(period).tolist()) == own
    seen: set[int] = set()
    for period in range(clock.periods):
        events = clock.events(period)
        assert all(edges[period] <= times[at] < edges[period + 1] for at in events)
        assert (np.diff(times[events]) >= 0).all()
        seen |= {at for client in range(len(clients)) for at in clock.view(period).of(client).tolist()}
        assert not seen & set(clock.next_events(period).tolist())


@MANY
@given(populations(), st.integers(1, 6), st.integers(0, 5))
def test_a_reservoir_never_takes_back(population, most, seed):
    clients, times, edges = population
    clock = Clock(clients, times_n=times, edges=edges, retention=Cap(most=most, rule="reservoir"), streams=Streams.from_seed(seed))
    before: set[int] = set()
    for period in range(clock.periods):
        kept = set(clock.view(period).examples.tolist())
        assert kept <= before | set(clock.events(period).tolist())
        before = kept


def test_every_set_that_a_reservoir_may_keep_is_equally_likely():
    clients, times, edges = Clients.of_users(["a"] * 6), np.arange(6), np.array([0, 2, 4, 6])
    drawn = Counter()
    for seed in range(3000):
        clock = Clock(clients, times_n=times, edges=edges, retention=Cap(most=3, rule="reservoir"), streams=Streams.from_seed(seed))
        drawn[tuple(clock.view(2).of(0).tolist())] += 1
    sets = list(combinations(range(6), 3))
    assert set(drawn) == set(sets)
    assert stats.chisquare([drawn[chosen] for chosen in sets]).pvalue > 1e-4


@pytest.mark.parametrize("period", [1, 2])
def test_clients_keep_independently_of_each_other(period):
    clients, times, edges = Clients.of_users(["a", "b"] * 4), np.arange(8), np.array([0, 3, 6, 8])
    both = Counter()
    for seed in range(2000):
        clock = Clock(clients, times_n=times, edges=edges, retention=Cap(most=1, rule="reservoir"), streams=Streams.from_seed(seed))
        view = clock.view(period)
        both[int(view.of(0)[0]), int(view.of(1)[0])] += 1
    own = [[at for at in range(clock.edges[period + 1]) if at % 2 == client] for client in (0, 1)]
    table = [[both[a, b] for b in own[1]] for a in own[0]]
    assert stats.chisquare(np.array(table).ravel()).pvalue > 1e-4
