"""The loop over shadow models: who is trained on what, killed and resumed, and never more than one group in memory."""

import multiprocessing
import random
import signal
import time
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.audit.shadow import ScoreStore, balanced, shadow_scores
from holdfast.core.errors import InputError, RunError, TrainingStopped
from holdfast.core.progress import Progress

FORK = multiprocessing.get_context("fork")  # the child starts with everything imported


def opened(root: Path, *, examples: int = 30, models: int = 8, signals: tuple[str, ...] = ("toy",)) -> ScoreStore:
    return ScoreStore.open_or_create(root, data_hash="a" * 64, settings={}, examples=examples, models=models, signals=signals, seed=3)


def toy(models: Sequence[int], included: np.ndarray) -> np.ndarray:
    """Scores that depend on the number of the model and on its members alone: two higher where the example is one."""
    noise = [np.random.default_rng(model).normal(size=len(included)) for model in models]
    return np.stack(noise, axis=1) + 2.0 * included


def expected(examples: int = 30, models: int = 8) -> np.ndarray:
    return toy(range(models), balanced(examples, models, seed=3)).astype(np.float32)


class Recorded:
    """A trainer that remembers what it was asked for, and does something before one of its calls."""

    def __init__(self, *, before: dict[int, Callable[[Sequence[int]], object]] | None = None) -> None:
        self.groups: list[tuple[int, ...]] = []
        self.before = before or {}

    def __call__(self, models: Sequence[int], included: np.ndarray) -> np.ndarray:
        self.before.get(len(self.groups), lambda group: None)(models)
        self.groups.append(tuple(models))
        return toy(models, included)


def test_each_model_is_trained_on_its_column_in_groups(tmp_path: Path):
    seen: dict[int, np.ndarray] = {}

    def train(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        assert included.shape == (30, len(models))
        assert included.dtype == np.bool_
        seen.update(zip(models, included.T.copy(), strict=True))
        return toy(models, included)

    store = opened(tmp_path)
    assert shadow_scores(train, store=store, together=3) is store
    np.testing.assert_array_equal(np.stack([seen[model] for model in range(8)], axis=1), balanced(30, 8, seed=3))
    np.testing.assert_array_equal(store.read(), expected())
    assert store.complete


def three(models: Sequence[int], included: np.ndarray) -> np.ndarray:
    """Three signals, none a function of another."""
    scores = toy(models, included)
    return np.stack([scores, included, np.broadcast_to(np.array(models), scores.shape)], axis=2)


@pytest.mark.parametrize("together", [1, 3, 8])
def test_several_signals_go_where_their_names_say(tmp_path: Path, together: int):
    store = shadow_scores(three, store=opened(tmp_path, signals=("toy", "member", "number")), together=together)
    np.testing.assert_array_equal(store.read("toy"), expected())
    np.testing.assert_array_equal(store.read("member"), balanced(30, 8, seed=3))
    np.testing.assert_array_equal(store.read("number"), np.broadcast_to(np.arange(8), (30, 8)))


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 40), p=st.integers(1, 5), together=st.integers(1, 12))
def test_groups_of_any_size_give_the_same_scores(tmp_path_factory, n: int, p: int, together: int):
    trainer = Recorded()
    store = shadow_scores(trainer, store=opened(tmp_path_factory.mktemp("stores"), examples=n, models=2 * p), together=together)
    np.testing.assert_array_equal(store.read(), expected(n, 2 * p))
    assert [model for group in trainer.groups for model in group] == list(range(2 * p))
    assert max(map(len, trainer.groups)) <= together
    assert len(trainer.groups) == -(-2 * p // together)


def test_members_and_scores_belong_together(tmp_path: Path):
    """Blocks of the scores and of the design give each example its own gap of two, which no other pairing of them does."""
    store = shadow_scores(toy, store=opened(tmp_path, examples=200, models=64), together=32)
    gaps = []
    for start in range(0, 200, 50):
        scores, inside = store.block(start, start + 50), store.included(start, start + 50)
        gaps.append((scores * inside).sum(axis=1) / inside.sum(axis=1) - (scores * ~inside).sum(axis=1) / (~inside).sum(axis=1))
    assert np.abs(np.concatenate(gaps) - 2).max() < 6 * np.sqrt(4 / 64)
    shifted = store.included(1, 200)
    wrong = (store.block(0, 199) * shifted).sum(axis=1) / 32 - (store.block(0, 199) * ~shifted).sum(axis=1) / 32
    assert abs(wrong.mean()) < 0.5


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path):
    def interrupt(group: Sequence[int]) -> None:
        raise KeyboardInterrupt

    first, second = Recorded(before={2: interrupt}), Recorded()
    with pytest.raises(KeyboardInterrupt):
        shadow_scores(first, store=opened(tmp_path), together=2)
    assert opened(tmp_path).missing() == [4, 5, 6, 7]
    store = shadow_scores(second, store=opened(tmp_path), together=2)
    assert (first.groups, second.groups) == ([(0, 1), (2, 3)], [(4, 5), (6, 7)])
    np.testing.assert_array_equal(store.read(), expected())


