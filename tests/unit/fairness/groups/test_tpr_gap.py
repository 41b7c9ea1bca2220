"""The gap of true positive rates class by class: no class is dropped, and the summary is what its definition says."""

import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.groups import TPRGap
from holdfast.fairness.groups.tpr_gap import class_gaps
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

BIOGRAPHIES = (  # class, group, rows, hits
    *(("nurse", "female", 90, 81), ("nurse", "male", 10, 5)),
    *(("surgeon", "female", 20, 10), ("surgeon", "male", 80, 64)),
    *(("poet", "female", 40, 0), ("poet", "male", 40, 0)),
    *(("rapper", "female", 4, 0), ("rapper", "male", 36, 9)),
    *(("dancer", "female", 30, 21),),
)


def biographies(rows: tuple[tuple[str, str, int, int], ...] = BIOGRAPHIES) -> Predictions:
    truth, pred, group = [], [], []
    for label, of, count, hits in rows:
        truth += [label] * count
        pred += [label] * hits + ["nurse" if label != "nurse" else "poet"] * (count - hits)
        group += [of] * count
    return Predictions.of_names(truth, pred, groups=Groups.of_values(group, attribute="gender", names=("female", "male")))


GAPS = {"nurse": 0.9 - 0.5, "surgeon": 0.5 - 0.8, "poet": 0.0, "rapper": 0 - 0.25}
SHARES = {"nurse": 0.9, "surgeon": 0.2, "poet": 0.5, "rapper": 0.1}


def test_verdicts_of_classes_and_of_their_root_mean_square(find):
    """Rates known to half a point or less, and one class of few rows."""
    rows = (
        *(
            ("nurse", "female", 9000, 8100),
            ("nurse", "male", 4500, 4025),
            ("surgeon", "female", 9000, 4500),
            ("surgeon", "male", 9000, 7200),
        ),
        *(("poet", "female", 12, 5), ("poet", "male", 12, 7), ("dancer", "female", 30, 21)),
    )
    evidence = TPRGap().measure(biographies(rows), subject="run", inference=Inference(replicates=200, permutations=100, margin=0.05))
    expected = {"nurse": "fair within the margin", "surgeon": "unfair", "poet": "not enough data"}
    for label, verdict in expected.items():
        assert find(evidence, "true_positive_rate_gap", **{"class": label}).conditions["verdict"] == verdict
    dancer = find(evidence, "true_positive_rate_gap", **{"class": "dancer"})
    assert "verdict" not in dancer.conditions
    assert "no verdict: there is no value" in dancer.method
    whole = find(evidence, "true_positive_rate_gap", statistic="root mean square")
    assert whole.value > 0.15  # and yet the class of few rows leaves it in doubt
    assert whole.conditions["verdict"] == "not enough data"
    sure = TPRGap().measure(biographies(rows[:4]), subject="run", inference=Inference(replicates=200, permutations=100, margin=0.05))
    assert find(sure, "true_positive_rate_gap", statistic="root mean square").conditions["verdict"] == "unfair"
    assert "a correlation is no difference" in find(evidence, "true_positive_rate_gap_correlation").method


def test_gaps_of_known_counts(quick, find):
    evidence = TPRGap().measure(biographies(), subject="run", inference=quick)
    for label, gap in GAPS.items():
        row = find(evidence, "true_positive_rate_gap", **{"class": label})
        assert row.value == pytest.approx(gap)
        assert row.conditions["share of the first group"] == pytest.approx(SHARES[label])
        assert row.direction == "neither"
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_class_in_which_nobody_was_found_counts(quick, find):
    evidence = TPRGap().measure(biographies(), subject="run", inference=quick)
    summary = find(evidence, "true_positive_rate_gap", statistic="root mean square")
    assert summary.value == pytest.approx(math.sqrt(np.mean([gap**2 for gap in GAPS.values()])))
    dropped = math.sqrt(np.mean([gap**2 for label, gap in GAPS.items() if label != "poet"]))
    assert abs(summary.value - dropped) > 0.03
    assert summary.conditions["number of classes"] == 4
    assert evidence.estimates[0] is summary


def test_a_class_that_one_group_lacks_is_a_row_and_is_told_in_the_summary(quick, find):
    evidence = TPRGap().measure(biographies(), subject="run", inference=quick)
    row = find(evidence, "true_positive_rate_gap", **{"class": "dancer"})
    assert row.value is None
    assert "group 'male' has no row that is truly positive of class 'dancer'" in row.missing
    assert find(evidence, "true_positive_rate", group="female", **{"class": "dancer"}).value == pytest.approx(0.7)
    summary = find(evidence, "true_positive_rate_gap", statistic="root mean square")
    assert summary.conditions["undefined"] == 1
    assert summary.conditions["left out"] == "dancer"


