"""Parity metrics: published definitions, missing groups, several classes, verdicts."""

import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.groups import AccuracyParity, DemographicParity, EqualisedOdds, EqualOpportunity, PredictiveParity
from holdfast.fairness.groups.gaps import Gap, mean_of, merged, worst_of
from holdfast.fairness.groups.parity import VARIANTS
from holdfast.fairness.inference import Inference, Measured

ONE_RATE = {
    "demographic_parity": DemographicParity(),
    "equal_opportunity": EqualOpportunity(),
    "predictive_parity": PredictiveParity(),
    "accuracy_parity": AccuracyParity(),
}
ALL = [*ONE_RATE.values(), EqualisedOdds()]
FAIRLEARN = {  # fairlearn 0.15.0 on the toy counts of the conftest: difference, ratio
    "demographic_parity": (0.06999999999999995, 0.8000000000000002),
    "equal_opportunity": (0.35, 0.5333333333333333),
    "accuracy_parity": (0.33, 0.625),
    "predictive_parity": (0.428571428571428571, 0.571428571428571429),
}
FAIRLEARN_ODDS = {"worst": (0.35, 0.0), "mean": (0.32499999999999996, 0.26666666666666666)}


@pytest.mark.parametrize("prefix", ONE_RATE)
def test_differences_and_ratios_are_those_of_fairlearn(counted, quick, find, prefix):
    evidence = ONE_RATE[prefix].measure(counted(), subject="run", inference=quick)
    difference, ratio = FAIRLEARN[prefix]
    assert find(evidence, f"{prefix}_difference", statistic="difference").value == pytest.approx(difference, abs=1e-12)
    assert find(evidence, f"{prefix}_ratio", statistic="ratio").value == pytest.approx(ratio, abs=1e-12)


@pytest.mark.parametrize("how", VARIANTS)
def test_equalised_odds_are_those_of_fairlearn(counted, quick, find, how):
    evidence = EqualisedOdds().measure(counted(), subject="run", inference=quick)
    for kind, value in zip(("difference", "ratio"), FAIRLEARN_ODDS[how], strict=True):
        assert find(evidence, f"equalised_odds_{kind}", variant=VARIANTS[how]).value == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.card.name)
def test_every_number_carries_its_metric_an_interval_and_the_groups(counted, quick, metric):
    evidence = metric.measure(counted(), subject="run", inference=quick)
    assert evidence.estimates
    assert evidence.notes
    for estimate in evidence.estimates:
        assert estimate.conditions["metric"] == metric.card.name
        assert estimate.conditions["groups"] == "g"
        assert estimate.conditions["source_text"] == "toy"
        assert estimate.subject == "run"
        assert estimate.interval is not None
        assert estimate.interval.low <= estimate.value <= estimate.interval.high
        assert estimate.interval.low >= 0
        assert estimate.interval.high <= 1
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_summary_tells_test_effect_size_sizes_and_what_could_be_seen(counted, quick, find):
    summary = find(EqualOpportunity().measure(counted(), subject="run", inference=quick), "equal_opportunity_difference")
    assert summary.conditions["worst"] == "b"
    assert {key: summary.conditions[f"n {key}"] for key in "abc"} == {"a": 40, "b": 30, "c": 10}
    assert summary.conditions["effect_size"] == pytest.approx(2 * math.asin(math.sqrt(0.75)) - 2 * math.asin(math.sqrt(0.4)))
    assert summary.conditions["effect"].startswith("Cohen's h")
    assert 0.2 < summary.conditions["minimum_detectable"] < 1
    assert 0 < summary.conditions["p_value"] < 0.2
    assert "permuted" in summary.conditions["test"]
    assert summary.n == 80
    assert summary.conditions["resampled"] == "examples"
    assert "verdict" not in summary.conditions


def test_accuracy_says_nothing_of_a_positive_side(counted, quick, find):
    evidence = AccuracyParity().measure(counted(), subject="run", inference=quick)
    assert all("positive" not in estimate.conditions for estimate in evidence.estimates)
    assert find(EqualOpportunity().measure(counted(), subject="run", inference=quick), "true_positive_rate").conditions["positive"] == "yes"


@pytest.mark.parametrize(("margin", "verdict"), [(0.9, "fair within the margin"), (0.02, "unfair"), (0.36, "not enough data")])
def test_a_margin_brings_a_verdict(counted, find, margin, verdict):
    evidence = EqualOpportunity().measure(counted(), subject="run", inference=Inference(replicates=500, permutations=200, margin=margin))
    assert find(evidence, "equal_opportunity_difference").conditions["verdict"] == verdict


