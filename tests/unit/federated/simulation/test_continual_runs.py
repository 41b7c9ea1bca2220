"""Simulations on a continual clock: nobody trains on what has not come yet, and every score is taken when it says."""

import os
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.federations import tiny_population

from holdfast.core.errors import InputError, Interrupted
from holdfast.core.progress import Progress
from holdfast.core.randomness import Streams
from holdfast.federated import Clock, ErrorFeedback, LocalSolver, algorithm, compressor, schedule, simulate
from holdfast.federated.algorithms import Averaging
from holdfast.federated.local.training import LocalTraining

LOCAL = LocalSolver(learning_rate=0.3, batch_size=4)
FEDAVG = algorithm("fedavg", local=LOCAL)
SIZES = [9, 3, 14, 6, 4, 12]
POPULATION = tiny_population(SIZES)
TIMES = POPULATION.moments
WHERE = "holdfast.federated.simulation.simulating.LocalTraining"


def clock(*, periods=3, rounds_per_period=2, population=POPULATION, **options):
    given = {"periods": periods, "rounds_per_period": rounds_per_period, **options}
    return schedule("continual", given, clients=population.clients, times_n=population.moments, streams=Streams.from_seed(5))


def run(when, *, algo=FEDAVG, cohort=3, seed=5, **options):
    options = {"kernel": "sequential", "evaluate_every": 0, **options}
    return simulate(algo, POPULATION, cohort=cohort, schedule=when, seed=seed, **options)


def weights(found) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in found.state.server.weights.items()}


def same(one, other) -> bool:
    return all((weights(one)[name] == value).all() for name, value in weights(other).items())


def watched(when, **options) -> list[tuple[int, int, np.ndarray]]:
    """What was trained on: round, client, positions of its examples."""
    seen: list[tuple[int, int, np.ndarray]] = []

    class Watched(LocalTraining):
        def train(self, weights, examples, clients, *, round, **rest):
            seen.extend((round, int(client), np.array(own)) for client, own in zip(clients, examples, strict=True))
            return super().train(weights, examples, clients, round=round, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WHERE, Watched)
        run(when, **options)
    return seen


RETENTIONS = st.one_of(
    st.sampled_from(["cumulative", "latest"]),
    st.builds(lambda window: {"name": "sliding", "window": window}, st.integers(1, 3)),
    st.builds(lambda most, rule: {"name": "cap", "most": most, "rule": rule}, st.integers(1, 4), st.sampled_from(["fifo", "reservoir"])),
    st.builds(lambda hours: {"name": "ttl", "days": hours / 24}, st.integers(20, 60)),
)


@settings(max_examples=20, deadline=None)
@given(
    retention=RETENTIONS,
    cut=st.sampled_from(["counts", "spans"]),
    rounds=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    select=st.sampled_from(["uniform", "activity", "top-k"]),
)
def test_nobody_trains_on_an_example_outside_of_its_view(retention, cut, rounds, select):
    when = clock(retention=retention, cut=cut, rounds_per_period=rounds)
    seen = watched(when, select=select, cohort=6)
    assert {number for number, _, _ in seen} == set(range(sum(rounds)))
    for number, client, own in seen:
        period = when.period_of_round(number)
        np.testing.assert_array_equal(own, when.view(period).of(client))
        assert len(own)
        assert TIMES[own].max() < when.edges[period + 1]


def test_a_watch_would_see_a_clock_that_looks_ahead(monkeypatch: pytest.MonkeyPatch):
    when = clock()
    view = Clock.view
    monkeypatch.setattr(Clock, "view", lambda self, period: view(self, self.periods - 1))
    seen = watched(when, cohort=6)
    first = np.concatenate([own for number, _, own in seen if number == 0])
    assert TIMES[first].max() >= when.edges[1]


def test_a_clock_of_one_period_is_a_static_run():
    assert same(run(clock(periods=1, rounds_per_period=5)), simulate(FEDAVG, POPULATION, cohort=3, rounds=5, seed=5, kernel="sequential"))


