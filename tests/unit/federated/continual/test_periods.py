import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.federated.continual import by_days, equal_counts, equal_spans

DAY = 86_400


def test_spans_are_equal_to_the_second_and_hold_all_events():
    times = np.array([100, 1099, 333])
    edges = equal_spans(times, periods=4)
    assert edges.tolist() == [100, 350, 600, 850, 1100]
    odd = np.diff(equal_spans(times, periods=3))
    assert odd.sum() == 1000
    assert odd.max() - odd.min() == 1


def test_spans_of_one_event_are_one_second():
    assert equal_spans(np.array([7]), periods=1).tolist() == [7, 8]
    with pytest.raises(InputError, match="2 periods for 1 seconds"):
        equal_spans(np.array([7]), periods=2)


def test_counts_are_as_equal_as_they_can_be():
    times = np.random.default_rng(1).permutation(1003) * 60
    edges = equal_counts(times, periods=10)
    counts = np.histogram(times, edges)[0]
    assert counts.sum() == 1003
    assert set(counts.tolist()) == {100, 101}


def test_events_of_one_second_are_never_parted():
    assert equal_counts(np.array([1] * 7 + [2, 3, 4]), periods=2).tolist() == [1, 2, 5]  # 7 and 3 are as equal as they can be
    assert equal_counts(np.array([1, 2, 2, 2, 2, 3]), periods=2).tolist() == [1, 2, 4]
    with pytest.raises(InputError, match="2 periods of equal counts"):
        equal_counts(np.array([5, 5, 5, 5]), periods=2)


def test_days_begin_at_midnight_and_may_hold_nothing():
    times = np.array([3 * DAY + 50, 3 * DAY + 60, 10 * DAY])
    assert (by_days(times, days=2) // DAY).tolist() == [3, 5, 7, 9, 11]
    assert np.histogram(times, by_days(times, days=2))[0].tolist() == [2, 0, 0, 1]
    assert (by_days(times, days=30) // DAY).tolist() == [3, 33]
    assert (by_days(np.array([-1]), days=1) // DAY).tolist() == [-1, 0]  # before 1970


@pytest.mark.parametrize("cut", [lambda t: equal_spans(t, periods=1), lambda t: equal_counts(t, periods=1), lambda t: by_days(t, days=1)])
def test_no_event_has_no_period(cut):
    with pytest.raises(InputError, match="there is no event"):
        cut(np.zeros(0, np.int64))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, None])
def test_counts_of_periods_are_whole_and_above_nought(value):
    times = np.arange(10)
    for cut in (lambda: equal_spans(times, periods=value), lambda: equal_counts(times, periods=value), lambda: by_days(times, days=value)):
        with pytest.raises(InputError, match="give an integer >= 1"):
            cut()
