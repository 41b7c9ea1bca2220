"""Simulations that hold every interval and lower bound of the audit to its promise, and show that a careless one would fail.

A share of `REPEATS` runs has a standard error; a promise is held to within two of them. Seeds are fixed, so a failure repeats.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from holdfast.audit import registered_bound
from holdfast.audit.bounds.gaussian import mu_from_errors
from holdfast.audit.bounds.one_run import Guesses, one_run_epsilon, one_run_mu
from holdfast.audit.games import blind_auc
from holdfast.audit.intervals import Area, rate_at_most, tpr_band
from holdfast.audit.roc import Advantage, OperatingPoints
from holdfast.core.evidence import Interval

REPEATS = 400
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def two_errors(share: float, repeats: int = REPEATS) -> float:
    return 2 * math.sqrt(share * (1 - share) / repeats)


def gaussian(mu: float, n1: int, n0: int) -> Draw:
    return lambda rng: (rng.normal(mu, 1, n1), rng.normal(0, 1, n0))


def laplace(epsilon: float, n1: int, n0: int) -> Draw:
    """Scores of the Laplace mechanism: whether an example is in (1) or out (0), released with pure epsilon."""
    if epsilon == 0:
        return gaussian(0, n1, n0)
    return lambda rng: (1 + rng.laplace(0, 1 / epsilon, n1), rng.laplace(0, 1 / epsilon, n0))


def randomised_response(epsilon: float, n1: int, n0: int) -> Draw:
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    return lambda rng: ((rng.random(n1) < truth).astype(float), (rng.random(n0) >= truth).astype(float))


def share(holds: Callable[[np.ndarray, np.ndarray], bool], draw: Draw, *, seed: int, repeats: int = REPEATS) -> float:
    rng = np.random.default_rng(seed)
    return float(np.mean([holds(*draw(rng)) for _ in range(repeats)]))


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("auc", [0.5, 0.75, 0.95])
@pytest.mark.parametrize(("n1", "n0"), [(40, 40), (500, 300)])
def test_auc_interval_covers_as_often_as_it_says(auc: float, n1: int, n0: int):
    mu = math.sqrt(2) * stats.norm.ppf(auc)  # the area of two normal laws that lie mu apart is Phi(mu / sqrt 2)
    covered = share(lambda m, n: covers(Area.between(m, n).interval(), auc), gaussian(mu, n1, n0), seed=1)
    assert covered >= 0.95 - two_errors(0.95)
    assert covered < 1  # an interval that always covers says too little


def test_an_auc_interval_at_half_its_width_would_be_noticed():
    def half(members: np.ndarray, nonmembers: np.ndarray) -> bool:
        area = Area.between(members, nonmembers)
        quarter = replace(area, from_members=area.from_members / 4, from_nonmembers=area.from_nonmembers / 4)
        return covers(quarter.interval(), 0.5)

    assert share(half, gaussian(0, 200, 200), seed=2) < 0.95 - two_errors(0.95)


@pytest.mark.parametrize("lost", [0.002, 0.01])
def test_an_area_of_one_is_not_taken_for_certain(lost: float):
    """A few members hide below all others: most small samples show a perfect attack, and the interval must still cover."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return np.where(rng.random(200) < lost, -9.0, 9.0) + rng.normal(size=200), rng.normal(size=200)

    assert share(lambda m, n: covers(Area.between(m, n).interval(), 1 - lost), draw, seed=3) >= 0.95 - two_errors(0.95)


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_auc_of_two_normal_laws(mu: float):
    rng = np.random.default_rng(4)
    area = Area.between(rng.normal(mu, 1, 100_000), rng.normal(0, 1, 100_000))
    assert area.value == pytest.approx(stats.norm.cdf(mu / math.sqrt(2)), abs=4 * math.sqrt(area.variance))


def test_permuted_labels_give_an_area_near_one_half():
    rng = np.random.default_rng(5)
    pooled = np.concatenate(gaussian(2, 300, 200)(rng))
    areas = []
    for _ in range(REPEATS):
        mixed = rng.permutation(pooled)
        areas.append(Area.between(mixed[:300], mixed[300:]))
    values = np.array([area.value for area in areas])
    null_error = math.sqrt((300 + 200 + 1) / (12 * 300 * 200))
    assert values.mean() == pytest.approx(0.5, abs=3 * null_error / math.sqrt(REPEATS))
    assert values.std() == pytest.approx(null_error, rel=0.12)
    assert np.mean([math.sqrt(area.variance) for area in areas]) == pytest.approx(null_error, rel=0.03)


@pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("fpr", "n1", "n0"), [(0.1, 500, 100), (0.01, 300, 1000)])
def test_tpr_interval_covers_though_the_threshold_is_estimated(mu: float, fpr: float, n1: int, n0: int):
    truth = stats.norm.sf(stats.norm.isf(fpr) - mu)

    def holds(members: np.ndarray, nonmembers: np.ndarray) -> bool:
        band = tpr_band(members, nonmembers, np.array([fpr]))
        return bool(band.low[0] <= truth <= band.high[0])

    assert share(holds, gaussian(mu, n1, n0), seed=6) >= 0.95 - two_errors(0.95)


def test_an_interval_that_forgets_the_non_members_would_be_noticed():
    truth = stats.norm.sf(stats.norm.isf(0.1) - 1)

    def members_only(members: np.ndarray, nonmembers: np.ndarray) -> bool:
        found = int(np.sum(members > np.sort(nonmembers)[::-1][10]))
        return covers(Interval(**_exact(found, members.size), level=0.95, method="Clopper-Pearson"), truth)

    assert share(members_only, gaussian(1, 500, 100), seed=7) < 0.95 - two_errors(0.95)


def _exact(found: int, n: int) -> dict[str, float]:
    interval = stats.binomtest(found, n).proportion_ci(0.95)
    return {"low": interval.low, "high": interval.high}


@pytest.mark.parametrize(("mu", "truth"), [(0.0, 0.0), (1.0, 2 * stats.norm.cdf(0.5) - 1)])
def test_advantage_interval_covers(mu: float, truth: float):
    def holds(members: np.ndarray, nonmembers: np.ndarray) -> bool:
        return covers(Advantage.of(OperatingPoints.of(members, nonmembers)).interval(), truth)

    assert share(holds, gaussian(mu, 300, 200), seed=8) >= 0.95 - two_errors(0.95)


def test_the_null_of_the_advantage_is_its_law_without_leakage():
    rng = np.random.default_rng(9)
    found = [Advantage.of(OperatingPoints.of(*gaussian(0, 700, 500)(rng))) for _ in range(REPEATS)]
    values = np.array([advantage.value for advantage in found])
    null = found[0].null()
    assert values.mean() == pytest.approx(null["null_mean"], rel=0.1)
    assert np.mean(values > null["null_p95"]) <= 0.05 + two_errors(0.05)
    assert np.mean([advantage.null()["p_value"] < 0.5 for advantage in found]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("mechanism", [laplace, randomised_response])
def test_the_lower_bound_rarely_exceeds_a_true_epsilon(mechanism: Callable[[float, int, int], Draw], epsilon: float):
    draw = mechanism(epsilon, 600, 500)
    alarms = share(lambda m, n: registered_bound(m, n, delta=0).value > epsilon, draw, seed=10)
    assert alarms <= 0.05 + two_errors(0.05)


def test_the_lower_bound_rarely_exceeds_the_epsilon_of_a_gaussian_mechanism():
    mu, epsilon = 1.0, 2.0
    delta = stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu)
    alarms = share(lambda m, n: registered_bound(m, n, delta=delta).value > epsilon, gaussian(mu, 1500, 1500), seed=11)
    assert alarms <= 0.05 + two_errors(0.05)
    caught = share(lambda m, n: registered_bound(m, n, delta=delta).value > epsilon, gaussian(3 * mu, 1500, 1500), seed=11, repeats=50)
    assert caught > 0.9  # a third of the noise that was promised


def test_nothing_is_proved_where_nothing_leaks():
    assert share(lambda m, n: registered_bound(m, n, delta=0).value == 0, laplace(0, 1000, 1000), seed=12) >= 0.95


def test_picking_the_best_threshold_on_the_same_scores_would_be_noticed():
    """The fault that calibration halves and the correction are there for."""

    def best_of_all(members: np.ndarray, nonmembers: np.ndarray) -> bool:
        points = OperatingPoints.of(members, nonmembers)
        found, accused = points.positives, points.negatives
        high = [rate_at_most(count, 1000, alpha=0.025) for count in (found, accused, 1000 - found, 1000 - accused)]
        tpr, fpr, fnr, tnr = high
        return any(np.any(1 - one > other) for one, other in ((fnr, fpr), (fpr, fnr), (tpr, tnr), (tnr, tpr)))

    assert share(best_of_all, laplace(0, 1000, 1000), seed=13, repeats=200) > 0.05 + two_errors(0.05, 200)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_the_bound_of_randomised_response_tends_to_epsilon(epsilon: float):
    rng = np.random.default_rng(14)
    bounds = [registered_bound(*randomised_response(epsilon, n, n)(rng), delta=0).value for n in (1_000, 30_000, 1_000_000)]
    assert bounds[0] < bounds[1] < bounds[2] <= epsilon
    assert bounds[2] > 0.97 * epsilon