class TestMissingGroups:
    def test_a_group_without_a_rate_is_a_row_and_makes_the_summary_missing(self, counted, quick, find):
        given = counted([("a", 1, 1, 9), ("a", 1, 0, 9), ("b", 1, 1, 5), ("b", 1, 0, 15), ("d", 0, 0, 4)])
        evidence = EqualOpportunity().measure(given, subject="run", inference=quick)
        row = find(evidence, "true_positive_rate", group="d")
        assert row.value is None
        assert row.missing == "0/0: group 'd' has no row that is truly positive among 4"
        summary = find(evidence, "equal_opportunity_difference")
        assert summary.value is None
        assert "no value for d" in summary.missing

    def test_a_second_summary_leaves_it_out_and_says_so(self, counted, quick):
        given = counted([("a", 1, 1, 9), ("a", 1, 0, 9), ("b", 1, 1, 5), ("b", 1, 0, 15), ("d", 0, 0, 4)])
        evidence = EqualOpportunity().measure(given, subject="run", inference=quick)
        first, second = (e for e in evidence.estimates if e.name == "equal_opportunity_difference")
        assert first.value is None
        assert second.value == pytest.approx(0.25)
        assert second.conditions["left out"] == "0/0: group 'd' has no row that is truly positive among 4"

    def test_zero_over_zero_is_no_ratio_of_one(self, counted, quick, find):
        given = counted([("a", 1, 0, 9), ("b", 1, 0, 9)])
        ratio = find(EqualOpportunity().measure(given, subject="run", inference=quick), "equal_opportunity_ratio")
        assert ratio.value is None
        assert "ratio" in ratio.missing

    def test_a_group_of_one_row_has_a_value_and_no_interval(self, counted, quick, find):
        given = counted([("a", 1, 1, 9), ("a", 0, 0, 9), ("lone", 1, 1, 1)])
        row = find(DemographicParity().measure(given, subject="run", inference=quick), "selection_rate", group="lone")
        assert row.value == 1
        assert row.interval is None
        assert "no interval: it rests on one row" in row.method

    def test_an_empty_group_and_empty_data(self, counted, quick, find):
        evidence = DemographicParity().measure(counted(names=("a", "b", "nobody")), subject="run", inference=quick)
        assert find(evidence, "selection_rate", group="nobody").missing == "0/0: no row belongs to group 'nobody'"
        assert find(evidence, "demographic_parity_difference").value is None

    def test_one_group_has_no_gap(self, counted, quick, find):
        evidence = DemographicParity().measure(counted(names=("a",)), subject="run", inference=quick)
        assert "one group only" in find(evidence, "demographic_parity_difference").missing


class TestSeveralClasses:
    @pytest.mark.parametrize("prefix", ["demographic_parity", "equal_opportunity", "predictive_parity"])
    def test_worst_and_macro_mean_over_classes(self, random_predictions, quick, find, prefix):
        evidence = ONE_RATE[prefix].measure(random_predictions(), subject="run", inference=quick)
        name = f"{prefix}_difference"
        by_class = [find(evidence, name, **{"class": label}).value for label in ("c0", "c1", "c2")]
        worst, mean = (find(evidence, name, classes=over) for over in ("worst", "macro mean"))
        assert worst.value == max(by_class)
        assert worst.conditions["worst class"] == f"c{int(np.argmax(by_class))}"
        assert mean.value == pytest.approx(np.mean(by_class))
        assert evidence.estimate(name) is worst  # who asks for the name gets the worst

    def test_the_worst_ratio_is_the_smallest(self, random_predictions, quick, find):
        evidence = DemographicParity().measure(random_predictions(), subject="run", inference=quick)
        by_class = [find(evidence, "demographic_parity_ratio", **{"class": label}).value for label in ("c0", "c1", "c2")]
        assert find(evidence, "demographic_parity_ratio", classes="worst").value == min(by_class)

    def test_p_values_of_classes_are_a_family(self, random_predictions, quick, find):
        evidence = DemographicParity().measure(random_predictions(), subject="run", inference=quick)
        rows = [find(evidence, "demographic_parity_difference", **{"class": label}) for label in ("c0", "c1", "c2")]
        raw, adjusted = ([row.conditions[key] for row in rows] for key in ("p_value", "p_adjusted"))
        assert all(a >= r for a, r in zip(adjusted, raw, strict=True))
        assert min(adjusted) == pytest.approx(min(1, 3 * min(raw)))
        assert rows[0].conditions["adjustment"] == "Holm, 3 classes"

    def test_every_class_of_every_group_is_a_row(self, random_predictions, quick):
        rows = [e for e in EqualisedOdds().measure(random_predictions(), subject="r", inference=quick).estimates if "group" in e.conditions]
        assert len(rows) == 2 * 3 * 3
        assert {row.conditions["class"] for row in rows} == {"c0", "c1", "c2"}

    def test_a_class_that_a_group_lacks_is_left_out_of_the_second_summary_only(self, random_predictions, quick):
        given = random_predictions()
        given.y_true[given.groups.members[:, 2] & (given.y_true == 1)] = 0
        evidence = EqualOpportunity().measure(given, subject="run", inference=quick)
        worst = [e for e in evidence.estimates if e.conditions.get("classes") == "worst" and e.name == "equal_opportunity_difference"]
        assert worst[0].value is None
        assert worst[1].value > 0
        assert "group 'g2' has no row that is truly positive of class 'c1'" in worst[1].conditions["left out"]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.card.name)
