"""Writing a report: three files, the same bytes each time, whole or not at all."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.reporting import RUNS, STUDY, four_runs, record_of

from holdfast.core.errors import InputError, RunError, TrainingStopped
from holdfast.core.evidence import Evidence
from holdfast.report import Document, write_report
from holdfast.runs import validate


def test_three_files_stand_beside_each_other(tmp_path: Path):
    files = write_report(tmp_path / "out" / "trust.html", *four_runs(), title="SNIPS, four ways", study=STUDY)
    assert [path.relative_to(tmp_path / "out").name for path in vars(files).values()] == ["trust.html", "evidence.json", "model_card.md"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["evidence.json", "model_card.md", "trust.html"]
    document = json.loads(files.evidence_json.read_text())
    validate(document, place="evidence.json")
    assert Document.from_json(document).title == "SNIPS, four ways"
    assert len(Evidence.from_json(document).verdicts) == 3


def test_drawing_again_gives_the_same_bytes(tmp_path: Path):
    first, second = (write_report(tmp_path / name / "trust.html", *four_runs(), study=STUDY) for name in ("one", "two"))
    for one, two in zip(vars(first).values(), vars(second).values(), strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_another_process_with_another_hash_seed_and_clock_gives_the_same_bytes(tmp_path: Path):
    code = "import sys; from tests.reporting import *; from holdfast.report import write_report; write_report(sys.argv[1], *four_runs())"
    pages = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        target = tmp_path / seed / "trust.html"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
        subprocess.run([sys.executable, "-c", code, str(target)], check=True, env=environment, cwd=Path(__file__).parents[3])
        pages.append([path.read_bytes() for path in sorted(target.parent.iterdir())])
    assert pages[0] == pages[1]


def test_a_path_may_be_text(tmp_path: Path):
    assert write_report(str(tmp_path / "trust.html"), record_of(RUNS[0])).html == tmp_path / "trust.html"


@pytest.mark.parametrize("name", ["evidence.json", "model_card.md"])
def test_a_page_does_not_overwrite_its_own_evidence(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=r"give a name such as trust\.html"):
        write_report(tmp_path / name, record_of(RUNS[0]))


def test_nothing_to_report_writes_nothing(tmp_path: Path):
    with pytest.raises(InputError, match="nothing to report"):
        write_report(tmp_path / "trust.html")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingStopped, match=r"evidence\.json: no room for .* Free space"):
        write_report(tmp_path / "trust.html", record_of(RUNS[0]))


def test_a_folder_that_is_a_file_is_told(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(tmp_path / "out" / "trust.html", record_of(RUNS[0]))


def test_a_lone_surrogate_in_a_name_is_no_obstacle(tmp_path: Path):
    files = write_report(tmp_path / "trust.html", record_of(RUNS[0]), title="a\ud800b")
    assert Document.from_json(json.loads(files.evidence_json.read_bytes())).title == "a\ud800b"
    assert files.html.read_text(encoding="utf-8")
