"""Families of tests: known adjustments, and what is kept under the null."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import benjamini_hochberg, holm


def test_holm_by_hand():
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.001, 0.9]) == pytest.approx([1.0, 0.003, 1.0])


def test_benjamini_hochberg_equals_scipy_in_any_order():
    p = Streams.from_seed(1).generator("p").random(50) ** 2
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_a_test_that_could_not_be_made_stays_nan_and_counts_for_nothing(adjust):
    found = adjust([0.01, math.nan, 0.04])
    assert math.isnan(found[1])
    assert found[[0, 2]] == pytest.approx(adjust([0.01, 0.04]))
    assert adjust([]).shape == (0,)
    with pytest.raises(InputError, match=r"leave \[0, 1\]"):
        adjust([0.1, 1.2])


def test_holm_keeps_the_chance_of_one_false_alarm_and_raw_p_values_do_not():
    p = Streams.from_seed(2).generator("null").random((4000, 10))
    raw = (p.min(1) <= 0.05).mean()
    adjusted = np.mean([holm(row).min() <= 0.05 for row in p])
    assert raw > 0.35
    assert adjusted == pytest.approx(0.05, abs=0.012)


def test_benjamini_hochberg_keeps_the_share_of_false_ones_among_those_found():
    p = Streams.from_seed(3).generator("mixed").random((2000, 20))
    p[:, :10] /= 500
    found = np.array([benjamini_hochberg(row) <= 0.1 for row in p])
    false = found[:, 10:].sum(1) / np.maximum(found.sum(1), 1)
    assert false.mean() == pytest.approx(0.05, abs=0.01)
