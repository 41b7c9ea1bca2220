"""Histograms of scores and areas by group show what the evidence holds, at any width, and hide no group in silence."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.report import Document, gather
from holdfast.report.figures import leakage, svg, theme

SVG = "{http://www.w3.org/2000/svg}"
SIZES = {"wide": (302, 190, 2), "narrow": (280, 170, 1)}
GROUPS = {"north": 0.55, "south": 0.71, "tiny": None}
Drawn = dict[str, str]


def histogram(subject: str, side: str, y: tuple[float, ...], *, left: float = -4.0, **fields: object) -> Curve:
    x = tuple(left + 0.5 * place for place in range(len(y)))
    given = {"low": tuple(0.8 * share for share in y), "high": tuple(1.2 * share for share in y), "conditions": {"bin_width": 0.5}}
    return Curve(name=f"score_histogram_{side}", subject=subject, x=x, y=y, x_label="score (toy)", y_label="share", **{**given, **fields})


def area(subject: str, group: str, value: float | None, *, attribute: str = "dialect", half: float | None = 0.1) -> Estimate:
    interval = None if value is None or half is None else Interval(low=value - half, high=min(1.0, value + half), level=0.95, method="m")
    missing = "too few rows: 3 members and 4 non-members" if value is None else None
    conditions = {"attribute": attribute, "group": group}
    fields = {"unit": "area", "direction": "lower is better", "interval": interval, "conditions": conditions, "missing": missing}
    return Estimate(name="group_auc", subject=subject, value=value, **fields)


def whole(subject: str, value: float) -> Estimate:
    return Estimate(name="membership_auc", subject=subject, value=value, unit="share", direction="lower is better")


def evidence(subject: str, groups: dict[str, float | None] = GROUPS) -> Evidence:
    curves = (
        histogram(subject, "members", (0.05, 0.05, 0.1, 0.1, 0.2, 0.5)),
        histogram(subject, "nonmembers", (0.3, 0.2, 0.2, 0.1, 0.1, 0.1)),
    )
    return Evidence(estimates=(whole(subject, 0.6), *(area(subject, name, value) for name, value in groups.items())), curves=curves)


@pytest.fixture(scope="module")
def document() -> Document:
    return gather([evidence("non-private"), evidence("dp-sgd"), evidence("dp-sgd-eps-2")], title="t")


@pytest.fixture(scope="module")
def drawn(document: Document) -> Drawn:
    return {f"{kind}-{size}": drawing for size in SIZES for kind, drawing in draw(document, size).items()}


def charts(document: Document, size: str) -> dict[str, object]:
    width, height, columns = SIZES[size]
    return {
        "histograms": leakage.histogram_chart(document, width=width, height=height, columns=columns),
        "areas": leakage.area_chart(document, "dialect", width=width + 20, columns=columns),
    }


def draw(document: Document, size: str = "wide") -> Drawn:
    words = {"histograms": leakage.describe_histograms(document), "areas": leakage.describe_areas(document, "dialect")}
    return {kind: svg.render(chart, name=f"{kind}-{size}", alternative=words[kind]) for kind, chart in charts(document, size).items()}


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def test_drawings_are_well_formed_and_follow_the_scheme(drawn: Drawn):
    for drawing in drawn.values():
        root = ElementTree.fromstring(drawing)
        assert (root.get("role"), len(root.get("aria-label") or "") > 60) == ("img", True)
        painted = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawing))
        assert {colour for colour in painted if not colour.startswith("var(--")} <= {"none", "transparent"}
        sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)]
        assert min(sizes) >= 11


def test_ids_are_unique_over_both_charts_and_widths(drawn: Drawn):
    ids = [found for drawing in drawn.values() for found in re.findall(r'\bid="([^"]+)"', drawing)]
    assert len(set(ids)) == len(ids)


def test_wide_and_narrow_drawings_fit_their_screens(drawn: Drawn):
    for name, drawing in drawn.items():
        width = int(re.search(r'viewBox="0 0 (\d+) ', drawing)[1])
        assert width <= (768 if name.endswith("wide") else 360), name


def test_charts_are_valid_vega_lite_and_repeat(document: Document):
    for size in SIZES:
        for chart, again in zip(charts(document, size).values(), charts(document, size).values(), strict=True):
            assert svg.configured(chart).to_dict(validate=True) == svg.configured(again).to_dict(validate=True)


def test_the_runs_keep_their_colours(drawn: Drawn):
    for drawing in drawn.values():
        for run in range(3):
            assert f"var(--run-{run + 1}, {theme.colour(run)})" in drawing


def test_both_sides_are_named_in_each_panel(drawn: Drawn):
    words = letters(drawn["histograms-wide"])
    assert words.count("members") == words.count("non-members") == 3
    assert {"non-private", "dp-sgd", "dp-sgd-eps-2", "score (toy)"} <= set(words)


def test_the_last_bin_is_closed():
    rows = leakage._steps(histogram("a", "members", (0.25, 0.75), conditions={"bin_width": 2.0}, left=0.0))
    assert [row["x"] for row in rows] == [0.0, 0.5, 2.5]
    assert rows[-1]["y"] == rows[-2]["y"] == 0.75


def test_histograms_that_do_not_belong_together_are_not_drawn():
    alone = Evidence(curves=(histogram("a", "members", (0.5, 0.5)),))
    shifted = alone + Evidence(curves=(histogram("a", "nonmembers", (0.5, 0.5), left=0.0),))
    for found in (alone, shifted):
        document = gather([found, whole_evidence("b")], title="t")
        assert leakage.histograms(document) == {}
        assert "a: no scores recorded" in leakage.describe_histograms(document)


def whole_evidence(subject: str) -> Evidence:
    return Evidence(estimates=(whole(subject, 0.5),))


@pytest.mark.parametrize("y", [(1.0, 0.0), (0.0, 0.0), (0.5, 0.5)])
def test_histograms_of_any_shape_are_drawn(y: tuple[float, float]):
    bare = {"low": (), "high": (), "conditions": {}}
    curves = (histogram("a", "members", y, **bare), histogram("a", "nonmembers", (0.5, 0.5), **bare))
    chart = leakage.histogram_chart(gather([Evidence(curves=curves)], title="t"), width=300, height=150, columns=1)
    assert {"members", "non-members"} <= set(letters(svg.render(chart, name="h", alternative="words")))


def test_each_group_is_named_with_its_figures(drawn: Drawn):
    words = letters(drawn["areas-narrow"])
    assert words.count("north") == words.count("tiny") == 3
    assert words.count("0.55 (0.45–0.65)") == 3
    assert words.count("too few rows") == 3
    assert words.count("guessing") == 3
    assert words.count("all rows 0.6") == 3
    assert words.count("AUC") == 1


def test_dots_stand_in_the_order_of_their_values(document: Document):
    only = replace(document, evidence=document.evidence.about("dp-sgd"))
    spec = svg.configured(leakage.area_chart(only, "dialect", width=300, columns=1)).to_dict()
    layers = [(layer, spec["datasets"][layer["data"]["name"]][0]) for layer in spec["concat"][0]["layer"]]
    dots = [row for layer, row in layers if layer["mark"]["type"] == "point"]
    assert [dot["value"] for dot in dots] == [0.55, 0.71]
    spans = [row for _, row in layers if "low" in row]
    assert [span["low"] for span in spans] == pytest.approx([0.45, 0.61])
    assert [span["high"] for span in spans] == pytest.approx([0.65, 0.81])
    upright = [row["value"] for layer, row in layers if "y2" in layer["encoding"]]
    assert upright == [0.5, 0.6, 0.5, 0.6]  # guessing and all rows, beside each dot


def test_the_axis_holds_every_interval_and_one_half(document: Document):
    low, high = leakage._domain(document, leakage.areas(document, "dialect"))
    assert low < 0.45
    assert 0.81 < high < 0.9
    far = gather([Evidence(estimates=(area("a", "x", 0.97),))], title="t")
    low, high = leakage._domain(far, leakage.areas(far, "dialect"))
    assert (low < 0.5, high) == (True, 1.0)


def test_of_many_groups_those_that_leak_most_are_drawn_and_the_rest_is_counted():
    groups = {f"group {number}": 0.5 + 0.02 * (number * 7 % 20) for number in range(20)}
    document = gather([evidence("a", groups)], title="t")
    names, left_out = leakage.shown(leakage.areas(document, "dialect"))
    assert (len(names), left_out) == (leakage.MOST, 8)
    assert min(groups[name] for name in names) > max(value for name, value in groups.items() if name not in names)
    words = letters(draw(document)["areas"])
    assert "and 8 more groups, in the table" in words
    assert leakage.describe_areas(document, "dialect").count("group ") == 20


def test_rows_of_groups_do_not_overlap(drawn: Drawn):
    found = re.findall(r'<text text-anchor="start" transform="translate\(0,([\d.]+)\)"[^>]*>(north|south|tiny)<', drawn["areas-narrow"])
    heights = [float(height) for height, _ in found[:3]]
    assert all(later - earlier >= 30 for earlier, later in itertools.pairwise(heights))


def test_attributes_have_charts_of_their_own():
    both = evidence("a") + Evidence(estimates=(area("a", "old", 0.5, attribute="age"),))
    document = gather([both], title="t")
    assert leakage.attributes(document) == ("dialect", "age")
    assert [[estimate.conditions["group"] for estimate in found] for found in leakage.areas(document, "age").values()] == [["old"]]
    assert leakage.attributes(gather([whole_evidence("a")], title="t")) == ()


def test_of_several_attacks_the_one_with_the_largest_area_of_all_rows_is_drawn():
    def by(attack: str, estimate: Estimate) -> Estimate:
        return replace(estimate, conditions={**estimate.conditions, "attack": attack})

    whole = [by(attack, replace(area("a", "north", value), name="membership_auc")) for attack, value in (("weak", 0.6), ("strong", 0.7))]
    groups = [by("weak", area("a", "north", 0.9)), by("strong", area("a", "north", 0.65)), by("strong", area("a", "tiny", None))]
    document = gather([Evidence(estimates=(*whole, *groups))], title="t")
    assert [estimate.value for estimate in leakage.areas(document, "dialect")[0]] == [0.65, None]
    assert document.attacks("a") == ("weak", "strong")
    assert document.strongest("a") == "strong"


def test_areas_without_an_interval_or_a_whole_are_drawn():
    document = gather([Evidence(estimates=(area("a", "x", 0.6, half=None), area("a", "y", None)))], title="t")
    chart = leakage.area_chart(document, "dialect", width=300, columns=1)
    words = letters(svg.render(chart, name="g", alternative="words"))
    assert {"x", "y", "0.6", "too few rows"} <= set(words)
    assert not [word for word in words if word.startswith("all rows")]


def test_words_hold_the_figures(document: Document):
    spoken = leakage.describe_areas(document, "dialect")
    assert "dp-sgd: north 0.55 (0.45–0.65), south 0.71 (0.61–0.81), tiny not measured" in spoken
    assert "non-private: most members near -1.25 and most non-members near -3.75; the two histograms share 50% of their area" in (
        leakage.describe_histograms(document)
    )


@pytest.mark.parametrize("name", ['</svg><script>alert("1")</script>', "\"' onload='alert(1)", "a\nb" * 60])
def test_names_cannot_break_out_of_a_drawing(name: str):
    document = gather([evidence("a", {name: 0.6}), evidence(name)], title="t")
    for drawing in draw(document).values():
        root = ElementTree.fromstring(drawing)
        assert not list(root.iter(f"{SVG}script"))
        assert not [attribute for part in root.iter() for attribute in part.attrib if attribute.startswith("on")]


def test_a_long_name_leaves_room_for_its_figures():
    long = "a dialect with a name that goes on and on and on"
    words = letters(draw(gather([evidence("a", {long: 0.6})], title="t"), "narrow")["areas"])
    shortened = next(word for word in words if word.startswith("a dialect"))
    assert shortened.endswith("…")
    assert leakage.text_width(shortened) + leakage.text_width("0.60 (0.50–0.70)") < 300
