"""Functions of other libraries, measured by group."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, roc_auc_score

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Inference, Units, from_function, from_functions, from_metric_frame
from holdfast.fairness.predictions import Groups

INFERENCE = Inference(replicates=100)
RNG = Streams.from_seed(6).generator("custom")
NAMES = RNG.choice(["a", "b", "c"], 300)
GROUPS = Groups.of_values(list(NAMES), attribute="dialect", names=("a", "b", "c"))
Y = RNG.integers(0, 2, 300)
GUESS = np.where(RNG.random(300) < np.where(NAMES == "a", 0.6, 0.9), Y, 1 - Y)
SCORE = GUESS + RNG.normal(0, 0.7, 300)


def dice(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The F1 of scikit-learn, without its checks, which take a millisecond."""
    return float(2 * (y_true & y_pred).sum() / (y_true.sum() + y_pred.sum()))


def test_values_are_those_of_the_function_on_the_rows_of_each_group():
    found = from_function(f1_score, Y, GUESS, groups=GROUPS, inference=INFERENCE)
    by_hand = {name: f1_score(Y[name == NAMES], GUESS[name == NAMES]) for name in "abc"}
    assert found.name == "f1_score"
    assert {name: one.value for name, one in found.groups.items()} == pytest.approx(by_hand)
    assert found.overall.value == pytest.approx(f1_score(Y, GUESS))
    assert found.gap.value == pytest.approx(max(by_hand.values()) - min(by_hand.values()))
    assert found.gap.p_value < 0.05 < found.gap.low
    for name, one in found.groups.items():
        assert one.low < one.value < one.high
        assert (one.sizes, one.units) == ({name: (name == NAMES).sum()}, (name == NAMES).sum())


def test_a_mean_over_rows_costs_few_calls_and_agrees_with_calling_it_for_every_replicate():
    fast = from_function(accuracy_score, Y, GUESS, groups=GROUPS, inference=Inference())

    def stubborn(y_true, y_pred):
        return 0.0 if len(y_true) == 1 else float((y_true == y_pred).mean())  # no mean over rows

    slow = from_function(stubborn, Y, GUESS, groups=GROUPS, inference=Inference(replicates=300))
    assert fast.calls < 60
    assert slow.calls > 1200
    for name in "abc":
        assert fast.groups[name].value == slow.groups[name].value
        widths = [one.groups[name].high - one.groups[name].low for one in (fast, slow)]
        assert widths[0] == pytest.approx(widths[1], rel=0.35)  # the smoothing of a share near 1 widens it


def test_a_function_that_only_looks_like_a_mean_is_not_taken_for_one():
    def worst_of_both(y_true, y_pred):
        return min(float((y_pred[y_true == label] == label).mean()) for label in np.unique(y_true))

    assert from_function(worst_of_both, Y, GUESS, groups=GROUPS, inference=INFERENCE).calls > 400


def test_perfect_groups_of_a_mean_still_have_an_interval():
    found = from_function(accuracy_score, Y, Y, groups=GROUPS, inference=INFERENCE)
    assert found.groups["a"].value == 1.0
    assert found.groups["a"].low < 0.99
    assert found.gap.low == 0.0 < found.gap.high


def test_scores_and_real_labels_work():
    area = from_function(roc_auc_score, Y, SCORE, groups=GROUPS, inference=INFERENCE)
    assert area.groups["b"].value == pytest.approx(roc_auc_score(Y[NAMES == "b"], SCORE[NAMES == "b"]))
    distance = from_function(mean_absolute_error, SCORE, SCORE + 1.0 + 0.1 * Y, groups=GROUPS, inference=INFERENCE)
    assert distance.overall.low < 1.05 < distance.overall.high


def test_units_widen_what_rows_alone_would_promise():
    of = np.repeat(np.arange(30), 10)
    right = (np.arange(30) % 3 > 0)[of]
    groups = Groups.of_values(["x" if unit % 2 else "y" for unit in of], attribute="side")
    widths = []
    for units in (Units(of, 30, "users"), Units.rows(300)):
        found = from_function(accuracy_score, np.ones(300), right, groups=groups, units=units, inference=INFERENCE)
        widths.append(found.overall.high - found.overall.low)
    assert widths[0] > 2 * widths[1]


def test_a_group_on_which_the_function_fails_is_visible_and_takes_the_gap():
    y = np.where(NAMES == "c", 1, Y)  # one class only
    found = from_function(roc_auc_score, y, SCORE, groups=GROUPS, inference=INFERENCE)
    assert found.groups["c"].value is None
    assert "roc_auc_score" in found.groups["c"].missing
    assert found.gap.missing == "undefined: no value for c"
    empty = Groups.of_values(list(NAMES), attribute="dialect", names=("a", "z"))
    found = from_function(accuracy_score, Y, GUESS, groups=empty, inference=INFERENCE)
    assert found.groups["z"].missing == "it has no row"
    assert found.groups["a"].low is not None


def test_a_group_of_one_row_has_a_value_without_interval_where_the_function_is_no_share():
    lone = Groups.of_values(["one"] + ["rest"] * 299, attribute="dialect")
    found = from_function(mean_absolute_error, SCORE, SCORE * 2, groups=lone, inference=INFERENCE)
    assert found.groups["one"].value == pytest.approx(abs(SCORE[0]))
    assert found.groups["one"].low is None
    assert "cannot be told" in found.groups["one"].interval


def test_what_is_no_function_of_rows_is_refused():
    with pytest.raises(InputError, match="returned no number"):
        from_function(lambda y, p: [1, 2], Y, GUESS, groups=GROUPS, inference=INFERENCE)
    with pytest.raises(InputError, match="'y_pred': 299"):
        from_function(accuracy_score, Y, GUESS[:-1], groups=GROUPS, inference=INFERENCE)


def test_a_dictionary_of_functions_gives_each_by_its_name_and_one_seed_one_result():
    found = from_functions({"acc": accuracy_score, "dice": dice}, Y, GUESS, groups=GROUPS, inference=INFERENCE)
    assert {name: one.name for name, one in found.items()} == {"acc": "acc", "dice": "dice"}
    assert found["dice"].gap == from_function(dice, Y, GUESS, groups=GROUPS, inference=INFERENCE).gap


class Series(dict):
    """As much of a series of pandas as is looked at."""

    name = "accuracy"


class Table:
    """As much of a table of pandas as is looked at."""

    def __init__(self, columns):
        self.columns = list(columns)
        self.of = columns

    def __getitem__(self, name):
        return self.of[name]


class Frame:
    """As much of Fairlearn's MetricFrame as is looked at."""

    def __init__(self, by_group, overall):
        self.by_group, self.overall = by_group, overall


def test_a_metric_frame_is_read_without_intervals_and_says_so():
    (found,) = from_metric_frame(Frame(Series({"a": 0.5, "b": 0.75}), 0.6)).values()
    assert (found.name, found.gap.value, found.overall.value) == ("accuracy", 0.25, 0.6)
    assert found.gap.low is None
    assert found.groups["a"].interval == "values alone were given, without their rows"
    frame = Frame(Table({"f1": {("a", "x"): 0.5, ("b", "y"): math.nan}}), {"f1": 0.5})
    missing = from_metric_frame(frame)["f1"]
    assert missing.gap.missing == "no value for b and y"
    assert missing.groups["b and y"].value is None
    with pytest.raises(InputError, match="no by_group and overall"):
        from_metric_frame(3)
