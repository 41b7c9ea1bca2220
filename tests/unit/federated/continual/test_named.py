import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.continual import Clock, Static, check_schedule, retention, schedule
from holdfast.federated.population import Clients

DAY = 86_400
TIMES = np.array([0, 5, 10, 15, 20, 25]) * DAY
CLIENTS = Clients.of_users(["a", "b", "a", "b", "a", "b"])


def made(name="continual", times=TIMES, clients=CLIENTS, **options):
    return schedule(name, options, clients=clients, times_n=times, streams=Streams.from_seed(0))


def test_static_needs_no_times():
    found = made("static", times=None, rounds=7)
    assert isinstance(found, Static)
    assert found.rounds == 7


def test_continual_cuts_by_counts_spans_and_days():
    assert isinstance(made(periods=3), Clock)
    assert [len(made(periods=3).events(p)) for p in range(3)] == [2, 2, 2]
    assert [len(made(periods=2, cut="spans").events(p)) for p in range(2)] == [3, 3]
    assert [len(made(cut="days", days=10).events(p)) for p in range(3)] == [2, 2, 2]


def test_all_options_arrive():
    found = made(periods=3, retention={"name": "sliding", "window": 2}, rounds_per_period=[1, 2, 3], server="reset")
    assert found.resets_server
    assert found.rounds == 6
    assert found.retention.describe() == {"retention": "sliding", "window": 2}
    assert not made(periods=3).resets_server
    assert made(periods=3).retention.describe() == {"retention": "cumulative"}


def test_periods_are_cut_by_the_examples_that_the_clients_have():
    some = Clients(np.array([0, 2]), np.array([1, 2]))
    found = made(clients=some, periods=2)
    assert found.edges.tolist() == [5 * DAY, 10 * DAY, 10 * DAY + 1]
    assert [found.events(p).tolist() for p in range(2)] == [[1], [2]]
    found = made(clients=Clients(np.array([0, 3]), None), periods=3)
    assert found.edges.tolist() == [0, 5 * DAY, 10 * DAY, 10 * DAY + 1]


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("continuous", {}, "did you mean 'continual'"),
        ("static", {}, "rounds is missing"),
        ("static", {"round": 3}, "did you mean 'rounds'"),
        ("continual", {"period": 3}, "did you mean 'periods'"),
        ("continual", {}, "needs periods"),
        ("continual", {"periods": 3, "cut": "weeks"}, "cut is 'weeks'"),
        ("continual", {"periods": 3, "cut": "days"}, "needs days and no periods"),
        ("continual", {"cut": "days"}, "needs days and no periods"),
        ("continual", {"periods": 3, "days": 2}, "needs periods and no days"),
        ("continual", {"periods": 3, "server": "rest"}, "did you mean 'reset'"),
        ("continual", {"periods": 3, "retention": "slide"}, "no retention 'slide'"),
        ("continual", {"periods": 3, "retention": "sliding"}, "window is missing"),
        ("continual", {"periods": 3, "retention": {"window": 2}}, "give its name too"),
        ("continual", {"periods": 3, "retention": {"name": "ttl", "day": 2}}, "did you mean 'days'"),
    ],
)
def test_what_is_wrong_is_named_before_there_are_data(name, options, why):
    with pytest.raises(InputError, match=why):
        check_schedule(name, options)


def test_a_clock_without_times_is_refused():
    with pytest.raises(InputError, match="the data have no times"):
        made(times=None, periods=2)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("sliding", {"window": 0}, "window is 0"),
        ("sliding", {"window": True}, "window is True"),
        ("ttl", {"days": 0}, "days is 0"),
        ("ttl", {"days": float("inf")}, "days is inf"),
        ("ttl", {"days": "7"}, "days is '7'"),
        ("cap", {"most": 0}, "most is 0"),
        ("cap", {"most": 2, "rule": "lifo"}, "did you mean 'fifo'"),
        ("latest", {"window": 1}, "unknown option 'window'"),
    ],
)
def test_a_retention_out_of_its_bounds_is_refused(name, options, why):
    with pytest.raises(InputError, match=why):
        retention(name, options)
