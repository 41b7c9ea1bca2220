"""Progress: the arithmetic of what is left, plain lines for logs, live bars for a terminal."""

import io

import pytest
from rich.console import Console

from holdfast.cli.terminal.progress import PlainLines, Schedule, duration, shown
from holdfast.core.progress import Progress

CURSOR_GONE, CURSOR_BACK = "\x1b[?25l", "\x1b[?25h"


class FakeClock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def report(phase: str, done: int, total: int, note: str = "") -> Progress:
    return Progress(phase=phase, done=done, total=total, note=note)


class TestSchedule:
    def test_weighs_phases_by_their_cost(self):
        clock = FakeClock()
        schedule = Schedule({"plain": 1.0, "private": 3.0}, clock=clock)
        assert (schedule.total_share, schedule.total_left) == (0.0, None)
        clock.now = 10.0
        schedule.update(report("plain", 5, 5))
        assert schedule.total_share == pytest.approx(0.25)
        assert schedule.total_left == pytest.approx(30.0)
        clock.now = 25.0
        schedule.update(report("private", 1, 2))
        assert schedule.total_share == pytest.approx(0.625)
        assert schedule.total_left == pytest.approx(15.0)
        assert schedule.phase_left is None or schedule.phase_left == pytest.approx(0.0)

    def test_times_a_phase_from_its_own_beginning(self):
        clock = FakeClock()
        schedule = Schedule({}, clock=clock)
        schedule.update(report("first", 1, 1))
        clock.now = 100.0
        assert schedule.update(report("second", 0, 10))
        clock.now = 104.0
        assert not schedule.update(report("second", 4, 10))
        assert schedule.phase_elapsed == pytest.approx(4.0)
        assert schedule.phase_left == pytest.approx(6.0)

    def test_has_no_total_without_names(self):
        schedule = Schedule({})
        schedule.update(report("anything", 1, 2))
        assert schedule.total_share is None
        assert schedule.total_left is None

    def test_an_unnamed_phase_counts_for_nothing_and_no_share_passes_one(self):
        schedule = Schedule({"known": 2.0})
        schedule.update(report("unknown", 1, 1))
        assert schedule.total_share == 0.0
        schedule.update(report("known", 7, 5))
        assert schedule.total_share == 1.0
        schedule.update(report("known", 0, 0))  # nothing to do is all done
        assert schedule.total_share == 1.0

    def test_says_nothing_about_the_rest_too_early(self):
        clock = FakeClock()
        schedule = Schedule({"long": 1.0}, clock=clock)
        clock.now = 5.0
        schedule.update(report("long", 1, 1000))
        assert schedule.total_left is None
        schedule.update(report("long", 20, 1000))
        assert schedule.total_left == pytest.approx(5.0 * 980 / 20)


class TestPlainLines:
    def lines(self, reports: list[tuple[float, Progress]], weights: dict[str, float]) -> list[str]:
        clock, written = FakeClock(), io.StringIO()
        plain = PlainLines(Schedule(weights, clock=clock), write=written.write, interval=3.0)
        for now, progress in reports:
            clock.now = now
            plain(progress)
        return written.getvalue().splitlines()

    def test_writes_where_a_phase_begins_and_ends_and_every_interval(self):
        steps = [(float(second), report("train", second, 10, f"loss {second}")) for second in range(11)]
        assert self.lines(steps, {}) == [
            "train: 0 of 10, loss 0",
            "train: 3 of 10, loss 3, about 7 s left",
            "train: 6 of 10, loss 6, about 4 s left",
            "train: 9 of 10, loss 9, about 1 s left",
            "train: 10 of 10, loss 10",
        ]

    def test_a_new_phase_does_not_wait(self):
        steps = [(0.0, report("one", 0, 2)), (0.1, report("two", 0, 2)), (0.2, report("two", 1, 2))]
        assert self.lines(steps, {}) == ["one: 0 of 2", "two: 0 of 2"]

    def test_tells_the_total_where_the_phases_are_known(self):
        steps = [(0.0, report("one", 0, 2)), (60.0, report("one", 2, 2))]
        assert self.lines(steps, {"one": 1.0, "two": 1.0})[-1] == "one: 2 of 2, 50% of all, about 1 min 00 s left"
        steps.append((90.0, report("two", 2, 2)))
        assert self.lines(steps, {"one": 1.0, "two": 1.0})[-1] == "two: 2 of 2, 100% of all"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.6, "1 h 00 min"), (86400, "24 h 00 min")]
)
def test_durations_round_without_saying_sixty(seconds: float, words: str):
    assert duration(seconds) == words


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


class TestShown:
    def test_writes_plain_lines_where_there_is_no_terminal(self):
        written = io.StringIO()
        with shown(console=Console(file=written)) as progress:
            progress(report("train [dp-sgd]", 0, 2))
        assert written.getvalue() == "train [dp-sgd]: 0 of 2\n"

    def test_leaves_one_line_for_each_finished_phase(self):
        console = terminal()
        with shown({"train [red]": 1.0, "attack": 1.0}, console=console) as progress:
            progress(report("train [red]", 1, 2, "loss .9"))
            progress(report("train [red]", 2, 2, "loss .4"))
            progress(report("attack", 1, 1))
        written = console.file.getvalue()
        assert "✓ train [red]  1 s  loss .4" in written
        assert "✓ attack  1 s" in written
        assert "all" in written
        assert "100 %" in written

    def test_an_unfinished_phase_is_not_ticked_off(self):
        console = terminal()
        with pytest.raises(KeyboardInterrupt):
            self.interrupt(console)
        assert "✓" not in console.file.getvalue()
        assert console.file.getvalue().rindex(CURSOR_BACK) > console.file.getvalue().rindex(CURSOR_GONE)

    def interrupt(self, console: Console) -> None:
        with shown(console=console) as progress:
            progress(report("train", 1, 2))
            raise KeyboardInterrupt
