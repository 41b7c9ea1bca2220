"""A study across the people of a chat keeps none of their names: not in records, weights, vocabularies, checkpoints or the report."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli import main

NICKS = ("Zorblax77", "quuxina", "Mr_Wibble", "fnordette", "Tlhingan", "[Ungrateful]")
STUDY = """
title = "Chat"
[data]
source = "irc:logs"
{data}
[task]
name = "{task}"
[model]
{model}
[federation]
algorithm = "scaffold"
local = {{ learning_rate = 0.5, batch_size = 8, steps = 2 }}
cohort = 3
seed = 7
[[run]]
name = "one"
{run}
"""
STUDIES = {
    "next words, continual": {
        "data": "",
        "task": "language-model",
        "model": 'name = "lstm-lm"\nvocabulary = "train"\nmin_count = 1\nembedding = 4\nhidden = 4\ndropout = 0.0',
        "run": 'schedule = { name = "continual", periods = 2, cut = "counts", rounds_per_period = 2 }',
    },
    "replies, static": {
        "data": "pairs = true",
        "task": "reply-prediction",
        "model": 'name = "bag"\nvocabulary = "train"\nmin_count = 1\nembedding = 4\nhidden = 4',
        "run": 'rounds = 3\nselect = { name = "activity", tau = 0.5 }',
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of a channel on which all speak, to and about each other."""
    (tmp_path / "logs").mkdir()
    for day in (2, 3):
        lines = [f"=== {NICKS[day]} [n={NICKS[day]}@host.example.org] has joined #chat"]
        for n in range(90):
            who, other = NICKS[n % 6], NICKS[(n * day + 1) % 6]
            text = f"{other}: driver {n % 7} works, ask {other.lower()} or {other.upper()}'s list"
            lines.append(f"[{8 + n // 12:02d}:{n % 12 * 5:02d}] <{who}> {text}")
        (tmp_path / "logs" / f"2005-01-0{day}.raw.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def told(path: Path) -> list[str]:
    """Whose name or address a file holds, in whatever case, in its own name too; archives are looked into."""
    content = path.name.encode() + b"\n" + path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            content += b"".join(archive.read(name) for name in archive.namelist())
    lowered = content.lower()
    return [name for name in (*(nick.strip("[]") for nick in NICKS), "host.example.org") if name.lower().encode() in lowered]


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("study", STUDIES)
def test_no_name_and_no_raw_user_id_stands_in_what_is_kept(study: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    assert all(len(told(path)) == 7 for path in files(folder / "logs")), "the search finds what is there"
    (folder / "study.toml").write_text(STUDY.format(**STUDIES[study]), encoding="utf-8")
    assert main(["federate", str(folder / "study.toml"), "--out", str(folder / "out"), "--json"]) == 0
    kept = [path for path in files(folder / "out") if path.name != "study.toml"]
    assert {"record.json", "trust.html", "evidence.json", "federated.safetensors", "model.safetensors"} <= {path.name for path in kept}
    assert any("driver" in path.read_text(encoding="utf-8") for path in kept if path.suffix == ".json"), "the vocabulary is among it"
    assert {path.name: told(path) for path in kept if told(path)} == {}
    printed = capsys.readouterr()
    assert not [nick for nick in NICKS if nick.lower() in (printed.out + printed.err).lower()]
