"""Files are written whole or not at all: under kill -9, on a full disk, and by two writers."""

import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.core.errors import RunError, TrainingStopped
from holdfast.core.files import PARTIAL
from holdfast.runs import atomic_write, json_text
from holdfast.runs.documents import read_json

WRITER = """
import sys
from pathlib import Path
from holdfast.runs import atomic_write

path, letter = Path(sys.argv[1]), 0
atomic_write(path, b"A" * 3_000_000)
print("ready", flush=True)
while True:
    letter = (letter + 1) % 26
    atomic_write(path, bytes([65 + letter]) * 3_000_000)
"""


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path):
    path = tmp_path / "a" / "b" / "note.txt"
    atomic_write(path, "naïve\n")
    assert path.read_bytes() == b"na\xc3\xafve\n"
    atomic_write(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert [entry.name for entry in path.parent.iterdir()] == ["note.txt"]


def test_permissions_are_those_of_a_plain_file_and_are_kept_on_replacing(tmp_path: Path):
    plain, path = tmp_path / "plain", tmp_path / "written"
    plain.write_text("")
    atomic_write(path, "")
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o600)
    atomic_write(path, "again")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_killed_writer_leaves_the_old_content_or_the_new(tmp_path: Path):
    path = tmp_path / "file"
    moments = random.Random(7)
    seen = set()
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1
        seen.add(content[0])
    assert len(seen) > 1, "the writer was always killed before its first replacement: the test saw nothing"


def test_a_disk_that_fills_up_half_way_keeps_the_old_content(tmp_path: Path):
    """A limit on the size of files makes the system refuse the write after the first part of it, as a full disk does."""
    path = tmp_path / "record.json"
    path.write_text("old")
    code = (
        "import resource, sys; from pathlib import Path; from holdfast.runs import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "atomic_write(Path(sys.argv[1]), b'x' * 200_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "holdfast.core.errors.TrainingStopped" in done.stderr
    assert "no room for 200,000 bytes" in done.stderr
    assert "what was stored there before is kept. Free space" in done.stderr
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    def full(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingStopped, match="nothing was stored there before") as caught:
        atomic_write(tmp_path / "new.json", "content")
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_full_disk_is_a_run_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        atomic_write(tmp_path / "file" / "below", "content")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file", "content")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flush, calls = os.fsync, []

    def first_only(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", first_only)
    atomic_write(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"
    assert len(calls) == 2


def test_half_a_surrogate_pair_survives_json(tmp_path: Path):
    path = tmp_path / "odd.json"
    atomic_write(path, json_text({"name": "a\ud800b"}))
    assert read_json(path) == {"name": "a\ud800b"}


def test_numbers_stay_on_one_line_and_strings_are_not_touched():
    document = {"x": [1, -2.5, 3e-07], "empty": [], "text": ["[\n  1,\n  2\n]", "1, 2"], "mixed": [1, "a"], "nested": [[1, 2], [3]]}
    text = json_text(document)
    assert '"x": [1, -2.5, 3e-07]' in text
    assert json.loads(text) == document


def test_json_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"x": float("inf")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b"', "record.json, line 2: damaged, not JSON"),
        (b"", "record.json, line 1: damaged, not JSON"),
        (b'{"a": NaN}', "record.json: damaged .it holds NaN, which is no JSON number"),
        (b"\xff\xfe\x00", "record.json: damaged"),
        (b"[1, 2]", "record.json: holds a JSON list where an object is expected"),
        (b'{"a":' * 100_000, "record.json: damaged"),
    ],
)
def test_damage_is_told_with_the_file_and_a_cure(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        read_json(path)
    assert "restore it from a backup" in str(caught.value)


def test_a_file_that_is_missing_or_a_folder_is_told(tmp_path: Path):
    with pytest.raises(RunError, match="there is no such file; is this the folder of a run"):
        read_json(tmp_path / "record.json")
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path)


def test_partial_files_are_hidden_and_known_by_their_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = []
    replace = Path.replace

    def spy(self: Path, target: Path) -> Path:
        names.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    atomic_write(tmp_path / "file", "content")
    assert names[0].startswith(".file.")
    assert names[0].endswith(PARTIAL)
