import time

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.continual import Cap, Clock, Cumulative, Latest, Sliding, Static, TimeToLive
from holdfast.federated.population import Clients

DAY = 86_400
USERS = ["ann", "bob", "ann", "cy", "bob", "ann", "ann"]
TIMES = np.array([5, 12, 17, 25, 28, 29, 3])
EDGES = np.array([0, 10, 20, 30])
CLIENTS = Clients.of_users(USERS)


def clock(retention=None, **options):
    return Clock(CLIENTS, times_n=TIMES, edges=EDGES, retention=retention, **options)


def views(made):
    return [[made.view(period).of(client).tolist() for client in range(3)] for period in range(made.periods)]


def test_cumulative_grows():
    assert views(clock(Cumulative())) == [[[0, 6], [], []], [[0, 2, 6], [1], []], [[0, 2, 5, 6], [1, 4], [3]]]
    assert views(clock()) == views(clock(Cumulative()))


def test_latest_has_the_period_alone():
    assert views(clock(Latest())) == [[[0, 6], [], []], [[2], [1], []], [[5], [4], [3]]]
    assert views(clock(Sliding(window=1))) == views(clock(Latest()))


def test_a_sliding_window_has_the_last_periods():
    assert views(clock(Sliding(window=2))) == [[[0, 6], [], []], [[0, 2, 6], [1], []], [[2, 5], [1, 4], [3]]]
    assert views(clock(Sliding(window=9))) == views(clock(Cumulative()))


def test_time_to_live_is_counted_back_from_the_end_of_the_period_and_includes_its_edge():
    assert views(clock(TimeToLive(days=7 / DAY))) == [[[0, 6], [], []], [[2], [], []], [[5], [4], [3]]]
    assert views(clock(TimeToLive(days=5 / DAY)))[0] == [[0], [], []]  # the event of second 5 is 5 seconds old at second 10
    assert views(clock(TimeToLive(days=4.9 / DAY)))[0] == [[], [], []]


def test_a_fifo_cap_keeps_the_newest():
    assert views(clock(Cap(most=1))) == [[[0], [], []], [[2], [1], []], [[5], [4], [3]]]
    assert views(clock(Cap(most=2)))[2] == [[2, 5], [1, 4], [3]]
    assert views(clock(Cap(most=9))) == views(clock(Cumulative()))


def test_of_the_same_second_the_last_in_the_data_is_the_newest():
    same = Clock(Clients.of_users(["a"] * 4), times_n=np.array([5, 5, 5, 5]), edges=np.array([0, 10]), retention=Cap(most=2))
    assert same.view(0).of(0).tolist() == [2, 3]


def test_views_keep_the_clients_and_their_names():
    named = Clients(CLIENTS.offsets, CLIENTS.examples, ["h1", "h2", "h3"])
    view = Clock(named, times_n=TIMES, edges=EDGES, retention=Latest()).view(0)
    assert view.names == ["h1", "h2", "h3"]
    assert len(view) == 3
    assert view.counts.tolist() == [2, 0, 0]


def test_contiguous_clients_need_no_positions():
    clients = Clients(np.array([0, 2, 3]), None)
    made = Clock(clients, times_n=np.array([15, 5, 16]), edges=np.array([0, 10, 20]), retention=Latest())
    assert [made.view(1).of(client).tolist() for client in (0, 1)] == [[0], [2]]


def test_clients_of_a_part_name_positions_of_the_whole():
    clients = Clients(np.array([0, 2]), np.array([4, 2]))
    made = Clock(clients, times_n=np.array([99, 99, 15, 99, 5]), edges=np.array([0, 10, 20]))
    assert made.view(0).of(0).tolist() == [4]
    assert made.events(1).tolist() == [2]
    assert made.events(0).tolist() == [4]


def test_events_come_in_the_order_of_time_and_next_ones_are_those_of_the_next_period():
    made = clock(Latest())
    assert [made.events(period).tolist() for period in range(3)] == [[6, 0], [1, 2], [3, 4, 5]]
    assert [made.next_events(period).tolist() for period in range(3)] == [[1, 2], [3, 4, 5], []]


def test_events_do_not_depend_on_the_retention():
    assert clock(Cap(most=1)).events(0).tolist() == clock().events(0).tolist() == [6, 0]


def test_nothing_of_the_next_period_was_in_any_view_before():
    made = clock()
    for period in range(2):
        seen = set(np.concatenate([made.view(p).examples for p in range(period + 1)]).tolist())
        assert not seen & set(made.next_events(period).tolist())


def test_rounds_are_laid_out_period_by_period():
    made = clock(rounds_per_period=[2, 1, 3])
    assert made.rounds == 6
    assert [made.period_of_round(round) for round in range(6)] == [0, 0, 1, 2, 2, 2]
    assert clock(rounds_per_period=4).rounds_per_period == (4, 4, 4)
    for outside in (-1, 6):
        with pytest.raises(InputError, match="it has rounds 0 to 5"):
            made.period_of_round(outside)


