"""Simultaneous intervals, gaps and worst groups: what they say, what they refuse to say, and their limits in closed form."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import estimable, max_gap, max_t_band, worst_group
from holdfast.fairness.inference.simultaneous import _known_quantiles, _quantiles

REPLICATES = 20000


def normal(values, errors, *, replicates: int = REPLICATES, counter: int = 0) -> np.ndarray:
    rng = Streams.from_seed(11).generator("simultaneous", counter)
    return np.asarray(values) + np.asarray(errors) * rng.standard_normal((replicates, len(values)))


def test_one_group_gets_the_interval_of_the_normal_law():
    band = max_t_band([2.0], normal([2.0], [0.5]), level=0.95)
    assert band.critical == pytest.approx(1.96, abs=1e-3)
    assert [band.low[0], band.high[0]] == pytest.approx([2 - 0.98, 2 + 0.98], abs=0.03)


@pytest.mark.parametrize("groups", [2, 5, 20])
def test_independent_groups_get_the_critical_value_of_sidak(groups: int):
    band = max_t_band(np.zeros(groups), normal(np.zeros(groups), np.arange(1, groups + 1)), level=0.95)
    assert band.critical == pytest.approx(stats.norm.isf((1 - 0.95 ** (1 / groups)) / 2), abs=0.05)
    assert (band.high / np.arange(1, groups + 1)).std() < 0.05 * band.critical


def test_groups_that_move_as_one_cost_nothing():
    one = normal([0.0], [1.0])
    assert max_t_band(np.zeros(8), np.repeat(one, 8, axis=1), level=0.95).critical == pytest.approx(1.96, abs=1e-3)


def test_studentised_deviations_of_the_caller_set_the_critical_value():
    replicates = normal([0.0, 0.0], [1.0, 1.0])
    heavy = Streams.from_seed(1).generator("t").standard_t(4, (REPLICATES, 1))
    assert max_t_band([0.0, 0.0], replicates, level=0.95, pivots=heavy).critical == pytest.approx(stats.t.isf(0.025, 4), rel=0.04)


def test_a_group_without_value_or_spread_has_no_interval_and_takes_none_from_the_others():
    replicates = normal([0.5, 0.5, 0.5], [0.1, 0.1, 0.1])
    replicates[:, 2] = 0.5
    band = max_t_band([0.5, math.nan, 0.5], replicates, level=0.95)
    assert np.isfinite(band.low).tolist() == [True, False, False]
    nothing = max_t_band([math.nan, 0.5], replicates[:, 1:], level=0.95)
    assert np.isnan(nothing.low).all()
    assert math.isnan(nothing.critical)


def test_undefined_replicates_are_left_out_while_most_are_defined():
    replicates = normal([0.5, 0.5], [0.1, 0.1])
    replicates[: REPLICATES // 4, 0] = math.nan
    replicates[: REPLICATES * 3 // 4, 1] = math.nan
    band = max_t_band([0.5, 0.5], replicates, level=0.95)
    assert band.high[0] == pytest.approx(0.696, abs=0.01)
    assert math.isnan(band.high[1])


def test_where_replicates_of_all_groups_are_seldom_defined_together_bonferroni_takes_over():
    """Each group is undefined in two of ten replicates, all of them defined in 11 of 100."""
    rng = Streams.from_seed(2).generator("undefined")
    replicates = normal(np.zeros(10), np.ones(10))
    replicates[rng.random(replicates.shape) < 0.2] = math.nan
    z = stats.norm.isf(0.05 / 20)
    assert max_t_band(np.zeros(10), replicates, level=0.95).critical == pytest.approx(z)
    worst = worst_group(np.zeros(10), replicates, level=0.95, higher_is_better=True)
    assert worst.critical == pytest.approx(stats.norm.isf(0.025 / 10), abs=0.01)
    gap = max_gap(np.r_[np.zeros(9), 4.0], replicates + np.r_[np.zeros(9), 4.0], level=0.95)
    assert gap.critical == pytest.approx(stats.norm.isf(0.05 / 90))
    assert gap.p_value == pytest.approx(90 * stats.norm.sf(4 / math.sqrt(2)), rel=0.4)


def test_an_interval_stays_in_its_bounds_and_always_holds_the_value():
    band = max_t_band([1.0], normal([0.8], [0.05]), level=0.95, bounds=(0.0, 1.0))
    assert band.high[0] == 1.0
    assert max_t_band([0.02], normal([0.02], [0.05]), level=0.95, bounds=(0, 1)).low[0] == 0.0


def test_the_gap_of_two_groups_has_the_interval_of_their_difference():
    gap = max_gap([0.3, 0.5], normal([0.3, 0.5], [0.03, 0.04]), level=0.95)
    assert gap.value == pytest.approx(0.2)
    assert (gap.worst, gap.best) == (0, 1)
    assert [gap.low, gap.high] == pytest.approx([0.2 - 1.96 * 0.05, 0.2 + 1.96 * 0.05], abs=0.004)
    assert gap.p_value == pytest.approx(2 * stats.norm.sf(4), abs=3e-4)
    assert gap.error == pytest.approx(0.05, rel=0.03)


def test_at_parity_the_interval_holds_0_though_every_replicate_lies_above_it():
    replicates = normal(np.full(10, 0.5), np.full(10, 0.05))
    values = 0.5 + 0.05 * stats.norm.ppf((np.arange(10) + 0.5) / 10)
    gap = max_gap(values, replicates - 0.5 + values, level=0.95)
    assert gap.low == 0.0
    assert gap.p_value > 0.05
    percentile = np.quantile(np.ptp(replicates - 0.5 + values, axis=1), 0.025)
    assert percentile > 0.1


def test_the_lower_end_is_above_0_just_where_the_test_rejects():
    for far in np.linspace(0.05, 0.3, 26):
        gap = max_gap([0.5, 0.5, 0.5 + far], normal([0.5, 0.5, 0.5 + far], [0.05] * 3, counter=int(1000 * far)), level=0.9)
        assert (gap.low > 0) == (gap.p_value <= 0.1 + 1e-4)


def test_the_lower_end_pays_for_all_pairs_and_the_upper_end_for_one():
    """Ten groups of one error: Tukey's range for the one, the normal law for the other."""
    values = np.array([0.0] * 9 + [1.0])
    gap = max_gap(values, normal(values, np.full(10, 0.1)), level=0.95)
    error = 0.1 * math.sqrt(2)
    assert gap.low == pytest.approx(1 - stats.studentized_range.isf(0.05, 10, 1e6) / math.sqrt(2) * error, abs=0.02)
    assert gap.high == pytest.approx(1 + 1.96 * error, abs=0.02)


