"""What the report makes of evidence on fairness: families, names, gaps, the worst of them, and verdicts."""

from dataclasses import replace

import pytest
from tests.reporting_fairness import JUDGED, MARGIN, METRICS, Judged, fairness_evidence, fairness_record, fairness_runs, gap, number

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, front, gather, numbers
from holdfast.report.fairness import names, reading
from holdfast.report.fairness.reading import Fair

OPEN, PRIVATE, STRICT = JUDGED


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(fairness_runs(), title="t")


@pytest.fixture(scope="module")
def found(document: Document) -> tuple[Fair, ...]:
    return reading.runs(document)


def fair(*estimates: Estimate, margin: float | None = MARGIN) -> Fair:
    return Fair(run=0, name="non-private", settings={"inference": {"margin": margin}}, estimates=estimates)


def difference(value: float | None, verdict: str | None = None, **fields: object) -> Estimate:
    told = {"groups": "dialect", "statistic": "difference", **({} if verdict is None else {"verdict": verdict})}
    missing = "no denominator" if value is None else None
    return number(OPEN, "equal-opportunity", "equal_opportunity_difference", value, missing=missing, **told, **fields)


def test_only_runs_with_numbers_of_metrics_are_read(found: tuple[Fair, ...], four: Document):
    assert [(one.run, one.name) for one in found] == [(0, "non-private"), (1, "dp-sgd"), (2, "dp-sgd-eps-2")]
    assert reading.runs(four) == ()
    assert found[0].metrics == tuple(METRICS)
    assert found[2].metrics == tuple(METRICS)[:5]
    assert {one.conditions["metric"] for one in found[0].estimates} == set(METRICS)


def test_a_run_keeps_its_number_where_others_were_not_measured():
    bare = replace(fairness_record(OPEN), evidence=Evidence(), name="bare")
    (only,) = reading.runs(gather([bare, fairness_record(PRIVATE)], title="t"))
    assert (only.run, only.name) == (1, "dp-sgd")


@pytest.mark.parametrize(
    ("metric", "card", "family"),
    [
        ("demographic-parity", {}, "groups"),
        ("crows-pairs-causal-norm", {}, "likelihood"),
        ("gender-polarity-embedding", {}, "generation"),
        ("generation-toxicity", {}, "generation"),
        ("weat", {"level": "decision"}, "association"),
        ("weather", {"level": "generation"}, "generation"),
        ("unknown", {}, "groups"),
    ],
)
def test_the_family_follows_from_the_name_then_from_the_level(metric: str, card: dict, family: str):
    assert names.family_of(metric, card) == family


def test_the_card_says_what_is_intrinsic_else_the_family_does(found: tuple[Fair, ...]):
    assert [metric for metric in METRICS if found[0].intrinsic(metric)] == ["weat", "stereoset", "crows-pairs-nangia", "winobias"]
    bare = replace(found[0], settings={})
    assert bare.card("weat") == {}
    assert [metric for metric in METRICS if bare.intrinsic(metric)] == ["weat", "stereoset", "crows-pairs-nangia", "bbq", "winobias"]


@pytest.mark.parametrize(
    "told", [None, [], {"inference": None}, {"inference": {"margin": True}}, {"inference": {"margin": "5"}}, {"cards": 3}]
)
def test_a_damaged_record_is_read_as_far_as_it_goes(told: object):
    record = replace(fairness_record(OPEN), settings={"fairness": told})
    (only,) = reading.runs(gather([record], title="t"))
    assert (only.margin, only.card("weat")) == (None, {})