def test_every_period_is_scored_before_it_is_trained_on():
    """By the model that a run has which stops where the period begins."""
    when = clock(rounds_per_period=[2, 1, 3])
    found = {(after, on): score for after, on, score in run(when).state.history.periods}
    for period, rounds in ((1, 2), (2, 3)):
        stopped = run(clock(rounds_per_period=[2, 1, 3]), rounds=rounds)
        assert found[period - 1, period] == stopped.evaluator.events(when.events(period))
    assert (-1, 0) not in found


def test_what_was_scored_and_what_was_trained_stand_in_this_order(monkeypatch: pytest.MonkeyPatch):
    from holdfast.federated.simulation.evaluating import Evaluator

    when, log = clock(rounds_per_period=[2, 1, 1]), []
    train, events = LocalTraining.train, Evaluator.events
    of = {tuple(when.events(period).tolist()): period for period in range(3)}

    def noted(self, weights, examples, clients, *, round, **rest):
        log.append(f"round {round}")
        return train(self, weights, examples, clients, round=round, **rest)

    def scored(self, positions):
        log.append(f"score {of[tuple(positions.tolist())]}")
        return events(self, positions)

    monkeypatch.setattr(LocalTraining, "train", noted)
    monkeypatch.setattr(Evaluator, "events", scored)
    run(when)
    ahead, last = ["score 1"], ["score 0", "score 1", "score 2"]
    assert log == ["round 0", "round 1", "score 0", *ahead, "round 2", "score 0", "score 1", "score 2", "round 3", *last]


def test_after_each_period_all_up_to_it_are_scored_once():
    rows = run(clock(periods=4)).state.history.periods
    assert len({(after, on) for after, on, _ in rows}) == len(rows)
    for period in range(4):
        assert [on for after, on, _ in rows if after == period] == [*range(period + 1), *([period + 1] if period < 3 else [])]


def test_scores_on_periods_are_those_of_the_last_weights():
    when = clock()
    found = run(when)
    rows = {(after, on): score for after, on, score in found.state.history.periods}
    for period in range(3):
        assert rows[2, period] == found.evaluator.events(when.events(period))


def test_evidence_tells_of_the_clock():
    found = run(clock(periods=3))
    evidence = found.evidence()
    rows = {(after, on): score for after, on, score in found.state.history.periods}
    lost = [max(rows[0, 0], rows[1, 0]) - rows[2, 0], rows[1, 1] - rows[2, 1]]
    assert evidence.estimate("forgetting", "fedavg").value == pytest.approx(np.mean(lost))
    assert evidence.estimate("prequential_score", "fedavg").value == pytest.approx((rows[0, 1] + rows[1, 2]) / 2)
    assert found.settings["schedule"] == "continual"
    assert found.settings["clock"]["periods"] == 3


def stopping(done: int):
    def stop(progress: Progress) -> None:
        if progress.done == done:
            os.kill(os.getpid(), signal.SIGINT)

    return stop


@pytest.mark.parametrize("done", [1, 2, 3, 4, 5, 6, 8])
def test_interrupted_anywhere_in_a_period_it_goes_on_to_the_same_scores(tmp_path, done: int):
    def when():
        return clock(rounds_per_period=3, retention={"name": "cap", "most": 3, "rule": "reservoir"})

    whole = run(when())
    with pytest.raises(Interrupted, match=f"after round {done} of 9"):
        run(when(), folder=tmp_path, on_progress=stopping(done))
    found = run(when(), folder=tmp_path, resume=True)
    assert same(found, whole)
    assert found.state.history.periods == whole.state.history.periods
    assert found.state.history.convergence == whole.state.history.convergence
    assert found.state.signals.times.tolist() == whole.state.signals.times.tolist()


class Noted(Averaging):
    """Keeps what the server remembers at the beginning of each round."""

    def round(self, state, cohort):
        held.append(sorted(state.memory))
        return super().round(state, cohort)


held: list[list[str]] = []


