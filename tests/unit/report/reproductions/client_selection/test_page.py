"""The page of client selection: whom it helps and whom it hurts first, then a row for each way to choose."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.reporting_selection import GRID, NOTE, mixed, nothing, records, summary
from tests.unit.report.test_sections import column

from holdfast.core.evidence import Evidence
from holdfast.report import Document, gather
from holdfast.report.reproductions import write_reproduction
from holdfast.report.reproductions.client_selection import PRESENTATION, cells, page
from holdfast.report.reproductions.client_selection.charts import ENDS, convergence, gains, light_and_heavy

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"


def document(evidence: Evidence, *, grid: tuple = GRID) -> Document:
    return gather([*records(grid=grid), evidence], title="Client selection", study="title = 'a study'")


@pytest.fixture(scope="module")
def grid() -> Document:
    return document(summary())


@pytest.fixture(scope="module")
def drawn(grid: Document) -> str:
    return page.render(grid)


def first_screen(text: str) -> str:
    return text[: text.index("<nav")]


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def test_the_first_screen_says_whom_it_helps_and_whom_it_hurts(drawn: str):
    first = first_screen(drawn)
    assert "their formulas and tables were not at hand, so this is no reproduction of their figures" in first
    assert "Does it help to choose clients by their activity? Choosing by activity, against choosing uniformly, helps all clients" in first
    assert "it hurts light users in 8." in first
    assert re.findall(r"<h2>([^<]+)</h2>", first) == [
        *("For all clients", "For light users", "For heavy users", "More so in the continual setting?")
    ]
    assert re.findall(r'<div class="tile (\w+)">', first) == ["good", "bad", "good", "plain"]
    assert len(re.findall(r'<th scope="row">', first)) == len(GRID)
    assert "32, over 16 cells" in first


def test_no_difference_is_neither_good_nor_bad():
    found = summary(nothing)
    tiles = [page._tile(found, quantity) for quantity in ("gain_over_uniform", "gain_light", "gain_heavy")]
    assert {tile.headline for tile in tiles} == {"No difference seen"}
    assert {tile.tone for tile in tiles} == {"missing"}
    assert page._continual(found).headline == "Cannot be told"


def test_what_helps_and_hurts_is_told_as_both():
    both = summary(lambda place: (0.05 if place.tau == 0.5 else -0.05, 0.0, 0.0))
    tile = page._tile(both, "gain_over_uniform")
    assert (tile.headline, tile.tone) == ("Helps and hurts", "caution")
    assert "Best: +5.0 points" in tile.text
    assert "Worst: −5.0 points" in tile.text or "worst: −5.0 points" in tile.text


@pytest.mark.parametrize(
    ("helps", "hurts", "headline", "tone"),
    [(2, 0, "Helps", "good"), (1, 0, "Helps", "good"), (0, 1, "Hurts", "bad"), (0, 0, "No difference seen", "missing")],
)
def test_the_headline_follows_the_counts(helps: int, hurts: int, headline: str, tone: str):
    assert page._said(helps, hurts)[::2] == (headline, tone)


def test_the_tile_of_the_continual_setting_follows_the_pairs():
    def by(static: float, later: float) -> Evidence:
        return summary(lambda place: (static if place.schedule == "static" else later, 0.0, 0.0))

    assert page._continual(by(0.0, 0.05)).headline == "Yes"
    assert page._continual(by(0.05, 0.0)).headline == "Rather less"
    assert page._continual(summary()).headline == "Yes, in part"
    assert page._continual(summary(grid=GRID[:8])).headline == "not measured"


def test_the_overview_has_a_gain_for_all_but_uniform(grid: Document):
    table = page.overview(grid.evidence)
    assert table.columns == ("Selection", "Score", "Gain", "Gain, light users", "Gain, heavy users", "Worst decile")
    rows = {row[0].text: row for row in table.rows}
    assert [cell.text for cell in rows["uniform, examples weights, static"]][1:] == ["70.0%", "–", "–", "–", "62.0%"]
    light = rows["activity^1, examples weights, static"][3]
    assert (light.text, light.tone, light.notes) == ("−2.0 points", "bad", ("−3.2 to −0.8",))
    assert rows["activity^1, examples weights, static"][2].tone == "plain"
    assert "mean of 5 seeds" in table.text
    assert "would miss 0 by chance" in table.text


def test_each_panel_has_a_row_for_each_strategy_but_uniform(grid: Document):
    whole, ends = gains(grid.evidence), light_and_heavy(grid.evidence)
    for figure in (whole, ends):
        for drawing in (figure.wide, figure.narrow):
            words = letters(drawing)
            assert words.count("activity^0.5") == words.count("top-k") == 4
            assert words.count("uniform") == 4, "the line that all is held against"
            assert {"Static, examples weights", "Continual, uniform weights"} <= set(words)
    assert "+0.3 points (−0.9 to +1.5)" in letters(whole.wide)
    spoken = ElementTree.fromstring(ends.wide).get("aria-label")
    assert "top-k, examples weights, static: light users −4.0 points (−5.2 to −2.8), heavy users +6.0 points (+4.8 to +7.2)" in spoken


def test_light_users_are_hollow_and_heavy_ones_filled(grid: Document):
    assert [(track.word, track.hollow) for track in ENDS] == [("light users", True), ("heavy users", False)]
    figure = light_and_heavy(document(summary(grid=GRID[:2]), grid=GRID[:2]).evidence)
    assert figure.wide.count('fill="var(--page') >= 1


def test_convergence_has_a_line_and_a_band_for_each_strategy(grid: Document):
    figure = convergence(grid.evidence)
    words = letters(figure.wide)
    assert words.count("activity^1") == 4
    assert "60%" in words
    assert "activity^1 from 0.203 at round 1" in ElementTree.fromstring(figure.wide).get("aria-label")


def test_charts_without_evidence_say_so():
    for chart in (gains, light_and_heavy, convergence):
        assert chart(Evidence()).empty
    assert gains(summary(grid=GRID[:1])).empty


def test_the_section_on_speed_names_the_fastest_and_the_slowest(drawn: str):
    assert page._speed(summary(grid=())).finding == "How fast each strategy reaches a given score was not measured."
    told = re.search(r"top-k, examples weights, static reaches a score of 60% after 28 \(24–32\) rounds, uniform, [^<]*", drawn)
    assert told is not None
    assert told[0].endswith("the slowest, after 60 (56–64).")
    assert "no other was measured" in page._speed(summary(grid=GRID[:1])).finding


def test_every_cell_and_every_run_has_a_row(drawn: str, grid: Document):
    folded = dict(re.findall(r"<summary>([^<]+)</summary>(.*?)</details>", drawn, re.S))
    assert folded["The cells one by one"].count("<tr>") == 1 + len(GRID)
    assert folded["The runs one by one"].count("<tr>") == 1 + 2 * len(GRID)
    assert folded["Every gain"].count("<tr>") == 1 + 12
    table = page._every_cell(grid.evidence).tables[0]
    assert column(table, "Strategy")[:4] == ["uniform", "activity^0.5", "activity^1", "top-k"]
    assert column(table, "Rounds to the target")[:2] == ["60", "52"]
    assert column(table, "Prequential score")[0] == "–"


def test_how_far_rounds_are_counted_is_told_by_the_method_where_no_condition_has_it():
    evidence = summary(grid=GRID[:2])
    assert "Counted is" not in page._speed(evidence).finding
    told = [
        replace(one, conditions={}, method="first evaluated round with a score of 0.6") if one.name == "rounds_to_score" else one
        for one in evidence.estimates
    ]
    finding = page._speed(replace(evidence, estimates=tuple(told))).finding
    assert "reaches the target after 52 (48–56) rounds" in finding
    assert finding.endswith(" Counted is the first evaluated round with a score of 0.6.")


def test_the_work_of_all_clients_stands_beside_the_rounds():
    evidence = summary(grid=GRID[:2])
    steps = replace(evidence.estimates[0], name="local_steps", value=18_000.4, unit="steps", interval=None)
    table = page._every_cell(replace(evidence, estimates=(*evidence.estimates, steps))).tables[0]
    assert column(table, "Steps of all clients") == ["18,000", "–"]


def test_a_target_that_no_seed_reached_is_said_not_to_be():
    evidence = summary(grid=GRID[:2])
    lost = [
        replace(one, value=None, interval=None, missing="no seed reached it") if one.name == "rounds_to_score" else one
        for one in evidence.estimates
    ]
    table = page._every_cell(replace(evidence, estimates=tuple(lost))).tables[0]
    assert column(table, "Rounds to the target") == ["not reached"] * 2
    assert table.rows[0][table.columns.index("Rounds to the target")].hint == "no seed reached it"


def test_heavy_clients_that_count_twice_stand_among_the_limits(drawn: str):
    assert NOTE in drawn[drawn.index('id="limits"') :]


def test_cells_are_read_in_the_table_and_parts_in_words(drawn: str):
    points = drawn[drawn.index("Read plainly") : drawn.index("<details>", drawn.index("Read plainly"))]
    assert points.count("<li>") == 4


@pytest.mark.parametrize("grid_", [GRID[:1], GRID[:4], GRID[1:2]])
def test_a_grid_that_lacks_parts_has_a_page_too(grid_: tuple):
    evidence = summary(grid=grid_)
    evidence = replace(evidence, curves=())
    text = page.render(document(evidence, grid=grid_))
    assert "No score was recorded by round." in text
    assert ("Nothing was compared" in text) == (len(grid_) == 1 and grid_[0][0] == "uniform")


def test_names_of_a_user_are_escaped():
    hostile = ("activity<script>", None, "</td>", "static")
    text = page.render(document(replace(summary(lambda place: (0.1, 0.1, 0.1), grid=(hostile,)), curves=()), grid=(hostile,)))
    assert "<script" not in text
    assert "activity&lt;script&gt;" in text


def test_the_table_has_a_row_for_each_cell(tmp_path: Path, grid: Document, drawn: str):
    kept = records()
    files = write_reproduction(tmp_path, kept, summary(), title="Client selection", study="title = 'a study'", presentation=PRESENTATION)
    with files.table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(cells(summary()))
    row = next(row for row in rows if row["cell"] == "activity^0.5, uniform weights, continual")
    assert (row["select"], row["tau"], row["weighting"], row["schedule"], row["seeds"]) == ("activity", "0.5", "uniform", "continual", "5")
    assert float(row["gain_light_low"]) <= float(row["gain_light"]) <= float(row["gain_light_high"])
    assert next(row for row in rows if row["select"] == "uniform")["tau"] == ""
    assert next(row for row in rows if row["select"] == "uniform")["gain_light"] == ""
    assert files.html.read_text() == drawn, "the same records and summary give the same page"


def test_the_command_prints_a_row_for_each_cell():
    rows = PRESENTATION.printed_cells(summary(mixed))
    assert len(rows) == len(GRID)
    assert all(len(row) == 1 + len(PRESENTATION.columns) for row in rows)
    assert rows[0][:3] == ["uniform, examples weights, static", "0.7", "-"]
    assert rows[1][2] == "0.003 [-0.009, 0.015]"