def test_groups_that_share_members_are_refused(random_predictions, quick, metric):
    with pytest.raises(InputError, match=f"{metric.card.name}: .* rows belong to more than one group"):
        metric.measure(random_predictions(overlapping=True), subject="run", inference=quick)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.card.name)
def test_the_same_seed_gives_the_same_evidence_and_another_seed_does_not(random_predictions, metric):
    given = random_predictions(150)
    first, again, other = (
        metric.measure(given, subject="run", inference=Inference(replicates=200, permutations=100, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_units_widen_intervals(random_predictions, find):
    """Five copies of each row are no more evidence than the row, once it is said that they hang together."""
    alone = random_predictions(80, users=80)
    rows = np.repeat(np.arange(80), 5)
    copies = type(alone)(
        alone.y_true[rows], alone.y_pred[rows], alone.classes,
        type(alone.groups)("attribute", alone.groups.names, alone.groups.members[rows]),
        type(alone.units)(rows, 80, "users"),
    )  # fmt: skip
    loose = type(copies)(copies.y_true, copies.y_pred, copies.classes, copies.groups, type(alone.units).rows(400))
    rules = Inference(replicates=500, permutations=100)
    together, apart = (
        find(AccuracyParity().measure(given, subject="run", inference=rules), "accuracy_parity_difference") for given in (copies, loose)
    )
    assert together.value == apart.value
    assert together.interval.high - together.value > 1.5 * (apart.interval.high - apart.value)
    assert together.conditions["p_value"] > apart.conditions["p_value"]
    assert together.conditions["resampled"] == "users"


def part(value: float | None, low: float = 0.0, high: float = 1.0, **more: object) -> Gap:
    alone = Measured(value=value, low=low, high=high, interval="max-T", missing=None if value is not None else "0/0", **more)
    shared = Measured(value=value, low=low - 0.05, high=high + 0.05, interval="max-T", missing=alone.missing, **more)
    return Gap(alone=alone, shared=shared, label="c", worst="a")


class TestCombining:
    RULES = Inference(margin=0.2)

    def test_the_worst_difference_takes_the_joint_end_towards_parity_only(self):
        combined = worst_of([part(0.3, 0.2, 0.4), part(0.1, 0.05, 0.6)], kind="difference", inference=self.RULES)
        assert (combined.measured.value, combined.measured.low, combined.measured.high) == pytest.approx((0.3, 0.15, 0.6))

    def test_the_worst_ratio_is_the_mirror_image(self):
        combined = worst_of([part(0.7, 0.6, 0.8), part(0.9, 0.4, 0.95)], kind="ratio", inference=self.RULES)
        assert (combined.measured.value, combined.measured.low, combined.measured.high) == pytest.approx((0.7, 0.4, 0.85))

    def test_the_mean_takes_joint_ends(self):
        combined = mean_of([part(0.3, 0.2, 0.4), part(0.1, 0.05, 0.6)], inference=self.RULES)
        assert (combined.measured.value, combined.measured.low, combined.measured.high) == pytest.approx((0.2, 0.075, 0.55))

    def test_p_values_are_multiplied_by_how_many_there_are(self):
        gaps = [part(0.3, p_value=0.01, test="t"), part(0.1, p_value=0.4, test="t")]
        assert worst_of(gaps, kind="difference", inference=self.RULES).measured.p_value == pytest.approx(0.02)
        assert mean_of(gaps, inference=self.RULES).measured.p_value == pytest.approx(0.02)
        assert worst_of([part(0.3, p_value=0.01), part(0.1)], kind="difference", inference=self.RULES).measured.p_value is None

    def test_a_missing_one_makes_the_whole_missing_with_its_reason(self):
        combined = worst_of([part(0.3), part(None)], kind="difference", inference=self.RULES)
        assert combined.measured.value is None
        assert combined.measured.missing == "1 of 2 gaps are undefined: class 'c': 0/0"

    @pytest.mark.parametrize(
        ("verdicts", "joint"),
        [
            (("fair within the margin", "fair within the margin"), "fair within the margin"),
            (("fair within the margin", "not enough data"), "not enough data"),
            (("unfair", "fair within the margin"), "unfair"),
        ],
    )
    def test_fair_needs_all_and_unfair_needs_one(self, verdicts, joint):
        gaps = [part(0.1, verdict=verdict) for verdict in verdicts]
        assert worst_of(gaps, kind="difference", inference=self.RULES).measured.verdict == joint
        assert worst_of(gaps, kind="ratio", inference=self.RULES).measured.verdict is None

    def test_parts_of_one_class_can_be_combined_further(self):
        gap = merged([part(0.3, 0.2, 0.4), part(0.1, 0.05, 0.6)], kind="difference", how="worst", inference=self.RULES)
        assert (gap.alone.high, gap.shared.high) == pytest.approx((0.6, 0.65))
        assert gap.alone.low == gap.shared.low == pytest.approx(0.15)