@pytest.mark.parametrize(
    ("name", "unit", "statistic", "value", "half", "shown"),
    [
        ("equal_opportunity_difference", "share", "difference", 0.123, 0.04, "12 points (8 to 16)"),
        ("true_positive_rate_gap", "share", "", 0.08, 0.1, "+8 points (−2 to +18)"),
        ("true_positive_rate_gap", "share", "root mean square", 0.08, 0.011, "8.0 points (6.9 to 9.1)"),
        ("true_positive_rate_gap", "share", "", -0.08, 0.011, "−8.0 points (−9.1 to −6.9)"),
        ("demographic_parity_ratio", "ratio", "ratio", 0.82, 0.05, "0.82 (0.77–0.87)"),
        ("selection_rate", "share", "", 0.82, 0.05, "82% (77–87%)"),
        ("subgroup_auc", "share", "", 0.82, 0.05, "0.82 (0.77–0.87)"),
        ("subgroup_auc", "area", "", 0.82, 0.05, "0.82 (0.77–0.87)"),
        ("stereoset_ss", "points", "", 57.03, 2.0, "57.0 (55.0–59.0)"),
        ("crows_pairs_score", "percent", "", 60.48, 2.5, "60.5% (58.0–63.0%)"),
        ("weat_effect_size", "standard deviations", "", -1.89, 0.4, "−1.9 (−2.3 to −1.5)"),
        ("seconds_per_epoch", "share", "", 0.5, 0.05, "50% (45–55%)"),
    ],
)
def test_numbers_of_fairness_have_their_form(name: str, unit: str, statistic: str, value: float, half: float, shown: str):
    one = number(OPEN, "equal-opportunity", name, value, half=half, unit=unit, statistic=statistic)
    assert numbers.written(one).full == shown


def test_a_number_without_a_metric_keeps_its_old_form():
    plain = replace(difference(0.1), conditions={})
    assert numbers.written(plain).value == "+10 points"
    assert numbers.written(difference(0.1)).value == "10 points"


def test_abbreviations_keep_their_capitals():
    assert [
        numbers.label_of(name) for name in ("bpsn_auc", "ceat_effect_size", "bbq_accuracy", "honest_score", "log_probability_bias")
    ] == [
        "BPSN AUC",
        "CEAT effect size",
        "BBQ accuracy",
        "HONEST score",
        "Log\N{NON-BREAKING HYPHEN}probability bias",
    ]
    assert names.spelt("") == ""


def test_gaps_are_distances_over_all_groups_of_what_a_user_meets(found: tuple[Fair, ...]):
    assert [(one.name, one.conditions["statistic"]) for one in found[0].gaps] == [
        ("demographic_parity_difference", "difference"),
        ("demographic_parity_difference", "difference"),
        ("equal_opportunity_difference", "difference"),
        ("equalised_odds_difference", "difference"),
        ("false_positive_equality_difference", "sum of absolute differences"),
        ("true_positive_rate_gap", "root mean square over classes"),
        ("negative_regard_difference", "difference"),
    ]


def test_the_surest_gap_lies_furthest_from_parity_by_its_interval(found: tuple[Fair, ...]):
    gap_ = found[0].surest
    assert gap_ is not None
    assert (gap_.name, gap_.value) == ("negative_regard_difference", 0.07), "8 points are larger, but from 2 to 14"
    small, wide = difference(0.12, half=0.02), difference(1.0, half=1.0)
    assert fair(wide, small).surest == small
    below = difference(-0.3, half=0.1)
    assert reading.nearest(below) == pytest.approx(0.2)
    assert fair(small, below).surest == below
    assert reading.nearest(difference(0.1, half=0.2)) == reading.nearest(difference(0.1)) == 0


def test_where_every_interval_begins_at_parity_the_p_value_then_the_size_decides():
    large, likely, least = (difference(value, half=1.0, p_value=p) for value, p in ((1.0, 0.98), (0.3, 0.4), (0.16, 0.14)))
    assert fair(large, likely, least).surest == least
    without = difference(0.9)
    assert fair(without, large).surest == large, "a gap without a p-value comes last"
    assert fair(difference(0.2), difference(-0.3)).surest == difference(-0.3)
    adjusted = difference(0.5, half=1.0, p_value=0.01, p_adjusted=0.2)
    assert fair(adjusted, least).surest == least


def test_the_surest_gap_is_in_shares_and_never_a_sum():
    other, small = difference(9.0, unit="score", half=0.1), difference(0.2, half=1.0)
    assert fair(small, other, replace(difference(4.0, half=0.1), unit="sum of shares")).surest == small
    assert fair(other, difference(None)).surest == other
    assert fair(difference(None)).surest is None


