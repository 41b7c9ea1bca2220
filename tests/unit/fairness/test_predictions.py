"""Groups and predictions: who belongs where, and what is refused before anything is computed."""

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

VALUES = ["avel", "brin", "avel", ""]


def predictions(**changes):
    given = {
        "y_true": np.array([0, 1, 1, 0]),
        "y_pred": np.array([0, 1, 0, 0]),
        "classes": ("no", "yes"),
        "groups": Groups.of_values(VALUES, attribute="dialect"),
        "units": Units.rows(4),
    }
    return Predictions(**{**given, **changes})


def test_a_row_without_a_value_belongs_to_no_group():
    groups = Groups.of_values(VALUES, attribute="dialect")
    assert groups.names == ("avel", "brin")
    assert groups.sizes.tolist() == [2, 1]
    assert groups.members[3].tolist() == [False, False]
    assert groups.disjoint


def test_a_row_may_belong_to_several_groups():
    groups = Groups.of_values(["a+b", "b", "c"], attribute="target", separator="+")
    assert groups.sizes.tolist() == [1, 2, 1]
    assert not groups.disjoint


def test_without_a_separator_a_value_is_one_group():
    assert Groups.of_values(["a+b", "b"], attribute="target").names == ("a+b", "b")


def test_a_group_that_nobody_is_in_stays():
    groups = Groups.of_values(["a"], attribute="target", names=("a", "nobody"))
    assert groups.sizes.tolist() == [1, 0]


def test_only_the_groups_that_are_named_are_looked_at():
    groups = Groups.of_values(["a", "b"], attribute="target", names=("b",))
    assert groups.members.tolist() == [[False], [True]]


@pytest.mark.parametrize(
    ("members", "names", "words"),
    [(np.ones((2, 3), dtype=bool), ("a", "b"), r"shape \(2, 3\)"), (np.ones((2, 2), dtype=bool), ("a", "a"), "twice")],
)
def test_groups_that_do_not_fit_are_refused(members, names, words):
    with pytest.raises(InputError, match=words):
        Groups("target", names, members)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_pred": np.array([0, 1])}, "y_pred has 2"),
        ({"units": Units.rows(3)}, "units has 3"),
        ({"y_true": np.array([0, 1, 2, 0])}, "0 to 2"),
        ({"scores": np.zeros((4, 3))}, r"\(n, K\) = \(4, 2\)"),
        ({"positive": ("maybe",)}, "'maybe' is none of the classes no, yes"),
        ({"positive": ("no", "yes")}, "not all of"),
        ({"positive": ()}, "at least one"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        predictions(**changes)


def test_a_label_outside_the_classes_is_named_with_its_row():
    groups = Groups.of_values(["a", "a"], attribute="g")
    with pytest.raises(InputError, match="y_pred of row 1 is 'maybe'"):
        Predictions.of_names(["yes", "no"], ["yes", "maybe"], groups=groups, classes=("no", "yes"))


def test_names_are_coded_by_their_place_in_the_classes():
    groups = Groups.of_values(["a", "a"], attribute="g")
    made = Predictions.of_names(["yes", "no"], ["no", "no"], groups=groups)
    assert made.classes == ("no", "yes")
    assert made.y_true.tolist() == [1, 0]
    assert made.y_pred.tolist() == [0, 0]
    assert made.units.single


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": 1.0}, "level 1.0"),
        ({"power": 0.0}, "power 0.0"),
        ({"replicates": 10}, "replicates 10"),
        ({"permutations": 2.5}, "permutations 2.5"),
        ({"margin": 0.0}, "margin 0.0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_out_of_bounds_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Inference(**options)


def test_metrics_do_not_share_random_numbers():
    inference = Inference(seed=3)
    drawn = {name: inference.streams(name).generator("bootstrap").integers(0, 2**40) for name in ("weat", "seat", "weat-2")}
    assert len(set(drawn.values())) == 3
    assert inference.streams("weat").generator("bootstrap").integers(0, 2**40) == drawn["weat"]


def test_units_are_numbered_by_name():
    units = Units.named(["u2", "u1", "u2"], what="users")
    assert units.count == 2
    assert units.of.tolist() == [1, 0, 1]
    assert not units.single
    assert Units.rows(3).single


def test_a_separator_at_the_end_makes_no_nameless_group():
    assert Groups.of_values(["a+", "+b", "+"], attribute="target", separator="+").names == ("a", "b")


def test_an_empty_separator_is_refused():
    with pytest.raises(InputError, match="separator is empty"):
        Groups.of_values(["a"], attribute="target", separator="")


def test_an_endless_margin_is_refused():
    with pytest.raises(InputError, match="margin inf"):
        Inference(margin=float("inf"))


def test_scores_that_are_no_probabilities_are_refused():
    from holdfast.fairness.groups import Calibration

    with pytest.raises(InputError, match=r"row 2 is 7\.0, outside"):
        Calibration().measure(predictions(scores=np.array([[1, 0], [1, 0], [0, 7.0], [1, 0]])), subject="s", inference=Inference())