@pytest.mark.parametrize(("epsilon", "least"), [(0.5, 0.25), (1.0, 0.7), (3.0, 2.4)])
def test_the_bound_of_the_laplace_mechanism_has_power(epsilon: float, least: float):
    rng = np.random.default_rng(15)
    bounds = [registered_bound(*laplace(epsilon, 1500, 1500)(rng), delta=0).value for _ in range(40)]
    assert least < np.mean(bounds) < epsilon


def test_a_random_split_rarely_trips_the_blind_classifier():
    rng = np.random.default_rng(16)
    words = np.array([f"w{index}" for index in range(80)])
    weights = 1 / np.arange(1, 81)

    def told_apart() -> bool:
        sides = [[(tuple(rng.choice(words, size=6, p=weights / weights.sum())), (), ()) for _ in range(n)] for n in (120, 80)]
        return blind_auc(*sides).interval.low > 0.5

    assert np.mean([told_apart() for _ in range(100)]) <= 0.025 + two_errors(0.025, 100)


def one_run(scores_of: Callable[[np.random.Generator, np.ndarray], np.ndarray], rng: np.random.Generator, m: int = 400) -> Guesses:
    """One training run: coins, scores, and guesses at both ends whose number is fixed."""
    included = rng.random(m) < 0.5
    return Guesses.ranked(scores_of(rng, included), included, most_likely=m // 10, least_likely=m // 10)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("delta", [0.0, 1e-3])
def test_one_run_seldom_exceeds_the_truth(epsilon: float, delta: float):
    """Randomised response, which no guess at canaries beats; with delta some canaries give themselves away."""
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))

    def scores_of(rng: np.random.Generator, included: np.ndarray) -> np.ndarray:
        answered = np.where(rng.random(included.size) < truth, included, ~included)
        shown = rng.random(included.size) < delta
        return np.where(shown, 10.0 * (2 * included - 1), 2.0 * answered - 1) + rng.random(included.size) * 1e-3  # ties in any order

    rng = np.random.default_rng(5)
    found = [one_run_epsilon(one_run(scores_of, rng), delta=delta, alpha=0.05) for _ in range(REPEATS)]
    assert np.mean(np.array(found) > epsilon) <= 0.05 + two_errors(0.05)
    assert epsilon < 1 or np.mean(found) > 0.3 * epsilon


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 2.0])
def test_one_run_seldom_exceeds_the_mu_of_a_gaussian_mechanism(mu: float):
    rng = np.random.default_rng(6)
    found = [one_run_mu(one_run(lambda rng, inside: rng.normal(mu * inside, 1), rng), alpha=0.05) for _ in range(REPEATS)]
    assert np.mean(np.array(found) > mu) <= 0.05 + two_errors(0.05)
    assert mu < 1 or np.mean(found) > 0.5 * mu


def test_the_best_of_many_numbers_of_guesses_raises_false_alarms():
    """The careless way: every number of guesses is tried on the same scores, and the best bound kept."""
    rng, alarms = np.random.default_rng(7), []
    for _ in range(REPEATS):
        included, scores = rng.random(400) < 0.5, rng.normal(size=400)
        tried = [
            Guesses.ranked(scores, included, most_likely=k, least_likely=j) for k in range(0, 200, 20) for j in range(0, 200, 20) if k + j
        ]
        alarms.append(max(one_run_epsilon(one, delta=0.0, alpha=0.05) for one in tried) > 0)
    assert np.mean(alarms) > 0.15


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.5])
def test_mu_from_errors_seldom_exceeds_the_truth(mu: float):
    """A threshold that was fixed before any score was seen."""
    exceeds = lambda m, n: mu_from_errors(int((m <= 1).sum()), m.size, int((n > 1).sum()), n.size, alpha=0.05) > mu  # noqa: E731
    assert share(exceeds, gaussian(mu, 500, 500), seed=8) <= 0.05 + two_errors(0.05)
