"""A store lists every run it holds, and says so where it cannot read one."""

import dataclasses
import os
from pathlib import Path

import pytest

from holdfast.core.errors import InputError, RunError
from holdfast.runs import RunFolder, RunRecord, RunStore, now
from holdfast.runs.record import utc

MORNING = "2026-11-22T08:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def test_a_run_is_read_back_as_it_was_written(store: RunStore, record: RunRecord):
    folder = store.create(record.name, created=record.created)
    assert folder.id == "20261122-170455-dp-sgd"
    assert folder.checkpoints.is_dir()
    folder.write(record)
    assert folder.read() == record
    assert store.open(folder.id).read() == record
    assert RunStore().open(folder.path).read() == record
    assert store.all() == [(folder.id, record)]


def test_writing_again_replaces_the_record(store: RunStore, record: RunRecord):
    folder = store.create("dp-sgd")
    folder.write(dataclasses.replace(record, status="running"))
    folder.write(record)
    assert folder.read().status == "finished"


def test_two_runs_of_one_name_and_second_get_two_folders(store: RunStore):
    folders = [store.create("dp-sgd", created=MORNING) for _ in range(3)]
    assert [folder.id for folder in folders] == [f"20261122-080000-dp-sgd{suffix}" for suffix in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("DP-SGD, eps 2", "dp-sgd-eps-2"),
        ("../../etc/passwd", "etc-passwd"),
        ("<b>", "b"),
        ("声", "run"),
        ("a" * 300, "a" * 60),
        (".", "run"),
    ],
)
def test_any_name_makes_a_folder_inside_the_store(store: RunStore, name: str, slug: str):
    folder = store.create(name, created=MORNING)
    assert folder.id == f"20261122-080000-{slug}"
    assert folder.path.parent == store.root


def test_now_is_a_time_that_a_record_takes():
    assert utc(now()).tzinfo is not None
    with pytest.raises(InputError, match="give ISO 8601 in UTC"):
        RunStore("unused").create("a", created="noon")


def test_runs_are_listed_from_the_oldest(store: RunStore, record: RunRecord):
    for created in ("2026-11-22T17:00:00+00:00", "2026-11-22T08:00:00Z", "2026-11-22T09:00:00.5+00:00"):
        store.create("a", created=created).write(dataclasses.replace(record, created=created))
    assert [found.created[11:13] for _, found in store.all()] == ["08", "09", "17"]


def test_a_store_that_does_not_exist_holds_no_runs(store: RunStore):
    assert store.all() == []
    with pytest.raises(RunError, match=r"there is no run 'x'; .*runs holds no runs yet"):
        store.open("x")


def test_an_unknown_run_is_answered_with_the_nearest(store: RunStore):
    store.create("dp-sgd", created=MORNING)
    with pytest.raises(RunError, match="did you mean '20261122-080000-dp-sgd'"):
        store.open("20261122-080000-dp-sdg")


@pytest.mark.parametrize("content", ["", "{", '{"schema": "holdfast.run", "schema_version": 1}', '{"schema": "other"}', "[]"])
def test_a_damaged_record_is_told_by_its_file(store: RunStore, record: RunRecord, content: str):
    folder = store.create("a", created=MORNING)
    (folder.path / "record.json").write_text(content)
    with pytest.raises(RunError, match=r"20261122-080000-a/record\.json"):
        folder.read()


def test_nothing_is_skipped_in_silence(store: RunStore, record: RunRecord):
    store.create("good", created=MORNING).write(record)
    damaged = store.create("bad", created=MORNING)
    (damaged.path / "record.json").write_text('{"schema":')
    store.create("empty", created=MORNING)
    (store.root / ".hidden").mkdir()
    (store.root / "note.txt").write_text("no run")

    listing = store.scan()
    assert [name for name, _ in listing.runs] == ["20261122-080000-good"]
    assert [name for name, _ in listing.damaged] == ["20261122-080000-bad", "20261122-080000-empty"]
    with pytest.raises(RunError, match=r"2 of the runs in .* cannot be read") as caught:
        store.all()
    assert "bad/record.json, line 1: damaged" in str(caught.value)
    assert "empty/record.json: there is no such file" in str(caught.value)


def test_evidence_that_contradicts_itself_is_damage_too(store: RunStore, record: RunRecord):
    folder = store.create("a")
    folder.write(record)
    path = folder.path / "record.json"
    path.write_text(path.read_text().replace('"delta": 1e-05', '"delta": 0.0'))
    with pytest.raises(RunError, match=r"record.json: .*delta"):
        folder.read()


def test_tidying_removes_only_what_was_half_written(store: RunStore, record: RunRecord):
    folder = store.create("a")
    folder.write(record)
    kept = folder.checkpoints / "checkpoint.safetensors"
    kept.write_bytes(b"weights")
    for path in (folder.path / ".record.json.0a1b.partial", folder.checkpoints / ".checkpoint.safetensors.9f.partial"):
        path.write_bytes(b"half")
    folder.tidy()
    assert sorted(path.name for path in folder.path.rglob("*") if path.is_file()) == ["checkpoint.safetensors", "record.json"]


def test_a_file_where_the_store_should_be_is_told(tmp_path: Path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="is a file; give a folder for the runs"):
        RunStore(tmp_path / "runs").create("a")


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders are those of POSIX")
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"cannot be written \(Permission denied\)"):
        RunStore(tmp_path / "runs").create("a")


def test_a_run_folder_made_by_hand_is_made_on_writing(tmp_path: Path, record: RunRecord):
    folder = RunFolder(tmp_path / "deep" / "run")
    folder.write(record)
    assert folder.read() == record
