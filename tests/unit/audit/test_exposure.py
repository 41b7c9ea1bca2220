"""Rank and exposure of a secret, and p-values of several, by known answers and by slow twins."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdfast.audit.canaries.combining import fisher, mean_exposure, simes
from holdfast.audit.canaries.exposure import Exposure, exact_exposure, null_mean_exposure, sampled_exposure
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

LOSSES = [3.0, 1.0, 2.0, 1.0, 5.0, 4.0, 2.0, 9.0]
STREAMS = Streams.from_seed(1)


@pytest.mark.parametrize(("truth", "rank"), [(1, 2), (3, 2), (2, 4), (6, 4), (0, 5), (5, 6), (4, 7), (7, 8)])
def test_known_ranks_with_ties_counted_as_lower(truth, rank):
    found = exact_exposure(LOSSES, truth=truth)
    assert (found.rank, found.p_value, found.bits) == (rank, rank / 8, pytest.approx(3 - math.log2(rank)))


@pytest.mark.parametrize(("rank", "bits"), [(1, 13.29), (2, 12.29), (8, 10.29), (335, 4.90), (7882, 0.34), (10_000, 0.0)])
def test_exposures_of_four_digits(rank, bits):
    assert Exposure(space=10_000, at_or_below=rank).bits == pytest.approx(bits, abs=0.005)


@given(losses=st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_at_most_r_fills_have_a_rank_of_r_or_less(losses: list[int]):
    """The fact on which both the p-value and the bound on epsilon stand."""
    ranks = [exact_exposure(losses, truth=truth).rank for truth in range(len(losses))]
    for place in range(1, len(losses) + 1):
        assert sum(rank <= place for rank in ranks) <= place
    if len(set(losses)) == len(losses):
        assert sorted(ranks) == list(range(1, len(losses) + 1))


@pytest.mark.parametrize("found", [exact_exposure(np.full(100, 0.7), truth=3), sampled_exposure(0.7, np.full(50, 0.7), space=100)])
def test_a_constant_model_shows_nothing(found):
    assert (found.rank, found.p_value, found.bits) == (100, 1.0, 0.0)


def test_a_tolerance_undoes_rounding_and_never_betters_the_rank():
    rounded = 0.7 + 1e-9 * np.arange(100)
    assert exact_exposure(rounded, truth=0).rank == 1
    assert exact_exposure(rounded, truth=0, tolerance=1e-6).rank == 100
    assert sampled_exposure(0.7, rounded, space=1000, tolerance=1e-6).p_value == 1
    for truth in range(8):
        ranks = [exact_exposure(LOSSES, truth=truth, tolerance=tolerance).rank for tolerance in (0, 0.5, 1, 2, 20)]
        assert ranks == sorted(ranks)
        assert ranks[-1] == 8


def test_infinite_losses_have_a_rank():
    assert exact_exposure([math.inf, 1.0, math.inf], truth=0).rank == 3
    assert exact_exposure([math.inf, 1.0, math.inf], truth=1).rank == 1


@given(space=st.integers(2, 10**9), share=st.floats(0, 1))
def test_exposure_is_minus_log2_of_the_p_value(space: int, share: float):
    exact = Exposure(space=space, at_or_below=max(1, round(share * space)))
    drawn = Exposure(space=space, references=(n := max(1, min(space - 1, 1000))), at_or_below=round(share * n))
    for found in (exact, drawn):
        assert found.bits == pytest.approx(-math.log2(found.p_value), abs=1e-9)
        assert 0 <= found.bits <= found.most_bits
        assert 0 < found.p_value <= 1


def test_a_sample_cannot_show_more_than_it_has():
    found = sampled_exposure(0.0, np.ones(999), space=10**12)
    assert found.bits == found.most_bits == pytest.approx(math.log2(1000))
    assert found.p_value == 1 / 1000
    assert found.rank == 1
    assert found.bits_interval.high == pytest.approx(math.log2(10**12))
    assert 0 < found.bits_interval.low < found.bits
    assert found.null_mean == null_mean_exposure(1000)


def test_the_interval_is_that_of_the_share_of_references():
    found = sampled_exposure(0.05, np.linspace(0, 1, 101), space=10**6)  # 6 of 101 at or below
    low, high = stats.binomtest(6, 101).proportion_ci(method="exact")
    assert found.at_or_below == 6
    assert (found.rank_interval.low, found.rank_interval.high) == pytest.approx((low * 1e6, high * 1e6), rel=1e-9)
    assert (found.bits_interval.low, found.bits_interval.high) == pytest.approx((-math.log2(high), -math.log2(low)), rel=1e-9)
    assert found.rank_interval.method == "Clopper-Pearson on 101 references"
    wider = sampled_exposure(0.05, np.linspace(0, 1, 101), space=10**6, level=0.99)
    assert wider.rank_interval.low < found.rank_interval.low < found.rank_interval.high < wider.rank_interval.high


@given(references=st.integers(1, 3000), share=st.floats(0, 1), more=st.integers(1, 10**9))
def test_the_estimates_lie_in_their_intervals(references: int, share: float, more: int):
    found = Exposure(space=references + more, references=references, at_or_below=round(share * references))
    assert found.rank_interval.low <= found.rank <= found.rank_interval.high
    assert found.bits_interval.low <= found.bits
    assert found.bits <= found.bits_interval.high + math.log2(1 + 1 / references)  # where the space is hardly larger than N
    assert 1 <= found.rank_interval.low <= found.rank_interval.high <= found.space * (1 + 1e-12)


def test_an_enumeration_needs_no_interval():
    found = exact_exposure(LOSSES, truth=1)
    assert found.rank_interval is None
    assert found.bits_interval is None
    assert not found.sampled
    assert found.method == "exact: all 8 fills enumerated, ties count as lower"


def test_large_spaces_stay_finite():
    found = Exposure(space=10**300, references=10, at_or_below=0)
    assert math.isfinite(found.bits_interval.high)
    assert math.isfinite(found.rank_interval.high)
    assert found.method.startswith("sampled: 10 fills")


@pytest.mark.parametrize("space", [1, 2, 3, 7, 10, 100, 1000, 10_000])
def test_the_null_mean_is_the_mean_over_all_ranks(space):
    slow = math.fsum(math.log2(space / rank) for rank in range(1, space + 1)) / space
    assert null_mean_exposure(space) == pytest.approx(slow, abs=1e-12)
    if space <= 100:
        exposures = [exact_exposure(np.arange(space), truth=truth).bits for truth in range(space)]
        assert null_mean_exposure(space) == pytest.approx(np.mean(exposures), abs=1e-9)


def test_the_null_mean_of_a_large_space():
    assert null_mean_exposure(10**9) == pytest.approx(1 / math.log(2), abs=1e-7)
    assert null_mean_exposure(10**12) == pytest.approx(null_mean_exposure(10**12 + 1), abs=1e-13)  # where the series takes over
    assert null_mean_exposure(10**250) == pytest.approx(1.4427, abs=1e-4)
    values = [null_mean_exposure(space) for space in (1, 2, 10, 10**3, 10**6, 10**20)]
    assert values == sorted(values)


def test_fisher_is_scipys():
    values = [0.01, 0.3, 0.9, 0.004]
    assert fisher(values) == pytest.approx(stats.combine_pvalues(values, method="fisher").pvalue, rel=1e-12)
    assert fisher([0.2]) == pytest.approx(0.2, rel=1e-12)
    assert fisher([1.0, 1.0]) == 1.0


@given(values=st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_simes_by_its_definition(values: list[float]):
    slow = min(len(values) * value / sum(other <= value for other in values) for value in values)
    assert simes(values) == pytest.approx(slow, rel=1e-12)
    assert min(values) * (1 - 1e-12) <= simes(values) <= min(1.0, len(values) * min(values)) * (1 + 1e-12)


def test_which_combination_sees_what():
    many, one = [0.06] * 8, [1e-4, *[0.8] * 7]
    assert fisher(many) < 0.005 < simes(many)
    assert simes(one) < 0.001 < fisher(one)


def test_a_p_value_too_small_for_floats_is_zero_not_an_error():
    assert fisher([1e-300] * 5) == 0.0


def test_mean_exposure_against_every_outcome():
    """Two secrets in spaces of 4 and 6 fills: all 24 pairs of ranks can be counted."""
    exposures = [Exposure(space=4, at_or_below=1), Exposure(space=6, at_or_below=3)]
    exact = Fraction(sum(a * b <= 3 for a, b in itertools.product(range(1, 5), range(1, 7))), 24)
    found = mean_exposure(exposures, streams=STREAMS, draws=20_000)
    assert found.p_value == pytest.approx(float(exact), abs=0.01)
    assert found.bits == pytest.approx((2 + 1) / 2)
    assert found.null_mean == pytest.approx((null_mean_exposure(4) + null_mean_exposure(6)) / 2)
    assert found.method == "mean over 2 secrets against 20,000 draws of uniform ranks"
    assert found == mean_exposure(exposures, streams=STREAMS, draws=20_000)
    assert found.p_value < fisher([exposure.p_value for exposure in exposures])  # which takes coarse ranks for continuous ones


def test_mean_exposure_is_fishers_product_in_a_large_space():
    exposures = [Exposure(space=10**6, at_or_below=rank) for rank in (200_000, 500_000, 30_000)]
    found = mean_exposure(exposures, streams=STREAMS, draws=50_000)
    assert found.p_value == pytest.approx(fisher([exposure.p_value for exposure in exposures]), rel=0.05)


def test_a_simulated_p_value_is_never_zero():
    found = mean_exposure([Exposure(space=10**9, at_or_below=1)] * 4, streams=STREAMS, draws=999)
    assert found.p_value == 1 / 1000


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: exact_exposure([], truth=0), "at least one"),
        (lambda: exact_exposure([[1.0]], truth=0), "one loss for each"),
        (lambda: exact_exposure([1.0, math.nan], truth=0), "1 losses of the fills are not numbers"),
        (lambda: exact_exposure([1.0, 2.0], truth=2), "fill 2 of 2"),
        (lambda: exact_exposure([1.0, 2.0], truth=-1), "from 0 to 1"),
        (lambda: exact_exposure([1.0, 2.0], truth=0, tolerance=-1e-9), "tolerance is -1e-09"),
        (lambda: sampled_exposure(math.nan, [1.0], space=9), "loss of the truth"),
        (lambda: sampled_exposure(1.0, [1.0, 2.0], space=2), "enumerate a space this small"),
        (lambda: sampled_exposure(1.0, [1.0], space=9, level=1.0), "level is 1.0"),
        (lambda: Exposure(space=10, at_or_below=0), "rank is 0"),
        (lambda: Exposure(space=10, at_or_below=11), "rank is 11"),
        (lambda: Exposure(space=10, at_or_below=4, references=3), "4 of 3 references"),
        (lambda: Exposure(space=0, at_or_below=1), "space has 0 fills"),
        (lambda: Exposure(space=10**301, at_or_below=1), "at most 10"),
        (lambda: null_mean_exposure(0), "space has 0 fills"),
        (lambda: fisher([]), "at least one"),
        (lambda: simes([0.2, 0.0]), "above 0"),
        (lambda: simes([0.2, math.nan]), "above 0"),
        (lambda: mean_exposure([], streams=STREAMS), "0 exposures"),
        (lambda: mean_exposure([Exposure(space=10, at_or_below=1)], streams=STREAMS, draws=0), "0 draws"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()