@pytest.mark.parametrize(("server", "begins"), [("carried", ["momentum", "second"]), ("reset", [])])
def test_the_server_forgets_where_a_period_begins_if_asked(server, begins):
    held.clear()
    adam = algorithm("fedadam", local=LOCAL)
    run(clock(rounds_per_period=2, server=server), algo=Noted(local=adam.local, server=adam.server))
    assert held == [[], ["momentum", "second"], begins, ["momentum", "second"], begins, ["momentum", "second"]]


def test_forgotten_at_a_boundary_it_is_forgotten_after_an_interruption_there_too(tmp_path):
    adam = algorithm("fedadam", local=LOCAL)
    whole = run(clock(server="reset"), algo=adam)
    with pytest.raises(Interrupted):
        run(clock(server="reset"), algo=adam, folder=tmp_path, on_progress=stopping(2))
    assert same(run(clock(server="reset"), algo=adam, folder=tmp_path, resume=True), whole)
    assert not same(run(clock(server="carried"), algo=adam), whole)


@pytest.mark.parametrize("server", ["carried", "reset"])
def test_the_control_of_scaffold_stays_the_mean_of_the_clients(server):
    """Without it the corrections of all clients would no longer cancel; control variates are no state of the server's optimiser."""
    state = run(clock(server=server, rounds_per_period=3), algo=algorithm("scaffold", local=LOCAL), cohort=4).state.server
    for name, control in state.memory["control"].items():
        mean = sum(own[name] for own in state.clients.values()) / len(POPULATION.clients)
        torch.testing.assert_close(control, mean, atol=1e-5, rtol=1e-4)


def test_a_compressor_that_served_another_run_begins_anew():
    """Its memory is of the clients of that run; without this the same call twice gives two results."""
    feedback = ErrorFeedback(compressor("top-k", {"share": 0.1}))
    once = run(clock(), compressor=feedback)
    assert len(feedback) > 0
    assert same(run(clock(), compressor=feedback), once)


def gap() -> Clock:
    """Three periods of which the one in the middle holds nothing: there is an example an hour."""
    middle = len(TIMES) // 2 * 3600
    edges = np.array([0, middle + 1, middle + 2, 10**9])
    return Clock(POPULATION.clients, times_n=TIMES, edges=edges, rounds_per_period=2)


def test_a_period_without_events_is_no_end_of_the_run():
    found = run(gap())
    rows = {(after, on) for after, on, _ in found.state.history.periods}
    assert rows == {(0, 0), (1, 0), (1, 2), (2, 0), (2, 2)}
    assert found.evidence().estimate("forgetting", "fedavg").n == 1


def test_a_period_in_which_nobody_has_anything_is_named():
    when = gap()
    when.retention = clock(retention="latest").retention
    with pytest.raises(InputError, match="in period 1 no client has an example; give fewer periods or a longer retention"):
        run(when)


def test_more_rounds_than_the_clock_has_are_refused_before_any_work():
    told: list[Progress] = []
    with pytest.raises(InputError, match=r"rounds"):
        run(clock(), rounds=7, on_progress=told.append)
    assert told == []


def test_fewer_rounds_than_the_clock_has_end_in_the_middle():
    rows = run(clock(), rounds=3).state.history.periods
    assert [(after, on) for after, on, _ in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    whole = run(clock()).state.history.periods
    assert rows[:2] == whole[:2]


def test_selection_sees_the_counts_of_the_period():
    """By "top-k" the cohort is that of the largest clients of each view."""
    when = clock(retention="latest", rounds_per_period=1)
    seen = watched(when, select="top-k", cohort=2)
    for number in range(3):
        counts = when.view(number).counts
        drawn = sorted(client for at, client, _ in seen if at == number)
        assert sum(counts[drawn]) == sum(sorted(counts)[-2:])
    assert len({tuple(sorted(client for at, client, _ in seen if at == number)) for number in range(3)}) > 1


def test_periods_of_a_clock_are_in_the_progress():
    told: list[Progress] = []
    run(clock(), on_progress=told.append)
    assert [one.note.split(",")[0] for one in told] == [f"period {period} of 3" for period in (1, 1, 2, 2, 3, 3)]
    assert all(before.done < after.done for before, after in pairwise(told))
