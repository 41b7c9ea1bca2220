"""The files of a report against copies that a person has read, and old evidence that must stay readable.

Where a change is meant: HOLDFAST_GOLDEN=write pytest tests/golden/test_report.py, then read the difference before committing it.
"""

import json
import os
import re
from pathlib import Path

import pytest
from tests.reporting import STUDY, four_runs

from holdfast.report import Document, html, model_card, write_report
from holdfast.runs import RunFolder

FOLDER = Path(__file__).parent / "report"
DRAWING = re.compile(r"<svg xmlns.*?</svg>", re.DOTALL)  # drawings change with vl-convert; other tests look at them
STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


def kept(name: str, text: str) -> str:
    """The copy of a file, made first where a person asked for it."""
    path = FOLDER / name
    if os.environ.get("HOLDFAST_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    files = write_report(tmp_path_factory.mktemp("report") / "trust.html", *four_runs(), title="SNIPS, four ways", study=STUDY)
    return {path.name: path.read_text(encoding="utf-8") for path in vars(files).values()}


def test_evidence(written: dict[str, str]):
    assert written["evidence.json"] == kept("evidence.json", written["evidence.json"])


def test_model_card(written: dict[str, str]):
    assert written["model_card.md"] == kept("model_card.md", written["model_card.md"])


def test_page_without_drawings_and_style(written: dict[str, str]):
    page = STYLE.sub("<style></style>", DRAWING.sub("<svg/>", written["trust.html"]))
    assert page == kept("trust.html", page)


def test_a_record_on_disk(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write(four_runs()[3])
    text = (tmp_path / "record.json").read_text(encoding="utf-8")
    assert text == kept("record.json", text)


def test_version_one_of_evidence_and_record_stay_readable():
    """Never rewritten: these two were written by the first version, and every later one must draw from them."""
    document = Document.from_json(json.loads((FOLDER / "evidence.v1.json").read_text(encoding="utf-8")))
    assert document.names == ("non-private", "dp-sgd-eps-2")
    assert "<h1>SNIPS, two ways</h1>" in html.render(document)
    assert "## Promise" in model_card.render(document)


def test_version_one_of_a_record_stays_readable(tmp_path: Path):
    (tmp_path / "record.json").write_bytes((FOLDER / "record.v1.json").read_bytes())
    assert RunFolder(tmp_path).read().evidence.claims[0].epsilon == 1.9991