@pytest.mark.parametrize("rounds", [0, [1, 2], [1, 2, 0], [1, 1, True], True])
def test_rounds_that_do_not_fit_are_refused(rounds):
    if rounds is True:
        assert clock(rounds_per_period=1).rounds == 3
        return
    with pytest.raises(InputError, match="for 3 periods"):
        clock(rounds_per_period=rounds)


def test_what_lies_outside_of_the_periods_is_refused():
    with pytest.raises(InputError, match="1 examples lie outside"):
        Clock(CLIENTS, times_n=TIMES, edges=np.array([4, 30]))
    with pytest.raises(InputError, match="1 examples lie outside"):
        Clock(CLIENTS, times_n=TIMES, edges=np.array([0, 29]))  # an event at the end of the last period is outside
    with pytest.raises(InputError, match="do not ascend"):
        Clock(CLIENTS, times_n=TIMES, edges=np.array([0, 20, 20, 30]))
    with pytest.raises(InputError, match="name position 6 of 5 times"):
        Clock(CLIENTS, times_n=TIMES[:5], edges=EDGES)
    with pytest.raises(InputError, match="times are float64"):
        Clock(CLIENTS, times_n=TIMES.astype(float), edges=EDGES)
    for period in (-1, 3):
        with pytest.raises(InputError, match=r"integer in \[0, 3\)"):
            clock().view(period)
        with pytest.raises(InputError, match=r"integer in \[0, 3\)"):
            clock().events(period)


def test_an_empty_population_has_empty_views():
    made = Clock(Clients(np.array([0, 0]), None), times_n=np.zeros(0, np.int64), edges=np.array([0, 1]), retention=Cap(most=2))
    assert made.view(0).counts.tolist() == [0]
    assert len(made.events(0)) == 0


def test_it_describes_itself_without_a_time_of_an_example():
    told = clock(Cap(most=2, rule="reservoir"), rounds_per_period=2, resets_server=True).describe()
    assert told == {
        "schedule": "continual",
        "periods": 3,
        "rounds": 6,
        "rounds_per_period": [2, 2, 2],
        "retention": "cap",
        "most": 2,
        "rule": "reservoir",
        "server": "reset",
        "edges": [0, 10, 20, 30],
    }


def test_static_is_one_period_with_everything():
    made = Static(clients=CLIENTS, rounds=5)
    assert (made.periods, made.rounds, made.rounds_per_period, made.resets_server) == (1, 5, (5,), False)
    assert made.view(0) is CLIENTS
    assert made.events(0).tolist() == list(range(7))
    assert len(made.next_events(0)) == 0
    assert made.period_of_round(4) == 0
    assert made.describe() == {"schedule": "static", "periods": 1, "rounds": 5}
    with pytest.raises(InputError, match="rounds is 0"):
        Static(clients=CLIENTS, rounds=0)
    with pytest.raises(InputError, match="period is 1"):
        made.view(1)


def test_a_reservoir_hangs_on_the_streams_and_the_positions_alone():
    users = [f"u{i % 7}" for i in range(200)]
    times = np.random.default_rng(3).integers(0, 100, 200)
    edges = np.array([0, 30, 60, 100])

    def kept(clients, seed, period):
        made = Clock(clients, times_n=times, edges=edges, retention=Cap(most=5, rule="reservoir"), streams=Streams.from_seed(seed))
        return {int(at) for at in made.view(period).examples}

    whole = Clients.of_users(users)
    assert kept(whole, 1, 2) == kept(whole, 1, 2)
    assert kept(whole, 1, 2) != kept(whole, 2, 2)
    turned = whole.take(np.arange(6, -1, -1))  # other numbers of clients, same positions
    assert kept(turned, 1, 1) == kept(whole, 1, 1)


def test_what_a_reservoir_let_go_never_comes_back():
    times = np.arange(300)
    made = Clock(
        Clients.of_users(["a", "b", "c"] * 100),
        times_n=times,
        edges=np.arange(0, 301, 30),
        retention=Cap(most=8, rule="reservoir"),
        streams=Streams.from_seed(4),
    )
    gone: set[int] = set()
    for period in range(10):
        kept = set(made.view(period).examples.tolist())
        assert not kept & gone
        gone |= {at for past in range(period + 1) for at in made.events(past).tolist()} - kept


@pytest.mark.slow
@pytest.mark.parametrize(
    "retention", [Cumulative(), Sliding(window=2), TimeToLive(days=90.0), Cap(most=20), Cap(most=20, rule="reservoir")]
)
def test_a_million_events_take_less_than_a_second(retention):
    rng = np.random.default_rng(5)
    owners = (rng.pareto(1.2, 1_000_000) * 200).astype(np.int64) % 20_000
    times = rng.integers(0, 365 * DAY, 1_000_000)
    made = Clock(
        Clients.of_assignment(owners, 20_000), times_n=times, edges=np.linspace(0, 365 * DAY, 13).astype(np.int64), retention=retention
    )
    made.view(0)  # the order within each client is found once
    begin = time.process_time()
    made.view(11)
    assert time.process_time() - begin < 1.0