def test_more_models_train_only_the_new_ones(tmp_path: Path):
    shadow_scores(toy, store=opened(tmp_path, models=4), together=4)
    trainer = Recorded()
    store = shadow_scores(trainer, store=opened(tmp_path, models=8), together=4)
    assert trainer.groups == [(4, 5, 6, 7)]
    np.testing.assert_array_equal(store.read(), expected())
    shadow_scores(trainer, store=store, together=4)
    assert len(trainer.groups) == 1, "nothing was missing"


LONG = {"examples": 20_000, "models": 54}


def kept(path: Path, *, after: float) -> dict[int, bytes]:
    """Runs the loop in a process of its own, kills it so many seconds after its first call, and gives the finished rows.

    The process stores at most two groups of three and then waits, so that eight of them cannot finish all 54 models.
    """
    begun, calls = FORK.Event(), []

    def train(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        begun.set()
        calls.append(models)
        time.sleep(0.002 if len(calls) <= 2 else 600)
        return toy(models, included)

    process = FORK.Process(target=lambda: shadow_scores(train, store=opened(path, **LONG), together=3))
    process.start()
    assert begun.wait(60)
    time.sleep(after)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    store = opened(path, **LONG)
    store.verify()
    file = store.folder / "scores.f32"
    rows = np.fromfile(file, dtype="<f4") if file.exists() else np.empty(0)
    return {model: rows[model * 20_000 : (model + 1) * 20_000].tobytes() for model in set(range(54)) - set(store.missing())}


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_was(tmp_path: Path):
    began = time.monotonic()
    whole = shadow_scores(toy, store=opened(tmp_path / "whole", **LONG), together=3)
    a_group = (time.monotonic() - began) / 18
    moments, before = random.Random(11), {}
    for _ in range(8):
        after = kept(tmp_path / "killed", after=moments.uniform(0, 3 * a_group))
        assert before.items() <= after.items(), "a finished model was lost or changed"
        before = after
    assert 0 < len(before) < 54, "the test saw nothing in between"
    store = shadow_scores(toy, store=opened(tmp_path / "killed", **LONG), together=3)
    files = [(one.folder / "scores.f32").read_bytes() for one in (whole, store)]
    assert files[0] == files[1]
    np.testing.assert_array_equal(store.read(), whole.read())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_model_that_diverged_is_named_and_not_finished(tmp_path: Path, value: float):
    def train(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        scores = toy(models, included)
        if 5 in models:
            scores[[3, 9], models.index(5)] = value
        return scores

    store = opened(tmp_path)
    with pytest.raises(TrainingStopped, match=r"not finite: model 5 \(2 of 30 scores\)\. Did training diverge.*the other 3 of the group"):
        shadow_scores(train, store=store, together=4)
    assert store.missing() == [5], "its neighbours are not trained again"
    np.testing.assert_array_equal(shadow_scores(toy, store=store, together=4).read(), expected())


def test_the_signal_that_diverged_is_named(tmp_path: Path):
    def train(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        scores = three(models, included)
        scores[4, models.index(6), 1] = np.inf
        return scores

    store = opened(tmp_path, signals=("toy", "member", "number"))
    with pytest.raises(TrainingStopped, match=r"not finite: model 6 \(1 of 30 of 'member'\)"):
        shadow_scores(train, store=store, together=8)
    assert store.missing() == [6]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda scores: scores.T, r"scores of shadow models 0 to 3: shape \(4, 30\) of float64, expected \(30, 4\)"),
        (lambda scores: scores[:, :3], r"shape \(30, 3\)"),
        (lambda scores: scores[:, 0], r"shape \(30,\)"),
        (lambda scores: scores[:, :, None], r"shape \(30, 4, 1\)"),
        (lambda scores: None, r"shape \(\) of object"),
        (lambda scores: scores.astype(str), "real numbers"),
    ],
)
def test_answers_of_another_form_are_refused(tmp_path: Path, answer, message: str):
    store = opened(tmp_path)
    with pytest.raises(InputError, match=message):
        shadow_scores(lambda models, included: answer(toy(models, included)), store=store, together=4)
    assert store.missing() == list(range(8))