def test_what_people_wrote_is_no_gap_of_the_model():
    people, model = (difference(value, half=0.1, written_by=by) for value, by in ((0.9, "people"), (0.2, "model")))
    assert fair(people, model).gaps == (model,)
    assert fair(people).surest is None
    assert reading.headline(gather([replace(fairness_record(OPEN), evidence=Evidence(estimates=(people,)))], title="t")) is None
    assert reading.outcome([fair(difference(0.01, reading.FAIR), difference(0.9, reading.UNFAIR, written_by="people"))]) == reading.FAIR
    assert [reading.titled(one) for one in (model, people, difference(0.1))] == [
        "Equal opportunity difference, by dialect, by the model",
        "Equal opportunity difference, by dialect, by people, for reference",
        "Equal opportunity difference, by dialect",
    ]


def test_the_first_screen_takes_the_runs_with_a_promise(document: Document):
    found = reading.headline(document)
    assert found is not None
    kept, run, worst = found
    assert [one.name for one in kept] == ["dp-sgd", "dp-sgd-eps-2"]
    assert (run.name, worst.value) == ("dp-sgd-eps-2", STRICT.gap)
    only = reading.headline(gather([fairness_record(OPEN), replace(fairness_record(PRIVATE), evidence=Evidence())], title="t"))
    assert only is not None
    assert only[1].name == "non-private"


def test_intrinsic_metrics_alone_give_no_gap():
    weat = tuple(one for one in fairness_evidence(OPEN).estimates if one.conditions["metric"] in ("weat", "stereoset", "winobias"))
    document = gather([replace(fairness_record(OPEN), evidence=Evidence(estimates=weat))], title="t")
    assert reading.headline(document) is None
    assert len(reading.runs(document)) == 1


@pytest.mark.parametrize(
    ("gaps", "came"),
    [
        ([difference(0.01, reading.FAIR), difference(0.02, reading.FAIR)], "fair within the margin"),
        ([difference(0.01, reading.FAIR), difference(0.02, reading.UNSURE)], "not enough data"),
        ([difference(0.01, reading.FAIR), difference(0.2, reading.UNFAIR), difference(0.1, reading.UNSURE)], "unfair"),
        ([difference(0.01, reading.FAIR), difference(None)], "not enough data"),
        ([difference(0.01, reading.FAIR), difference(0.02)], "judged in part"),
        ([difference(0.01), difference(None)], "not judged"),
        ([difference(0.01, reading.FAIR), replace(difference(0.5), unit="sum of shares")], "fair within the margin"),
    ],
)
def test_fair_needs_every_gap_to_be_found_fair(gaps: list[Estimate], came: str):
    assert reading.outcome([fair(*gaps)]) == came


def test_the_worst_group_follows_the_direction_then_what_the_metric_says():
    def row(group: str, value: float | None, direction: str) -> Estimate:
        missing = None if value is not None else "nobody"
        return number(OPEN, "demographic-parity", "rate", value, missing=missing, direction=direction, groups="dialect", group=group)

    summary = gap(OPEN, "demographic-parity", "demographic_parity_difference", 0.1, 0.1, groups="dialect", worst="b")
    rates = {"a": 0.9, "b": 0.5, "c": None}
    for direction, worst in (("higher is better", "b"), ("lower is better", "a"), ("neither", "b")):
        assert reading.worst_of([row(group, value, direction) for group, value in rates.items()], [summary]) == worst
    assert reading.worst_of([row("a", 0.1, "neither")], [summary]) == "", "the one that is named has no row"
    assert reading.worst_of([row("c", None, "lower is better")], [summary]) == ""


def test_what_a_number_speaks_of_is_never_a_text():
    told = {"of": "WEAT 6", "x": "male_names", "y": "female_names", "a": "career", "b": "family", "example": "secret", "missing_words": "w"}
    one = number(OPEN, "weat", "weat_effect_size", 1.0, **told)
    assert reading.place(one) == "WEAT 6, male names, female names / career, family"
    assert reading.place(number(OPEN, "bbq", "bbq_s_amb", 1.0, category="all", example="secret")) == "all"


