"""The part on fairness: what it finds, what it says that it does not show, its tables, its tile and its place in the model card."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.reporting_fairness import DETECTED, EMPTY, JUDGED, METRICS, NOTE, UNDEFINED, Judged, fairness_record, fairness_runs, number
from tests.unit.report.test_sections import column, table

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, front, gather, html, model_card, write_report
from holdfast.report.fairness import reading
from holdfast.report.fairness.section import fairness
from holdfast.report.fairness.tables import BENCHMARKS, DIFFERENCES, SUMMARY
from holdfast.report.sections import absent, limits, others, sections, training
from holdfast.report.view import Section, Tile

OPEN, PRIVATE, STRICT = JUDGED
HOSTILE = "<b>&amp;\"'</b>"


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(fairness_runs(), title="t")


@pytest.fixture(scope="module")
def made(document: Document) -> Section:
    return section(document)


def section(document: Document) -> Section:
    found = fairness(document, drawn=False)
    assert found is not None
    return found


def tile(document: Document) -> Tile:
    return front.tiles(document)[3]


def of(*estimates: Estimate, carded: bool = True, margin: float | None = 0.05) -> Document:
    record = fairness_record(replace(OPEN, margin=margin), carded=carded)
    return gather([replace(record, evidence=Evidence(estimates=estimates))], title="t")


def difference(value: float | None, verdict: str | None = None, half: float | None = 0.01, **fields: object) -> Estimate:
    told = {"groups": "dialect", "statistic": "difference", "worst": "Scottish", **({} if verdict is None else {"verdict": verdict})}
    missing = "no denominator" if value is None else None
    return number(OPEN, "equal-opportunity", "equal_opportunity_difference", value, half=half, missing=missing, **{**told, **fields})


def test_a_page_without_metrics_has_no_such_part(four: Document):
    assert fairness(four) is None
    assert "fairness" in [part.name for part in absent()]
    assert (tile(four).headline, tile(four).tone, tile(four).status) == ("not measured", "missing", "no evidence")
    assert "Surest gap" not in front.overview(four).columns


@pytest.mark.slow
def test_the_part_takes_the_place_of_the_word_that_it_is_absent():
    document = gather([fairness_record(STRICT)], title="t")
    parts = {part.title: part for part in sections(document)}
    assert parts["Fairness"].tone == "plain"
    assert list(parts)[:4] == ["Training and promise", "Leakage", "Fairness", "Federation"]
    assert others(document) is None, "no number of a metric is left to the other measurements"


def test_the_finding_says_the_surest_gap_and_what_was_looked_at(made: Section):
    assert made.finding == (
        "Of the runs with a promise, dp-sgd-eps-2 has the gap that is surest: equal opportunity difference, by dialect, is 31 points "
        "(25 to 37), worst for Jamaican; the verdict is unfair at the margin of 5 points; 12 metrics were measured, of 4 families "
        "(decisions by group, associations of words, likelihoods of sentences and generated text)."
    )


def test_the_finding_of_one_run_names_what_is_not_shown():
    found = section(gather([fairness_record(STRICT)], title="t")).finding
    assert found.startswith(
        "The gap that is surest was measured in dp-sgd-eps-2: equal opportunity difference, by dialect, is 31 points (25 to 37)"
    )
    assert found.endswith(
        "5 metrics were measured, of 1 family (decisions by group), and nothing on associations of words, likelihoods of sentences and "
        "generated text."
    )


@pytest.mark.parametrize(
    ("estimate", "margin", "said"),
    [
        (difference(0.01, reading.FAIR), 0.05, "; the verdict is fair within the margin of 5 points;"),
        (difference(0.06, reading.UNSURE), 0.05, "; the verdict is not enough data at the margin of 5 points;"),
        (difference(0.06), None, "; no margin was set, so there is no verdict;"),
        (difference(0.06), 0.05, "; no verdict applies to this figure;"),
    ],
)
def test_the_finding_gives_the_verdict(estimate: Estimate, margin: float | None, said: str):
    assert said in section(of(estimate, margin=margin)).finding


def test_a_gap_that_may_be_none_is_not_said_to_be_there():
    unsure = [difference(value, half=half, p_value=p, floor=0.0) for value, half, p in ((1.0, 1.0, 0.98), (0.16, 0.3, 0.14))]
    assert section(of(*unsure)).finding.startswith(
        "No gap could be told from none; the least unlikely is that of non-private: equal opportunity difference, by dialect, is 16 points "
        "(0 to 46), worst for Scottish, p = 0.14; no verdict applies to this figure;"
    )
    found = tile(of(*unsure))
    assert found.headline == "16 points"
    assert ", the least unlikely of 2 gaps (0 to 46). No gap could be told from none. Worst off: Scottish." in found.text
    other = difference(9.0, half=1.0, unit="score")
    assert section(of(*unsure, other)).finding.startswith(
        "No gap in shares could be told from none (1 in other units could); the least unlikely is that of non-private: "
    )
    assert section(of(difference(0.2, half=None), difference(0.1, half=None))).finding.startswith(
        "No gap has an interval, so none is sure; the largest is that of non-private: equal opportunity difference, by dialect, is 20"
    )


def test_of_several_runs_none_may_have_a_gap_that_can_be_told_from_none():
    gaps = [
        Evidence(estimates=(replace(difference(0.1, half=0.2, p_value=p), subject=one.name),))
        for one, p in zip(JUDGED, (0.1, 0.3, 0.2), strict=True)
    ]
    records = [replace(fairness_record(one), evidence=found) for one, found in zip(JUDGED, gaps, strict=True)]
    assert section(gather(records, title="t")).finding.startswith(
        "Of all runs, no gap could be told from none; the least unlikely is that of non-private: equal opportunity difference"
    )


def test_names_of_groups_have_blanks_in_sentences_and_stay_as_they_are_in_tables():
    raw = difference(0.3, worst="healthcare_occupations")
    row = number(OPEN, "equal-opportunity", "rate", None, missing="nobody", groups="dialect", group="sewing_occupations")
    made = section(of(raw, row))
    assert "worst for healthcare occupations; " in made.finding
    assert "Worst off: healthcare occupations." in tile(of(raw)).text
    assert "sewing occupations" in next(point.text for point in made.points if point.lead == "Missing:")
    assert column(table(made, SUMMARY), "Worst group") == ["healthcare_occupations"]
    assert column(table(made, "Every group, by dialect"), "Group") == ["sewing_occupations"]


def test_tables_and_finding_say_who_wrote_the_text():
    people, model = (difference(value, written_by=by) for value, by in ((0.9, "people"), (0.2, "model")))
    rows = [number(OPEN, "equal-opportunity", "rate", 0.5, groups="dialect", group="a", written_by=by) for by in ("model", "people")]
    made = section(of(people, model, *rows))
    assert made.finding.startswith(
        "The gap that is surest was measured in non-private: equal opportunity difference, by dialect, by the model, is 20.0 points"
    )
    assert column(table(made, SUMMARY), "Summary") == [
        "Equal opportunity difference, by dialect, by people, for reference",
        "Equal opportunity difference, by dialect, by the model",
    ]
    assert column(table(made, "Every group, by dialect"), "Rate") == ["Rate, by the model", "Rate, by people, for reference"]
    only = section(of(people))
    assert only.finding.startswith("No gap between groups was measured in what a user of the model meets")


def test_without_a_gap_the_finding_says_so():
    weat = number(OPEN, "weat", "weat_effect_size", 1.2, unit="standard deviations")
    assert section(of(weat)).finding == (
        "No gap between groups was measured in what a user of the model meets; 1 metric was measured, of 1 family (associations of words), "
        "and nothing on decisions by group, likelihoods of sentences and generated text."
    )
    found = tile(of(weat))
    assert (found.headline, found.tone, found.status) == ("not measured", "missing", "no gap")
    assert found.text == "Only associations of words were looked at, which is no gap between groups."


def test_the_tile_shows_the_surest_gap_with_interval_and_verdicts(document: Document):
    found = tile(document)
    assert (found.headline, found.tone) == ("31 points", "bad")
    assert found.text == "Equal opportunity difference, by dialect, of dp-sgd-eps-2, the surest of 13 gaps (25 to 37). Worst off: Jamaican."
    assert found.status == "of 13 gaps 7 unfair, 2 not enough data and 4 without a verdict"


@pytest.mark.parametrize(
    ("estimates", "margin", "tone", "status"),
    [
        ([difference(0.01, reading.FAIR)], 0.05, "good", "fair within the margin"),
        ([difference(0.01, reading.FAIR), difference(0.02, reading.FAIR)], 0.05, "good", "fair within the margin, all 2"),
        ([difference(0.01, reading.UNSURE)], 0.05, "caution", "not enough data"),
        ([difference(0.01, reading.FAIR), difference(None)], 0.05, "caution", "of 2 gaps 1 fair within the margin and 1 without a verdict"),
        ([difference(0.01, reading.FAIR), difference(0.01)], 0.05, "plain", "of 2 gaps 1 fair within the margin and 1 without a verdict"),
        ([difference(0.001)], None, "plain", "no margin set, so no verdict"),
        ([difference(0.001)], 0.05, "plain", "no verdict applies to this figure"),
        ([difference(None)], 0.05, "missing", "no gap"),
    ],
)
def test_the_tile_is_green_only_where_every_gap_was_found_fair(estimates: list[Estimate], margin: float | None, tone: str, status: str):
    found = tile(of(*estimates, margin=margin))
    assert (found.tone, found.status) == (tone, status)


def test_the_overview_has_the_surest_gap_of_each_run(document: Document):
    overview = front.overview(document)
    place = overview.columns.index("Surest gap")
    assert [row[place].text for row in overview.rows] == [
        "7\N{NO-BREAK SPACE}points",
        "15\N{NO-BREAK SPACE}points",
        "31\N{NO-BREAK SPACE}points",
    ]
    assert [row[place].notes for row in overview.rows] == [("3 to 11", "not enough data"), ("9 to 21", "unfair"), ("25 to 37", "unfair")]
    assert [row[place].tone for row in overview.rows] == ["caution", "bad", "bad"]
    bare = replace(fairness_record(PRIVATE), evidence=Evidence())
    mixed = front.overview(gather([fairness_record(OPEN), bare], title="t"))
    assert [row[mixed.columns.index("Surest gap")].text for row in mixed.rows] == ["7\N{NO-BREAK SPACE}points", "not measured"]


def test_the_points_say_what_the_numbers_do_not(made: Section):
    said = {point.lead: point.text for point in made.points}
    assert made.points_title == "What these numbers do not say"
    assert said[""].startswith("No number here makes a model fair.")
    assert "do not let a model go out, or hold it back, because of them" in said["Not for go or no-go:"]
    assert said["Not for go or no-go:"].startswith("WEAT, joint sample deviation (after Caliskan et al. 2017), StereoSet")
    assert "BBQ" not in said["Not for go or no-go:"], "its card says that it is extrinsic"
    assert said["Not enough data:"] == "The intervals of 7 of 20 gaps reach to both sides of the margin. That is no sign of fairness."
    assert said["Missing:"] == f"19 numbers could not be worked out, among them of {EMPTY}; the tables say why."
    assert "Up to 4% of the words of a set were unknown" in said["Unread:"]
    assert said["WEAT, joint sample deviation (after Caliskan et al. 2017):"] == (
        "Goldfarb-Tarrant et al. 2021 found no reliable correlation with what models do. Its size depends on the words chosen."
    )


def test_notes_of_the_metrics_stand_among_the_limits(document: Document):
    assert NOTE in [point.text for point in limits(document).points]


def test_without_a_margin_nothing_is_judged():
    points = {point.lead: point.text for point in section(of(difference(0.3), margin=None)).points}
    assert points["No verdict:"] == "No margin was set, so nothing here was judged fair or unfair."
    assert "Not enough data:" not in points


def test_with_a_margin_it_is_never_said_that_none_was_set():
    made = of(difference(0.3))
    points = {point.lead: point.text for point in section(made).points}
    assert points["No verdict:"] == "No verdict applies to the gaps measured here."
    assert "o margin" not in f"{section(made)}{tile(made)}"


def test_each_metric_has_its_card(made: Section):
    cards = [found for found in made.tables if found.title.startswith("Card: ")]
    assert [found.title for found in cards] == [f"Card: {title}" for title, *_ in METRICS.values()]
    weat = {row[0].text: [other[1].text for other in cards[5].rows if other[0].text == row[0].text] for row in cards[5].rows}
    assert weat["Name"] == ["weat"]
    assert (weat["Kind"], weat["Looks at"], weat["Family"]) == (["intrinsic"], ["embedding"], ["associations of words"])
    assert len(weat["Criticism"]) == 2
    assert weat["At parity"] == ["0"]
    assert weat["Measured alone by (dp-sgd)"] == ["holdfast fairness runs/dp-sgd --metric weat"]
    assert weat["Seconds (non-private)"] == ["1.9"]
    assert weat["Data (dp-sgd)"] == ["snips:data/snips, test split"]
    assert "Seconds (dp-sgd-eps-2)" not in weat, "which was not measured by it"


def test_a_metric_without_a_card_says_so():
    made = section(of(difference(0.1), carded=False))
    found = table(made, "Card: Equal opportunity")
    assert found.text.startswith("Its record holds no card")
    assert column(found, "Property") == ["Name", "Family"]
    assert "equal-opportunity" in next(point.text for point in made.points if point.lead == "Without a card:")


def test_a_card_without_a_single_ideal_says_so():
    record = fairness_record(OPEN)
    cards = {**record.settings["fairness"]["cards"], "weat": {"title": "WEAT", "ideal": None}}
    told = {**record.settings, "fairness": {**record.settings["fairness"], "cards": cards}}
    found = table(section(gather([replace(record, settings=told)], title="t")), "Card: WEAT")
    assert {row[0].text: row[1].text for row in found.rows}["At parity"] == "no single value"


def test_every_number_stands_in_exactly_one_table(document: Document, made: Section):
    titles = [SUMMARY, BENCHMARKS, *(found.title for found in made.tables if found.title.startswith("Every group"))]
    rows = sum(len(table(made, title).rows) for title in titles)
    assert rows == sum(len(run.estimates) for run in reading.runs(document))


def test_the_summaries_carry_test_effect_size_and_verdict(made: Section):
    found = table(made, SUMMARY)
    row = next(row for row in found.rows if row[1].text == "Equal opportunity difference, by dialect" and row[0].text == "dp-sgd")
    cells = dict(zip(found.columns, row, strict=True))
    assert (cells["Value"].text, cells["Value"].notes) == ("15 points", ("9 to 21",))
    assert (cells["p"].text, cells["p"].hint) == ("0.004", "10000 permutations of labels")
    assert (cells["Effect size"].text, cells["Effect size"].notes) == ("0.31", ("Cohen's h",))
    assert (cells["Detectable"].text, cells["n"].text) == ("4.3 points", "6,268 users")
    assert (cells["Verdict"].text, cells["Verdict"].tone) == ("unfair", "bad")
    assert cells["Worst group"].text == "Jamaican"


def test_a_group_without_a_number_stays_and_says_why(made: Section):
    found = table(made, "Every group, by dialect")
    empty = [row for row in found.rows if row[0].text == EMPTY]
    assert len(empty) == 4 * 3
    assert {row[found.columns.index("Value")].text for row in empty} == {f"not measured: {UNDEFINED}"}
    assert {row[found.columns.index("Value")].tone for row in empty} == {"missing"}
    assert "Detectable" not in found.columns, "a column that holds nothing is left out"
    assert found.text == ""


def test_sizes_stand_beside_a_number(made: Section):
    found = table(made, "Every group, by dialect")
    row = next(row for row in found.rows if row[0].text == "Scottish")
    assert (row[found.columns.index("n")].text, row[found.columns.index("n")].notes) == ("31", ("Scottish 94",))


def test_runs_are_compared_with_intervals_and_in_words(made: Section):
    found = table(made, DIFFERENCES)
    assert "as if they were independent" in found.text
    assert found.columns[3] == "In non-private"
    rows = {(row[0].text, row[1].text): row for row in found.rows}
    near = rows["dp-sgd", "Equal opportunity difference, by dialect"]
    assert (near[4].text, near[4].notes, near[5].text) == ("+7 points", ("−1 to +15",), "no")
    far = rows["dp-sgd-eps-2", "Equal opportunity difference, by dialect"]
    assert (far[4].text, far[4].notes, far[5].text) == ("+23 points", ("+15 to +31",), "yes")
    assert not any(row[0].text == "non-private" for row in found.rows)
    alone = section(gather([fairness_record(OPEN)], title="t"))
    assert DIFFERENCES not in [found.title for found in alone.tables]


def test_runs_without_intervals_are_compared_without_a_word():
    records = [
        replace(fairness_record(one), evidence=Evidence(estimates=(replace(difference(0.1, half=None), subject=one.name),)))
        for one in JUDGED[:2]
    ]
    assert column(table(section(gather(records, title="t")), DIFFERENCES), "Can it be seen?") == ["no interval"]


def test_how_numbers_were_measured_does_not_repeat_itself(document: Document, made: Section):
    found = table(made, "How these numbers were measured")
    assert len(found.rows) == len({tuple(cell.text for cell in row) for row in found.rows})
    assert len(found.rows) < sum(len(run.estimates) for run in reading.runs(document)) / 5
    assert {cell.text for cell in (row[3] for row in found.rows)} == {"–"}


@pytest.mark.slow
def test_what_a_metric_met_in_its_texts_is_never_printed():
    document = gather([fairness_record(OPEN)], title="t")
    assert DETECTED in str(document.to_json()), "else nothing is tested"
    assert DETECTED not in html.render(document)
    assert DETECTED not in model_card.render(document)


def test_the_accuracy_of_a_group_is_no_usefulness(document: Document):
    row = number(OPEN, "accuracy-parity", "accuracy", 0.001, groups="dialect", group="Scottish")
    more = replace(document, evidence=Evidence(estimates=(row,)) + document.evidence)
    assert training(more, drawn=False) == training(document, drawn=False)


def test_the_model_card_has_a_part_on_fairness(document: Document, four: Document):
    card = model_card.render(document)
    part = card.split("## Fairness\n")[1].split("\n## ")[0]
    assert part.startswith(
        "\nOf the runs with a promise, dp-sgd-eps-2 has the gap that is surest: equal opportunity difference, by dialect, is 31"
    )
    assert "Goldfarb-Tarrant et al. 2021 found no reliable correlation" in part
    assert "| Run | Summary | Value |" in part
    assert "- Not measured: federation, mitigation and rewriting." in card
    assert "\n\n\n" not in card
    assert "- Not measured: federation, fairness, mitigation and rewriting." in model_card.render(four)


def test_names_of_users_are_no_markup():
    told = {"groups": HOSTILE, "statistic": "difference", "worst": HOSTILE, "verdict": "unfair"}
    rows = [number(OPEN, HOSTILE, "selection_rate", 0.4, groups=HOSTILE, group=HOSTILE, **{"class": HOSTILE}), difference(0.2)]
    hostile = of(*rows, number(OPEN, HOSTILE, "demographic_parity_difference", 0.3, half=0.1, **told))
    page = html.render(hostile)
    assert HOSTILE not in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in model_card.render(hostile).replace("\\<b\\>", "")


@pytest.mark.slow
def test_drawing_again_gives_the_same_bytes(tmp_path: Path):
    first, second = (write_report(tmp_path / name / "trust.html", fairness_record(OPEN)) for name in ("one", "two"))
    for one, two in zip(vars(first).values(), vars(second).values(), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_the_evidence_gives_the_same_part_back(document: Document):
    again = Document.from_json(document.to_json())
    assert fairness(again, drawn=False) == fairness(document, drawn=False)


@pytest.mark.slow
def test_a_page_of_many_runs_stays_light(tmp_path: Path):
    many = [fairness_record(Judged(base=0, name=f"run {place}", gap=0.02 * place)) for place in range(8)]
    assert len(write_report(tmp_path / "trust.html", *many).html.read_bytes()) < 2_000_000


def test_a_run_may_be_any_of_many():
    many = gather([fairness_record(Judged(base=0, name=f"run {place}", gap=0.02 * place, language=False)) for place in range(8)], title="t")
    assert section(many).finding.startswith(
        "Of all runs, run 7 has the gap that is surest: equal opportunity difference, by dialect, is 14 points"
    )
