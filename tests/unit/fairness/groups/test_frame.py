"""Predictions from what Fairlearn's users hold, and the table of all rates."""

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.groups import DemographicParity
from holdfast.fairness.groups.frame import group_table, predictions_of
from holdfast.fairness.groups.rates import RATES
from holdfast.fairness.inference import Inference
from holdfast.fairness.predictions import Groups


class Column(list):
    """What matters of a column of pandas: it is a list with a name."""

    def __init__(self, values, name):
        super().__init__(values)
        self.name = name


class Table:
    """What matters of a table of pandas."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name):
        return self._columns[name]


Y_TRUE, Y_PRED, SEX = [1, 0, 1, 1, 0, 0], [1, 0, 0, 1, 1, 0], ["f", "f", "f", "m", "m", "m"]


class TestPredictionsOf:
    @pytest.mark.parametrize(
        ("features", "attribute"),
        [
            (SEX, "group"),
            (np.array(SEX), "group"),
            (Column(SEX, "sex"), "sex"),
            ({"sex": SEX}, "sex"),
            (Table(sex=SEX), "sex"),
            (np.array(SEX)[:, None], "feature 0"),
            (Column(SEX, None), "group"),
        ],
    )
    def test_groups_come_in_many_shapes(self, features, attribute):
        given = predictions_of(Y_TRUE, Y_PRED, sensitive_features=features)
        assert (given.groups.attribute, given.groups.names) == (attribute, ("f", "m"))
        assert given.groups.members[:, 0].tolist() == [True] * 3 + [False] * 3

    def test_an_attribute_can_be_named(self):
        assert predictions_of(Y_TRUE, Y_PRED, sensitive_features=SEX, attribute="sex").groups.attribute == "sex"

    def test_groups_that_are_made_already_are_taken(self):
        groups = Groups.of_values(SEX, attribute="sex")
        assert predictions_of(Y_TRUE, Y_PRED, sensitive_features=groups).groups is groups

    def test_several_features_are_crossed_and_empty_intersections_stay(self):
        given = predictions_of(Y_TRUE, Y_PRED, sensitive_features={"sex": SEX, "age": ["o", "o", "o", "o", "y", "y"]})
        assert given.groups.attribute == "sex & age"
        assert given.groups.names == ("f & o", "f & y", "m & o", "m & y")
        assert given.groups.sizes.tolist() == [3, 0, 1, 2]

    @pytest.mark.parametrize("nothing", [None, float("nan"), np.nan])
    def test_a_row_without_a_value_is_of_no_group(self, nothing):
        given = predictions_of(Y_TRUE, Y_PRED, sensitive_features=["f", nothing, "f", "m", "m", "m"])
        assert given.groups.names == ("f", "m")
        assert not given.groups.members[1].any()

    @pytest.mark.parametrize(
        ("labels", "classes", "positive"),
        [
            ([1, 0, 1, 1, 0, 0], ("0", "1"), ("1",)),
            ([1.0, 0.0, 1.0, 1.0, 0.0, 0.0], ("0", "1"), ("1",)),
            ([1] * 6, ("0", "1"), ("1",)),
            ([1, -1, 1, 1, -1, -1], ("-1", "1"), ("1",)),
            ([True, False, True, True, False, False], ("False", "True"), ("True",)),
            (["yes", "no"] * 3, ("no", "yes"), None),
            ([0, 1, 2] * 2, ("0", "1", "2"), None),
        ],
    )
    def test_which_side_is_positive(self, labels, classes, positive):
        for values in (labels, np.array(labels)):
            given = predictions_of(values, values, sensitive_features=SEX)
            assert (given.classes, given.positive) == (classes, positive)

    def test_the_positive_side_can_be_named(self):
        labels = ["hate", "offensive", "normal"] * 2
        assert predictions_of(labels, labels, sensitive_features=SEX, positive="hate").positive == ("hate",)
        assert predictions_of(labels, labels, sensitive_features=SEX, positive=["hate", "offensive"]).positive == ("hate", "offensive")
        with pytest.raises(InputError, match="positive class 'hat' is none"):
            predictions_of(labels, labels, sensitive_features=SEX, positive="hat")

    def test_scores_of_two_classes_may_be_one_column(self):
        given = predictions_of(Y_TRUE, Y_PRED, sensitive_features=SEX, scores=[0.9, 0.1, 0.4, 0.8, 0.6, 0.2])
        assert given.scores[:, 1].tolist() == [0.9, 0.1, 0.4, 0.8, 0.6, 0.2]
        assert given.scores.sum(1) == pytest.approx(1)
        labels = ["a", "b", "c"] * 2
        with pytest.raises(InputError, match=r"shape \(6,\) for 3 classes"):
            predictions_of(labels, labels, sensitive_features=SEX, scores=[0.5] * 6)

    def test_units_are_named(self):
        given = predictions_of(Y_TRUE, Y_PRED, sensitive_features=SEX, units=["u", "u", "v", "w", "w", "w"], units_are="writers")
        assert (given.units.count, given.units.what) == (3, "writers")
        assert predictions_of(Y_TRUE, Y_PRED, sensitive_features=SEX).units.single

    def test_what_is_wrong_is_named(self):
        with pytest.raises(InputError, match="y_true of row 1 is missing"):
            predictions_of([1, None, 1], [1, 0, 1], sensitive_features=["a", "a", "b"])
        with pytest.raises(InputError, match="y_true has 6 rows but sensitive feature 'sex' has 5"):
            predictions_of(Y_TRUE, Y_PRED, sensitive_features={"sex": SEX[:5]})

    def test_metrics_take_them(self, quick):
        evidence = DemographicParity().measure(predictions_of(Y_TRUE, Y_PRED, sensitive_features=SEX), subject="run", inference=quick)
        assert evidence.estimate("demographic_parity_difference").value == pytest.approx(1 / 3)


class TestGroupTable:
    def test_every_rate_of_every_group_and_of_all(self, counted):
        table = group_table(counted(names=("a", "b", "c", "nobody")), inference=Inference(replicates=200))
        assert table.groups == ("a", "b", "c", "nobody")
        assert table.sizes == {"a": 100, "b": 60, "c": 25, "nobody": 0}
        assert len(table.rows) == len(RATES) * 5
        assert table.of("true_positive_rate") == {"a": 0.75, "b": 0.4, "c": 0.7, "nobody": None}
        of_all = next(row for row in table.rows if row.rate == "accuracy" and not row.group)
        assert (of_all.value, of_all.above, of_all.below) == (140 / 185, 140, 185)
        missing = next(row for row in table.rows if row.group == "nobody" and row.rate == "precision")
        assert (missing.value, missing.low, missing.missing) == (None, None, "0/0: no row belongs to group 'nobody'")
        for row in table.rows:
            if row.low is not None:
                assert row.low <= row.value <= row.high

    def test_classes_have_rates_of_their_own(self, random_predictions):
        given = random_predictions()
        table = group_table(given, rates=["precision", "accuracy"], inference=Inference(replicates=100))
        expected = (given.y_true == 1)[(given.y_pred == 1) & given.groups.members[:, 0]].mean()
        assert table.of("precision", label="c1")["g0"] == pytest.approx(expected)
        assert set(table.of("accuracy")) == {"g0", "g1", "g2"}

    def test_groups_may_share_members(self, random_predictions):
        assert group_table(random_predictions(overlapping=True), inference=Inference(replicates=100)).rows

    def test_records_are_plain(self, counted):
        records = group_table(counted(), rates=["accuracy"], inference=Inference(replicates=100)).records()
        assert records[0]["g"] == "a"
        assert records[0]["value"] == 0.85
        assert {type(value) for record in records for value in record.values()} <= {str, int, float, type(None)}

    def test_unknown_rates_name_the_nearest(self, counted):
        with pytest.raises(InputError, match="no rate 'recal'"):
            group_table(counted(), rates=["recal"])
        with pytest.raises(InputError, match="did you mean 'accuracy'"):
            group_table(counted(), rates=["accuracy"], inference=Inference(replicates=100)).of("acuracy")
