"""One frame for the pages of all studies: what is their own stands between what all have."""

import re
from dataclasses import replace

import pytest
from tests.reporting import RUNS, record_of

from holdfast.core.claim import Verdict
from holdfast.core.evidence import Evidence
from holdfast.report import Document, gather
from holdfast.report.reproductions.parts import Study, again, contradicted, every_run, framed, limits, recorded
from holdfast.report.view import Cell, Section, Table, Tile

NOTES = ("One split was drawn.", "Seeds are few.")


@pytest.fixture(scope="module")
def document() -> Document:
    cells = replace(record_of(RUNS[1]).evidence.renamed("a cell"), claims=(), verdicts=(), notes=NOTES, curves=())
    trained = [replace(record_of(run), evidence=Evidence()) for run in RUNS[:3]]
    return gather([*trained, cells], title="A study", study="title = 'x'")


@pytest.fixture(scope="module")
def own() -> Study:
    tiles = [Tile(title=f"Question {number}", headline="Yes", text="So it is.", status="seen", tone="plain") for number in range(4)]
    table = Table(title="The cells", columns=("Cell", "Value"), rows=((Cell(text="a cell"), Cell(text="3")),))
    section = Section(name="mine", title="My own part", finding="It was found.")
    return Study(
        statement="After somebody.",
        cells=7,
        lead="Is it so? It is so.",
        meaning="Read it like this.",
        tiles=tiles,
        overview=table,
        sections=[section],
    )


def test_the_frame_has_statement_lead_tiles_and_overview_before_all_else(document: Document, own: Study):
    text = framed(document, own)
    first = text[: text.index("<nav")]
    places = [first.index(part) for part in ("No reproduction of figures.", "Is it so? It is so.", "Question 0", "Read it like this.")]
    assert places == sorted(places)
    assert "After somebody." in first
    assert "3, over 7 cells" in first
    assert re.findall(r'<th scope="row">([^<]+)</th>', first) == ["a cell"]


def test_the_frame_ends_with_limits_and_how_to_do_it_again(document: Document, own: Study):
    text = framed(document, own)
    assert re.findall(r'<h2 id="([^"]+)"', text)[1:] == ["mine", "limits", "reproduce"]
    assert "2 limits bear on the figures above." in text
    assert "study.toml, beside it, has a line for each run." in text
    assert "title = &#39;x&#39;" not in text, "the study file stands beside the page"


def test_a_contradicted_promise_is_an_alert_of_the_frame(document: Document, own: Study):
    verdict = Verdict(subject=RUNS[2].name, outcome="contradicted", reason="So the ranks show.")
    broken = replace(document, evidence=replace(document.evidence, verdicts=(verdict,)))
    assert [point.lead for point in contradicted(broken)] == [f"The promise of {RUNS[2].name} is contradicted."]
    assert "So the ranks show." in framed(broken, own)
    assert contradicted(document) == []


def test_runs_are_records_and_cells_are_not(document: Document):
    assert recorded(document) == [run.name for run in RUNS[:3]]


def test_every_run_stands_in_one_folded_table(document: Document):
    made = every_run(document, columns=("Run",), rows=[(Cell(text=name),) for name in recorded(document)], done="trained")
    assert made.finding == "3 models were trained, each once; its whole record is in the folder runs beside this page."
    assert [row[0].text for row in made.tables[0].rows] == recorded(document)
    assert (made.name, made.tables[0].title) == ("every-run", "The runs one by one")


@pytest.mark.parametrize(
    ("notes", "finding"), [((), "0 limits bear"), (NOTES[:1], "One limit bears"), (NOTES, "2 limits bear")], ids=["none", "one", "two"]
)
def test_limits_are_counted(notes: tuple[str, ...], finding: str):
    made = limits(Evidence(notes=notes))
    assert made.finding == f"{finding} on the figures above."
    assert [point.text for point in made.points] == list(notes)


def test_how_to_do_it_again_holds_no_seeds_and_no_study(document: Document):
    made = again(document)
    assert "Seeds" not in [table.title for table in made.tables]
    assert [title for title, _ in made.blocks] == ["Command"]
