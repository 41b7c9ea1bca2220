"""The skew-normal law against integrals and scipy, and when extrapolated exposure gives a number or a reason."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from holdfast.audit.canaries import skew_normal
from holdfast.audit.canaries.extrapolation import FEWEST, Gate, Misfit, extrapolated_exposure
from holdfast.audit.canaries.skew_normal import SkewNormal, fit_skew_normal
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

STREAMS = Streams.from_seed(5)
SHAPES = (0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 10.0, -10.0, 100.0, -100.0)


def law_of(shape: float) -> SkewNormal:
    return SkewNormal(location=0.0, scale=1.0, shape=shape)


def drawn(shape: float, count: int, seed: int = 1) -> np.ndarray:
    return SkewNormal(location=4.0, scale=0.5, shape=shape).draw(np.random.default_rng(seed), count)


def log_cdf_by_integration(z: float, shape: float) -> float:
    """Simpson's rule on a fine grid below z, relative to the density at z."""
    width = min(1.0, 8 / (1 + abs(z)) / (1 + abs(shape)))  # the density falls at least as fast as this to the left of a far z
    grid = z - np.concatenate([np.linspace(0, width, 20_001), width + np.linspace(0, 40, 400_001)[1:]])
    log_density = stats.norm.logpdf(grid) + stats.norm.logcdf(shape * grid) + math.log(2)
    inside = np.exp(log_density - log_density[0])
    below = integrate.simpson(inside[:20_001], x=-grid[:20_001]) + integrate.simpson(inside[20_000:], x=-grid[20_000:])
    return float(log_density[0] + math.log(below))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_distribution_function_however_far_down(shape):
    for z in (-0.001, -0.05, -0.3, -1.0, -4.0, -4.8, -5.5, -10.0, -37.0):
        assert float(law_of(shape).log_cdf(z)) == pytest.approx(log_cdf_by_integration(z, shape), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_tails_make_a_whole(shape):
    z = np.linspace(-4, 6, 101)
    assert np.exp(law_of(shape).log_cdf(z)) + np.exp(law_of(shape).log_sf(z)) == pytest.approx(np.ones(101), abs=1e-12)


def test_shape_zero_is_the_normal_law():
    z = np.array([-38.0, -9.0, -3.0, 0.0, 2.0, 9.0])
    assert law_of(0.0).log_cdf(z) == pytest.approx(stats.norm.logcdf(z), rel=1e-9, abs=1e-15)
    assert SkewNormal(location=2.0, scale=3.0, shape=0.0).log_cdf(5.0) == pytest.approx(stats.norm.logcdf(1.0), rel=1e-12)


@pytest.mark.parametrize("shape", [1e4, -1e4, 1e8])
def test_an_extreme_shape_is_half_a_normal_law(shape):
    z = -math.copysign(1.5, -shape)
    expected = stats.halfnorm.logcdf(1.5) if shape > 0 else stats.halfnorm.logsf(1.5)
    assert float(law_of(shape).log_cdf(z)) == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(law_of(shape).log_cdf([-1e5, -1e-3, 1e5])).all()


@pytest.mark.parametrize("shape", [0.0, 2.0, -8.0])
def test_draws_follow_the_law(shape):
    found = law_of(shape).draw(np.random.default_rng(2), 20_000)
    assert stats.kstest(found, lambda z: np.exp(law_of(shape).log_cdf(z))).pvalue > 0.01


@given(location=st.floats(-0.5, 0.5), log_scale=st.floats(-0.5, 0.5), shape=st.floats(-6, 6))
@settings(max_examples=25)
def test_the_gradient_of_the_likelihood(location: float, log_scale: float, shape: float):
    middles = np.linspace(-2, 2, 9)
    shares = np.arange(1, 10) / 45
    at = np.array([location, log_scale, shape])
    slow = optimize.approx_fprime(at, lambda x: skew_normal._loss(x, middles, shares)[0], 1e-7)
    assert skew_normal._loss(at, middles, shares)[1] == pytest.approx(slow, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("shape", [0.0, 1.0, -3.0, 8.0])
def test_the_fit_reaches_the_likelihood_of_a_slow_search_without_bins(shape):
    values = drawn(shape, 2000)
    quick = fit_skew_normal(values)

    def slow(x: np.ndarray) -> float:
        return -float(np.mean(stats.skewnorm.logpdf(values, x[2], loc=x[0], scale=abs(x[1]))))

    start = np.array([quick.location, quick.scale, quick.shape])
    found = optimize.minimize(slow, start * 1.05 + 0.01, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 3000})
    assert slow(start) <= found.fun + 1e-5  # a standard error away it would be 1 / 4,000 more


@pytest.mark.parametrize("shape", [0.0, 3.0, -3.0])
def test_the_fit_finds_the_law_and_moves_with_the_values(shape):
    values = drawn(shape, 20_000)
    law = fit_skew_normal(values)
    truth = SkewNormal(location=4.0, scale=0.5, shape=shape)
    at = np.quantile(values, [0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
    assert law.log_cdf(at) == pytest.approx(truth.log_cdf(at), abs=0.3)  # .2 is 3 % of -7 at the lowest
    moved = fit_skew_normal(1000 + 50 * values)
    assert moved.log_cdf(1000 + 50 * at) == pytest.approx(law.log_cdf(at), abs=1e-3)


@pytest.mark.parametrize("values", [np.random.default_rng(3).exponential(size=1000), -np.random.default_rng(3).exponential(size=1000)])
def test_values_too_skew_for_any_such_law_still_give_a_finite_fit(values):
    law = fit_skew_normal(values)
    assert math.isfinite(law.shape)
    assert abs(law.shape) > 5
    assert np.isfinite(law.log_cdf(values)).all()


def test_the_statistic_for_the_whole_is_anderson_and_darlings():
    values = drawn(1.0, 500)
    normal = SkewNormal(location=float(values.mean()), scale=float(values.std(ddof=1)), shape=0.0)
    z = np.sort((values - values.mean()) / values.std(ddof=1))
    i = np.arange(1, 501)
    slow = -500 - np.mean((2 * i - 1) * (stats.norm.logcdf(z) + stats.norm.logsf(z[::-1])))
    assert Misfit.between(values, normal).whole == pytest.approx(slow, rel=1e-9)


def test_the_statistic_for_the_tail_is_one_under_the_right_law_and_tells_the_side():
    rng = np.random.default_rng(4)
    right = np.array([Misfit.between(law_of(0.0).draw(rng, 400), law_of(0.0)).tail for _ in range(300)])
    assert right.mean() == pytest.approx(1.0, abs=3 / math.sqrt(300 * 20))
    heavier = np.mean([Misfit.between(rng.standard_t(4, 400), law_of(0.0)).tail for _ in range(50)])
    lighter = np.mean([Misfit.between(rng.uniform(-1.7, 1.7, 400), law_of(0.0)).tail for _ in range(50)])
    assert lighter < 0.8 < 1.3 < heavier


def test_a_gate_shares_its_level_between_two_tests():
    assert Gate(whole=0.03, tail=0.9, level=0.05).passed
    assert not Gate(whole=0.025, tail=0.9, level=0.05).passed
    assert not Gate(whole=0.9, tail=0.01, level=0.05).passed


def test_a_skew_normal_reference_gives_a_number():
    references = drawn(-1.0, 1000)
    truth = 4.0 - 6 * 0.5
    found = extrapolated_exposure(truth, references, space=10**30, streams=STREAMS)
    true = -float(SkewNormal(location=4.0, scale=0.5, shape=-1.0).log_cdf(truth)) / math.log(2)
    assert true == pytest.approx(28.9, abs=0.1)
    assert found.missing is None
    assert found.gate.passed
    assert found.bits == pytest.approx(true, abs=6)
    assert found.interval.low < found.bits < found.interval.high
    assert found.interval.low < true < found.interval.high
    assert found.interval.method == "parametric bootstrap, 199 draws"
    assert found.method == "skew-normal law fitted to 1,000 references, goodness of fit by 199 bootstrap draws"
    assert found == extrapolated_exposure(truth, references, space=10**30, streams=STREAMS)


def test_no_number_is_higher_than_the_space_allows_or_below_zero():
    references = drawn(0.0, 400)
    low = extrapolated_exposure(-20.0, references, space=10**6, streams=STREAMS, draws=99)
    high = extrapolated_exposure(20.0, references, space=10**6, streams=STREAMS, draws=99)
    assert low.bits == low.interval.high == math.log2(10**6)
    assert high.bits == high.interval.low == 0.0


def test_it_agrees_with_the_sample_inside_the_sample():
    references = drawn(2.0, 4000, seed=2)
    truth = float(np.quantile(references, 0.02))
    found = extrapolated_exposure(truth, references, space=10**9, streams=STREAMS, draws=99)
    assert found.bits == pytest.approx(-math.log2(0.02), abs=0.3)


def bimodal(rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(500) < 0.5, 0.0, 4.0) + rng.normal(size=500)


def whole_numbers(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(10, 1.5, 1000).round()


@pytest.mark.parametrize("kind", [bimodal, whole_numbers])
def test_a_reference_that_does_not_fit_gives_a_reason_instead(kind):
    found = extrapolated_exposure(-3.0, kind(np.random.default_rng(6)), space=10**9, streams=STREAMS, draws=99)
    assert found.bits is None
    assert found.interval is None
    assert not found.gate.passed
    assert found.law is not None
    assert "do not follow a skew-normal law (p 0.01 for all of it" in found.missing


def test_equal_losses_give_a_reason():
    found = extrapolated_exposure(1.0, np.full(300, 2.0), space=10**9, streams=STREAMS)
    assert found.missing == "all 300 reference losses are equal: the model does not tell the fills apart"
    assert found.bits is None
    assert found.law is None
    assert found.gate is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"references": np.arange(FEWEST - 1.0)}, "at least 200 references"),
        ({"references": np.array([math.inf, *range(300)])}, "finite losses"),
        ({"truth": math.nan}, "loss nan"),
        ({"space": 0}, "0 fills"),
        ({"draws": 98}, "at least 99"),
        ({"gate_level": 0.01, "draws": 199}, "at least 400"),
        ({"gate_level": 0.0}, "gate_level 0.0"),
        ({"level": 1.0}, "level is 1.0"),
    ],
)
def test_bad_input(change, said):
    given = {"truth": 1.0, "references": np.arange(300.0), "space": 10**9, "streams": STREAMS} | change
    with pytest.raises(InputError, match=said):
        extrapolated_exposure(given.pop("truth"), given.pop("references"), **given)


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_what_cannot_be_fitted(values):
    with pytest.raises(InputError, match="cannot be fitted"):
        fit_skew_normal(values)
