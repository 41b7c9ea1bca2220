"""Figures by group: names and conditions that programs rely on, corrections for many groups, and no group lost in silence."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from holdfast.audit import Scores
from holdfast.audit.intervals import Area
from holdfast.audit.leakage import GroupedScores
from holdfast.audit.leakage.by_group import FEWEST_ROWS, NOTES
from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate, Evidence

Make = Callable[..., GroupedScores]
SIZES = {"north": (200, 150), "south": (80, 120), "tiny": (19, 400), "west": (60, 40)}
TESTED = ("north", "south", "west")


@pytest.fixture
def make(scores) -> Make:
    def build(
        sizes: dict[str, tuple[int, int]] = SIZES, *, unknown: tuple[int, int] = (0, 0), leak: float = 0.5, seed: int = 0
    ) -> GroupedScores:
        rng = np.random.default_rng(seed)
        labels = [[name for name, counts in sizes.items() for _ in range(counts[side])] + [None] * unknown[side] for side in (0, 1)]
        order = [rng.permutation(len(side)) for side in labels]
        return GroupedScores(
            scores=scores(rng.normal(leak, 1, len(labels[0])), rng.normal(0, 1, len(labels[1]))),
            attribute="dialect",
            members=[labels[0][row] for row in order[0]],
            nonmembers=[labels[1][row] for row in order[1]],
        )

    return build


def of(estimates: tuple[Estimate, ...], group: str) -> Estimate:
    return next(estimate for estimate in estimates if estimate.conditions["group"] == group)


def rows(grouped: GroupedScores, *groups: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some groups, picked row by row."""
    pairs = ((grouped.scores.members, grouped.members), (grouped.scores.nonmembers, grouped.nonmembers))
    inside, outside = (np.array([score for score, label in zip(*pair, strict=True) if label in groups]) for pair in pairs)
    return inside, outside


def test_areas_are_those_of_the_rows_of_each_group(make: Make):
    grouped = make()
    for name in TESTED:
        estimate, area = of(grouped.auc(subject="dp-sgd"), name), Area.between(*rows(grouped, name))
        assert estimate.value == area.value
        each = area.interval(level=1 - 0.05 / 3)
        assert (estimate.interval.low, estimate.interval.high, estimate.interval.level) == pytest.approx((each.low, each.high, 0.95))
        assert estimate.interval.method.endswith("for all 3 groups at once (Bonferroni)")


def test_an_estimate_says_what_it_speaks_of(make: Make):
    estimate = of(make().auc(subject="dp-sgd"), "south")
    assert (estimate.name, estimate.subject, estimate.unit, estimate.direction, estimate.n) == (
        "group_auc",
        "dp-sgd",
        "area",
        "lower is better",
        200,
    )
    expected = {
        "attack": "toy",
        "training_runs": 1,
        "attribute": "dialect",
        "group": "south",
        "groups": 3,
        "members": 80,
        "nonmembers": 120,
    }
    assert estimate.conditions == expected
    assert (estimate.access, estimate.method) == ("none", "Mann-Whitney")
    assert "made up" in estimate.reference


def test_a_group_with_too_few_rows_stays_and_says_why(make: Make):
    grouped = make()
    assert grouped.names == ("north", "south", "tiny", "west")
    assert grouped.tested == TESTED
    figures = (grouped.auc(), grouped.differences(), grouped.at_one_threshold(0.1), grouped.at_own_thresholds(0.1), grouped.advantages())
    for estimates in figures:
        tiny = of(estimates, "tiny")
        assert (tiny.value, tiny.interval, tiny.n) == (None, None, 419)
        assert tiny.missing == "too few rows: 19 members and 400 non-members are of group 'tiny'; 20 of each are needed"
        assert set(tiny.conditions) <= {"attack", "training_runs", "attribute", "group", "groups", "members", "nonmembers", "fpr"}
        assert [estimate.conditions["group"] for estimate in estimates[:4]] == list(grouped.names)


def test_a_group_of_one_side_alone_is_named_too(make: Make):
    grouped = make({"north": (50, 50), "nobody": (0, 30)})
    assert "0 members and 30 non-members" in of(grouped.auc(), "nobody").missing


@pytest.mark.parametrize("side", [0, 1])
def test_twenty_rows_of_each_side_are_enough_and_nineteen_are_not(make: Make, side: int):
    sizes = [FEWEST_ROWS, FEWEST_ROWS]
    assert make({"a": tuple(sizes)}).auc()[0].value is not None
    sizes[side] -= 1
    assert make({"a": tuple(sizes)}).auc()[0].value is None


