"""Against users' differential privacy both gradient attacks fall to what public text tells; without noise they are far above it."""

import numpy as np
import pytest
from tests.oracles.gradient_rounds import dictionary, enough_buckets, opened, text

from holdfast.audit.gradients import Tolerances, audit_gradients
from holdfast.audit.gradients.measuring import difference_interval, share_interval
from holdfast.core.evidence import Estimate, Evidence
from holdfast.core.randomness import Streams
from holdfast.privacy import Budget, Ledger, PrivacyEvent
from holdfast.privacy.accounting.calibration import calibrate

pytestmark = pytest.mark.slow

BOUND = 0.05
"""By how much of F1 an attack may beat the prior and still count as no better: fixed before the figures were seen."""

USERS, COHORT, ROUNDS = 1000, 100, 100
BUDGET = Budget(epsilon=8.0, delta=1e-5)
CLIENTS, PUBLIC = text(1500, 500)
BUCKETS = enough_buckets(dictionary(CLIENTS, PUBLIC)[::4], 5000)
METHODS = ("embedding-rows", "subspace")


def noise_for(budget: Budget) -> float:
    """What a federated run of these sizes needs: each user is drawn into a round with probability .1, for 100 rounds."""

    def ledger(noise_multiplier: float) -> Ledger:
        event = PrivacyEvent(
            sampler="poisson", sampling_probability=COHORT / USERS, noise_multiplier=noise_multiplier, neighbouring="add/remove"
        )
        return Ledger(((event, ROUNDS),))

    return calibrate(ledger, budget)


def audited(kind: str, noise_multiplier: float, *, trials: int = 20, cohort: int = 1) -> Evidence:
    """One client alone with the noise of the whole cohort: the view of an observer who knows the updates of the 99 others."""
    return audit_gradients(
        opened(kind, CLIENTS, buckets=BUCKETS),
        clients_data=CLIENTS,
        public=PUBLIC,
        subject=kind,
        streams=Streams.from_seed(11),
        batch_sizes=(4,),
        cohorts=(cohort,),
        clip_norms=(1.0,),
        noise_multipliers=(noise_multiplier,),
        trials=trials,
        positions=14,
        tolerances=Tolerances(tests=0),
    )


def gain(evidence: Evidence, method: str) -> Estimate:
    return evidence.estimate("token_f1_gain", conditions={"method": method, "target": "client"})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bag", "transformer"])
def test_under_epsilon_8_for_users_the_attacks_are_no_better_than_the_prior(kind: str):
    noise = noise_for(BUDGET)
    assert 0.8 < noise < 1.1
    evidence = audited(kind, noise)
    for method in METHODS if kind == "transformer" else METHODS[:1]:
        interval = gain(evidence, method).interval
        assert interval.high < BOUND
        assert interval.low <= 0 <= interval.high or abs(gain(evidence, method).value) < BOUND / 2


@pytest.mark.parametrize("kind", ["bag", "transformer"])
def test_without_noise_they_are_far_above_it(kind: str):
    evidence = audited(kind, 0.0, trials=8)
    for method in METHODS if kind == "transformer" else METHODS[:1]:
        assert gain(evidence, method).interval.low > 0.3


@pytest.mark.slow
def test_a_thousandth_of_the_noise_is_found_out():
    """Had the noise been forgotten to be scaled, say, the test above would fail: it has the power to."""
    evidence = audited("bag", noise_for(BUDGET) / 1000)
    assert gain(evidence, "embedding-rows").interval.low > BOUND


@pytest.mark.slow
def test_a_cohort_of_20_under_that_noise_tells_nothing_of_one_client():
    evidence = audited("bag", noise_for(BUDGET), trials=8, cohort=20)
    assert gain(evidence, "embedding-rows").interval.high < BOUND


def test_intervals_of_shares_cover_their_mean():
    """Laws of F1 seen in practice: shares near 0, near 1 and of few values; 5 to 20 trials."""
    rng = np.random.default_rng(0)
    laws = {
        "uniform": (lambda n: rng.random(n), 0.5),
        "beta(8, 2)": (lambda n: rng.beta(8, 2, n), 0.8),
        "beta(1, 30)": (lambda n: rng.beta(1, 30, n), 1 / 31),
        "coin of .9": (lambda n: (rng.random(n) < 0.9).astype(float), 0.9),
        "quarters": (lambda n: rng.binomial(4, 0.7, n) / 4, 0.7),
    }
    for name, (draw, mean) in laws.items():
        for n in (5, 10, 20):
            inside = [interval.low <= mean <= interval.high for interval in (share_interval(draw(n).tolist()) for _ in range(1500))]
            assert np.mean(inside) >= 0.92, (name, n, np.mean(inside))


def test_intervals_of_differences_cover_their_mean_and_narrower_ones_would_not():
    rng = np.random.default_rng(1)
    inside, narrower = [], []
    for _ in range(1000):
        interval = difference_interval((rng.normal(0.1, 0.2, 8)).tolist())
        inside.append(interval.low <= 0.1 <= interval.high)
        middle, half = (interval.low + interval.high) / 2, (interval.high - interval.low) / 3
        narrower.append(middle - half <= 0.1 <= middle + half)
    assert 0.93 < np.mean(inside) < 0.97
    assert np.mean(narrower) < 0.92
