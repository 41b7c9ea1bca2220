"""Rates against counts made by hand, also where nothing stands below the line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.fairness.groups.rates import BELOW, RATES, RateTable, class_views, demand_disjoint, demand_scores, views
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

KNOWN = {  # a, b, c of the toy counts
    "selection_rate": (35 / 100, 21 / 60, 7 / 25),
    "true_positive_rate": (30 / 40, 12 / 30, 7 / 10),
    "false_positive_rate": (5 / 60, 9 / 30, 0.0),
    "false_negative_rate": (10 / 40, 18 / 30, 3 / 10),
    "true_negative_rate": (55 / 60, 21 / 30, 1.0),
    "precision": (30 / 35, 12 / 21, 1.0),
    "base_rate": (40 / 100, 30 / 60, 10 / 25),
    "accuracy": (85 / 100, 33 / 60, 22 / 25),
}


def test_every_rate_has_a_known_answer():
    assert set(KNOWN) == set(RATES)


@pytest.mark.parametrize("rate", KNOWN)
def test_rates_of_counts(counted, rate):
    table = RateTable.of(counted(), [rate])
    assert table.columns == ((rate, None),)
    assert table.values[0] == pytest.approx(KNOWN[rate], abs=1e-15)
    assert table.units.single


def test_overall_is_of_all_rows_also_of_those_of_no_group(counted):
    given = counted(names=("a", "b"))
    assert RateTable.of(given, ["selection_rate"]).overall == pytest.approx([63 / 185])
    assert RateTable.of(given, ["selection_rate"]).below.tolist() == [[100, 60]]


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate in BELOW])
def test_nothing_below_the_line_is_missing_and_not_one(counted, rate):
    only = {"precision": ("d", 0, 0, 4), "false_positive_rate": ("d", 1, 1, 4), "true_negative_rate": ("d", 1, 1, 4)}
    row = only.get(rate, ("d", 0, 0, 4))
    table = RateTable.of(counted([("a", 1, 1, 2), ("a", 0, 1, 2), row]), [rate])
    assert np.isnan(table.values[0, 1])
    assert not np.isnan(table.values[0, 0])
    assert table.why_missing(0, 1) == f"0/0: group 'd' has no row {BELOW[rate]} among 4"
    assert table.why_missing(0, 0) is None


def test_an_empty_group_stays_visible(counted):
    table = RateTable.of(counted(names=("a", "nobody", "b")), ["accuracy"])
    assert table.why_missing(0, 1) == "0/0: no row belongs to group 'nobody'"
    assert np.isnan(table.values[0]).tolist() == [False, True, False]


class TestViews:
    def test_a_positive_side_gives_one_view(self, random_predictions):
        given = random_predictions(positive=("c0", "c2"))
        (view,) = views(given)
        assert view.label is None
        assert np.array_equal(view.y_true, given.y_true != 1)
        assert view.score == pytest.approx(given.scores[:, 0] + given.scores[:, 2])

    def test_without_one_each_class_is_looked_at_against_the_rest(self, random_predictions):
        given = random_predictions()
        assert [view.label for view in views(given)] == ["c0", "c1", "c2"]
        for place, view in enumerate(views(given)):
            assert np.array_equal(view.y_pred, given.y_pred == place)
            assert np.array_equal(view.score, given.scores[:, place])

    def test_classes_can_be_asked_for_in_spite_of_a_positive_side(self, random_predictions):
        assert len(class_views(random_predictions(positive=("c0",)))) == 3

    def test_accuracy_is_one_rate_over_all_classes(self, random_predictions):
        given = random_predictions(positive=("c0", "c1"))
        table = RateTable.of(given, ["accuracy", "selection_rate"])
        assert table.columns == (("accuracy", None), ("selection_rate", None))
        assert table.overall[0] == np.mean(given.y_true == given.y_pred)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rates_agree_with_loops(data):
    n, classes, groups = (data.draw(st.integers(low, high)) for low, high in ((0, 12), (2, 4), (1, 3)))
    draw = lambda high: np.array(data.draw(st.lists(st.integers(0, high), min_size=n, max_size=n)), dtype=np.int64)  # noqa: E731
    truth, pred = draw(classes - 1), draw(classes - 1)
    members = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=groups, max_size=groups), min_size=n, max_size=n)), dtype=bool)
    made = Groups("g", tuple("abc"[:groups]), members.reshape(n, groups))
    given_ = Predictions(truth, pred, tuple("wxyz"[:classes]), made, Units.rows(n))
    rates = [rate for rate in RATES if rate != "accuracy"]
    table = RateTable.of(given_, rates)
    for column, (rate, label) in enumerate(table.columns):
        place = given_.classes.index(label)
        for group in range(groups):
            above = below = 0
            for row in range(n):
                if made.members[row, group]:
                    t, p = truth[row] == place, pred[row] == place
                    counts = {
                        "selection_rate": True, "base_rate": True, "precision": p, "true_positive_rate": t,
                        "false_negative_rate": t, "false_positive_rate": not t, "true_negative_rate": not t,
                    }[rate]  # fmt: skip
                    hit = {"selection_rate": p, "base_rate": t, "precision": t, "true_positive_rate": p, "false_positive_rate": p}
                    below += counts
                    above += counts and hit.get(rate, not p)
            assert (table.above[column, group], table.below[column, group]) == (above, below)
            assert np.isnan(table.values[column, group]) == (below == 0)


def test_units_below_the_line_are_counted_once(random_predictions):
    given = random_predictions(200, users=30)
    table = RateTable.of(given, ["precision"])
    for column in range(3):
        for group in range(3):
            rows = table.below_nQ[:, column] & given.groups.members[:, group]
            assert table.independent(column, group) == len(set(given.units.of[rows].tolist()))


def test_replicates_of_all_rates_come_from_one_draw(counted):
    given = counted()
    drawn = RateTable.of(given, ["true_positive_rate", "false_negative_rate"]).replicates(
        Inference(replicates=300), np.random.default_rng(0)
    )
    assert drawn.shape == (300, 2, 3)
    assert np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1] < -0.8  # one is 1 minus the other, but for smoothing
    assert np.all((drawn >= 0) & (drawn <= 1))


def test_the_band_holds_the_values(counted, quick):
    table = RateTable.of(counted(), ["accuracy"])
    low, high = table.band(table.replicates(quick, np.random.default_rng(0)), quick)
    assert np.all((low < table.values) & (table.values < high))


class TestPermutation:
    def test_it_finds_a_gap_and_not_a_parity(self, counted, quick):
        unequal = RateTable.of(counted(names=("a", "b")), ["true_positive_rate"])
        assert unequal.p_value(0, inference=quick, generator=np.random.default_rng(0)) < 0.02
        same = [("a", 1, 1, 20), ("a", 1, 0, 20), ("b", 1, 1, 10), ("b", 1, 0, 10)]
        equal = RateTable.of(counted(same), ["true_positive_rate"])
        assert equal.p_value(0, inference=quick, generator=np.random.default_rng(0)) > 0.9

    def test_base_rates_that_differ_are_no_gap(self, counted, quick):
        """Labels move only among rows below the line, so that a group with more positives does not look worse."""
        counts = [("a", 1, 1, 40), ("a", 1, 0, 40), ("b", 1, 1, 5), ("b", 1, 0, 5), ("b", 0, 0, 70)]
        table = RateTable.of(counted(counts), ["true_positive_rate"])
        assert table.p_value(0, inference=quick, generator=np.random.default_rng(0)) > 0.9

    def test_a_group_without_a_rate_has_no_test(self, counted, quick):
        table = RateTable.of(counted([("a", 1, 1, 5), ("b", 0, 0, 5)]), ["true_positive_rate"])
        assert table.p_value(0, inference=quick, generator=np.random.default_rng(0)) is None


class TestRefusals:
    def test_an_unknown_rate_names_the_nearest(self, counted):
        with pytest.raises(InputError, match="no rate 'acuracy'; did you mean 'accuracy'"):
            RateTable.of(counted(), ["acuracy"])

    def test_groups_that_share_members_are_named_with_counts(self):
        members = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0]], dtype=bool)
        groups = Groups("target", ("women", "Jewish", "Islam"), members)
        with pytest.raises(InputError) as error:
            demand_disjoint(groups, "demographic-parity")
        told = str(error.value)
        assert "demographic-parity: 3 rows belong to more than one group of 'target'" in told
        assert "2 of 'women' and 'Jewish', 1 of 'Jewish' and 'Islam'" in told
        assert "unintended-bias-auc" in told

    def test_disjoint_groups_pass(self, counted):
        demand_disjoint(counted().groups, "any")

    def test_scores_are_asked_for_by_name_of_the_metric(self, counted):
        with pytest.raises(InputError, match=r"calibration: it looks at scores .* give `scores`.* \(185, 2\)"):
            demand_scores(counted(), "calibration")

    def test_scores_that_are_not_finite_are_refused_with_their_row(self, random_predictions):
        given = random_predictions()
        given.scores[7, 1] = np.nan
        with pytest.raises(InputError, match="score of row 7 is not finite"):
            demand_scores(given, "calibration")
