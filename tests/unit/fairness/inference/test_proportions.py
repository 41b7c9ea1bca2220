"""Shares: known intervals, exact coverage, and effect sizes by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.fairness.inference import clopper_pearson, cohen_h, log_odds, mcnemar, wilson


@pytest.mark.parametrize("method", ["wilson", "exact"])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 12), (3, 12), (12, 12), (61, 130)])
def test_intervals_equal_those_of_scipy(k: int, n: int, method: str):
    ours = {"wilson": wilson, "exact": clopper_pearson}[method](k, n, level=0.9)
    theirs = stats.binomtest(k, n).proportion_ci(0.9, method=method)
    assert [float(ours.low), float(ours.high)] == pytest.approx([theirs.low, theirs.high], abs=1e-9)


def coverage(method, n: int, share: float) -> float:
    ends = method(np.arange(n + 1), n, level=0.95)
    return float(stats.binom.pmf(np.arange(n + 1), n, share)[(ends.low <= share) & (share <= ends.high)].sum())


@pytest.mark.parametrize("n", [5, 30, 100])
def test_clopper_pearson_never_covers_less_and_wilson_covers_on_average(n: int):
    shares = np.linspace(0.005, 0.995, 199)
    exact = [coverage(clopper_pearson, n, share) for share in shares]
    near = [coverage(wilson, n, share) for share in shares]
    assert min(exact) >= 0.95 - 1e-9
    assert 0.94 < np.mean(near) < 0.965
    assert min(near) < 0.95  # as its docstring says


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
def test_no_trial_is_nan_and_other_entries_stay(method):
    ends = method([0, 2], [0, 4], level=0.95)
    assert np.isnan([ends.low[0], ends.high[0]]).all()
    assert 0 < ends.low[1] < 0.5 < ends.high[1] < 1
    with pytest.raises(InputError, match="between 0 and the trials"):
        method(5, 4, level=0.95)
    with pytest.raises(InputError, match=r"outside \(0, 1\)"):
        method(2, 4, level=1.0)


def test_mcnemar_is_the_sign_test_of_pairs_that_disagree():
    assert mcnemar(3, 11) == pytest.approx(stats.binomtest(3, 14).pvalue)
    assert mcnemar(11, 3) == mcnemar(3, 11)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0
    with pytest.raises(InputError, match="at least 0"):
        mcnemar(-1, 4)


def test_cohen_h_by_hand():
    assert cohen_h(1.0, 0.0) == pytest.approx(math.pi)
    assert cohen_h(0.5, 0.25) == pytest.approx(math.pi / 6)
    assert cohen_h(0.25, 0.5) == pytest.approx(-math.pi / 6)
    assert math.isnan(cohen_h(math.nan, 0.5))
    with pytest.raises(InputError, match=r"1.5 is outside \[0, 1\]"):
        cohen_h(1.5, 0.5)


def test_log_odds_by_hand_and_with_an_empty_cell():
    found = log_odds((10, 5), (20, 20))
    assert found.value == pytest.approx(math.log((10.5 / 10.5) / (5.5 / 15.5)))
    assert found.error == pytest.approx(math.sqrt(2 / 10.5 + 1 / 5.5 + 1 / 15.5))
    assert math.isfinite(log_odds((0, 20), (20, 20)).value)
    with pytest.raises(InputError, match="between 0 and the trials"):
        log_odds((21, 0), (20, 20))
