"""Intervals: known answers, agreement with slow twins, and no interval of width zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdfast.audit.intervals import Area, _binomial_quantile, rate_at_least, rate_at_most, tpr_band
from holdfast.core.errors import InputError

small_scores = st.lists(st.integers(-3, 3), min_size=2, max_size=12).map(lambda values: np.array(values, dtype=float))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (7, 10), (10, 10), (3, 700), (699, 700)])
def test_clopper_pearson_agrees_with_scipy(successes: int, trials: int):
    exact = stats.binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="exact")
    assert rate_at_least(successes, trials, alpha=0.025) == pytest.approx(exact.low, abs=1e-12)
    assert rate_at_most(successes, trials, alpha=0.025) == pytest.approx(exact.high, abs=1e-12)


def test_clopper_pearson_takes_arrays():
    assert rate_at_least([0, 5, 10], 10, alpha=0.05) == pytest.approx([0, 0.22244, 0.74113], abs=1e-5)
    assert rate_at_most([0, 5], [10, 10], alpha=0.05).shape == (2,)


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1), alpha=st.floats(0.001, 0.5))
def test_clopper_pearson_encloses_the_share(trials: int, share: float, alpha: float):
    successes = round(share * trials)
    low, high = rate_at_least(successes, trials, alpha=alpha), rate_at_most(successes, trials, alpha=alpha)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert low < high


@pytest.mark.parametrize(("successes", "trials", "alpha"), [(3, 2, 0.05), (-1, 2, 0.05), (0, 0, 0.05), (1, 2, 0.0), (1, 2, 1.0)])
def test_clopper_pearson_refuses_impossible_counts(successes: int, trials: int, alpha: float):
    with pytest.raises(InputError):
        rate_at_least(successes, trials, alpha=alpha)
    with pytest.raises(InputError):
        rate_at_most(successes, trials, alpha=alpha)


@given(members=small_scores, nonmembers=small_scores)
def test_area_is_the_share_of_pairs_with_ties_as_halves(members: np.ndarray, nonmembers: np.ndarray):
    area = Area.between(members, nonmembers)
    wins = [(m > n) + 0.5 * (m == n) for m in members for n in nonmembers]
    assert area.value == pytest.approx(np.mean(wins))
    assert area.value == pytest.approx(stats.mannwhitneyu(members, nonmembers).statistic / len(wins))
    assert (area.members, area.nonmembers, area.rows) == (len(members), len(nonmembers), len(members) + len(nonmembers))


@given(members=small_scores, nonmembers=small_scores)
def test_delong_variance_is_that_of_its_definition(members: np.ndarray, nonmembers: np.ndarray):
    wins = np.array([[(m > n) + 0.5 * (m == n) for n in nonmembers] for m in members])
    by_definition = wins.mean(axis=1).var(ddof=1) / len(members) + wins.mean(axis=0).var(ddof=1) / len(nonmembers)
    assert Area.between(members, nonmembers).variance == pytest.approx(by_definition, abs=1e-12)


@given(members=small_scores, nonmembers=small_scores)
def test_area_is_mirrored_when_the_sides_change_places(members: np.ndarray, nonmembers: np.ndarray):
    there, back = Area.between(members, nonmembers), Area.between(nonmembers, members)
    assert there.value == pytest.approx(1 - back.value)
    assert there.interval().low == pytest.approx(1 - back.interval().high, abs=1e-9)


@given(members=small_scores, nonmembers=small_scores)
def test_area_interval_encloses_the_area_and_is_never_a_point(members: np.ndarray, nonmembers: np.ndarray):
    area = Area.between(members, nonmembers)
    interval = area.interval()
    assert 0 <= interval.low <= area.value <= interval.high <= 1
    assert interval.high - interval.low > 1e-3


def test_a_perfect_attack_gets_the_exact_interval_and_says_so():
    interval = Area.between(np.arange(1000.0) + 2000, np.arange(1500.0)).interval()
    assert (interval.low, interval.high) == (pytest.approx(0.0250 ** (1 / 1000)), 1.0)
    assert interval.low == pytest.approx(0.9963, abs=1e-4)
    assert "Clopper-Pearson" in interval.method


@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
def test_area_interval_is_clopper_pearson_on_effective_pairs(level: float):
    """By hand: a spread of .6 and of .3 of the largest, each averaged with the largest, and Student's t for the normal law."""
    area = Area(value=0.8, from_members=0.6 * 0.16 / 30, from_nonmembers=0.3 * 0.16 / 400, members=30, nonmembers=400)
    telling = 2 * np.sqrt(0.16) * np.array([30, 400])
    parts = (np.array([0.6, 0.3]) * telling + 1) / (telling + 1) / [30, 400]
    freedom = parts.sum() ** 2 / (parts**2 / [30, 400]).sum()
    pairs = 1 / parts.sum() / (stats.t(freedom).ppf(0.5 + level / 2) / stats.norm.ppf(0.5 + level / 2)) ** 2
    won, tail = 0.8 * pairs, (1 - level) / 2
    ends = stats.beta(won, pairs - won + 1).ppf(tail), stats.beta(won + 1, pairs - won).ppf(1 - tail)
    interval = area.interval(level=level)
    assert (interval.low, interval.high, interval.level) == (pytest.approx(ends[0]), pytest.approx(ends[1]), level)


