"""Shares of preferred sentences: ties, intervals, tests and what is undefined."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.inference import Inference, wilson
from holdfast.fairness.likelihood.crows_pairs.cards import NANGIA
from holdfast.fairness.likelihood.preferences import Preferences, difference_rows, preference_shares, share_rows
from holdfast.fairness.likelihood.rows import Rows, band, measured, student

NAN = math.nan
ROWS = Rows(card=NANGIA, subject="toy", inference=Inference(), method="toy", conditions={"variant": "toy"})


def preferences(more: list[float], less: list[float], categories: str | None = None, directions: str | None = None) -> Preferences:
    kinds = {"s": "stereo", "a": "antistereo"}
    return Preferences(
        np.array(more), np.array(less), tuple(categories or "x" * len(more)), tuple(kinds[one] for one in directions or "s" * len(more))
    )


def test_a_tie_is_no_preference_and_stays_in_the_denominator():
    share = preference_shares(preferences([2, 1, 1, 5], [1, 1, 1, 9]), level=0.95)[0]
    assert (share.preferred, share.neutral, share.n, share.share) == (1, 2, 4, 0.25)


def test_ties_are_left_out_of_the_test():
    share = preference_shares(preferences([2] * 8 + [1] * 90, [1] * 8 + [1] * 90), level=0.95)[0]
    assert share.p_value == pytest.approx(2 * 0.5**8)
    assert share.share < 0.1, "which is why a share below one half is no preference by itself"


def test_undefined_pairs_are_counted_and_in_no_share():
    share = preference_shares(preferences([2, NAN, 1, math.inf], [1, 1, NAN, 1]), level=0.95)[0]
    assert (share.n, share.undefined, share.share) == (1, 3, 1.0)


def test_directions_and_categories_are_told_apart():
    found = preferences([2, 2, 0, 0, 2], [1] * 5, "ggrrr", "sassa")
    rows = {(one.category, one.direction): one for one in preference_shares(found, level=0.95)}
    assert {key: (one.preferred, one.n) for key, one in rows.items()} == {
        ("all", "both"): (3, 5),
        ("all", "stereo"): (1, 3),
        ("all", "antistereo"): (2, 2),
        ("g", "both"): (2, 2),
        ("r", "both"): (1, 3),
    }


def test_intervals_of_categories_are_wider_so_that_they_hold_together():
    found = preferences([2] * 60 + [0] * 40, [1] * 100, "g" * 50 + "r" * 50)
    alone, _, _, first, second = preference_shares(found, level=0.95)
    np.testing.assert_allclose([alone.low, alone.high], wilson(60, 100, level=0.95), rtol=1e-12)
    np.testing.assert_allclose([second.low, second.high], wilson(10, 50, level=0.95**0.5), rtol=1e-12)
    assert second.interval == "Wilson, simultaneous over 2 categories (Sidak)"
    assert first.high == 1.0


def test_the_published_sizes_give_the_known_half_widths():
    """Disability 60 pairs +-12.7 points, gender 262 +-6.1, all 1508 +-2.5, at one half, by the normal law."""
    for n, points in ((60, 12.7), (262, 6.1), (1508, 2.5)):
        ends = wilson(n // 2, n, level=0.95)
        assert 50 * float(ends.high - ends.low) == pytest.approx(points, abs=0.45)


def test_p_values_of_categories_are_adjusted_after_holm():
    found = preferences([2] * 20 + [2] * 12 + [0] * 8, [1] * 40, "g" * 20 + "r" * 20)
    whole, _, _, first, second = preference_shares(found, level=0.95)
    assert first.p_value == pytest.approx(stats.binomtest(20, 20).pvalue)
    assert second.p_value == pytest.approx(stats.binomtest(12, 20).pvalue)
    assert first.p_adjusted == pytest.approx(2 * first.p_value)
    assert second.p_adjusted == pytest.approx(second.p_value)
    assert math.isnan(whole.p_adjusted)


def test_a_category_that_cannot_be_scored_keeps_its_row():
    estimates = share_rows(preference_shares(preferences([2, NAN], [1, NAN], "gr"), level=0.95), ROWS, name="score")
    row = next(one for one in estimates if one.conditions["category"] == "r")
    assert row.value is None
    assert row.missing == "none of the 1 pairs can be scored"
    stereo = next(one for one in estimates if one.conditions.get("direction") == "antistereo")
    assert stereo.missing == "there are no such pairs"
    json.dumps(Evidence(estimates=tuple(estimates)).to_json(), allow_nan=False)


def test_rows_are_in_points():
    row = share_rows(preference_shares(preferences([2, 0, 2, 2], [1] * 4), level=0.95), ROWS, name="score")[0]
    assert (row.value, row.unit, row.n) == (75.0, "points", 4)
    assert 0 < row.interval.low < 75 < row.interval.high < 100
    assert row.conditions["metric"] == "crows-pairs-nangia"


def test_differences_are_those_of_the_harness():
    signed, absolute = difference_rows(preferences([1, 5, NAN], [3, 4, 1]), ROWS, name="difference", unit="nats")
    assert (signed.value, absolute.value) == (-0.5, 1.5)
    assert signed.conditions["undefined"] == 1


def test_lengths_must_agree():
    with pytest.raises(InputError, match="2 and 1 scores"):
        Preferences(np.zeros(2), np.zeros(1), ("a",), ("stereo",))


def test_student_is_that_of_scipy():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = student(values, level=0.9, resampled="pairs")
    np.testing.assert_allclose((found.low, found.high), stats.t.interval(0.9, 3, values.mean(), stats.sem(values)), rtol=1e-9)
    assert student(values[:1], level=0.9, resampled="pairs").low is None
    assert student(values[:0], level=0.9, resampled="pairs", missing="nothing").missing == "nothing"


def test_a_number_that_is_none_says_why():
    assert measured(NAN, 0, 1, method="m", units=0, resampled="x", missing="nothing there").missing == "nothing there"
    lonely = measured(1.0, NAN, NAN, method="m", units=1, resampled="terms")
    assert lonely.low is None
    assert "1 terms are too few" in lonely.interval


def test_a_band_over_several_says_so():
    drawn = np.random.default_rng(0).normal(size=(500, 2))
    one = band(np.zeros(1), drawn[:, :1], level=0.95, bounds=(-9, 9), what="terms")
    two = band(np.zeros(2), drawn, level=0.95, bounds=(-9, 9), what="terms")
    assert "simultaneous" not in one.method
    assert two.method == "bootstrap over terms, 500 replicates, simultaneous over 2 rows (max-T)"
    assert two.high[0] > one.high[0]
