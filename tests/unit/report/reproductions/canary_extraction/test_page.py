"""The page of planted secrets: the question, a row for each defence, charts, cells and runs folded."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.extracting import DEFENCES, ladder, nothing, records

from holdfast.core.claim import Verdict
from holdfast.core.evidence import Evidence
from holdfast.report import Document, gather
from holdfast.report.reproductions import write_reproduction
from holdfast.report.reproductions.canary_extraction import PRESENTATION, page
from holdfast.report.reproductions.canary_extraction.charts import accuracies, exposures
from holdfast.report.reproductions.canary_extraction.grid import cells, colour_of, is_defence, label_of
from holdfast.study.reproductions.canary_extraction.summary import summarise, trimmed

SVG = "{http://www.w3.org/2000/svg}"


def document(runs: list) -> Document:
    return gather([*map(trimmed, runs), summarise(runs)], title="Canary extraction", study="title = 'a study'")


@pytest.fixture(scope="module")
def runs() -> list:
    return records(ladder, controls=True)


@pytest.fixture(scope="module")
def grid(runs: list) -> Document:
    return document(runs)


@pytest.fixture(scope="module")
def drawn(grid: Document) -> str:
    return page.render(grid)


def first_screen(text: str) -> str:
    return text[: text.index("<nav")]


def test_the_first_screen_has_the_statement_the_answer_and_a_row_for_each_defence(drawn: str):
    first = first_screen(drawn)
    assert "their tables were not at hand, so this is no reproduction of their figures" in first
    assert "Does the combination of defences remove the risk? No: the combination of defences does not remove the risk." in first
    assert len(re.findall(r'<th scope="row">', first)) == len(DEFENCES)
    assert re.findall(r"<h2>([^<]+)</h2>", first) == [
        *("Does the combination remove the risk?", "Without a defence", "The lowest exposure", "Does accuracy say the same?")
    ]
    assert "the lowest of 7, and so biased downwards" in first
    assert "Intent accuracy 88.4%, against 89.2% without a defence." in first
    assert "No hidden leak" in first


def test_an_answer_that_is_not_no_is_not_drawn_as_one():
    plain = first_screen(page.render(document(records(nothing))))
    assert 'class="tile good"' in plain
    assert "as far as this study can see" in plain
    assert 'class="tile bad"' not in plain
    few = first_screen(page.render(document(records(nothing, seeds=(1, 2), repetitions=(1,), draw=3))))
    assert "too few trainings to tell" in few
    assert 'class="tile good"' not in few


def test_the_overview_says_what_each_defence_left_and_what_it_costs(grid: Document):
    table = page.overview(grid.evidence)
    assert table.columns == ("Defence", "Found whole", "Exposure", "Against none", "Knows nothing?", "Intent accuracy", "Slot F1")
    rows = {row[0].text: row for row in table.rows}
    assert list(rows) == [label_of(one) for one in DEFENCES]
    assert rows["No defence"][3].text == "–"
    assert re.fullmatch(r"\d+ of 60", rows["Dropout"][1].text)
    assert (rows["Dropout"][4].text, rows["Dropout"][4].tone) == ("no", "bad")
    assert rows["DP-SGD, ε = 1"][4].text == "not refuted"
    assert "over all 2 lengths and numbers of repetitions" in table.text


def test_every_cell_and_every_pattern_has_a_row(drawn: str):
    folded = dict(re.findall(r"<summary>([^<]+)</summary>(.*?)</details>", drawn, re.S))
    assert folded["The cells one by one"].count("<tr>") == 1 + 2 * len(DEFENCES)
    assert folded["Every pattern"].count("<tr>") == 1 + 3 * 2 * len(DEFENCES)
    assert folded["The runs one by one"].count("<tr>") == 1 + 10 * 2 * len(DEFENCES)


def test_a_promise_is_that_of_an_example_and_the_group_has_its_own(drawn: str):
    plain = drawn.replace("\N{NO-BREAK SPACE}", " ")
    assert "ε = 8 for one" in plain
    assert "ε = 80 for 10 copies" in plain


def test_the_words_of_a_secret_stand_nowhere(drawn: str, grid: Document):
    assert "one two" not in drawn
    assert "one two" not in str(grid.to_json())


def test_a_contradicted_promise_is_an_alert(grid: Document):
    name = next(run.name for run in grid.runs if "dp-sgd" in run.name)
    verdict = Verdict(subject=name, outcome="contradicted", reason="So the ranks show.")
    broken = replace(grid, evidence=replace(grid.evidence, verdicts=(verdict,)))
    assert f"The promise of {name} is contradicted." in page.render(broken)
    assert "is contradicted" not in page.render(grid)


@pytest.mark.parametrize("defences", [("dropout",), ("none",), ("none", "all-three"), ("none", "own-thing", "crf")])
def test_a_grid_that_lacks_parts_has_a_page_too(defences: tuple[str, ...]):
    text = page.render(document(records(ladder, defences=defences, repetitions=(1,), seeds=(1, 2, 3))))
    assert ("Not tested" in text) == ("all-three" not in defences)
    if "own-thing" in defences:
        assert "own-thing" in first_screen(text)
        assert "CRF head, no defence" in first_screen(text)
        assert "the lowest of" not in text, "another model is not a defence"


def test_the_same_evidence_gives_the_same_page(grid: Document, drawn: str):
    assert page.render(Document.from_json(grid.to_json())) == drawn


def test_each_panel_has_a_dot_for_each_defence(grid: Document):
    figure = exposures(grid.evidence)
    for drawing in (figure.wide, figure.narrow):
        root = ElementTree.fromstring(drawing)
        words = [text.text for text in root.iter(f"{SVG}text")]
        assert words.count("Dropout") == words.count("by chance") == 2
        assert {"4 unknown words, 1 copy", "4 unknown words, 10 copies"} <= set(words)
        assert "Dropout, 4 unknown words, 10 copies: " in root.get("aria-label")
    assert exposures(Evidence()).empty


def test_the_scatter_has_a_mark_for_each_cell_and_a_legend(grid: Document):
    figure = accuracies(grid.evidence)
    for drawing in (figure.wide, figure.narrow):
        root = ElementTree.fromstring(drawing)
        words = [text.text for text in root.iter(f"{SVG}text")]
        assert {label_of(one) for one in DEFENCES} <= set(words)
        assert root.get("aria-label").count(" at rank ") == 2 * len(DEFENCES)
    assert accuracies(Evidence()).empty


def test_colours_belong_to_defences_wherever_they_stand():
    assert [colour_of(one) for one in DEFENCES] == list(range(len(DEFENCES)))
    assert colour_of("crf") >= len(DEFENCES)
    assert [is_defence(one) for one in ("none", "crf", "dropout", "own-thing")] == [False, False, True, True]


def test_the_table_has_cells_patterns_and_defences(tmp_path: Path, runs: list):
    summary = summarise(runs)
    kept = [trimmed(run) for run in runs]
    files = write_reproduction(tmp_path, kept, summary, title="A title", study="x", presentation=PRESENTATION)
    with files.table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (1 + 3) * len(cells(summary)) + len(DEFENCES)
    (row,) = (row for row in rows if row["cell"] == "n4-r10-dropout-pin")
    assert (row["defence"], row["length"], row["repetitions"], row["secret"], row["trainings"]) == ("dropout", "4", "10", "pin", "10")
    assert float(row["secret_exposure_low"]) <= float(row["secret_exposure"]) <= float(row["secret_exposure_high"])
    assert next(row for row in rows if row["cell"] == "dropout")["length"] == ""
    assert files.html.read_text() == page.render(replace(document(runs), title="A title", study="x"))


def test_the_command_prints_a_row_for_each_cell(runs: list):
    rows = PRESENTATION.printed_cells(summarise(runs))
    assert [row[0] for row in rows][:2] == ["n4-r1-none", "n4-r1-dropout"]
    assert len(rows) == 2 * len(DEFENCES)
    assert all(len(row) == 1 + len(PRESENTATION.columns) for row in rows)
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", rows[0][3])
    assert rows[0][-1] == "-"