def test_a_group_without_value_makes_the_gap_undefined_and_says_which():
    values = [0.3, math.nan, 0.5]
    replicates = normal(values, [0.1] * 3)
    for found in (max_gap(values, replicates, level=0.95), worst_group(values, replicates, level=0.95, higher_is_better=True)):
        assert math.isnan(found.value)
        assert math.isnan(found.p_value)
        assert (found.worst, found.best) == (-1, -1)
        assert "1 of 3 groups have no value (place 1)" in found.method
    kept = estimable(values)
    assert kept.tolist() == [0, 2]
    assert max_gap(np.array(values)[kept], replicates[:, kept], level=0.95).value == pytest.approx(0.2)


def test_a_group_without_spread_leaves_the_gap_and_takes_the_interval():
    replicates = normal([0.3, 0.5], [0.1, 0.1])
    replicates[:, 1] = math.nan
    for found in (max_gap([0.3, 0.5], replicates, level=0.95), worst_group([0.3, 0.5], replicates, level=0.95, higher_is_better=True)):
        assert found.value in (pytest.approx(0.2), pytest.approx(0.3))
        assert math.isnan(found.low)
        assert "cannot be told" in found.method


def test_two_names_for_the_same_rows_differ_by_0_for_certain():
    replicates = normal([0.3, 0.3, 0.5], [0.05] * 3)
    replicates[:, 1] = replicates[:, 0]
    gap = max_gap([0.3, 0.3, 0.5], replicates, level=0.95)
    alone = max_gap([0.3, 0.5], replicates[:, 1:], level=0.95)
    assert (gap.low, gap.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_one_group_has_no_gap_to_speak_of():
    found = max_gap([0.3], normal([0.3], [0.1]), level=0.95)
    assert found.value == 0.0
    assert math.isnan(found.low)
    assert found.method == "there is one group only"


def test_a_ratio_has_fieller_ends():
    values, errors = np.array([0.3, 0.5]), np.array([0.03, 0.04])
    ratio = max_gap(values, normal(values, errors, replicates=200_000), level=0.95, kind="ratio")
    z2 = 1.96**2
    a, b, c = 0.25 - z2 * 0.0016, 0.15, 0.09 - z2 * 0.0009
    root = math.sqrt(b * b - a * c)
    assert ratio.value == pytest.approx(0.6)
    assert [ratio.low, ratio.high] == pytest.approx([(b - root) / a, (b + root) / a], abs=0.003)


def test_a_ratio_over_what_may_be_0_says_nothing_and_0_over_0_is_no_ratio():
    low = max_gap([0.0, 0.02], normal([0.01, 0.03], [0.02, 0.02]), level=0.95, kind="ratio")
    assert (low.value, low.low, low.high) == (0.0, 0.0, 1.0)
    none = max_gap([0.0, 0.0], normal([0.01, 0.01], [0.02, 0.02]), level=0.95, kind="ratio")
    assert math.isnan(none.value)
    assert "every group is 0" in none.method
    with pytest.raises(InputError, match="values of at least 0"):
        max_gap([-0.1, 0.2], normal([0, 0], [1, 1]), level=0.95, kind="ratio")


@pytest.mark.parametrize(("kind", "expected"), [("difference", 3 / 5), ("ratio", 3 / 5)])
def test_a_null_of_the_caller_gives_the_p_value(kind, expected):
    null = np.array([[0.4, 0.4], [0.4, 0.5], [0.3, 0.5], [0.2, 0.5]])
    found = max_gap([0.3, 0.5], normal([0.3, 0.5], [0.1, 0.1]), level=0.95, kind=kind, null_replicates_RG=null)
    assert found.p_value == pytest.approx(expected)


def test_the_worst_group_is_bounded_by_all_from_above_and_by_each_from_below():
    values = np.zeros(10)
    low = worst_group(values, normal(values, np.ones(10)), level=0.95, higher_is_better=True)
    assert low.low == pytest.approx(-1.96, abs=0.12)
    assert low.high == pytest.approx(stats.norm.isf(1 - 0.975**0.1), abs=0.12)
    high = worst_group(values, normal(values, np.ones(10)), level=0.95, higher_is_better=False)
    assert [high.low, high.high] == pytest.approx([-low.high, -low.low], abs=0.15)


def test_the_worst_is_named_by_the_direction():
    values = [0.2, 0.9, 0.5]
    replicates = normal(values, [0.1] * 3)
    assert worst_group(values, replicates, level=0.95, higher_is_better=True).worst == 0
    assert worst_group(values, replicates, level=0.95, higher_is_better=False).value == 0.9
    assert max_gap(values, replicates, level=0.95, higher_is_better=False).worst == 1
    assert max_gap(values, replicates, level=0.95, largest=0.75).high == 0.75


@pytest.mark.parametrize(
    ("values", "shape", "level"), [([0.1], (100, 2), 0.95), ([[0.1]], (100, 1), 0.95), ([], (100, 0), 0.95), ([0.1], (9, 1), 0.95)]
)
def test_shapes_that_do_not_fit_are_refused(values, shape, level):
    with pytest.raises(InputError, match="give"):
        max_t_band(values, np.zeros(shape), level=level)


def test_a_level_outside_its_range_is_refused():
    with pytest.raises(InputError, match=r"level 95 is outside \(0, 1\)"):
        max_gap([0.1, 0.2], np.zeros((100, 2)), level=95)


@pytest.mark.parametrize("shape", [(50, 1), (101, 3), (400, 45)])
def test_quick_quantiles_are_those_of_numpy(shape):
    values = np.round(Streams.from_seed(5).generator("quantiles").normal(size=shape), 1)  # with ties
    shares = (0.0, 0.05, 0.5, 0.95, 0.999, 1.0)
    assert np.array(_quantiles(values, shares)) == pytest.approx(np.quantile(values, shares, axis=0), abs=1e-14)
    assert np.array(_known_quantiles(values, shares)) == pytest.approx(np.quantile(values, shares, axis=0), abs=1e-14)
