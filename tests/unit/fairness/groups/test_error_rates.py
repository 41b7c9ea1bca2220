"""Error rate equality differences: arithmetic, thresholds, groups that share members, missing rates."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.groups import ErrorRateEquality
from holdfast.fairness.groups.error_rates import equal_error_threshold, equality_difference
from holdfast.fairness.inference import Inference

SUM, MEAN = "sum of absolute differences", "mean absolute difference"
COUNTS = (  # group, truth, prediction, rows
    *(("a", 1, 1, 30), ("a", 1, 0, 10), ("a", 0, 1, 5), ("a", 0, 0, 55)),
    *(("b", 1, 1, 12), ("b", 1, 0, 18), ("b", 0, 1, 9), ("b", 0, 0, 21)),
    *(("c", 1, 1, 7), ("c", 1, 0, 3), ("c", 0, 1, 0), ("c", 0, 0, 15)),
)
FPED, FNED = "false_positive_equality_difference", "false_negative_equality_difference"


def test_the_arithmetic_of_dixon_and_others():
    found = equality_difference(0.1, np.array([0.0, 0.1, 0.25, 0.12]))
    assert found.total == pytest.approx(0.1 + 0 + 0.15 + 0.02)
    assert found.mean == pytest.approx(found.total / 4)
    assert found.distances_G == pytest.approx([0.1, 0, -0.15, -0.02])


def test_both_sums_of_known_counts(counted, quick, find):
    evidence = ErrorRateEquality().measure(counted(), subject="run", inference=quick)
    fpr, fnr = 14 / 105, 31 / 80
    expected = {
        FPED: abs(fpr - 5 / 60) + abs(fpr - 9 / 30) + abs(fpr - 0),
        FNED: abs(fnr - 10 / 40) + abs(fnr - 18 / 30) + abs(fnr - 3 / 10),
    }
    for name, value in expected.items():
        assert find(evidence, name, statistic=SUM).value == pytest.approx(value, abs=1e-12)
        assert find(evidence, name, statistic=MEAN).value == pytest.approx(value / 3, abs=1e-12)
        assert find(evidence, name, statistic=SUM).conditions["worst"] == "b"
        assert find(evidence, name, statistic=SUM).conditions["at_parity"] > 0
    assert find(evidence, "false_positive_rate", group="b").value == pytest.approx(0.3)
    assert Evidence.from_json(evidence.to_json()) == evidence


@pytest.mark.parametrize(
    ("margin", "times", "verdict"), [(0.01, 20, "unfair"), (0.3, 20, "fair within the margin"), (0.12, 1, "not enough data")]
)
def test_the_mean_has_a_verdict_and_the_sum_says_why_it_has_none(margin, times, verdict, counted, quick, find):
    given = counted([(group, truth, pred, times * rows) for group, truth, pred, rows in COUNTS])
    evidence = ErrorRateEquality().measure(given, subject="run", inference=replace(quick, margin=margin))
    mean, total = (find(evidence, FPED, statistic=statistic) for statistic in (MEAN, SUM))
    assert mean.conditions["verdict"] == verdict
    assert "verdict" not in total.conditions
    assert "no verdict: a sum grows with the number of groups" in total.method


def test_over_classes_a_sum_has_no_verdict_either_and_the_mean_is_fair_only_where_all_are(random_predictions, quick, find):
    rules = replace(quick, margin=0.05)
    evidence = ErrorRateEquality().measure(random_predictions(), subject="run", inference=rules)
    for classes in ("worst", "macro mean"):
        assert "verdict" not in find(evidence, FNED, statistic=SUM, classes=classes).conditions
        assert find(evidence, FNED, statistic=MEAN, classes=classes).conditions["verdict"] == "not enough data"
    wide = ErrorRateEquality().measure(random_predictions(4000), subject="run", inference=replace(quick, margin=0.4))
    assert find(wide, FNED, statistic=MEAN, classes="worst").conditions["verdict"] == "fair within the margin"


def test_groups_may_share_members(random_predictions, quick, find):
    given = random_predictions(positive=("c0",), overlapping=True)
    evidence = ErrorRateEquality().measure(given, subject="run", inference=quick)
    truth, pred = given.y_true == 0, given.y_pred == 0
    rates = [pred[member & ~truth].mean() for member in given.groups.members.T]
    assert find(evidence, FPED, statistic=SUM).value == pytest.approx(sum(abs(pred[~truth].mean() - rate) for rate in rates), abs=1e-12)


def test_several_classes_give_worst_and_macro_mean(random_predictions, quick, find):
    evidence = ErrorRateEquality().measure(random_predictions(), subject="run", inference=quick)
    by_class = [find(evidence, FNED, statistic=SUM, **{"class": label}).value for label in ("c0", "c1", "c2")]
    assert find(evidence, FNED, statistic=SUM, classes="worst").value == max(by_class)
    assert find(evidence, FNED, statistic=SUM, classes="macro mean").value == pytest.approx(np.mean(by_class))
    assert len([e for e in evidence.estimates if "group" in e.conditions]) == 2 * 3 * 3


def test_a_group_without_negatives_is_missing_then_left_out(counted, quick):
    given = counted([("a", 0, 1, 4), ("a", 0, 0, 6), ("a", 1, 1, 5), ("b", 0, 1, 1), ("b", 0, 0, 9), ("d", 1, 1, 3)])
    evidence = ErrorRateEquality().measure(given, subject="run", inference=quick)
    first, second = (e for e in evidence.estimates if e.name == FPED and e.conditions["statistic"] == SUM)
    assert first.value is None
    assert "group 'd' has no row that is truly negative" in first.missing
    assert second.value == pytest.approx(0.15 + 0.15)
    assert "group 'd'" in second.conditions["left out"]


class TestThresholds:
    def test_a_number_makes_decisions_of_scores(self, random_predictions, quick, find):
        given = random_predictions(positive=("c0",))
        evidence = ErrorRateEquality(threshold=0.8).measure(given, subject="run", inference=quick)
        member, truth, score = given.groups.members[:, 0], given.y_true == 0, given.scores[:, 0]
        assert find(evidence, "false_negative_rate", group="g0").value == pytest.approx((score < 0.8)[member & truth].mean())
        assert find(evidence, "false_negative_rate", group="g0").conditions["threshold"] == 0.8

    def test_equal_error_rates_are_as_equal_as_any_threshold_makes_them(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            positive = rng.random(60) < 0.4
            scores = np.round(positive * 0.3 + rng.random(60), 2)
            threshold = equal_error_threshold(scores, positive)
            away = lambda t: abs((scores[positive] < t).mean() - (scores[~positive] >= t).mean())  # noqa: B023, E731
            false_alarms, found, thresholds = roc_curve(positive, scores, drop_intermediate=False)
            assert away(threshold) == pytest.approx(min(np.abs((1 - found) - false_alarms)[1:]), abs=1e-12)
            assert threshold in thresholds

    def test_it_is_told(self, random_predictions, quick, find):
        given = random_predictions(positive=("c0",))
        evidence = ErrorRateEquality(threshold="equal error rate").measure(given, subject="run", inference=quick)
        summary = find(evidence, FPED)
        assert summary.conditions["variant"] == "threshold of equal error rates"
        threshold = equal_error_threshold(given.scores[:, 0], given.y_true == 0)
        assert summary.conditions["threshold"] == pytest.approx(threshold)

    def test_one_kind_of_row_has_no_such_threshold(self):
        assert np.isnan(equal_error_threshold(np.array([0.1, 0.2]), np.array([True, True])))
        assert np.isnan(equal_error_threshold(np.array([]), np.array([], dtype=bool)))

    def test_without_scores_it_is_refused(self, counted, quick):
        with pytest.raises(InputError, match="error-rate-equality: it looks at scores"):
            ErrorRateEquality(threshold=0.5).measure(counted(), subject="run", inference=quick)

    @pytest.mark.parametrize("threshold", ["eer", float("nan"), float("inf")])
    def test_bad_thresholds_are_refused(self, threshold):
        with pytest.raises(InputError, match="threshold"):
            ErrorRateEquality(threshold=threshold)


def test_a_large_difference_is_told_from_noise(counted, find):
    rules = Inference(replicates=500)
    counts = [("a", 0, 1, 5), ("a", 0, 0, 95), ("a", 1, 1, 50), ("b", 0, 1, 60), ("b", 0, 0, 40), ("b", 1, 1, 50)]
    found = find(ErrorRateEquality().measure(counted(counts), subject="run", inference=rules), FPED)
    assert found.interval.low > 0.3
    assert found.conditions["p_value"] < 0.01
    assert found.conditions["at_parity"] < 0.15
