"""The smallest gap that would be found: by hand, and at its edges. That it is found is simulated in tests/statistics."""

import math

import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.fairness.inference import detectable, minimum_detectable_difference


def test_two_groups_by_hand():
    expected = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) * math.sqrt(2 * 0.25 / 400)
    assert minimum_detectable_difference(0.5, [400, 400]) == pytest.approx(expected)
    assert detectable(0.1, critical=1.96, power=0.8) == pytest.approx(0.1 * (1.96 + 0.8416), abs=1e-4)


def test_more_groups_smaller_groups_and_rows_that_hang_together_hide_more():
    two = minimum_detectable_difference(0.5, [100, 100])
    assert minimum_detectable_difference(0.5, [100] * 10) > two
    assert minimum_detectable_difference(0.5, [100, 50]) > two
    assert minimum_detectable_difference(0.5, [100, 100], design_effect=4) == pytest.approx(2 * two)
    assert minimum_detectable_difference(0.5, [100, 100], power=0.95) > two
    assert minimum_detectable_difference(0.5, [100, 100], level=0.9) < two


def test_edges():
    assert math.isnan(minimum_detectable_difference(0.5, [100]))
    assert math.isnan(minimum_detectable_difference(0.5, [100, 0]))
    assert minimum_detectable_difference(0.5, [1, 1]) == 1.0
    assert minimum_detectable_difference(0.0, [100, 100]) > 0.02  # a share of 0 as seen does not mean that any gap would show
    with pytest.raises(InputError, match=r"design effect 0\.5"):
        minimum_detectable_difference(0.5, [10, 10], design_effect=0.5)
