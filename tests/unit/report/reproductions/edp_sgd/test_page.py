"""The page of a grid: a row for each cell, the correlations in tiles, charts with both accounts, every run folded."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.reproducing import flat, records, rising

from holdfast.core.claim import Verdict
from holdfast.report import Document, gather
from holdfast.report.figures import promised
from holdfast.report.figures.theme import colour
from holdfast.report.reproductions import write_reproduction
from holdfast.report.reproductions.edp_sgd import PRESENTATION, page
from holdfast.report.reproductions.edp_sgd.charts import over_promise
from holdfast.study.reproductions.edp_sgd.summary import summarise, trimmed

SVG = "{http://www.w3.org/2000/svg}"


def document(runs: list) -> Document:
    return gather([*map(trimmed, runs), summarise(runs)], title="Promised against measured privacy", study="title = 'a study'")


@pytest.fixture(scope="module")
def grid() -> Document:
    return document(records(rising))


@pytest.fixture(scope="module")
def drawn(grid: Document) -> str:
    return page.render(grid)


def test_the_first_screen_has_the_statement_the_correlations_and_a_row_for_each_cell(drawn: str):
    first = drawn[: drawn.index("<nav")]
    assert "No reproduction of figures." in first
    assert re.findall(r"<h2>(Rank correlation, [^<]+)</h2>", first) == [
        f"Rank correlation, {one}" for one in ("eDP-SGD", "DP-SGD", "both methods")
    ]
    assert first.count("promise and leakage rank alike") == 3
    assert len(re.findall(r'<th scope="row">', first)) == 9
    assert "1.5× and 2×" in first


def test_naive_figures_are_marked_as_unproved_wherever_they_stand(grid: Document, drawn: str):
    rows = page.overview(grid.evidence).rows
    notes = {row[0].text: row[1].notes for row in rows}
    assert notes["eDP-SGD, noise 1"] == ("proved", "naive 40, unproved")
    assert notes["DP-SGD, noise 1"] == ("proved",)
    shown = re.findall(r"<small>naive [^<]*</small>", drawn)
    assert len(shown) == 4 + 20
    assert all("unproved" in one for one in shown)


def test_every_run_stands_in_a_folded_table(drawn: str):
    folded = re.search(r"<summary>The runs one by one</summary>.*?</details>", drawn, re.S)
    assert folded[0].count("<tr>") == 1 + 45
    assert "dp-sgd-noise-0.5-seed-3" in folded[0]
    assert "dp-sgd-noise-0.5-seed-3" not in drawn.replace(folded[0], "")


def test_an_interval_that_holds_nought_is_not_drawn_as_a_finding():
    tiles = page.render(document(records(flat)))
    assert "the interval holds 0: not told" in tiles
    assert "rank alike" not in tiles
    assert "cannot be told" in tiles[: tiles.index("<nav")]


def test_a_contradicted_promise_is_an_alert(grid: Document):
    verdict = Verdict(subject=grid.runs[-1].name, outcome="contradicted", reason="So the attack found.")
    name = grid.runs[5].name
    broken = replace(grid, evidence=replace(grid.evidence, verdicts=(replace(verdict, subject=name),)))
    assert f"The promise of {name} is contradicted." in page.render(broken)
    assert "is contradicted" not in page.render(grid)


def test_a_grid_without_a_baseline_or_a_second_method_has_a_page_too():
    alone = page.render(document(records(rising, methods=("dp-sgd",))))
    assert "Over DP-SGD: a smaller promised ε went with a smaller AUC" in alone
    assert "There is no non-private run to compare with." in alone


def test_the_study_file_stands_in_the_evidence_and_not_on_the_page(grid: Document, drawn: str):
    assert grid.to_json()["reproduce"]["study"] == "title = 'a study'"
    assert "a study&#39;" not in drawn
    assert "study.toml" in drawn


def test_the_same_evidence_gives_the_same_page(grid: Document, drawn: str):
    assert page.render(Document.from_json(grid.to_json())) == drawn


def test_charts_show_a_mark_for_each_account_of_each_cell(grid: Document):
    figure = over_promise(grid.evidence, "membership_auc")
    assert "hollow one where naive accounting, which is unproved" in figure.caption
    for drawing in (figure.wide, figure.narrow):
        root = ElementTree.fromstring(drawing)
        assert "eDP-SGD at ε = 320: 0.58" in root.get("aria-label")
        words = [text.text for text in root.iter(f"{SVG}text")]
        assert {"eDP-SGD", "DP-SGD", "non-private", "guessing"} <= set(words)
        hollow = [path for path in root.iter(f"{SVG}path") if "--page" in path.get("fill", "") and "--run-2" in path.get("stroke", "")]
        assert len(hollow) == 4
    exact = over_promise(summarise(records(rising, methods=("none", "dp-sgd"))), "membership_auc")
    assert "hollow" not in exact.caption


def test_marks_stand_in_the_order_of_the_promises():
    marks = tuple(promised.Mark(epsilon=epsilon, naive=None, value=0.6, low=0.5, high=0.7) for epsilon in (1.0, 10.0, 1000.0))
    series = [promised.Series(name="a", number=1, marks=marks)]
    chart = promised.chart(series, [], title="AUC", percent=False, width=300, height=100).to_dict()
    points = [
        layer for layer in chart["layer"] if layer["mark"].get("type") == "point" and "value" in str(layer.get("encoding", {}).get("x", ""))
    ]
    assert points
    assert colour(1) in str(chart)
    scale = next(layer["encoding"]["x"]["scale"] for layer in chart["layer"] if "scale" in layer.get("encoding", {}).get("x", {}))
    assert scale["type"] == "log"
    assert scale["domain"][0] < 1 < 1000 < scale["domain"][1]


def test_nothing_promised_is_said_in_place_of_a_chart():
    assert over_promise(summarise(records(rising, methods=("none",))), "membership_auc").empty


def test_three_files_are_written(tmp_path: Path):
    runs = records(rising)
    files = write_reproduction(
        tmp_path, [trimmed(run) for run in runs], summarise(runs), title="A title", study="x", presentation=PRESENTATION
    )
    assert files.html.read_text() == page.render(replace(document(runs), title="A title", study="x"))
    header, *rows = files.table.read_text().splitlines()
    assert header.startswith("cell,method,seeds,epsilon,epsilon_low,epsilon_high,epsilon_naive")
    assert [row.split(",")[0] for row in rows][:2] == ["non-private", "edp-sgd-noise-0.5"]
    assert files.evidence_json.stat().st_size < 500_000
