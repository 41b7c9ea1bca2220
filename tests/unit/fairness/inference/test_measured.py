"""A gap with everything that must stand beside it."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Inference, Measured, cohen_h, gap_measured

NAMES, SIZES = ("old", "young"), (400, 500)


def gap(values, errors=(0.02, 0.02), *, inference: Inference | None = None, **given) -> Measured:
    rng = Streams.from_seed(4).generator("measured")
    replicates = np.asarray(values) + np.asarray(errors) * rng.standard_normal((4000, len(values)))
    names, sizes = given.pop("names", NAMES), given.pop("sizes", SIZES)
    return gap_measured(values, replicates, names=names, sizes=sizes, inference=inference or Inference(), **given)


def test_a_gap_of_shares_carries_all_of_it():
    found = gap([0.3, 0.5], share=True, units=120, resampled="users")
    error = 0.02 * math.sqrt(2)
    assert found.value == pytest.approx(0.2)
    assert [found.low, found.high] == pytest.approx([0.2 - 1.96 * error, 0.2 + 1.96 * error], abs=0.004)
    assert found.effect_size == pytest.approx(cohen_h(0.5, 0.3))
    assert found.minimum_detectable == pytest.approx((1.96 + stats.norm.isf(0.2)) * error, rel=0.03)
    assert found.p_value == pytest.approx(1 / 4001)
    assert found.sizes == {"old": 400, "young": 500}
    assert (found.units, found.resampled, found.verdict) == (120, "users", None)
    assert "max-T over all pairs of groups" in found.interval
    assert found.test.startswith("parity of all groups")


def test_it_makes_an_estimate():
    found = gap([0.3, 0.5], share=True, inference=Inference(margin=0.05))
    estimate = found.estimate("x_difference", subject="run", metric="x", unit="share", direction="lower is better", level=0.95, method="m")
    assert estimate.interval is not None
    assert estimate.conditions["verdict"] == "unfair"
    assert estimate.conditions["n old"] == 400


@pytest.mark.parametrize(
    ("values", "errors", "expected"),
    [
        ([0.5, 0.51], (0.005, 0.005), "fair within the margin"),
        ([0.5, 0.51], (0.05, 0.05), "not enough data"),
        ([0.5, 0.56], (0.01, 0.01), "not enough data"),
        ([0.5, 0.7], (0.02, 0.02), "unfair"),
    ],
)
def test_verdicts(values, errors, expected):
    assert gap(values, errors, inference=Inference(margin=0.05)).verdict == expected


def test_fair_is_said_by_the_interval_of_two_one_sided_tests():
    """The upper end at 95 % is above the margin, the one at 90 % is below."""
    found = gap([0.5, 0.5], (0.02, 0.02), inference=Inference(margin=0.051))
    assert found.high > 0.051
    assert found.verdict == "fair within the margin"


def test_a_group_without_a_value_takes_the_gap_with_it():
    found = gap([0.3, math.nan], inference=Inference(margin=0.05))
    assert found.value is None
    assert found.missing == "undefined: no value for young"
    assert found.verdict is None
    assert found.sizes == {"old": 400, "young": 500}
    assert gap([0.3], (0.1,), names=("old",), sizes=(3,)).missing == "undefined: there is one group only"


def test_a_group_without_a_spread_leaves_the_value_and_no_verdict_of_fair():
    found = gap([0.5, 0.5], (0.0, 0.02), inference=Inference(margin=0.05))
    assert (found.value, found.low, found.p_value, found.minimum_detectable) == (0.0, None, None, None)
    assert found.verdict == "not enough data"
    assert "cannot be told" in found.interval


def test_a_better_test_of_the_caller_is_taken():
    found = gap([0.3, 0.5], p_value=0.04, test="labels permuted by users")
    assert (found.p_value, found.test) == (0.04, "labels permuted by users")


def test_a_ratio_has_no_verdict_and_no_smallest_gap():
    found = gap([0.3, 0.5], kind="ratio", inference=Inference(margin=0.05))
    assert found.value == pytest.approx(0.6)
    assert (found.verdict, found.minimum_detectable) == (None, None)
    told = {"subject": "run", "metric": "x", "unit": "share", "direction": "lower is better", "level": 0.95, "method": "m"}
    assert found.estimate("x_ratio", **told).method == "m; no verdict: the margin is of differences, and this is a ratio"
    assert gap([0.3, 0.5], kind="ratio").estimate("x_ratio", **told).method == "m"  # none was asked for
    assert found.low < 0.6 < found.high < 1
