"""Verdicts: fair only on evidence, unfair only beyond the margin."""

import math

import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.inference import equivalence


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.04, "fair within the margin"),
        (-0.04, 0.04, "fair within the margin"),
        (0.01, 0.04, "fair within the margin"),
        (0.06, 0.2, "unfair"),
        (-0.2, -0.06, "unfair"),
        (0.01, 0.2, "not enough data"),
        (-0.06, 0.02, "not enough data"),
        (0.0, 0.05, "not enough data"),
        (0.05, 0.2, "not enough data"),
        (-1.0, 1.0, "not enough data"),
        (-math.inf, math.inf, "not enough data"),
    ],
)
def test_an_interval_is_held_against_a_margin_of_5_points(low, high, expected):
    assert equivalence(low, high, margin=0.05) == expected


@pytest.mark.parametrize(("low", "high"), [(None, None), (None, 0.01), (0.0, None), (math.nan, 0.01), (0.0, math.nan)])
def test_missing_evidence_never_makes_fair(low, high):
    assert equivalence(low, high, margin=0.05) == "not enough data"


def test_a_margin_of_0_and_ends_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match="margin 0 is not above 0"):
        equivalence(0.0, 0.1, margin=0)
    with pytest.raises(InputError, match="swap them"):
        equivalence(0.2, 0.1, margin=0.05)