def test_the_correlation_with_the_share_of_the_first_group(quick, find):
    found = find(TPRGap().measure(biographies(), subject="run", inference=quick), "true_positive_rate_gap_correlation")
    expected = np.corrcoef([GAPS[label] for label in SHARES], list(SHARES.values()))[0, 1]
    assert found.value == pytest.approx(expected)
    assert found.value > 0.9
    assert -1 <= found.interval.low <= found.value <= found.interval.high <= 1
    assert found.unit == "correlation"


def test_swapping_the_groups_turns_the_signs(quick, find):
    there, back = (TPRGap(first=first, second=second) for first, second in (("female", "male"), ("male", "female")))
    one, other = (metric.measure(biographies(), subject="run", inference=quick) for metric in (there, back))
    for label in GAPS:
        values = [find(evidence, "true_positive_rate_gap", **{"class": label}).value for evidence in (one, other)]
        assert values[0] == pytest.approx(-values[1])
    roots = [find(evidence, "true_positive_rate_gap", statistic="root mean square").value for evidence in (one, other)]
    assert roots[0] == pytest.approx(roots[1])
    assert find(other, "true_positive_rate_gap_correlation").value == pytest.approx(
        find(one, "true_positive_rate_gap_correlation").value
    )  # shares turn with the gaps


def test_two_of_many_groups_can_be_named(random_predictions, quick, find):
    given = random_predictions()
    evidence = TPRGap(first="g2", second="g0").measure(given, subject="run", inference=quick)
    hit = given.y_pred == given.y_true
    for place, label in enumerate(given.classes):
        rates = [hit[given.groups.members[:, group] & (given.y_true == place)].mean() for group in (2, 0)]
        assert find(evidence, "true_positive_rate_gap", **{"class": label}).value == pytest.approx(rates[0] - rates[1])
    assert find(evidence, "true_positive_rate_gap").conditions["first"] == "g2"


def test_p_values_are_a_family_and_sizes_are_told(quick, find):
    evidence = TPRGap().measure(biographies(), subject="run", inference=quick)
    nurse = find(evidence, "true_positive_rate_gap", **{"class": "nurse"})
    assert nurse.conditions["p_adjusted"] >= nurse.conditions["p_value"]
    assert (nurse.conditions["n female"], nurse.conditions["n male"]) == (90, 10)
    assert nurse.conditions["effect_size"] == pytest.approx(2 * math.asin(math.sqrt(0.9)) - 2 * math.asin(math.sqrt(0.5)))
    assert "p_value" not in find(evidence, "true_positive_rate_gap", **{"class": "dancer"}).conditions


def test_few_or_constant_classes_have_no_correlation(quick, find):
    two = biographies(tuple(row for row in BIOGRAPHIES if row[0] in ("nurse", "surgeon")))
    found = find(TPRGap().measure(two, subject="run", inference=quick), "true_positive_rate_gap_correlation")
    assert found.value is None
    alike = biographies(tuple((label, group, 10, 5) for label in ("nurse", "surgeon", "poet") for group in ("female", "male")))
    assert math.isnan(class_gaps(alike, "female", "male").correlation)


def test_no_class_at_all(quick, find):
    only = biographies((("nurse", "female", 5, 5), ("poet", "male", 5, 2)))
    evidence = TPRGap().measure(only, subject="run", inference=quick)
    summary = find(evidence, "true_positive_rate_gap", statistic="root mean square")
    assert summary.value is None
    assert summary.missing == "none of 2 classes has rows of both groups"


class TestRefusals:
    def test_it_must_be_clear_which_two(self, random_predictions, quick):
        with pytest.raises(InputError, match=r"there are 3 groups \(g0, g1, g2\); say which two"):
            TPRGap().measure(random_predictions(), subject="run", inference=quick)

    def test_an_unknown_group_names_the_nearest(self):
        with pytest.raises(InputError, match="'femal' is no group of 'gender'; did you mean 'female'"):
            class_gaps(biographies(), "femal", "male")

    @pytest.mark.parametrize("options", [{"first": "a"}, {"second": "a"}, {"first": "a", "second": "a"}])
    def test_options(self, options):
        with pytest.raises(InputError, match="tpr-gap: first"):
            TPRGap(**options)

    def test_the_same_group_twice(self):
        with pytest.raises(InputError, match="both 'male'"):
            class_gaps(biographies(), "male", "male")

    def test_two_groups_that_share_a_member(self):
        members = np.array([[1, 1], [1, 0], [0, 1]], dtype=bool)
        given = Predictions(np.zeros(3, int), np.zeros(3, int), ("a", "b"), Groups("g", ("x", "y"), members), Units.rows(3))
        with pytest.raises(InputError, match="1 rows belong to more than one group"):
            class_gaps(given, "x", "y")