def test_more_groups_make_wider_intervals(make: Make):
    few, many = make({"a": (50, 50)}), make({"a": (50, 50), **{f"b{i}": (20, 20) for i in range(9)}})
    area = Area.between(*rows(many, "a"))
    assert of(few.auc(), "a").interval.method.endswith("for all 1 groups at once (Bonferroni)")
    found = of(many.auc(), "a").interval
    assert found.high - found.low > area.interval(level=0.95).high - area.interval(level=0.95).low


def test_differences_are_to_the_rows_of_all_other_groups(make: Make):
    grouped = make(unknown=(30, 30))
    for name in TESTED:
        estimate = of(grouped.differences(), name)
        own, rest = Area.between(*rows(grouped, name)), Area.between(*rows(grouped, *(set(SIZES) - {name})))
        assert estimate.value == pytest.approx(own.value - rest.value)
        assert estimate.n == own.rows + rest.rows == 419 + 650
        assert estimate.interval.low < estimate.value < estimate.interval.high
        assert (estimate.unit, estimate.direction) == ("area", "neither")


def test_one_group_has_nothing_to_be_compared_with(make: Make):
    grouped = make({"all": (50, 60), "few": (3, 4)})
    assert of(grouped.differences(), "all").missing.startswith("nothing to compare with: 3 members and 4 non-members are of other groups")
    gap = grouped.gap(subject="a")
    assert gap.missing == "1 of 2 groups have 20 members and as many non-members; two are needed"
    assert (gap.name, gap.subject, gap.conditions["groups_left_out"]) == ("group_auc_gap", "a", 1)


def test_the_gap_is_the_largest_area_minus_the_smallest(make: Make):
    grouped = make()
    gap, areas = grouped.gap(), {e.conditions["group"]: e.value for e in grouped.auc() if e.value is not None}
    assert gap.value == max(areas.values()) - min(areas.values())
    assert areas[gap.conditions["largest"]] - areas[gap.conditions["smallest"]] == gap.value
    assert 0 <= gap.interval.low <= gap.value <= gap.interval.high
    assert (gap.n, gap.conditions["members"], gap.conditions["nonmembers"]) == (650, 340, 310)
    assert 0.02 < gap.conditions["null_mean"] < 0.15


def test_one_threshold_is_that_of_all_nonmembers(make: Make):
    grouped = make(unknown=(7, 90))
    threshold = np.sort(grouped.scores.nonmembers)[::-1][math.floor(0.1 * 800)]
    found = grouped.at_one_threshold(0.1, subject="a")
    tprs = {e.conditions["group"]: e for e in found if e.name == "group_tpr_one_threshold"}
    fprs = {e.conditions["group"]: e for e in found if e.name == "group_fpr_one_threshold"}
    for name in TESTED:
        inside, outside = rows(grouped, name)
        assert tprs[name].value == np.mean(inside > threshold)
        assert fprs[name].value == np.mean(outside > threshold)
        assert (tprs[name].n, fprs[name].n) == (inside.size, outside.size)
        assert tprs[name].conditions["fpr"] == 0.1
        for estimate in (tprs[name], fprs[name]):
            assert estimate.interval.low < estimate.value < estimate.interval.high
            assert "one threshold for all" in estimate.method


def test_one_threshold_and_own_thresholds_are_different_questions(make: Make):
    grouped = make({"easy": (100, 100), "hard": (100, 100)}, leak=0.0)
    lifted = {"easy": 2.0, "hard": 0.0}
    members = grouped.scores.members + [lifted[label] for label in grouped.members]
    nonmembers = grouped.scores.nonmembers + [lifted[label] for label in grouped.nonmembers]
    scores = Scores(members=members, nonmembers=nonmembers, attack="toy", access="none", reference="none")
    grouped = GroupedScores(scores=scores, attribute="age", members=grouped.members, nonmembers=grouped.nonmembers)
    one, own = grouped.at_one_threshold(0.1), grouped.at_own_thresholds(0.1)
    assert of(one[:2], "easy").value > of(one[:2], "hard").value + 0.1  # found more often ...
    assert of(one[2:], "easy").value > of(one[2:], "hard").value + 0.1  # ... and wrongly accused more often: the attack is no better
    assert max(estimate.value for estimate in own) < 0.3


