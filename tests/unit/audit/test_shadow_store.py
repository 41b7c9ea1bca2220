"""The store of shadow scores: whole models or none, several writers, no loading of what is not asked for, clear refusals."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.audit.shadow import ScoreStore, balanced
from holdfast.core.errors import InputError, RunError, TrainingStopped

pytestmark = pytest.mark.slow

FORK = multiprocessing.get_context("fork")  # the child starts with everything imported
MADE_FROM = {"data_hash": "a" * 64, "settings": {"model": "bilstm", "rate": 0.1}, "signals": ("logit of the label",), "seed": 5}


def opened(root: Path, *, examples: int = 20, models: int = 4, **changed) -> ScoreStore:
    return ScoreStore.open_or_create(root, examples=examples, models=models, **{**MADE_FROM, **changed})


def scores_of(model: int, examples: int = 20) -> np.ndarray:
    return np.random.default_rng(model).normal(size=examples).astype(np.float32)


def filled(root: Path, *, examples: int = 20, models: int = 4) -> ScoreStore:
    store = opened(root, examples=examples, models=models)
    for model in store.missing():
        store.write(model, scores_of(model, examples))
    return store


def expected(examples: int = 20, models: int = 4) -> np.ndarray:
    return np.stack([scores_of(model, examples) for model in range(models)], axis=1)


NAMES = ("loss", "logit of the label", "margin")


def signals_of(model: int, examples: int = 20, signals: int = 3) -> np.ndarray:
    return np.random.default_rng(model).normal(size=(examples, signals)).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 70), p=st.integers(1, 4), w=st.integers(1, 3), order=st.randoms(use_true_random=False), data=st.data())
def test_what_is_written_in_any_order_is_read_back(tmp_path_factory, n: int, p: int, w: int, order, data: st.DataObject):
    store = opened(tmp_path_factory.mktemp("stores"), examples=n, models=2 * p, signals=NAMES[:w])
    waiting = list(range(2 * p))
    order.shuffle(waiting)
    for model in waiting:
        assert model in store.missing()
        store.write(model, signals_of(model, n, w))
        assert model not in store.missing()
    assert store.complete
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    written_NMW = np.stack([signals_of(model, n, w) for model in range(2 * p)], axis=1)
    for place, name in enumerate(NAMES[:w]):
        np.testing.assert_array_equal(store.read(name), written_NMW[:, :, place])
        np.testing.assert_array_equal(store.block(start, stop, name), written_NMW[start:stop, :, place])
    np.testing.assert_array_equal(store.included(start, stop), balanced(n, 2 * p, seed=5)[start:stop])
    store.verify()


def test_one_signal_needs_no_name_and_no_column(tmp_path: Path):
    store = filled(tmp_path)
    np.testing.assert_array_equal(store.read(), expected())
    np.testing.assert_array_equal(store.read("logit of the label"), expected())
    np.testing.assert_array_equal(store.block(3, 9), expected()[3:9])
    store.write(1, scores_of(1)[:, None])  # the same scores, as (N, 1)


def test_of_several_signals_one_is_named(tmp_path: Path):
    store = opened(tmp_path, signals=NAMES)
    for read in (store.read, lambda: store.block(0, 1)):
        with pytest.raises(InputError, match=r"no signal is named, but there are several; Valid: logit of the label, loss, margin"):
            read()
    for read in (lambda: store.read("los"), lambda: store.block(0, 1, "los")):
        with pytest.raises(InputError, match=r"signal is 'los', which is not stored; did you mean 'loss'\?"):
            read()


def test_reading_is_a_view_of_the_file_and_cannot_change_it(tmp_path: Path):
    store = filled(tmp_path)
    view = store.read()
    assert (view.shape, view.dtype, type(view)) == ((20, 4), np.dtype(np.float32), np.ndarray)
    assert not view.flags.owndata
    assert view.T.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1.0
    block = store.block(2, 5)
    block[0, 0] = 99.0
    assert store.read()[2, 0] != 99.0


def test_a_model_is_one_piece_of_plain_float32_on_the_disk(tmp_path: Path):
    store = filled(tmp_path)
    assert (store.folder / "scores.f32").read_bytes() == expected().T.astype("<f4").tobytes()


def test_each_signal_of_a_model_is_one_piece_too(tmp_path: Path):
    store = opened(tmp_path, signals=NAMES)
    for model in store.missing():
        store.write(model, signals_of(model))
    on_disk = np.fromfile(store.folder / "scores.f32", dtype="<f4").reshape(4, 3, 20)
    np.testing.assert_array_equal(on_disk, np.stack([signals_of(model).T for model in range(4)]))
    view = store.read("margin")
    assert (view.shape, view.dtype, view.flags.owndata, view.flags.writeable) == ((20, 4), np.dtype(np.float32), False, False)
    assert view[:, 1].flags.c_contiguous


def test_the_header_says_what_the_scores_were_made_from_and_no_more(tmp_path: Path):
    store = filled(tmp_path)
    header = json.loads((store.folder / "header.json").read_text())
    digest = header.pop("settings_digest")
    assert len(digest) == 64
    assert header == {
        **{"schema": "holdfast.shadow_scores", "schema_version": 2, "data_hash": "a" * 64, "examples": 20, "models": 4},
        **{"signals": ["logit of the label"], "seed": 5, "design": "balanced pairs 1", "dtype": "<f4"},
    }
    assert {entry.name for entry in store.folder.iterdir()} == {"header.json", "scores.f32", "finished", "lock"}


def test_the_same_origin_is_the_same_folder_and_any_other_is_another(tmp_path: Path):
    folder = opened(tmp_path).folder
    assert opened(tmp_path).folder == folder
    assert opened(tmp_path, settings={"rate": 0.1, "model": "bilstm"}).folder == folder, "the order of keys means nothing"
    assert opened(tmp_path, models=10).folder == folder
    others = [
        *[{"data_hash": "b" * 64}, {"settings": {"model": "bilstm", "rate": 0.2}}, {"settings": {"model": "bilstm"}}, {"settings": {}}],
        *[{"examples": 21}, {"signals": ("loss",)}, {"signals": NAMES}, {"signals": NAMES[::-1]}, {"seed": 6}],
    ]
    assert len({folder, *(opened(tmp_path, **other).folder for other in others)}) == 1 + len(others)


def test_growing_uses_finished_models_again(tmp_path: Path):
    filled(tmp_path)
    grown = opened(tmp_path, models=8)
    assert grown.missing() == [4, 5, 6, 7]
    for model in grown.missing():
        grown.write(model, scores_of(model))
    np.testing.assert_array_equal(grown.read(), expected(models=8))
    fewer = opened(tmp_path, models=2)
    np.testing.assert_array_equal(fewer.read(), expected(models=2))
    assert ScoreStore.open(fewer.folder).header.models == 8, "asking for fewer forgets none"


def test_a_store_opens_by_its_folder_wherever_that_is(tmp_path: Path):
    store = filled(tmp_path / "here")
    moved = store.folder.rename(tmp_path / "elsewhere")
    np.testing.assert_array_equal(ScoreStore.open(moved).read(), expected())
    with pytest.raises(RunError, match=r"nowhere.header\.json: there is no such file"):
        ScoreStore.open(tmp_path / "nowhere")


def test_reading_while_models_are_missing_says_how_many_of_how_many(tmp_path: Path):
    store = opened(tmp_path, models=254)
    for model in range(8):
        store.write(model, scores_of(model))
    assert not store.complete
    for read in (store.read, lambda: store.block(0, 1)):
        with pytest.raises(RunError, match=r"8 of 254 models are trained, 246 are missing \(8, 9, 10, .*\.\.\.\)"):
            read()
    np.testing.assert_array_equal(opened(tmp_path, models=8).read(), expected(models=8))


def test_finished_scores_never_change(tmp_path: Path):
    store = filled(tmp_path)
    store.write(1, scores_of(1))
    with pytest.raises(RunError, match=r"model 1 is finished, with other scores"):
        store.write(1, scores_of(2))
    np.testing.assert_array_equal(store.read(), expected())


@pytest.mark.parametrize(
    ("model", "scores", "message"),
    [
        (0, np.zeros(19), r"scores of model 0: shape \(19, 1\) of float64, expected \(20, 1\)"),
        (0, np.zeros((20, 2)), r"shape \(20, 2\) of float64, expected \(20, 1\)"),
        (0, np.zeros((1, 20)), r"shape \(1, 20\)"),
        (0, np.zeros(20, dtype=complex), "complex128"),
        (0, np.zeros(20, dtype=bool), "bool"),
        (0, ["a"] * 20, "real numbers"),
        (0, [np.nan, np.inf, *[0.0] * 18], "2 of 20 scores are not finite"),
        (0, [1e300, *[0.0] * 19], "1 of 20 scores are not finite as float32"),
        (4, np.zeros(20), "model is 4, but the store has 4, counted from 0"),
        (-1, np.zeros(20), "model is -1"),
    ],
)
def test_refuses_scores_that_do_not_belong(tmp_path: Path, model: int, scores: object, message: str):
    store = opened(tmp_path)
    with pytest.raises(InputError, match=message):
        store.write(model, scores)
    assert store.missing() == [0, 1, 2, 3]


def test_a_signal_that_is_not_finite_is_named(tmp_path: Path):
    store, scores = opened(tmp_path, signals=NAMES), signals_of(0)
    scores[[1, 2], 1], scores[7, 2] = np.nan, np.inf
    with pytest.raises(InputError, match=r"scores of model 0: 2 of 20 of 'logit of the label', 1 of 20 of 'margin' are not finite"):
        store.write(0, scores)
    for wrong in (scores[:, 0], scores.T):  # one signal of three, and the axes the other way round
        with pytest.raises(InputError, match=r"expected \(20, 3\)"):
            store.write(0, wrong)
    assert store.missing() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": 5}, "models is 5, which is odd"),
        ({"examples": 0}, "examples is 0"),
        ({"seed": None}, "seed is None"),
        ({"signals": ("",)}, r"signals is \('',\)"),
        ({"signals": ()}, r"signals is \(\); give at least one name"),
        ({"signals": "loss"}, "signals is 'loss'; give at least one name"),
        ({"signals": ("loss", "loss")}, "none twice"),
        ({"data_hash": None}, "data_hash is None"),
        ({"settings": {"folder": Path("x")}}, "settings cannot be written as JSON"),
        ({"settings": {"rate": float("nan")}}, "settings cannot be written as JSON"),
    ],
)
def test_refuses_an_origin_that_is_none(tmp_path: Path, changed: dict, message: str):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, **changed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("start", "stop"), [(0, 21), (-1, 3), (5, 4)])
def test_refuses_a_block_outside_the_store(tmp_path: Path, start: int, stop: int):
    store = filled(tmp_path)
    for method in (store.block, store.included):
        with pytest.raises(InputError, match=r"start is|stop is"):
            method(start, stop)


def test_scores_of_other_data_are_refused_and_both_hashes_named(tmp_path: Path):
    store = filled(tmp_path)
    path = store.folder / "header.json"
    path.write_text(path.read_text().replace("a" * 64, "b" * 64))
    with pytest.raises(RunError, match=rf"header\.json: made from something else: data_hash is '{'b' * 64}', not '{'a' * 64}'"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:40], "damaged, not JSON"),
        (lambda text: "", "damaged, not JSON"),
        (lambda text: "[1]", "its schema is not"),
        (lambda text: text.replace("holdfast.shadow_scores", "other"), "its schema is not"),
        (lambda text: text.replace('"schema_version": 2', '"schema_version": 1'), "schema version 1, this holdfast reads 2"),
        (lambda text: text.replace('"logit of the label"', "3"), "signals is .3."),
        (lambda text: text.replace('"seed": 5,\n', ""), "seed"),
        (lambda text: text.replace('"seed"', '"sead": 1, "seed"'), "sead"),
        (lambda text: text.replace('"examples": 20', '"examples": "20"'), "examples is '20'"),
        (lambda text: text.replace('"models": 4', '"models": 3'), "odd"),
        (lambda text: text.replace("balanced pairs 1", "balanced pairs 9"), "'balanced pairs 9', this holdfast knows 'balanced pairs 1'"),
        (lambda text: text.replace("<f4", "<f8"), "dtype is '<f8'"),
    ],
)
def test_a_damaged_or_foreign_header_is_named(tmp_path: Path, damage, message: str):
    store = filled(tmp_path)
    path = store.folder / "header.json"
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    for again in (lambda: opened(tmp_path), lambda: ScoreStore.open(store.folder)):
        with pytest.raises(RunError, match=message) as caught:
            again()
        assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_a_damaged_header(tmp_path: Path):
    store = filled(tmp_path)
    (store.folder / "header.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"header\.json: damaged, not JSON"):
        opened(tmp_path)


def test_a_header_that_is_gone_is_not_made_anew_over_finished_models(tmp_path: Path):
    store = filled(tmp_path)
    (store.folder / "header.json").unlink()
    with pytest.raises(RunError, match=r"header\.json: missing, though models are finished"):
        opened(tmp_path)


def test_a_file_that_is_too_short_is_named_and_never_read(tmp_path: Path):
    store = filled(tmp_path)
    path = store.folder / "scores.f32"
    os.truncate(path, path.stat().st_size - 1)
    for call in (lambda: opened(tmp_path), lambda: ScoreStore.open(store.folder), store.read, store.missing, store.verify):
        with pytest.raises(RunError, match=r"scores\.f32: damaged, its 319 bytes are too few for models 3,") as caught:
            call()
        assert "to have them trained again" in str(caught.value)
    path.unlink()
    with pytest.raises(RunError, match="its 0 bytes are too few for models 0, 1, 2, 3"):
        opened(tmp_path)


def test_a_folder_of_marks_that_is_gone_is_an_error_and_not_an_empty_store(tmp_path: Path):
    store = filled(tmp_path)
    (store.folder / "finished").rename(store.folder / "away")
    for call in (store.read, lambda: opened(tmp_path), lambda: ScoreStore.open(store.folder)):
        with pytest.raises(RunError, match="finished: cannot be read"):
            call()


@pytest.mark.parametrize("file", ["scores.f32", "finished/00002"])
def test_a_row_that_changed_on_the_disk_is_found_and_its_cure_works(tmp_path: Path, file: str):
    store = filled(tmp_path)
    content = bytearray((store.folder / file).read_bytes())
    content[len(content) // 2] ^= 0x80
    (store.folder / file).write_bytes(content)
    with pytest.raises(RunError, match=r"scores\.f32: damaged, the scores of models 2 are not those that were written"):
        store.verify()
    (store.folder / "finished" / "00002").unlink()
    assert store.missing() == [2]
    store.write(2, scores_of(2))
    store.verify()
    np.testing.assert_array_equal(store.read(), expected())


@pytest.mark.parametrize("signal", range(3))
def test_a_change_in_any_signal_is_found(tmp_path: Path, signal: int):
    store = opened(tmp_path, models=2, signals=NAMES)
    for model in range(2):
        store.write(model, signals_of(model))
    content = bytearray((store.folder / "scores.f32").read_bytes())
    content[4 * 20 * (3 + signal)] ^= 1  # the first score of this signal of model 1
    (store.folder / "scores.f32").write_bytes(content)
    with pytest.raises(RunError, match="the scores of models 1 are not those that were written"):
        store.verify()


def test_what_a_killed_process_leaves_beside_the_marks_is_no_model(tmp_path: Path):
    store = filled(tmp_path)
    (store.folder / "finished" / "00003").unlink()
    (store.folder / "finished" / ".00003.1a2b3c4d.partial").write_text("")
    assert store.missing() == [3]


class Cut(BaseException):
    """Power that fails: nothing catches it."""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("owner", "name", "nth", "stored"),
    [
        (Path, "touch", 0, (False, False)),  # the file of scores is there
        (os, "fsync", 0, (False, False)),  # the row is on the disk
        (os, "fsync", 1, (False, False)),  # so is the name of the file
        (os, "fsync", 2, (False, False)),  # and the content of the mark
        (Path, "replace", 0, (False, True)),  # the mark has its name: from here on the model is finished
        (os, "fsync", 3, (True, True)),
    ],
)
def test_power_that_fails_at_any_step_leaves_a_whole_model_or_none(
    tmp_path: Path, monkeypatch, owner: object, name: str, nth: int, stored: tuple[bool, bool], before: bool
):
    """Cuts the writing of a row just before or just after each step that makes something durable."""
    filled(tmp_path, models=2)
    store, step, calls = opened(tmp_path), getattr(owner, name), []

    def cut(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if before and len(calls) > nth:
            raise Cut
        step(*arguments, **options)
        if len(calls) > nth:
            raise Cut

    monkeypatch.setattr(owner, name, cut)
    with pytest.raises(Cut):
        store.write(2, scores_of(2))
    monkeypatch.undo()
    again = opened(tmp_path)
    assert again.missing() == ([3] if stored[0 if before else 1] else [2, 3])
    again.verify()
    for model in again.missing():
        again.write(model, scores_of(model))
    np.testing.assert_array_equal(again.read(), expected())


def test_a_mark_is_made_only_after_the_row_is_on_the_disk(tmp_path: Path, monkeypatch):
    store, steps, flush = opened(tmp_path), [], os.fsync

    def watched(handle: int) -> None:
        flush(handle)
        steps.append((Path(f"/proc/self/fd/{handle}").resolve().name if sys.platform == "linux" else "", store._finished()))

    monkeypatch.setattr(os, "fsync", watched)
    store.write(0, scores_of(0))
    assert steps[0][1] == set()
    assert steps[-1][1] == {0}
    if sys.platform == "linux":
        names = [name for name, _ in steps]
        assert names[0] == "scores.f32"
        assert names[-2].endswith(".partial")
        assert names[-1] == "finished"


def test_a_full_disk_stops_training_and_keeps_the_other_models(tmp_path: Path):
    """A limit on the size of files makes the system refuse the write after the first part of it, as a full disk does."""
    code = (
        "import resource, sys; import numpy as np; from holdfast.audit.shadow import ScoreStore\n"
        "store = ScoreStore.open(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "store.write(1, np.ones(20_000))\n"
    )
    store = opened(tmp_path, examples=20_000)
    store.write(0, scores_of(0, 20_000))
    done = subprocess.run([sys.executable, "-c", code, str(store.folder)], capture_output=True, text=True, check=False)
    assert "holdfast.core.errors.TrainingStopped" in done.stderr
    assert "scores.f32: no room for 80,000 bytes" in done.stderr
    assert opened(tmp_path, examples=20_000).missing() == [1, 2, 3]
    store.verify()


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, TrainingStopped), (errno.EIO, RunError)])
def test_a_row_that_cannot_be_flushed_is_not_finished(tmp_path: Path, monkeypatch, code: int, error: type[Exception]):
    store = opened(tmp_path)

    def fails(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(error, match=r"scores\.f32"):
        store.write(0, scores_of(0))
    assert store.missing() == [0, 1, 2, 3]


def test_a_root_that_is_a_file_is_a_run_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        opened(tmp_path / "file")


def write_many(root: Path, models: list[int], start, examples: int, shift: float, done) -> None:
    store = opened(root, examples=examples, models=32)
    start.wait()
    for model in models:
        try:
            store.write(model, scores_of(model, examples) + np.float32(shift))
        except RunError:
            done.put(model)


def both(root: Path, first: list[int], second: list[int], *, examples: int, shift: float) -> list[int]:
    """Lets two processes write at once; gives the models that one of them was refused."""
    start, refused = FORK.Barrier(2), FORK.Queue()
    parts = [(first, 0.0), (second, shift)]
    writers = [FORK.Process(target=write_many, args=(root, models, start, examples, by, refused)) for models, by in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = []
    while not refused.empty():
        found.append(refused.get())
    return found


def test_two_writers_of_different_models_do_not_disturb_one_another(tmp_path: Path):
    """Rows of 4,004 bytes share pages and blocks of the disk with their neighbours."""
    both(tmp_path, list(range(0, 32, 2)), list(range(1, 32, 2)), examples=1001, shift=0.0)
    store = opened(tmp_path, examples=1001, models=32)
    np.testing.assert_array_equal(store.read(), expected(1001, 32))
    store.verify()


def test_two_writers_of_the_same_models_never_mix_them(tmp_path: Path):
    refused = both(tmp_path, list(range(32)), list(range(32)), examples=50_000, shift=1.0)
    store = opened(tmp_path, examples=50_000, models=32)
    store.verify()
    shifts = np.round(store.read() - expected(50_000, 32))
    assert (shifts == shifts[0]).all(), "a row holds scores of both"
    assert sorted(refused) == list(range(32)), "each model was written by one and refused to the other"


def grow(root: Path, models: int, start) -> None:
    start.wait()
    opened(root, models=models)


def test_processes_that_create_and_grow_at_once_leave_the_largest(tmp_path: Path):
    for attempt in range(5):
        start = FORK.Barrier(6)
        openers = [FORK.Process(target=grow, args=(tmp_path / str(attempt), models, start)) for models in (2, 4, 6, 8, 10, 12)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join(60)
            assert opener.exitcode == 0
        (folder,) = (tmp_path / str(attempt)).iterdir()
        assert ScoreStore.open(folder).header.models == 12


MEMORY = """
import os, sys
import numpy as np
from holdfast.audit.shadow import ScoreStore

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

store = ScoreStore.open(sys.argv[1])
np.asarray(store.block(0, 1)).sum()
before = resident()
view = store.read()
block = store.block(50_000, 51_000)
column = float(view[7, 3])
after = resident()
everything = view.sum()
print(after - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_a_block_does_not_load_the_file(tmp_path: Path):
    """The store takes 24.4 MB, the block .24 MB; reading everything through the view shows that the measure sees the mapping."""
    store = opened(tmp_path, examples=100_000, models=64)
    for model in store.missing():
        store.write(model, np.full(100_000, model, dtype=np.float32))
    assert (store.folder / "scores.f32").stat().st_size == 100_000 * 64 * 4
    done = subprocess.run([sys.executable, "-c", MEMORY, str(store.folder)], capture_output=True, text=True, check=True)
    block, everything = map(float, done.stdout.split())
    assert block < 6
    assert everything > 20