def test_numbers_below_each_other_leave_out_what_they_share():
    def score(**told: object) -> Estimate:
        return number(OPEN, "stereoset", "stereoset_ss", 50.0, **told)

    rows = [score(category=name, kind="intrasentence") for name in ("all", "gender")]
    assert reading.places(rows) == ["all", "gender"]
    assert reading.places([*rows, score(category="gender", kind="intersentence")]) == [
        "all, intrasentence",
        "gender, intrasentence",
        "gender, intersentence",
    ]
    assert reading.places([score(category="race")]) == ["race"]
    ways = {"intrasentence": "one way", "intersentence": "another"}
    rows = [score(category=name, kind=kind, variant=way) for kind, way in ways.items() for name in ("all", "race")]
    assert reading.places(rows) == ["all, intrasentence", "race, intrasentence", "all, intersentence", "race, intersentence"]
    assert reading.places([score(category="race", variant=way) for way in ways.values()]) == ["one way", "another"]


def test_the_same_number_of_several_runs_stands_together_and_none_is_lost(found: tuple[Fair, ...]):
    made = reading.shared(found, lambda _, one: one.name == "equal_opportunity_difference")
    assert [sorted(runs) for runs in made.values()] == [[0, 1, 2]], "though the verdicts and values differ"
    twice = fair(difference(0.1), difference(0.2))
    assert [list(runs.values()) for runs in reading.shared([twice], lambda *_: True).values()] == [[difference(0.1)], [difference(0.2)]]


def test_summaries_say_over_what_they_were_taken():
    assert reading.titled(difference(0.1)) == "Equal opportunity difference, by dialect"
    assert reading.titled(difference(0.1), groups=False) == "Equal opportunity difference"
    told = {"classes": "worst", "worst class": "nurse", "left out": "class x: nobody", "variant": "micro"}
    assert reading.titled(difference(0.1, **told)) == "Equal opportunity difference, by dialect, worst class, where defined"
    assert reading.titles([difference(0.1, variant="a"), difference(0.2, variant="b")])[1] == "Equal opportunity difference, by dialect, b"
    partly = [difference(0.1, variant="a", **{"left out": "x"}), difference(0.2, variant="b")]
    assert [name.rsplit(", ", 1)[1] for name in reading.titles(partly)] == ["a", "b"]
    alike = [difference(0.1), replace(difference(0.2), conditions={**difference(0.2).conditions, "metric": "mine"})]
    assert reading.titles(alike)[1] == "Equal opportunity difference, by dialect, mine"
    assert reading.titles([difference(0.1, **told)]) == [reading.titled(difference(0.1, **told))]
    assert reading.titled(difference(0.1, classes="macro mean")).endswith("macro mean over classes")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"p_value": 0.0442}, "p = 0.044"),
        ({"p_value": 0.001, "p_adjusted": 0.01}, "p = 0.01"),
        ({"p_value": 7.8e-5}, "p < 0.0001"),
        ({"p_value": 1.554e-4}, "p = 0.0002"),
        ({}, ""),
    ],
)
def test_p_values_in_words(told: dict, said: str):
    assert reading.p_value(difference(0.1, **told)) == said
    assert reading.p_value(difference(None, **told)) == ""


def test_figures_of_groups_are_not_those_of_the_run(document: Document):
    """The accuracy of one group must not stand as the accuracy of the run, which is the worst of all its values."""
    rows = [
        number(OPEN, "accuracy-parity", name, 0.1, groups="dialect", group="a") for name in ("accuracy", "intent_accuracy", "perplexity")
    ]
    more = replace(document, evidence=Evidence(estimates=tuple(rows)) + document.evidence)
    assert more.estimate("accuracy", "non-private") is None
    assert more.estimate("intent_accuracy", "non-private") == document.estimate("intent_accuracy", "non-private")
    assert front.overview(more) == front.overview(document)


def test_a_run_of_another_name_keeps_its_numbers():
    twice = gather([fairness_record(OPEN), fairness_record(OPEN)], title="t")
    assert [one.name for one in reading.runs(twice)] == ["non-private", "non-private (2)"]
    assert isinstance(JUDGED[0], Judged)