def test_own_thresholds_are_those_of_each_group(make: Make):
    grouped = make()
    for name in TESTED:
        inside, outside = rows(grouped, name)
        alone = Scores(members=inside, nonmembers=outside, attack="toy", access="none", reference="none").tpr_at_fpr(
            0.25, level=1 - 0.05 / 3
        )
        estimate = of(grouped.at_own_thresholds(0.25), name)
        assert (estimate.value, estimate.interval.low, estimate.interval.high) == (alone.value, alone.interval.low, alone.interval.high)


def test_rates_that_cannot_be_resolved_are_missing(make: Make):
    grouped = make()
    own = grouped.at_own_thresholds(0.1)
    assert of(own, "south").value is not None  # 120 non-members
    assert of(own, "west").missing.startswith("not resolvable: 40 non-members")
    one = grouped.at_one_threshold(0.01)
    assert len(one) == 8
    assert all(estimate.missing.startswith("not resolvable: 710 non-members") for estimate in one if estimate.conditions["group"] in TESTED)
    assert of(one, "tiny").missing.startswith("too few rows")
    with pytest.raises(InputError, match="outside"):
        grouped.at_one_threshold(1.0)


def test_advantages_carry_what_chance_gives_a_group_of_that_size(make: Make):
    grouped = make()
    large, small = of(grouped.advantages(), "north"), of(grouped.advantages(), "west")
    assert small.conditions["null_mean"] > large.conditions["null_mean"]
    alone = Scores(members=rows(grouped, "west")[0], nonmembers=rows(grouped, "west")[1], attack="toy", access="none", reference="none")
    assert small.value == alone.advantage().value
    assert small.interval.high - small.interval.low > alone.advantage().interval.high - alone.advantage().interval.low
    assert small.name == "group_advantage"


def test_the_order_of_the_rows_changes_nothing(make: Make):
    grouped, rng = make(unknown=(5, 5)), np.random.default_rng(9)
    inside, outside = rng.permutation(len(grouped.members)), rng.permutation(len(grouped.nonmembers))
    scores = Scores(
        members=grouped.scores.members[inside],
        nonmembers=grouped.scores.nonmembers[outside],
        attack="toy",
        access="none",
        reference="made up",
    )
    labels = {"members": [grouped.members[row] for row in inside], "nonmembers": [grouped.nonmembers[row] for row in outside]}
    for one, other in zip(
        grouped.evidence(subject="a").estimates,
        GroupedScores(scores=scores, attribute="dialect", **labels).evidence(subject="a").estimates,
        strict=True,
    ):
        assert (one.name, one.missing, dict(one.conditions)) == (other.name, other.missing, pytest.approx(dict(other.conditions)))
        assert one.value == pytest.approx(other.value)


def test_evidence_holds_every_figure_and_keeps_its_json_form(make: Make):
    evidence = make().evidence(subject="dp-sgd", fprs=(0.1, 0.01))
    names = [estimate.name for estimate in evidence.estimates]
    per_group = {"group_auc": 4, "group_auc_difference": 4, "group_auc_gap": 1, "group_advantage": 4}
    per_rate = {"group_tpr_one_threshold": 8, "group_fpr_one_threshold": 8, "group_tpr_own_threshold": 8}
    assert {name: names.count(name) for name in names} == per_group | per_rate
    assert {estimate.subject for estimate in evidence.estimates} == {"dp-sgd"}
    assert all(estimate.interval.level == 0.95 for estimate in evidence.estimates if estimate.interval)
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence
    assert evidence.notes == NOTES
    assert evidence.estimate("membership_auc") is None  # no figure of a part may pass for that of the whole


def test_rows_of_no_known_group_are_counted_in_a_note(make: Make):
    grouped = make(unknown=(30, 1200))
    assert grouped.evidence(subject="a").notes[-1] == "30 members and 1,200 non-members are of no known dialect; they count in no group."
    assert None not in grouped.names


def test_no_labels_at_all_give_no_groups(make: Make):
    grouped = make({}, unknown=(40, 40))
    assert grouped.auc() == grouped.differences() == grouped.at_one_threshold(0.25) == ()
    assert grouped.gap().missing.startswith("0 of 0 groups")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"], "1 group labels for 2 members"),
        ("ab", "2 group labels"),
        (["a", ""], "group label '' of the members is no name"),
        (["a", 3], "group label 3 of the members is no name"),
    ],
)
def test_labels_that_do_not_fit_are_refused(scores, labels: list, words: str):
    with pytest.raises(InputError, match=words):
        GroupedScores(scores=scores([1.0, 2.0], [0.0, 1.0]), attribute="age", members=labels, nonmembers=["a", None])