def test_many_rows_give_the_interval_of_delong():
    rng = np.random.default_rng(1)
    area = Area.between(rng.normal(0.5, 1, 4000), rng.normal(0, 1, 4000))
    interval = area.interval()
    assert interval.high - interval.low == pytest.approx(2 * stats.norm.ppf(0.975) * np.sqrt(area.variance), rel=0.03)


@given(members=small_scores, nonmembers=small_scores)
def test_an_area_is_worth_at_least_as_many_pairs_as_its_smaller_side_has_rows(members: np.ndarray, nonmembers: np.ndarray):
    area, fewest = Area.between(members, nonmembers), min(len(members), len(nonmembers))
    interval, won = area.interval(), area.value * fewest
    assert interval.low >= rate_at_least(won, fewest, alpha=0.025) - 1e-12
    assert interval.high <= rate_at_most(won, fewest, alpha=0.025) + 1e-12


def test_equal_scores_get_an_interval_around_one_half():
    interval = Area.between(np.zeros(100), np.zeros(100)).interval()
    assert interval.low == pytest.approx(0.398, abs=1e-3)
    assert interval.high == pytest.approx(0.602, abs=1e-3)


@pytest.mark.parametrize("trials", [5, 700, 13_084, 10**6])
@pytest.mark.parametrize("share", [0.0125, 0.5, 0.9875])
def test_binomial_quantile_agrees_with_scipy(trials: int, share: float):
    rates = np.concatenate([[0, 1 / trials, 1 - 1 / trials, 1], np.linspace(0.001, 0.999, 97)])
    assert _binomial_quantile(share, trials, rates).tolist() == stats.binom.ppf(share, trials, rates).tolist()


@given(members=small_scores, nonmembers=small_scores)
def test_tpr_band_encloses_the_curve_and_is_never_a_point(members: np.ndarray, nonmembers: np.ndarray):
    falling = np.sort(nonmembers)[::-1]
    above = np.arange(len(nonmembers))
    band = tpr_band(members, nonmembers, above / len(nonmembers))
    tprs = np.array([np.mean(members > falling[k]) for k in above])
    assert np.all(band.low <= tprs + 1e-12)
    assert np.all(tprs - 1e-12 <= band.high)
    assert np.all(band.high - band.low > 1e-3)


def test_tpr_band_at_the_ends():
    band = tpr_band(np.arange(100.0) + 200, np.arange(100.0), np.array([0.0, 1.0]))
    assert band.low[0] == 0  # that no non-member was accused does not show that none ever is
    assert band.high.tolist() == [1, 1]
    assert band.low[1] == pytest.approx(0.0125 ** (1 / 100))


def test_tpr_band_narrows_with_either_side():
    rng = np.random.default_rng(0)

    def width(n1: int, n0: int) -> float:
        band = tpr_band(rng.normal(1, 1, n1), rng.normal(0, 1, n0), np.array([0.1]))
        return float(band.high[0] - band.low[0])

    assert width(20_000, 20_000) < width(20_000, 500)  # as many members: what is left is the doubt about the threshold
    assert width(20_000, 20_000) < width(500, 20_000)
