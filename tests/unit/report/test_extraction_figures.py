"""The charts on planted secrets and gradients show what the evidence holds, at any width, and in words too."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.reporting import SECRETS, Hidden, gradients, secret_runs, secrets

from holdfast.core.evidence import Evidence
from holdfast.report import Document, gather
from holdfast.report import figures as page
from holdfast.report.figures import exposure, fills, svg, theme
from holdfast.report.figures import gradients as panels

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"
PIN = SECRETS["non-private"][0]
Drawn = dict[str, page.Figure]


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(secret_runs(), title="t")


@pytest.fixture(scope="module")
def drawn(document: Document) -> Drawn:
    made = (page.exposures(document), page.ranks(document), *page.fill_losses(document), page.gradient_panels(document))
    return {figure.name: figure for figure in made}


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def rows(chart: object) -> list[tuple[str, dict]]:
    """Kind of mark and first row of data of each layer of a chart or of its panels."""
    spec = svg.configured(chart).to_dict()
    layers = [layer for panel in spec.get("concat", [spec]) for layer in panel["layer"]]
    return [(layer["mark"]["type"], spec["datasets"][layer["data"]["name"]][0]) for layer in layers]


def of(*hidden: Hidden, name: str = "a", **fields: object) -> Document:
    return gather([secrets(name, hidden, **fields)], title="t")


def test_drawings_are_well_formed_follow_the_scheme_and_fit(drawn: Drawn):
    for name, figure in drawn.items():
        for drawing, limit in ((figure.wide, 768), (figure.narrow, 360)):
            root = ElementTree.fromstring(drawing)
            assert (root.get("role"), len(root.get("aria-label") or "") > 60) == ("img", True)
            painted = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawing))
            assert {colour for colour in painted if not colour.startswith("var(--")} <= {"none", "transparent"}
            assert min(float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)) >= 11
            assert int(re.search(r'viewBox="0 0 (\d+) ', drawing)[1]) <= limit, name


def test_ids_are_unique(drawn: Drawn):
    ids = [
        found for figure in drawn.values() for drawing in (figure.wide, figure.narrow) for found in re.findall(r'\bid="([^"]+)"', drawing)
    ]
    assert len(set(ids)) == len(ids)


def test_charts_are_valid_vega_lite_and_repeat(document: Document):
    for make in (
        lambda: exposure.exposure_chart(document, width=300, columns=2),
        lambda: exposure.rank_chart(document, width=700, wordy=True),
        lambda: fills.chart(document, width=300, height=150, columns=2),
        lambda: panels.chart(document, width=200, height=150, columns=2),
    ):
        assert svg.configured(make()).to_dict(validate=True) == svg.configured(make()).to_dict(validate=True)


def test_the_runs_keep_their_colours(drawn: Drawn):
    for name in ("exposure", "ranks", "fills"):
        for run in range(2):
            assert f"var(--run-{run + 1}, {theme.colour(run)})" in drawn[name].wide


def test_each_exposure_stands_at_its_value_on_a_track_to_the_most_that_is_possible(document: Document):
    found = rows(exposure.exposure_chart(document, width=300, columns=1))
    dots = [row["value"] for kind, row in found if kind == "point"]
    assert dots[:3] == pytest.approx([math.log2(10_000), math.log2(10_000 / 3), math.log2(20_736 / 212)])
    tracks = [row["high"] for kind, row in found if kind == "rule" and row.get("low") == 0]
    assert tracks[:3] == pytest.approx([math.log2(10_000), math.log2(10_000), math.log2(20_736)])
    nulls = [row["value"] for kind, row in found if kind == "rule" and row.get("value") == 1.443]
    assert len(nulls) == len(dots) == 7


def test_the_cap_of_a_promise_is_drawn_where_it_rules_something_out(document: Document, drawn: Drawn):
    found = rows(exposure.exposure_chart(document, width=300, columns=1))
    assert [row["low"] for kind, row in found if kind == "rect"] == [9.5] * 3
    assert drawn["exposure"].caption.endswith(
        "Dashed: the most that the run's promise allows; beyond it, shaded, a secret lies with a chance of at most 2% if the promise holds."
    )
    loose = of(PIN, cap=20.0)
    assert not [row for kind, row in rows(exposure.exposure_chart(loose, width=300, columns=1)) if kind == "rect"]
    assert "Dashed" not in page.exposures(loose).caption


def test_marks_are_filled_where_a_search_found_the_secret(document: Document):
    spec = svg.configured(exposure.rank_chart(document, width=700, wordy=True)).to_dict()
    marks = [
        (spec["datasets"][layer["data"]["name"]][0]["value"], layer["mark"].get("fill") is None)
        for layer in spec["layer"]
        if layer["mark"]["type"] == "point"
    ]
    assert marks == [(1, True), (874, False), (3, False), (5_120, False), (212, False), (16_201, False)]
    strokes = [
        row["value"] for kind, row in rows(exposure.rank_chart(document, width=700, wordy=True)) if kind == "rule" and "value" in row
    ]
    assert 5_123 in strokes, "a control that was not searched for is a stroke"


def test_words_beside_a_rank_say_what_the_search_found(drawn: Drawn):
    words = letters(drawn["ranks"].wide)
    assert {"non-private: 1, found whole", "non-private: 3, 3 of 4 words found", "dp-sgd-eps-2: 5,123, not searched for"} <= set(words)
    assert {"non-private: 1", "dp-sgd-eps-2: 16,201"} <= set(letters(drawn["ranks"].narrow))


def test_a_rank_of_one_is_drawn_inside_the_chart(document: Document):
    spec = svg.configured(exposure.rank_chart(document, width=700, wordy=True)).to_dict()
    low, high = next(layer["encoding"]["x"]["scale"]["domain"] for layer in spec["layer"] if "scale" in layer["encoding"]["x"])
    assert low < 1
    assert high > 20_736


def test_the_outcome_of_searches_in_words():
    hidden = [replace(PIN, found="four one six six"), replace(PIN, name="call")]
    found = exposure.ranked(of(*hidden))
    assert [exposure.outcome(secrets[0]) for secrets in found.values()] == ["2 of 4 words found", "found whole"]
    assert exposure.outcome(exposure.ranked(of(PIN, searched=False))["pin, 4 words, planted 100 times"][0]) == "not searched for"


def test_of_many_secrets_the_most_exposed_are_drawn_and_the_rest_counted():
    many = [replace(PIN, name=f"s{number}", rank=1 + 37 * (number * 7 % 20)) for number in range(20)]
    crowd = of(*many)
    kept, left_out = exposure.kept(exposure.exposed(crowd)[0])
    assert (len(kept), left_out) == (exposure.MOST, 8)
    assert max(secret.rank for secret in kept) == 1 + 37 * 11
    assert [secret.name for secret in kept] == sorted((secret.name for secret in kept), key=lambda name: int(name.split(",")[0][1:]))
    assert "and 8 more in the table" in letters(page.exposures(crowd).narrow)
    assert "and 8 more in the table" in letters(page.ranks(crowd).narrow)
    assert exposure.describe_exposures(crowd).count("planted 100 times") == 20


def test_the_histogram_is_of_the_secret_that_most_runs_have_and_that_is_exposed_most(document: Document):
    assert [(secret.run, secret.name[:3]) for secret in fills.drawable(document)] == [(0, "pin"), (1, "pin")]
    both = of(replace(PIN, rank=400), replace(PIN, name="call", rank=2))
    assert [secret.name[:4] for secret in fills.drawable(both)] == ["call"]


def test_the_line_of_the_secret_stands_at_its_loss_and_inside(document: Document):
    marks = [row["x"] for kind, row in rows(fills.chart(document, width=300, height=150, columns=2)) if kind == "rule"]
    losses = [fills.truth(secret.fills) for secret in fills.drawable(document)]
    assert marks == losses
    curve = replace(secrets("a", (PIN,)).curves[0], conditions={**secrets("a", (PIN,)).curves[0].conditions, "truth": -3.0})
    far = gather([Evidence(estimates=secrets("a", (PIN,)).estimates, curves=(curve,))], title="t")
    spec = svg.configured(fills.chart(far, width=300, height=150, columns=1)).to_dict()
    assert spec["concat"][0]["layer"][0]["encoding"]["x"]["scale"]["domain"][0] < -3.0


def test_bins_are_drawn_around_their_middles():
    curve = replace(secrets("a", (PIN,)).curves[0], x=(0.5, 1.5), y=(0.25, 0.75))
    assert fills._steps(curve, fills._step(curve)) == [{"x": 0.0, "y": 0.25}, {"x": 1.0, "y": 0.75}, {"x": 2.0, "y": 0.75}]


def test_a_histogram_without_the_secret_or_without_bins_is_not_drawn():
    bare = secrets("a", (PIN,))
    curve = bare.curves[0]
    untold = replace(curve, conditions={key: value for key, value in curve.conditions.items() if key != "truth"})
    for other in (untold, replace(curve, x=(), y=())):
        assert page.fill_losses(gather([replace(bare, curves=(other,))], title="t")) == ()


def test_each_method_is_a_line_with_its_name_at_the_end(drawn: Drawn):
    words = letters(drawn["gradient-panels"].wide)
    for name in ("embedding rows", "subspace", "prior only"):
        assert words.count(name) == 4
    assert {"Batch size", "Cohort", "Clip norm", "Noise multiplier"} <= set(words)
    assert words.count("batch size 1, cohort 1, no noise") == 1
    assert words.count("batch size 1, no clipping, no noise, words of one client") == 1


def test_points_of_the_panels_carry_the_values(document: Document):
    spec = svg.configured(panels.chart(document, width=200, height=150, columns=2)).to_dict()
    layers = [layer for layer in spec["concat"][0]["layer"] if layer["mark"]["type"] == "line"]
    data = [spec["datasets"][layer["data"]["name"]] for layer in layers]
    assert [row["y"] for row in data[0]] == [0.99] * 5
    assert [row["y"] for row in data[1]] == pytest.approx([0.91, 0.86, 0.76, 0.56, 0.3])
    assert [round(row["x"]) for row in data[0]] == [0, 1, 2, 3, 4]
    assert all(row["low"] < row["y"] < row["high"] for row in data[1])


def test_panels_of_two_runs_name_them():
    both = gather([gradients("one"), gradients("two")], title="t")
    words = letters(page.gradient_panels(both).narrow)
    assert {"Cohort, one", "Cohort, two"} <= set(words)


def test_one_setting_alone_is_no_chart():
    (first, *_) = gradients("a").estimates
    alone = gather([Evidence(estimates=(replace(first, name="token_f1"),))], title="t")
    assert page.gradient_panels(alone).empty == "Only one setting was tried, so there is nothing to compare."


def test_what_was_not_measured_is_an_empty_state(four: Document):
    assert page.exposures(four).empty == "The exposure of the secrets was not measured."
    assert page.ranks(four).empty == "The secrets were not ranked among all their fills."


def test_words_hold_the_figures(document: Document):
    spoken = exposure.describe_exposures(document)
    assert "dp-sgd-eps-2: pin, 4 words, planted 100 times: 3.52 bits of at most 13.3, the promise allows 9.5" in spoken
    assert "call, 4 words, planted 10 times: non-private rank 3 of 10,000, 3 of 4 words found" in exposure.describe_ranks(document)
    assert "non-private: most fills have a loss near" in fills.describe(document)
    assert "non-private, by clip norm (batch size 1, cohort 1, no noise): embedding rows 99.0% (97.5–99.6%) at none" in panels.describe(
        document
    )


@pytest.mark.parametrize("name", ['</svg><script>alert("1")</script>', "\"' onload='alert(1)", "a\nb" * 60, "'][0]; \\"])
def test_names_cannot_break_out_of_a_drawing(name: str):
    hidden = Hidden(name=name, rank=2, found=f"{name} b".replace("\n", " "), truth=f"{name} b".replace("\n", " "))
    methods = [replace(one, conditions={**one.conditions, "method": name, "cohort": name}) for one in gradients(name).estimates]
    document = gather([secrets(name, (hidden,)), Evidence(estimates=tuple(methods))], title="t")
    made = (page.exposures(document), page.ranks(document), *page.fill_losses(document), page.gradient_panels(document))
    for figure in made:
        for drawing in (figure.wide, figure.narrow):
            root = ElementTree.fromstring(drawing)
            assert not list(root.iter(f"{SVG}script"))
            assert not [attribute for part in root.iter() for attribute in part.attrib if attribute.startswith("on")]
