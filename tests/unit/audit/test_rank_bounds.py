"""What ranks prove about epsilon and what a promise allows them to be, by known answers and by sums over all ranks."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.audit.bounds import GroupClaim, group_claim
from holdfast.audit.canaries.exposure import Exposure, null_mean_exposure
from holdfast.audit.canaries.rank_bounds import (
    exposure_allowed,
    group_epsilon,
    joint_rank_bound,
    p_value_of_claim,
    rank_bound,
    rank_bounds,
)
from holdfast.core.errors import InputError

BEST = Exposure(space=10_000, at_or_below=1)


@pytest.mark.parametrize(
    ("p_value", "epsilon", "delta", "expected"),
    [
        (1e-4, 0.0, 0.0, 1e-4),
        (1e-4, 2.0, 1e-5, math.exp(2) * 1e-4 + 1e-5),
        (0.5, 1.0, 0.0, 1.0),
        (1e-4, 1e6, 0.0, 1.0),
        (1e-4, 0, 1.0, 1.0),
    ],
)
def test_p_values_of_claims(p_value, epsilon, delta, expected):
    assert p_value_of_claim(p_value, GroupClaim(epsilon=epsilon, delta=delta, copies=1)) == pytest.approx(expected, rel=1e-12)


@given(p_value=st.floats(1e-12, 1), delta=st.floats(0, 0.04), alpha=st.floats(0.05, 0.5))
def test_the_bound_is_where_the_claim_is_just_refuted(p_value: float, delta: float, alpha: float):
    epsilon = group_epsilon(p_value, delta=delta, alpha=alpha)
    if epsilon > 0:
        assert p_value_of_claim(p_value, GroupClaim(epsilon=epsilon, delta=delta, copies=1)) == pytest.approx(alpha, rel=1e-9)
    else:
        assert p_value_of_claim(p_value, GroupClaim(epsilon=0.0, delta=delta, copies=1)) >= alpha * (1 - 1e-12)


@pytest.mark.parametrize(
    ("rank", "copies", "delta", "expected"),
    [
        (1, 1, 0.0, math.log(500)),
        (1, 1, 1e-5, math.log(0.04999 * 10_000)),
        (8, 1, 0.0, math.log(500 / 8)),
        (1, 10, 0.0, math.log(500) / 10),
        (499, 1, 0.0, math.log(500 / 499)),
        (501, 1, 0.0, 0.0),
        (10_000, 1, 0.0, 0.0),
    ],
)
def test_known_bounds_of_four_digits(rank, copies, delta, expected):
    bound = rank_bound(Exposure(space=10_000, at_or_below=rank), delta=delta, copies=copies)
    assert bound.value == pytest.approx(expected, abs=1e-7)
    assert bound.detectable >= bound.value
    assert (bound.copies, bound.tests, bound.level, bound.delta) == (copies, 1, 0.95, delta)


def test_the_group_of_copies_keeps_its_own_bound():
    bound = rank_bound(BEST, delta=1e-5, copies=4)
    assert bound.group == pytest.approx(math.log((0.05 - 1e-5) * 10_000))
    promised = group_claim(bound.value, 1e-5, copies=4)
    assert p_value_of_claim(1e-4, promised) == pytest.approx(0.05, rel=1e-6)  # with the group's own, larger delta
    assert bound.value < bound.group / 4


def test_a_sampled_rank_proves_what_its_p_value_says():
    drawn = Exposure(space=10**9, references=9_999, at_or_below=0)
    assert rank_bound(drawn, delta=0, copies=1).value == pytest.approx(math.log(500))
    assert rank_bound(drawn, delta=0, copies=1).detectable == pytest.approx(math.log(500))


@pytest.mark.parametrize("copies", [1, 3])
def test_bonferroni_divides_the_chance_of_error(copies):
    exposures = [Exposure(space=10_000, at_or_below=rank) for rank in (1, 30, 9_000)]
    bounds = rank_bounds(exposures, copies=[copies] * 3, delta=0)
    expected = [math.log(0.05 / 3 * 10_000 / rank) / copies for rank in (1, 30)]
    assert [bound.value for bound in bounds] == pytest.approx([*expected, 0.0], abs=1e-7)
    assert rank_bounds(exposures[:1], copies=[copies], delta=0)[0] == rank_bound(exposures[0], delta=0, copies=copies)
    assert bounds[0].method == f"rank of a uniform secret, group of {copies} copies, one-sided level 0.95, Bonferroni over 3 secrets"


def test_secrets_of_low_rank_prove_more_together():
    ten = joint_rank_bound([BEST] * 10, copies=[1] * 10, delta=0)
    best = max(bound.value for bound in rank_bounds([BEST] * 10, copies=[1] * 10, delta=0))
    assert ten.value == pytest.approx(6.1, abs=0.05)
    assert best == pytest.approx(3.9, abs=0.05)
    assert ten.value == ten.detectable
    assert ten.copies == 10
    assert joint_rank_bound([BEST], copies=[1], delta=1e-5).value == pytest.approx(rank_bound(BEST, delta=1e-5, copies=1).value, abs=1e-6)
    assert joint_rank_bound([BEST] * 10, copies=[1] * 10, delta=1e-5).value < best  # the delta of a group of ten


def test_a_product_below_all_floats_is_still_a_bound():
    found = joint_rank_bound([Exposure(space=10**100, references=10**9, at_or_below=0)] * 60, copies=[1] * 60, delta=0)
    assert 0 < found.value < 25


@pytest.mark.parametrize(
    ("epsilon", "delta", "copies", "space"),
    list(itertools.product((0.0, 0.3, 2.0, 9.0), (0.0, 1e-3, 0.02), (1, 2), (10, 1000))),
)
def test_allowed_exposure_by_a_sum_over_all_ranks(epsilon, delta, copies, space):
    allowed = exposure_allowed(epsilon, delta, copies=copies, space=space)
    group = group_claim(epsilon, delta, copies=copies)
    caps = [min(1.0, math.exp(group.epsilon) * rank / space + group.delta) for rank in range(1, space + 1)]
    excluded = sum(cap <= 0.05 for cap in caps)
    assert allowed.bits == pytest.approx(math.log2(space / (excluded + 1)))
    mean = math.fsum(math.log2((rank + 1) / rank) * caps[rank - 1] for rank in range(1, space))
    assert allowed.mean == pytest.approx(mean, rel=1e-9)
    for rank in (1, 2, space // 2, space):
        assert allowed.chance(math.log2(space / rank)) == pytest.approx(caps[rank - 1], rel=1e-9)


@given(
    rank=st.integers(1, 5000),
    epsilon=st.floats(0.01, 6),
    delta=st.sampled_from([0.0, 1e-6, 1e-3]),
    copies=st.integers(1, 5),
)
def test_a_claim_is_refuted_where_exposure_is_above_the_allowed(rank: int, epsilon: float, delta: float, copies: int):
    exposure = Exposure(space=5000, at_or_below=rank)
    allowed = exposure_allowed(epsilon, delta, copies=copies, space=5000)
    bound = rank_bound(exposure, delta=delta, copies=copies)
    if abs(bound.value - epsilon) > 1e-6:
        assert (bound.value > epsilon) == (exposure.bits > allowed.bits + 1e-9)


def test_a_promise_of_nothing_known_allows_the_null():
    allowed = exposure_allowed(0.0, 0.0, copies=7, space=10_000)
    assert allowed.mean == null_mean_exposure(10_000)
    assert allowed.bits == pytest.approx(math.log2(10_000 / 501))
    assert allowed.chance(10.0) == pytest.approx(9 / 10_000)  # 10,000 / 2^10 = 9.77
    assert allowed.chance(14.0) == 0.0


def test_no_promise_allows_everything():
    for epsilon, delta in ((1000.0, 0.0), (1.0, 0.5), (0.0, 0.3)):
        allowed = exposure_allowed(epsilon, delta, copies=4, space=10_000)
        assert allowed.bits == allowed.most_bits
        assert allowed.mean <= allowed.most_bits + 1e-9
    assert exposure_allowed(1000.0, 0.0, copies=4, space=10_000).mean == pytest.approx(math.log2(10_000))


@pytest.mark.parametrize(("epsilon", "copies"), [(1.0, 1), (0.5, 4), (8.0, 1)])
def test_the_mean_that_a_large_space_allows(epsilon, copies):
    allowed = exposure_allowed(epsilon, 0.0, copies=copies, space=10**30)
    assert allowed.mean == pytest.approx((1 + copies * epsilon) / math.log(2), rel=1e-9)
    assert allowed.bits == pytest.approx((copies * epsilon + math.log(20)) / math.log(2), rel=1e-9)


def test_more_of_anything_allows_more():
    by_epsilon = [exposure_allowed(epsilon, 1e-6, copies=2, space=10**6) for epsilon in (0, 0.5, 1, 2, 4, 8)]
    by_copies = [exposure_allowed(0.5, 1e-6, copies=copies, space=10**6) for copies in (1, 2, 5, 10, 30)]
    for found in (by_epsilon, by_copies):
        for values in ([allowed.bits for allowed in found], [allowed.mean for allowed in found]):
            assert values == sorted(values)
            assert values[0] < values[-1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: p_value_of_claim(0.0, GroupClaim(epsilon=1.0, delta=0.0, copies=1)), "p-value is 0.0"),
        (lambda: group_epsilon(1.1, delta=0, alpha=0.05), "p-value is 1.1"),
        (lambda: group_epsilon(0.1, delta=-0.1, alpha=0.05), "delta is -0.1"),
        (lambda: group_epsilon(0.1, delta=0, alpha=1.0), "alpha 1.0"),
        (lambda: rank_bound(BEST, delta=0, copies=0), "copies is 0"),
        (lambda: rank_bound(BEST, delta=1.0, copies=1), "delta is 1.0"),
        (lambda: rank_bound(BEST, delta=0, copies=1, level=0.0), "level is 0.0"),
        (lambda: rank_bounds([], copies=[], delta=0), "0 exposures"),
        (lambda: rank_bounds([BEST], copies=[1, 2], delta=0), "2 numbers of copies"),
        (lambda: joint_rank_bound([BEST] * 2, copies=[1], delta=0), "1 numbers of copies"),
        (lambda: exposure_allowed(-1.0, 0.0, copies=1, space=10), "epsilon is -1.0"),
        (lambda: exposure_allowed(1.0, 0.0, copies=1, space=0), "0 fills"),
        (lambda: exposure_allowed(1.0, 0.0, copies=1, space=10, alpha=0.0), "alpha is 0.0"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()
