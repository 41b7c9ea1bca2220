"""The charts of federated runs show what the evidence holds, at any width, and in words too."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.reporting_federated import CROWDS, SHOWN, Crowd, federated_runs

from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.report import Document, gather
from holdfast.report.federation import curves, lines, lorenz, maps, percentiles, reading, traffic
from holdfast.report.federation.section import federation
from holdfast.report.figures import Figure, svg, theme

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"
NAMES = tuple(crowd.name for crowd in CROWDS)
Drawn = dict[str, Figure]
Runs = tuple[reading.Federated, ...]
CHARTS: tuple[Callable[[Sequence[reading.Federated]], Figure | None], ...] = (
    *(curves.convergence, lorenz.lorenz, curves.participation, curves.scores_by_decile, percentiles.spread_of_clients),
    *(maps.distances, traffic.traffic, curves.prequential, maps.forgetting),
)


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(federated_runs(), title="t")


@pytest.fixture(scope="module")
def found(document: Document) -> Runs:
    return reading.runs(document)


@pytest.fixture(scope="module")
def drawn(document: Document) -> Drawn:
    made = federation(document)
    assert made is not None
    return {figure.name: figure for figure in made.figures}


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def spoken(drawing: str) -> str:
    return ElementTree.fromstring(drawing).get("aria-label") or ""


def of(*items: Estimate | Curve) -> Runs:
    estimates = tuple(item for item in items if isinstance(item, Estimate))
    curves_ = tuple(item for item in items if isinstance(item, Curve))
    return reading.runs(gather([Evidence(estimates=estimates, curves=curves_)], title="t"))


def estimate(name: str, value: float, *, subject: str = "a", unit: str = "share", **conditions: object) -> Estimate:
    return Estimate(name=name, subject=subject, value=value, unit=unit, direction="neither", conditions=conditions)


def curve(name: str, y: Sequence[float], *, subject: str = "a", x: Sequence[float] | None = None, **fields: object) -> Curve:
    places = tuple(range(1, len(y) + 1)) if x is None else tuple(x)
    return Curve(name=name, subject=subject, x=places, y=tuple(y), x_label="round", y_label="score", **fields)


def square(side: int, value: float, *, subject: str = "a", **conditions: object) -> Curve:
    y = [0.0 if one == other else value for one in range(side) for other in range(side)]
    return curve("js_map", y, subject=subject, conditions={"clients": side, **conditions})


def specification(chart: object) -> dict:
    return svg.configured(chart).to_dict()


def layers(chart: object) -> list[tuple[str, list[dict]]]:
    """Kind of mark and rows of data of each layer of a chart or of its panels."""
    spec = specification(chart)
    parts = [layer for panel in spec.get("concat", [spec]) for layer in panel["layer"]]
    return [(layer["mark"]["type"], spec["datasets"][layer["data"]["name"]]) for layer in parts]


def test_each_chart_is_there_in_the_order_of_the_page(drawn: Drawn):
    assert list(drawn) == [
        *("convergence", "lorenz", "participation", "score-deciles", "client-spread", "js-map", "traffic", "prequential", "forgetting")
    ]


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


def test_no_chart_is_a_heavy_one(drawn: Drawn):
    assert max(len(drawing) for figure in drawn.values() for drawing in (figure.wide, figure.narrow)) < 60_000


def test_the_runs_keep_their_colours(drawn: Drawn):
    for name in ("convergence", "lorenz", "participation", "score-deciles", "client-spread", "traffic"):
        for run in range(3):
            assert f"var(--run-{run + 1}, {theme.colour(run)})" in drawn[name].wide, name
    assert "var(--run-3," in drawn["prequential"].wide
    assert "var(--run-1," not in drawn["prequential"].wide


def test_charts_without_evidence_are_left_out():
    nothing = of(estimate("participation_gini", 0.3))
    assert [chart(nothing) for chart in CHARTS] == [None] * len(CHARTS)
    static = reading.runs(gather(federated_runs(CROWDS[0]), title="t"))
    assert (curves.prequential(static), maps.forgetting(static)) == (None, None)


def test_convergence_names_each_run_at_the_end_of_both_panels(drawn: Drawn):
    for drawing in (drawn["convergence"].wide, drawn["convergence"].narrow):
        words = letters(drawing)
        assert {"Accuracy on the test set", "Loss on the test set (nats)"} <= set(words)
        assert words.count("uniform") == 2
    assert "uniform from 0.179 at 1 to 0.679 at 40" in spoken(drawn["convergence"].wide)


def test_a_run_has_its_score_or_its_loss_or_both():
    only_loss = curves.convergence(of(curve("convergence", [3.0, 2.0])))
    assert only_loss is not None
    assert "test set" not in " ".join(letters(only_loss.wide))
    perplexed = curve("convergence_score", [300.0, 120.0], conditions={"measure": "perplexity"})
    found = curves.convergence(of(perplexed))
    assert found is not None
    assert "%" not in "".join(letters(found.wide))
    assert "Perplexity on the test set" in letters(found.wide)


def test_deciles_have_ten_marks_and_their_intervals(found: Runs):
    frame = lines.Frame(heading="h", bottom="b", marked=True)
    line = lines.Line(run=1, name="n", x=(1.0, 2.0), y=(0.4, 0.6), low=(0.3, 0.5), high=(0.5, 0.7))
    made = layers(lines.panel([line], frame, width=200, height=100, room=60))
    assert [kind for kind, _ in made[:3]] == ["rule", "line", "point"]
    assert [row["low"] for row in made[0][1]] == [0.3, 0.5]
    drawing = curves.scores_by_decile(found)
    assert drawing is not None
    assert "uniform 67.2% in 1" in spoken(drawing.wide)
    assert "Upright lines are intervals" in drawing.caption


def test_bands_are_drawn_where_each_point_has_an_interval_and_no_marks():
    line = lines.Line(run=0, name="n", x=(1.0, 2.0), y=(0.4, 0.6), low=(0.3, 0.5), high=(0.5, 0.7))
    made = layers(lines.panel([line], lines.Frame(heading="h", bottom="b"), width=200, height=100, room=60))
    assert [kind for kind, _ in made[:3]] == ["area", "line", "point"]
    assert [row["x"] for row in made[2][1]] == [2.0], "the end alone has a mark"


def test_intervals_of_some_deciles_alone_are_not_drawn():
    known = [estimate("client_score_decile", 0.5, decile=decile, measure="accuracy") for decile in (1, 2)]
    interval = Estimate(**{**vars(known[0]), "interval": None})
    figure = curves.scores_by_decile(of(interval, known[1]))
    assert figure is not None
    assert "Upright" not in figure.caption


def test_the_axis_of_scores_follows_the_intervals_and_not_nought():
    line = lines.Line(run=0, name="n", x=(1.0, 2.0), y=(0.7, 0.72), low=(0.68, 0.7), high=(0.72, 0.74))
    chart = lines.panel([line], lines.Frame(heading="h", bottom="b", percent=True, marked=True, floor=None), width=200, height=100, room=60)
    scales = [layer["encoding"].get("y", {}).get("scale") for layer in specification(chart)["layer"]]
    domains = [scale["domain"] for scale in scales if scale is not None]
    assert domains
    for low, high in domains:
        assert 0.66 < low < 0.68
        assert 0.74 < high < 0.76


@pytest.mark.parametrize(
    ("y", "floor", "percent", "low", "high"),
    [
        ((0.2, 0.98), 0.0, True, 0.0, 1.0),
        ((0.0, 0.0), 0.0, False, 0.0, 1.0),
        ((2.0, 4.0), None, False, 1.88, 4.12),
        ((-1.0, 1.0), 0.0, False, -1.12, 1.12),
        ((5.0, 5.0), None, False, 4.75, 5.25),
    ],
)
def test_the_ends_of_the_y_axis(y: tuple[float, ...], floor: float | None, percent: bool, low: float, high: float):
    line = lines.Line(run=0, name="n", x=(1.0, 2.0), y=y)
    chart = lines.panel([line], lines.Frame(heading="h", bottom="b", percent=percent, floor=floor), width=200, height=100, room=60)
    assert specification(chart)["layer"][0]["encoding"]["y"]["scale"]["domain"] == pytest.approx([low, high])


def test_marks_on_the_ground_do_not_hide_the_names_below_it():
    line = lines.Line(run=0, name="n", x=(1.0, 2.0), y=(0.0, 10.0))
    chart = lines.panel([line], lines.Frame(heading="h", bottom="b", marked=True), width=200, height=100, room=60)
    low, high = specification(chart)["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert (low, high) == pytest.approx((-0.45, 10.6))


def test_one_round_alone_is_drawn():
    figure = curves.convergence(of(curve("convergence_score", [0.3])))
    assert figure is not None
    assert "a from 0.3 at 1 to 0.3 at 1" in spoken(figure.wide)


def test_a_long_line_is_thinned_and_keeps_its_end():
    kept = lines.thinned(1_234)
    assert len(kept) <= lines.POINTS + 1
    assert (kept[0], kept[-1]) == (0, 1_233)
    assert lines.thinned(3) == [0, 1, 2]


def test_many_runs_get_a_taller_panel_and_the_rest_a_word():
    many = [lines.Line(run=run, name=f"run {run}", x=(1.0, 2.0), y=(0.1, run / 40)) for run in range(30)]
    spec = specification(lines.panel(many, lines.Frame(heading="Score", bottom="round"), width=200, height=100, room=80))
    assert spec["height"] >= 24 * lines.LINE
    names = [
        row["name"]
        for kind, rows in layers(lines.panel(many, lines.Frame(heading="Score", bottom="round"), width=200, height=100, room=80))
        if kind == "text"
        for row in rows
        if "name" in row
    ]
    assert names == [f"run {run}" for run in range(24)]
    assert "Score (and 6 more in the table)" in [layer["mark"].get("text") for layer in spec["layer"]]


def test_names_that_would_be_cut_alike_keep_their_ends():
    names = ["activity^0.5, uniform weights", "activity^0.5, examples weights", "uniform"]
    short = lines.brief(names, 14)
    assert short == ["act…uniform w…", "act…examples …", "uniform"]
    assert lines.brief(["same long long name"] * 2, 8) == ["same lo…"] * 2


def test_activity_is_drawn_once_where_all_runs_share_it(found: Runs, drawn: Drawn):
    assert [one.name for one in lorenz.shares(found)] == ["activity", *NAMES]
    assert {"activity: 0.61", "uniform: 0.12"} <= set(letters(drawn["lorenz"].wide))
    assert "activity: 0.61; the lower half holds 5.83%" in spoken(drawn["lorenz"].wide)


def test_activity_is_drawn_for_each_split_where_splits_differ():
    def split(subject: str, power: float) -> Curve:
        return curve("activity_lorenz", [(place / 4) ** power for place in range(5)], subject=subject, x=[place / 4 for place in range(5)])

    drawn = lorenz.shares(of(split("a", 2.0), split("b", 3.0), split("c", 2.0)))
    assert [one.name for one in drawn] == ["activity, a", "activity, b"]
    assert drawn[0].label == "activity, a"
    assert drawn[0].run is None


def test_a_lorenz_curve_is_read_between_its_points():
    one = lorenz.Share(name="n", curve=curve("activity_lorenz", [0.0, 0.2, 1.0], x=[0.0, 0.5, 1.0]), gini=None)
    assert [one.at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.0, 0.1, 0.2, 0.6, 1.0])


def test_single_clients_have_a_hollow_mark_for_the_worst(drawn: Drawn, found: Runs):
    words = letters(drawn["client-spread"].wide)
    assert "worst 9.2%, 10th 38.2%" in words
    assert "Over 911 clients with at least 5 test examples" in drawn["client-spread"].caption
    assert "uniform: worst 9.2%, 10th percentile 38.2%, median 73.2%, 90th percentile 91.2%" in spoken(drawn["client-spread"].wide)
    rows = [(one, one.percentiles()) for one in found[:1]]
    marks = [layer["mark"] for layer in specification(percentiles._chart(rows, width=300))["layer"] if layer["mark"]["type"] == "point"]
    assert [("stroke" in mark, "color" in mark) for mark in marks] == [(True, False), (False, True)]


def test_percentiles_of_no_shares_have_an_axis_of_their_own():
    known = [estimate("client_score_percentile", value, unit="ratio", percentile=place) for place, value in ((0, 90.0), (50, 30.0))]
    figure = percentiles.spread_of_clients(of(*known))
    assert figure is not None
    assert "%" not in "".join(letters(figure.wide))
    assert "The worst of many small clients is low by chance alone." in figure.caption


def test_a_map_is_drawn_once_for_runs_of_one_split(found: Runs, drawn: Drawn):
    (one,) = maps.maps(found)
    assert (one.clients, one.of, one.mean) == (SHOWN, 1_204, "0.53")
    assert one.most == pytest.approx(math.sqrt(math.log(2)))
    assert "Mean distance 0.53" in letters(drawn["js-map"].wide)
    assert "24 of 1,204 clients" in drawn["js-map"].caption
    assert "0.83" in letters(drawn["js-map"].wide)


def test_maps_of_several_splits_carry_their_names():
    figure = maps.distances(of(square(4, 0.3), square(4, 0.6, subject="b"), square(4, 0.3, subject="c")))
    assert figure is not None
    words = letters(figure.wide)
    assert [word for word in words if "distance" in word] == ["a, distance", "b, distance"]
    assert "b: 4 of 4 clients, distances from 0.6 to 0.6" in spoken(figure.wide)


def test_every_cell_of_a_map_is_in_one_step_and_where_it_belongs():
    (one,) = maps.maps(of(square(3, 0.5)))
    paths = [maps._path(one.rows, one.most, step, 10.0) for step in range(maps.STEPS)]
    full = [step for step, path in enumerate(paths) if path]
    assert full == [0, int(maps.STEPS * 0.5 / one.most)]
    assert (
        paths[0]
        == "M0.0,0.0L10.0,0.0L10.0,10.0L0.0,10.0ZM10.0,10.0L20.0,10.0L20.0,20.0L10.0,20.0ZM20.0,20.0L30.0,20.0L30.0,30.0L20.0,30.0Z"
    )
    assert paths[full[1]].startswith("M10.0,0.0L30.0,0.0"), "neighbours are one"
    assert sum(path.count("Z") for path in paths) == 3 + 4


def test_the_strongest_colour_is_the_largest_distance_there_is_in_its_logarithm():
    (binary,) = maps.maps(of(square(3, 0.9, log="2")))
    assert binary.most == 1.0
    (natural,) = maps.maps(of(square(3, 0.9, log="e")))
    assert natural.most == 0.9, "a distance beyond what there is widens the scale rather than being cut off"


def test_a_large_map_takes_neighbours_together():
    (one,) = maps.maps(of(square(100, 0.6, shown_of=500)))
    rows = maps._grouped(one)
    assert len(rows) == 34
    assert rows[0][1] == pytest.approx(0.6)
    assert rows[0][0] == pytest.approx(0.6 * 6 / 9), "three of nine pairs are a client with itself"
    figure = maps.distances(of(square(100, 0.6, shown_of=500)))
    assert figure is not None
    assert "3 neighbours are taken together" in figure.caption


def test_what_is_no_square_is_no_map():
    assert maps.distances(of(curve("js_map", [0.0, 0.1, 0.2]))) is None


def test_bars_are_as_long_as_bytes(drawn: Drawn, found: Runs):
    words = letters(drawn["traffic"].wide)
    assert {"up 2.6 MB (5.2 GB)", "up 16.2 kB (32.5 MB)", "trained part: head, compressed: int8"} <= set(words)
    spec = specification(traffic._chart(found, width=700))
    ends = [layer["encoding"]["x2"]["value"] for layer in spec["layer"] if layer["mark"]["type"] == "rect"]
    assert ends[0] == ends[1] == ends[2] == ends[3]
    assert ends[5] / ends[0] == pytest.approx(1 / 40)
    assert max(ends) < 700


def test_what_is_sent_is_told_in_words():
    up = estimate("bytes_up_per_client", 10.0, unit="bytes", trainable="lora", compression="top-k")
    (only,) = of(up)
    assert traffic.sent(only) == "trained part: lora, compressed: top-k"
    figure = traffic.traffic([only])
    assert figure is not None
    assert "up 10 bytes, down not counted" in spoken(figure.wide)
    (bare,) = of(estimate("bytes_up_per_client", 10.0, unit="bytes"))
    assert traffic.sent(bare) == ""


def test_what_is_remembered_is_told_along_each_row(found: Runs, drawn: Drawn):
    table = maps.periods(found[2])
    assert {period: list(row) for period, row in table.items()} == {
        1: [1, 2, 3, 4, 5],
        2: [2, 3, 4, 5],
        3: [3, 4, 5],
        4: [4, 5],
        5: [5],
    }
    assert maps.periods(found[0]) == {}
    assert letters(drawn["forgetting"].wide).count("78") == 5
    assert "period 1 78.5% after period 1, 70.5% after 5" in spoken(drawn["forgetting"].wide)


def test_many_periods_leave_their_numbers_to_the_table():
    rows = [curve("period_scores", [0.5] * (30 - period), x=range(period, 30), conditions={"period": period}) for period in range(1, 30)]
    figure = maps.forgetting(of(*rows))
    assert figure is not None
    assert "50" not in letters(figure.narrow)
    assert len(figure.narrow) < 200_000


def test_charts_are_valid_vega_lite_and_repeat(found: Runs):
    line = lines.Line(run=0, name="n", x=(1.0, 2.0), y=(0.4, 0.6))
    frame = lines.Frame(heading="h", bottom="b", ticks=((1.0, "one"), (2.0, "two")))
    for make in (
        lambda: lines.stacked([lines.panel([line], frame, width=200, height=100, room=60)] * 2, columns=2, room=60),
        lambda: lorenz._chart(lorenz.shares(found), side=200, letters=20),
        lambda: traffic._chart(found, width=300),
        lambda: maps._maps(maps.maps(found), side=200, columns=1, named=True),
    ):
        assert svg.configured(make()).to_dict(validate=True) == svg.configured(make()).to_dict(validate=True)


def test_names_of_a_user_stand_in_charts_as_text():
    hostile = "</text><script>alert(1)</script>"
    crowd = Crowd(name=hostile, tau=1.0, accuracy=0.7, skew=0.1, continual=True, trainable=hostile, compression=hostile)
    found = reading.runs(gather(federated_runs(crowd, replace(crowd, name=hostile + "2")), title="t"))
    for chart in (lorenz.lorenz, traffic.traffic, maps.forgetting):
        figure = chart(found)
        assert figure is not None
        for drawing in (figure.wide, figure.narrow):
            assert "<script" not in drawing
            ElementTree.fromstring(drawing)