@pytest.mark.parametrize("axes", [(0, 1), (1, 0, 2), (0, 2, 1)])
def test_answers_of_several_signals_have_them_last(tmp_path: Path, axes: tuple[int, ...]):
    store = opened(tmp_path, signals=("toy", "member", "number"))

    def turned(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        scores = three(models, included)
        return scores.transpose(axes) if len(axes) == 3 else scores[:, :, 0]

    with pytest.raises(InputError, match=r"expected \(30, 4, 3\) of real numbers"):
        shadow_scores(turned, store=store, together=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"together": 0}, "together is 0; give an integer >= 1"),
        ({"together": 2, "models": [8]}, "model is 8, but the store has 8"),
        ({"together": 2, "models": [-1]}, "model is -1"),
    ],
)
def test_refuses_what_no_run_can_do(tmp_path: Path, options: dict, message: str):
    trainer = Recorded()
    with pytest.raises(InputError, match=message):
        shadow_scores(trainer, store=opened(tmp_path), **options)
    assert trainer.groups == []


def test_processes_share_the_work(tmp_path: Path):
    def work(rank: int) -> None:
        shadow_scores(toy, store=opened(tmp_path, models=24), together=3, models=range(rank, 24, 2))

    workers = [FORK.Process(target=work, args=(rank,)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    np.testing.assert_array_equal(opened(tmp_path, models=24).read(), expected(models=24))


def test_some_models_only(tmp_path: Path):
    trainer = Recorded()
    store = shadow_scores(trainer, store=opened(tmp_path), together=2, models=(7, 1, 3))
    assert trainer.groups == [(1, 3), (7,)]
    assert store.missing() == [0, 2, 4, 5, 6]


def test_models_that_another_process_finished_meanwhile_are_left_alone(tmp_path: Path):
    """One of the group that is being trained, with other scores even, and two that were waiting."""
    other, reports = opened(tmp_path), []

    def meanwhile(group: Sequence[int]) -> None:
        for model in (1, 4, 5):
            other.write(model, np.full(30, 100.0 + model))

    trainer = Recorded(before={0: meanwhile})
    store = shadow_scores(trainer, store=opened(tmp_path), together=2, on_progress=reports.append)
    assert trainer.groups == [(0, 1), (2, 3), (6, 7)]
    np.testing.assert_array_equal(store.read()[0, [1, 4, 5]], [101, 104, 105])
    assert [(report.done, report.total) for report in reports] == [(0, 8), (4, 8), (6, 8), (8, 8)]


def test_progress_counts_what_was_missing_at_the_start(tmp_path: Path):
    reports: list[Progress] = []
    shadow_scores(toy, store=opened(tmp_path, models=2), together=1, on_progress=reports.append)
    assert [(report.done, report.total) for report in reports] == [(0, 2), (1, 2), (2, 2)]
    reports.clear()
    store = shadow_scores(toy, store=opened(tmp_path), together=4, on_progress=reports.append)
    assert [(report.done, report.total) for report in reports] == [(0, 6), (4, 6), (6, 6)]
    assert {(report.phase, report.note) for report in reports} == {("train shadow models", "2 of 8 were finished before")}
    reports.clear()
    shadow_scores(toy, store=store, together=4, on_progress=reports.append)
    assert [(report.done, report.total) for report in reports] == [(0, 0)]


def test_a_report_comes_after_the_group_is_on_the_disk(tmp_path: Path):
    store, missing = opened(tmp_path), []
    shadow_scores(toy, store=store, together=3, on_progress=lambda report: missing.append(len(store.missing())))
    assert missing == [8, 5, 2, 0]


def test_the_scores_of_a_group_are_let_go_before_the_next(tmp_path: Path):
    earlier: list[weakref.ref[np.ndarray]] = []

    def train(models: Sequence[int], included: np.ndarray) -> np.ndarray:
        assert all(reference() is None for reference in earlier), "scores or members of an earlier group are still held"
        scores = toy(models, included)
        earlier.extend((weakref.ref(scores), weakref.ref(included)))
        return scores

    shadow_scores(train, store=opened(tmp_path), together=2)
    assert len(earlier) == 8


def test_memory_does_not_grow_with_the_number_of_models(tmp_path: Path):
    """A group takes 800 kB of float32; all of the scores take 12.8 MB."""
    store = opened(tmp_path, examples=100_000, models=32)
    tracemalloc.start()
    shadow_scores(lambda models, included: included.astype(np.float32), store=store, together=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (store.folder / "scores.f32").stat().st_size == 12_800_000
    assert peak < 6e6


def test_rows_that_changed_since_are_found_before_they_are_used(tmp_path: Path):
    store = shadow_scores(toy, store=opened(tmp_path, models=4), together=4)
    content = bytearray((store.folder / "scores.f32").read_bytes())
    content[130] ^= 1
    (store.folder / "scores.f32").write_bytes(content)
    with pytest.raises(RunError, match="the scores of models 1 are not those that were written"):
        shadow_scores(toy, store=opened(tmp_path, models=8), together=4)
