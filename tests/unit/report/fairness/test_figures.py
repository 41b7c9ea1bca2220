"""The charts of fairness show what the evidence holds, at any width, and in words too."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.reporting_fairness import DETECTED, DIALECTS, EMPTY, JUDGED, OCCUPATIONS, Judged, fairness_record, fairness_runs, number

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, gather
from holdfast.report.fairness import association, benchmarks, dots, gaps, generation, groups, reading
from holdfast.report.fairness.reading import Fair
from holdfast.report.fairness.section import fairness
from holdfast.report.figures import Figure, svg, theme

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"
OPEN, PRIVATE, STRICT = JUDGED
Drawn = dict[str, Figure]
NAMES = [
    *("fair-groups-0", "fair-groups-1", "fair-groups-2", "fair-gaps", "fair-association", "fair-stereoset", "fair-crows", "fair-bbq"),
    *("fair-sentences", "fair-generation"),
]


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(fairness_runs(), title="t")


@pytest.fixture(scope="module")
def found(document: Document) -> tuple[Fair, ...]:
    return reading.runs(document)


@pytest.fixture(scope="module")
def drawn(document: Document) -> Drawn:
    made = fairness(document)
    assert made is not None
    return {figure.name: figure for figure in made.figures}


@pytest.fixture(scope="module")
def alone() -> Drawn:
    made = fairness(gather([fairness_record(PRIVATE)], title="t"))
    assert made is not None
    return {figure.name: figure for figure in made.figures}


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def spoken(drawing: str) -> str:
    return ElementTree.fromstring(drawing).get("aria-label") or ""


def of(*estimates: Estimate, margin: float | None = None) -> list[Fair]:
    return [Fair(run=0, name="non-private", settings={"inference": {"margin": margin}}, estimates=estimates)]


def rate(group: str, value: float | None, name: str = "true_positive_rate", **fields: object) -> Estimate:
    told = {"groups": "dialect", "group": group, "direction": "higher is better", "missing": None if value is not None else "nobody"}
    return number(OPEN, "equal-opportunity", name, value, **{**told, **fields})


def layers(chart: object) -> list[tuple[str, list[dict]]]:
    """Kind of mark and rows of data of each layer of a chart or of its panels."""
    spec = svg.configured(chart).to_dict()
    parts = [layer for panel in spec.get("concat", [spec]) for layer in panel["layer"]]
    return [(layer["mark"]["type"], spec["datasets"][layer["data"]["name"]]) for layer in parts]


def rows(chart: object, kind: str, key: str) -> list[dict]:
    return [row for made, data in layers(chart) if made == kind for row in data if key in row]


def dot(value: float | None, *, run: int = 0, **fields: object) -> dots.Dot:
    words = ("not measured",) * 2 if value is None else (f"{value} (0–1)", f"{value}")
    return dots.Dot(run=run, name=f"run {run}", value=value, **{"ends": None, "words": words, **fields})


def panel(*blocks: dots.Block, **fields: object) -> dots.Panel:
    return dots.Panel(**{"heading": "h", "blocks": blocks, "axis": "plain", **fields})


def block(name: str, *drawn_: dots.Dot) -> dots.Block:
    return dots.Block(name=name, dots=drawn_)


def test_each_chart_is_there_in_the_order_of_the_page(drawn: Drawn, alone: Drawn):
    assert list(drawn) == NAMES
    assert list(alone) == NAMES


def test_drawings_are_well_formed_follow_the_scheme_and_fit(drawn: Drawn, alone: Drawn):
    for figures in (drawn, alone):
        for name, figure in figures.items():
            for drawing, limit in ((figure.wide, 768), (figure.narrow, 360)):
                root = ElementTree.fromstring(drawing)
                assert (root.get("role"), len(root.get("aria-label") or "") > 60) == ("img", True)
                painted = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawing))
                assert {colour for colour in painted if not colour.startswith("var(--")} <= {"none", "transparent"}
                assert min(float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)) >= 11
                assert int(re.search(r'viewBox="0 0 (\d+) ', drawing)[1]) <= limit, name


def test_ids_are_unique(drawn: Drawn):
    ids = [one for figure in drawn.values() for drawing in (figure.wide, figure.narrow) for one in re.findall(r'\bid="([^"]+)"', drawing)]
    assert len(set(ids)) == len(ids)


def test_no_chart_is_a_heavy_one(drawn: Drawn):
    assert max(len(drawing) for figure in drawn.values() for drawing in (figure.wide, figure.narrow)) < 150_000


def test_the_runs_keep_their_colours(drawn: Drawn):
    for name in ("fair-groups-0", "fair-gaps"):
        for run in range(3):
            assert f"var(--run-{run + 1}, {theme.colour(run)})" in drawn[name].wide, name
    assert "var(--run-3," not in drawn["fair-crows"].wide, "which was not measured on the third"


def test_charts_without_evidence_are_left_out():
    nothing = of(number(OPEN, "mine", "anything", 0.5))
    assert groups.group_charts(nothing) == ()
    assert [chart(nothing) for chart in (association.association_chart, generation.generation_chart)] == [None, None]
    assert benchmarks.benchmark_charts(nothing) == ()
    assert gaps.gap_chart([]) is None


def test_groups_stand_in_one_order_with_the_worst_in_bold_and_ringed(found: tuple[Fair, ...], drawn: Drawn):
    words = letters(drawn["fair-groups-0"].wide)
    order = [word for word in words if word in (*DIALECTS, EMPTY)]
    assert set(order) == {*DIALECTS, EMPTY}
    assert "True positive rate, worst: Jamaican" in words
    made = groups._panel(found, "dialect", "true_positive_rate", "")
    assert [one.name for one in made.blocks] == [*DIALECTS, EMPTY]
    assert [one.name for one in made.blocks if one.strong] == ["Jamaican"]
    ringed = {(one.name, dot_.name) for one in made.blocks for dot_ in one.dots if dot_.ringed}
    assert ringed == {("Jamaican", run.name) for run in found}
    assert made.within == (0.0, 1.0)


def test_a_chart_of_groups_is_told_in_words(drawn: Drawn, alone: Drawn):
    said = spoken(drawn["fair-groups-0"].wide)
    assert "Selection rate, by dialect. none stated: non-private 42.0% (40.2–43.8%), dp-sgd 42.0%" in said
    assert f"{EMPTY}: non-private not measured (nobody of this group has the positive label" in said
    assert "Worst: Jamaican in non-private, Jamaican in dp-sgd and Jamaican in dp-sgd-eps-2." in said
    assert "; Jamaican: 76% (57–95%); " in spoken(alone["fair-groups-0"].narrow)


def test_intervals_that_hold_together_are_told_from_those_that_do_not():
    def caption(*methods: str) -> str:
        rates = [
            rate(group, 0.5, name, half=0.1, method=method)
            for method, name in zip(methods, ("rate_a", "rate_b"), strict=False)
            for group in "ab"
        ]
        return groups.group_charts(of(*rates))[0].caption

    assert caption("max-T", "simultaneous").startswith("Intervals hold for all groups of a run and rate at once. ")
    assert caption("Wilson", "Wilson").startswith("Each interval holds for its group alone. ")
    assert "at once, but those of rate b for their group alone." in caption("max-T", "Wilson")


def test_a_missing_gap_is_drawn_where_nothing_stands_for_it():
    told = {"groups": "dialect", "statistic": "difference"}
    missing = number(OPEN, "equal-opportunity", "equal_opportunity_difference", None, missing="nobody", **told)
    partly = number(OPEN, "equal-opportunity", "equal_opportunity_difference", 0.1, **told, **{"left out": "c"})
    alone, both = (gaps._drawn(gaps.summaries(of(*own), "points")) for own in ([missing], [missing, partly]))
    assert [list(runs.values()) for runs in alone.values()] == [[missing]]
    assert [list(runs.values()) for runs in both.values()] == [[partly]]


def test_variants_that_would_be_called_alike_carry_their_variant():
    told = {"groups": "dialect", "statistic": "worst group"}
    areas = [number(OPEN, "unintended-bias-auc", "unintended_bias_auc", 0.8, **told, variant=name) for name in ("bpsn_auc", "bnsp_auc")]
    runs = of(*areas, number(OPEN, "calibration", "calibration_error", 0.1, **told, variant="ten bins"))
    made = list(gaps._panels(runs, "levels", gaps.summaries(runs, "levels"), None))
    assert [(one.heading, [block_.name for block_ in one.blocks]) for one in made] == [
        ("Unintended bias AUC", ["worst group, by dialect, BPSN AUC", "worst group, by dialect, BNSP AUC"]),
        ("Calibration error", ["worst group, by dialect"]),
    ]
    assert [one.axis for one in made] == ["plain", "percent"]


def test_rows_of_a_benchmark_in_several_variants_are_told_apart():
    rows_ = [number(OPEN, "bbq", "bbq_s_amb", 0.1, category=name, variant=way) for way in ("arc", "race") for name in ("all", "Age")]
    ((_, made),) = [(one, benchmarks._panel(of(*rows_), *one)) for one in benchmarks.quantities(of(*rows_))]
    assert [one.name for one in made.blocks] == ["all, arc", "all, race", "Age, arc", "Age, race"]


def test_the_rate_of_all_is_measured_or_put_together_by_size():
    sized = [rate("a", 0.9, **{"n a": 30}), rate("b", 0.5, **{"n b": 10}), rate("c", None, **{"n c": 0})]
    (runs,) = [of(*sized)]
    assert groups.pooled(groups.rows_of(runs, "dialect", "true_positive_rate", ""), 0) == pytest.approx(0.8)
    whole = of(*sized, rate("all", 0.77))
    assert groups.pooled(groups.rows_of(whole, "dialect", "true_positive_rate", ""), 0) == 0.77
    unsized = of(sized[0], rate("b", 0.5))
    assert groups.pooled(groups.rows_of(unsized, "dialect", "true_positive_rate", ""), 0) is None
    area = of(rate("a", 0.9, "subgroup_auc", **{"n a": 30}))
    assert groups.pooled(groups.rows_of(area, "dialect", "subgroup_auc", ""), 0) is None, "areas are no shares of rows"
    assert [one.name for one in groups._panel(whole, "dialect", "true_positive_rate", "").blocks] == ["a", "b", "c"]


def test_one_group_alone_is_not_the_worst():
    runs = of(rate("a", 0.5), rate("b", None))
    assert groups.worst_groups(runs, groups.rows_of(runs, "dialect", "true_positive_rate", "")) == {}


def test_of_classes_the_one_with_the_largest_gap_is_drawn(found: tuple[Fair, ...], drawn: Drawn):
    assert groups.quantities(found, "gender") == [("true_positive_rate", "nurse")]
    assert "True positive rate, class nurse, worst: men" in letters(drawn["fair-groups-1"].wide)
    assert "Of many classes, the one with the largest gap is drawn." in drawn["fair-groups-1"].caption


def test_of_many_groups_the_farthest_are_drawn_and_the_worst_is_among_them():
    many = of(*(rate(f"group {place}", 0.5 + (0.4 if place == 17 else 0.001 * place)) for place in range(30)), rate("last", 0.1))
    made = groups._panel(many, "dialect", "true_positive_rate", "")
    kept = [one.name for one in made.blocks[: dots.MOST]]
    assert {"group 17", "last"} <= set(kept)
    assert len(made.blocks) == 31
    figure = groups.group_charts(many)[0]
    assert "True positive rate, worst: last (and 19 more in the table)" in " ".join(letters(figure.wide))


def test_more_rates_than_fit_are_left_to_the_table():
    runs = of(*(rate(group, 0.5, f"rate_{place}") for place in range(15) for group in "ab"))
    assert groups.group_charts(runs)[0].caption.endswith("3 more rates are in the table.")


def spread(groups_: int, rates: int) -> list[Fair]:
    """A first rate with the worst, for which lower is better, in the midst of what is far away on the other side."""
    first = [rate(f"g_{place}", 0.9 if place < 3 else 0.2 + 0.01 * place, "rate_0") for place in range(groups_)]
    more = [rate(f"g_{place}", 0.5, f"rate_{number_}") for number_ in range(1, rates) for place in range(groups_)]
    return of(*first, *more)


@pytest.mark.parametrize(("groups_", "rates", "drawn_"), [(9, 5, (8, 4)), (13, 7, (8, 4)), (8, 7, (0, 12)), (13, 4, (0, 12))])
def test_of_many_groups_and_rates_fewer_are_drawn(groups_: int, rates: int, drawn_: tuple[int, int]):
    assert groups.extent(spread(groups_, rates), "dialect") == drawn_


def test_what_a_long_chart_leaves_out_is_counted():
    figure = groups.group_charts(spread(11, 6))[0]
    assert "Of many groups, the worst and those with the lowest and highest rates are drawn." in figure.caption
    assert figure.caption.endswith("2 more rates are in the table.")
    words = " ".join(letters(figure.wide))
    assert "Rate 0, worst: g 3 (and 3 more in the table)" in words
    assert "Rate 3" in words
    assert "Rate 4" not in words
    short = groups.group_charts(spread(3, 6))[0]
    assert "Of many groups" not in short.caption
    assert "more in the table" not in " ".join(letters(short.wide))


def test_the_worst_group_is_drawn_though_others_lie_further_away():
    far = [rate(f"g_{place}", 0.9 + 0.001 * place, **{"direction": "neither"}) for place in range(10)]
    near = [rate(f"h_{place}", 0.5, **{"direction": "neither"}) for place in range(11)]
    worst = number(OPEN, "equal-opportunity", "true_positive_rate_difference", 0.4, groups="dialect", statistic="difference", worst="h_7")
    made = groups._panel(of(*far, *near, worst), "dialect", "true_positive_rate", "")
    assert [one.name for one in made.shown if one.strong] == ["h 7"]
    several = [
        Fair(
            run=place,
            name=f"run {place}",
            settings={},
            estimates=(*far, *near, replace(worst, conditions={**worst.conditions, "worst": f"h_{place}"})),
        )
        for place in range(8)
    ]
    many = groups._panel(several, "dialect", "true_positive_rate", "")
    assert {f"h {place}" for place in range(8)} <= {one.name for one in many.shown}, "though there is room for three"


def test_each_rate_has_the_worst_group_that_its_own_summary_names():
    told = {"groups": "dialect", "statistic": "difference"}
    rows_ = [
        rate(group, value, name, direction="neither") for name in ("one_share", "two_share") for group, value in (("a", 0.1), ("b", 0.4))
    ]
    ends = [
        number(OPEN, "equal-opportunity", f"{name}_difference", 0.3, **told, worst=worst)
        for name, worst in (("one_share", "a"), ("two_share", "b"))
    ]
    runs = of(*rows_, *ends)
    assert groups.worst_groups(runs, groups.rows_of(runs, "dialect", "two_share", "")) == {0: "b"}


def written(by: str, value: float, name: str = "female_share", **told: object) -> Estimate:
    return number(OPEN, "gender-polarity-unigram", name, value, groups="profession", written_by=by, direction="neither", **told)


def test_what_people_wrote_is_a_hollow_mark_beside_the_model():
    runs = of(written("people", 0.7, group="a_b"), written("model", 0.2, group="a_b"), written("model", 0.4, group="c"))
    (figure,) = groups.group_charts(runs)
    made = groups._panel(runs, "profession", "female_share", "")
    assert [(one.name, one.dots[0].value, one.dots[0].beside) for one in made.blocks] == [("a b", 0.2, 0.7), ("c", 0.4, None)]
    assert "Hollow and grey: what people wrote, for reference." in figure.caption
    assert "a b: 20%, people, for reference, 70%; c: 40%." in spoken(figure.wide)
    chart = dots.chart([made], width=400, columns=1, several=False)
    assert [row["value"] for row in rows(chart, "point", "value")] == [0.7, 0.2, 0.4]
    assert groups.group_charts(of(written("people", 0.7, group="a"))) == (), "which is nothing of the model"


def test_generated_text_says_who_wrote_it():
    ratio = {"name": "gender_polarity_ratio", "unit": "ratio"}
    rows_ = [written(by, value, group=group, **ratio) for by, value in (("model", 0.3), ("people", 0.8)) for group in ("a_b", "c")]
    ends = [written(by, 0.1, statistic="minimum", **ratio) for by in ("model", "people")]
    runs = of(*rows_, written("people", 0.6, group="d_e", **ratio), *ends)
    made = generation.of_quantity(runs, "gender-polarity-unigram", "gender_polarity_ratio")
    blocks = generation._panel(runs, "gender-polarity-unigram", "gender_polarity_ratio", made).blocks
    assert [(one.name, one.dots[0].value, one.dots[0].beside) for one in blocks] == [
        ("minimum, by the model", 0.1, None),
        ("minimum, by people, for reference", 0.1, None),
        *(("a b", 0.3, 0.8), ("c", 0.3, 0.8), ("d e, by people, for reference", 0.6, None)),
    ]
    figure = generation.generation_chart(runs)
    assert figure is not None
    assert figure.caption.endswith("Hollow and grey: what people wrote, for reference.")
    assert "minimum, profession, by people, for reference: 0.1." in spoken(figure.wide)


def test_of_many_groups_the_summaries_and_the_lowest_ratios_are_drawn():
    ratio = {"name": "gender_polarity_ratio", "unit": "ratio"}
    rows_ = [written("model", 1 - 0.01 * place, group=f"g{place}", **ratio) for place in range(11)]
    missing = replace(written("model", 0.1, group="none", **ratio), value=None, missing="no gendered word")
    runs = of(missing, *rows_, written("model", 0.5, statistic="average", **ratio))
    made = generation.of_quantity(runs, "gender-polarity-unigram", "gender_polarity_ratio")
    panel_ = generation._panel(runs, "gender-polarity-unigram", "gender_polarity_ratio", made)
    assert [one.name for one in panel_.shown] == ["average, by the model", *(f"g{place}" for place in range(3, 11))]
    assert len(panel_.blocks) == 13


def test_gaps_of_people_stand_in_a_panel_of_their_own():
    told = {"name": "female_share_difference", "statistic": "difference"}
    runs = of(written("people", 0.9, **told), written("model", 0.2, **told), written("model", 0.1, name="gender_polarity_gap"))
    made = list(gaps._panels(runs, "points", gaps.summaries(runs, "points"), None))
    assert [(one.heading, [block_.name for block_ in one.blocks]) for one in made] == [
        ("Differences between groups, in points", ["Female share, by profession", "Gender polarity gap, by profession"]),
        ("Differences between groups, in points, by people, for reference", ["Female share, by profession"]),
    ]
    figure = gaps.gap_chart(runs)
    assert figure is not None
    assert "What people wrote is shown for reference; all else is of the model." in figure.caption


def test_a_variant_that_tells_no_rows_apart_stands_once_in_the_caption():
    ways = {"intrasentence": "mean log-probability of the pieces of the sentence", "intersentence": "log-likelihood ratio"}
    rows_ = [
        number(OPEN, "stereoset", "stereoset_ss", 50.0, unit="points", kind=kind, variant=way, category=category)
        for kind, way in ways.items()
        for category in ("all", "gender")
    ]
    made = benchmarks._panel(of(*rows_), "stereoset", "stereoset_ss")
    assert [one.name for one in made.blocks] == [
        "all, intrasentence",
        "gender, intrasentence",
        "all, intersentence",
        "gender, intersentence",
    ]
    figure = benchmarks.benchmark_charts(of(*rows_))[0]
    said = "Variants: intrasentence: mean log-probability of the pieces of the sentence; intersentence: log-likelihood ratio."
    assert figure.caption.count(said) == 1
    assert "…" not in " ".join(letters(figure.narrow))
    alone = benchmarks.benchmark_charts(of(*rows_[:2]))[0]
    assert "Variant: mean log-probability of the pieces of the sentence." in alone.caption
    assert "Variant" not in benchmarks.benchmark_charts(of(number(OPEN, "bbq", "bbq_s_amb", 0.1)))[0].caption


def test_types_of_winobias_are_called_types():
    rows_ = [number(OPEN, "winobias", "winobias_difference", 0.1, type=kind) for kind in ("all", "1", "2")]
    made = benchmarks._panel(of(*rows_), "winobias", "winobias_difference")
    assert [one.name for one in made.blocks] == ["all", "type 1", "type 2"]


def test_gaps_stand_from_the_largest_with_verdicts_and_the_margin(found: tuple[Fair, ...], drawn: Drawn):
    order = [reading.titled(next(iter(runs.values()))) for runs in gaps.summaries(found, "points").values()]
    assert order == [
        "Equal opportunity difference, by dialect",
        "Equalised odds difference, by dialect",
        "Demographic parity difference, by dialect, where defined",
        "True positive rate gap, root mean square over classes, by gender",
        "Negative regard difference, by gender of the prompt",
        "Demographic parity difference, by dialect",
    ]
    blocks = gaps._panel(found, "points", gaps._drawn(gaps.summaries(found, "points")), 0.05).blocks
    assert [one.name for one in blocks][2:] == [
        *("* Demographic parity, by dialect", "True positive rate gap, root mean square over classes, by gender"),
        "Negative regard, by gender of the prompt",
    ]
    assert "*: without groups that have no number" in drawn["fair-gaps"].caption
    words = letters(drawn["fair-gaps"].wide)
    assert {"8 points (2 to 14), not enough data", "15 points (9 to 21), unfair", "Equal opportunity, by dialect", "parity"} <= set(words)
    assert {"nurse", "True positive rate gap, by gender, of each class, in points", "Ratios, where 1 is parity"} <= set(words)
    assert "Grey: differences within the margin of 5 points." in drawn["fair-gaps"].caption
    assert "Equal opportunity difference, by dialect: non-private 8 points (2 to 14), not enough data; dp-sgd" in spoken(
        drawn["fair-gaps"].wide
    )


def test_every_summary_over_groups_is_in_one_panel(found: tuple[Fair, ...]):
    kinds = [[gaps.kind_of(run, one) for one in run.estimates if not reading.is_row(one)] for run in found]
    drawn = [kind for own in kinds for kind in own if kind is not None]
    assert drawn.count("classes") == 3 * len(OCCUPATIONS)
    assert (drawn.count("points"), drawn.count("plain"), drawn.count("ratios"), drawn.count("levels")) == (17, 3, 3, 3)


def test_the_band_is_drawn_where_all_runs_have_one_margin(found: tuple[Fair, ...]):
    made = gaps.summaries(found, "points")
    assert gaps._panel(found, "points", made, 0.05).band == (-0.05, 0.05)
    assert gaps._panel(found, "points", made, None).band is None
    other = [found[0], replace(found[1], settings={"inference": {"margin": 0.1}})]
    figure = gaps.gap_chart(other)
    assert figure is not None
    assert "Not all runs have one margin, so none is drawn." in figure.caption
    assert "No margin was set" not in figure.caption
    bare = gaps.gap_chart([replace(found[0], settings={})])
    assert bare is not None
    assert "No margin was set, so there is no verdict." in bare.caption


def test_tests_of_association_are_named_and_carry_p(drawn: Drawn, found: tuple[Fair, ...]):
    words = letters(drawn["fair-association"].wide)
    assert "WEAT 6, male names, female names / career, family" in words
    assert {"0.7 (0.2–1.2), p = 0.1", "1.5 (1.0–2.0), p = 0.0001", "not measured", "none"} <= set(words)
    assert "It is adjusted for the number of tests." in drawn["fair-association"].caption
    assert "WEAT 10" in spoken(drawn["fair-association"].wide)
    published = of(number(OPEN, "ceat", "ceat_published_p", 1e-30, unit="probability"))
    assert association.association_chart(published) is None


def test_benchmarks_have_their_ideals(found: tuple[Fair, ...], drawn: Drawn):
    ideals = {name: benchmarks.ideal(found, metric, name) for metric, name in benchmarks.quantities(found)}
    assert ideals == {
        **{"stereoset_icat": 100, "stereoset_ss": 50, "stereoset_lms": 100, "crows_pairs_score": 50},
        **{"bbq_s_amb": 0, "bbq_s_dis": 0, "winobias_difference": 0},
    }
    assert list(ideals)[:3] == ["stereoset_icat", "stereoset_ss", "stereoset_lms"]
    share = of(number(OPEN, "crows-pairs-aul", "crows_pairs_score", 0.6))
    assert benchmarks.ideal(share, "crows-pairs-aul", "crows_pairs_score") == 0.5
    words = letters(drawn["fair-crows"].narrow)
    assert {"disability (n = 60)", "all (n = 1,508)", "parity"} <= set(words)
    assert "StereoSet stereotype score (stereoset), best at 50. all: non-private 56.4 (53.4–59.3)" in spoken(drawn["fair-stereoset"].wide)


def test_the_ideal_of_a_card_holds_for_its_only_number():
    own = [
        replace(one, settings={"cards": {"winogender": {"ideal": 0.5}}}) for one in of(number(OPEN, "winogender", "winogender_rate", 0.4))
    ]
    assert benchmarks.ideal(own, "winogender", "winogender_rate") == 0.5
    two = [replace(own[0], estimates=(*own[0].estimates, number(OPEN, "winogender", "winogender_correlation", 0.1)))]
    assert benchmarks.ideal(two, "winogender", "winogender_rate") is None


def test_variants_of_a_benchmark_are_panels_of_their_own():
    rows_ = [number(OPEN, f"crows-pairs-{variant}", "crows_pairs_score", 60.0, unit="points") for variant in ("nangia", "aul")]
    figure = benchmarks.benchmark_charts(of(*rows_))[0]
    assert {"CrowS pairs nangia", "CrowS pairs aul"} <= set(letters(figure.wide))


def test_every_number_of_a_likelihood_is_in_a_chart_or_a_group(found: tuple[Fair, ...]):
    shown = [
        one
        for metric, name in benchmarks.quantities(found)
        for runs in benchmarks.of_set(found, metric, name).values()
        for one in runs.values()
    ]
    assert len(shown) == sum(len(run.of("likelihood")) for run in found)


def test_ratios_stand_beside_what_parity_gives(drawn: Drawn, found: tuple[Fair, ...]):
    made = generation.of_quantity(found, "gender-polarity-unigram", "gender_polarity_ratio")
    assert len(made) == len(OCCUPATIONS) + 2
    panel_ = generation._panel(found, "gender-polarity-unigram", "gender_polarity_ratio", made)
    assert [one.name for one in panel_.blocks] == ["average", "minimum", *OCCUPATIONS], "summaries first"
    assert [dot_.tick for dot_ in panel_.blocks[2].dots] == [0.82, 0.82]
    assert panel_.rule == (1.0, "equal")
    assert "nurse: non-private 0.30 (0.21–0.39), where parity gives 0.82" in spoken(drawn["fair-generation"].wide)
    assert "judge it by its stroke and not by 1" in drawn["fair-generation"].caption
    assert "profession" not in groups.attributes(found), "its rows stand here"


def test_no_text_of_a_data_set_is_in_a_chart(drawn: Drawn):
    for figure in drawn.values():
        assert DETECTED not in f"{figure.wide}{figure.narrow}{figure.caption}"


def test_a_missing_value_is_a_hollow_mark_at_the_edge():
    chart = dots.chart([panel(block("a", dot(0.5)), block("b", dot(None)))], width=400, columns=1, several=False)
    spec = svg.configured(chart).to_dict()["concat"][0]["layer"]
    points = [layer for layer in spec if layer["mark"]["type"] == "point"]
    assert [layer["mark"]["filled"] for layer in points] == [True, False]
    low = points[1]["encoding"]["x"]["scale"]["domain"][0]
    assert [row["value"] for row in rows(chart, "point", "value")] == [0.5, low]
    assert "not measured" in [row["word"] for row in rows(chart, "text", "word")]


def test_nothing_but_missing_values_can_be_drawn():
    chart = dots.chart([panel(block("a", dot(None)), rule=(1.0, "parity"))], width=300, columns=1, several=True)
    assert "run 0" in [row["word"] for row in rows(chart, "text", "word")]
    svg.render(chart, name="n", alternative="a")


def test_lines_carry_the_names_of_runs_only_where_there_are_several():
    one = panel(block("a", dot(0.4), dot(0.5, run=1)))
    assert [row["word"] for row in rows(dots.chart([one], width=500, columns=1, several=True), "text", "word")] == [
        *("a", "run 0", "run 1", "0.4 (0–1)", "0.5 (0–1)")
    ]
    alone = dots.chart([panel(block("a", dot(0.4)))], width=500, columns=1, several=False)
    assert [row["word"] for row in rows(alone, "text", "word")] == ["a", "0.4 (0–1)"]


@pytest.mark.parametrize(
    ("width", "name", "told"),
    [(500, "name", "0.4 (0–1)"), (210, "name", "0.4"), (300, "a much longer name, too long to stand beside", "0.4 (0–1)")],
)
def test_words_shrink_before_they_leave_the_line_of_the_track(width: int, name: str, told: str):
    chart = dots.chart([panel(block(name, dot(0.4)))], width=width, columns=1, several=False)
    words = rows(chart, "text", "word")
    assert words[-1]["word"] == told
    (mark,) = rows(chart, "point", "value")
    assert (mark["at"] == words[-1]["at"]) == (len(name) < 10), "a long name stands above"


def test_all_panels_of_a_figure_are_laid_out_alike():
    short, long = panel(block("a", dot(0.4))), panel(block("a name that is too long to stand beside anything", dot(0.4)))
    together = rows(dots.chart([short, long], width=330, columns=1, several=False), "point", "value")
    assert together[0]["at"] > 20, "the short one stands above too"


def test_the_axis_holds_every_interval_the_rule_and_the_band():
    wide = dot(0.4, ends=(-0.3, 0.9), tick=1.2)
    assert dots._domain(panel(block("a", wide), rule=(-1.0, "r"))) == pytest.approx((-1.11, 1.31))
    near = panel(block("a", dot(0.04)), rule=(0.0, "parity"), band=(-0.05, 0.05))
    assert dots._domain(near)[1] > 0.05
    low, high = dots._domain(panel(block("a", dot(0.97, ends=(0.9, 1.0)), dot(0.02)), within=(0.0, 1.0)))
    assert -0.02 < low < 0 < 1 < high < 1.02
    assert dots._domain(panel(block("a", dot(5.0)))) == (4.75, 5.25)
    assert dots._domain(panel(block("a", dot(None)))) == pytest.approx((-0.05, 1.05))


def test_many_runs_are_given_fewer_blocks():
    many = panel(*(block(f"b{place}", *(dot(0.1, run=run) for run in range(8))) for place in range(12)))
    chart = dots.chart([many], width=500, columns=1, several=True)
    assert len(rows(chart, "point", "value")) == 8 * dots.room(8) == 24


def test_at_most_a_dozen_blocks_are_drawn():
    many = panel(*(block(f"b{place}", dot(0.1)) for place in range(20)))
    chart = dots.chart([many], width=500, columns=1, several=False)
    assert len(rows(chart, "point", "value")) == dots.MOST
    heading = [layer["mark"].get("text") for layer in svg.configured(chart).to_dict()["concat"][0]["layer"]]
    assert "h (and 8 more in the table)" in heading


@pytest.mark.parametrize("several", [True, False])
def test_charts_are_valid_vega_lite_and_repeat(several: bool):
    full = dot(0.4, ends=(0.3, 0.5), tick=0.45, ringed=True, note="unfair")
    made = panel(block("a", full), block("b", dot(None)), rule=(0.0, "parity"), band=(-0.1, 0.1), title="t")
    charts = [dots.chart([made, made], width=340, columns=2, several=several) for _ in range(2)]
    assert svg.configured(charts[0]).to_dict(validate=True) == svg.configured(charts[1]).to_dict(validate=True)


def test_names_of_a_user_stand_in_charts_as_text():
    hostile = "</text><script>alert(1)</script>"
    runs = [replace(fairness_record(Judged(base=0, name=f"{hostile}{place}", gap=0.1, language=False))) for place in range(2)]
    evil = [rate(hostile, 0.5, groups=hostile, **{"class": hostile}), rate("b", 0.4, groups=hostile, **{"class": hostile})]
    more = Evidence(estimates=tuple(replace(one, subject=runs[0].name) for one in evil))
    found = reading.runs(gather([replace(runs[0], evidence=runs[0].evidence + more), runs[1]], title="t"))
    charts: Sequence[Callable[[Sequence[Fair]], Figure | None]] = (gaps.gap_chart, lambda one: groups.group_charts(one)[-1])
    for chart in charts:
        figure = chart(found)
        assert figure is not None
        for drawing in (figure.wide, figure.narrow):
            assert "<script" not in drawing
            ElementTree.fromstring(drawing)
