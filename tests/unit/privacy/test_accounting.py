"""Epsilon against known answers, other accountants and itself."""

import pytest
from tests.oracles import rdp

from holdfast.core.errors import InputError, RunError
from holdfast.privacy import Budget, Ledger, PrivacyEvent, dp_sgd, edp_sgd, epsilon
from holdfast.privacy.accounting import calibrate

Q = 512 / 13_000


def poisson(noise_multiplier: float, q: float = Q) -> PrivacyEvent:
    return PrivacyEvent(sampler="poisson", sampling_probability=q, noise_multiplier=noise_multiplier, neighbouring="add/remove")


@pytest.mark.parametrize(
    ("noise_multiplier", "steps", "expected"), [(1.0, 500, 5.78), (1.0, 508, 5.83), (0.5, 500, 31.7), (0.5, 508, 32.0)]
)
def test_known_answers_of_the_plan_of_the_literature(noise_multiplier, steps, expected):
    assert epsilon(Ledger.of([(poisson(noise_multiplier), steps)]), 1e-5) == pytest.approx(expected, rel=2e-3)


def test_micro_batches_pay_twice_the_sensitivity_and_the_naive_account_stands_beside():
    plan = {"examples": 13_000, "batch_size": 512, "steps": 500, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    claim = edp_sgd(**plan, micro_batch_size=32).claim("run")
    assert claim.epsilon == pytest.approx(31.7, rel=2e-3)
    naive = [value for account, value in claim.other_accounts.items() if account.startswith("naive")]
    assert naive == [pytest.approx(5.78, rel=2e-3)]
    assert dp_sgd(**plan).claim("run").epsilon == pytest.approx(5.78, rel=2e-3)
    assert edp_sgd(**plan, micro_batch_size=1).claim("run").epsilon == dp_sgd(**plan).claim("run").epsilon


def test_decaying_noise_is_composed_and_not_averaged():
    """The known answer is 13.64; the average of the noise over the epochs would give 10.5."""
    ledger = Ledger.of([(poisson(0.97**epoch), 25 + (epoch < 8)) for epoch in range(20)])
    assert ledger.steps == 508
    assert epsilon(ledger, 1e-5) == pytest.approx(13.64, rel=0.02)
    assert epsilon(ledger, 1e-5) > 1.2 * 10.5


@pytest.mark.parametrize(("q", "sigma", "steps"), [(0.01, 1.0, 1000), (Q, 1.0, 508), (0.1, 2.0, 200), (0.5, 4.0, 50)])
def test_the_second_opinion_agrees_with_a_textbook_accountant_and_bounds_the_first(q, sigma, steps):
    ledger = Ledger.of([(poisson(sigma, q), steps)])
    second = epsilon(ledger, 1e-5, accountant="rdp")
    textbook = rdp.epsilon(q, sigma, steps, 1e-5)
    assert second <= textbook * 1.001  # the library's conversion from Renyi is a little tighter than the classical one
    assert second > 0.75 * textbook
    assert epsilon(ledger, 1e-5) <= second * 1.001


def test_agrees_with_the_accountant_of_opacus():
    from opacus.accountants import PRVAccountant

    other = PRVAccountant()
    other.history = [(1.0, 0.01, 1000)]
    assert epsilon(Ledger.of([(poisson(1.0, 0.01), 1000)]), 1e-5) == pytest.approx(other.get_epsilon(1e-5), rel=0.01)


@pytest.mark.parametrize("target", [0.1, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("sampler", ["poisson", "truncated-poisson"])
def test_calibration_keeps_the_promise_and_wastes_little_of_it(target, sampler):
    budget = Budget(epsilon=target, delta=1e-5)
    made = dp_sgd(examples=13_000, batch_size=512, epochs=5, clip_norm=1.0, target=budget, sampler=sampler)
    assert 0.97 * target < made.epsilon() <= target


def test_truncation_costs_next_to_nothing():
    plan = {"examples": 13_000, "batch_size": 512, "steps": 508, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    assert dp_sgd(**plan, sampler="truncated-poisson").epsilon() == pytest.approx(dp_sgd(**plan).epsilon(), rel=2e-3)


def test_more_of_anything_costs_more():
    one = epsilon(Ledger.of([(poisson(1.0), 100)]), 1e-5)
    assert epsilon(Ledger.of([(poisson(1.0), 200)]), 1e-5) > one
    assert epsilon(Ledger.of([(poisson(0.9), 100)]), 1e-5) > one
    assert epsilon(Ledger.of([(poisson(1.0, 2 * Q), 100)]), 1e-5) > one
    assert epsilon(Ledger.of([(poisson(1.0), 100)]), 1e-6) > one
    assert epsilon(Ledger(), 1e-5) == 0.0


def test_the_ledger_joins_equal_steps_and_survives_json():
    ledger = Ledger.of([(poisson(1.0), 3), (poisson(1.0), 4), (poisson(0.5), 0), (poisson(0.9), 2)])
    assert ledger.entries == ((poisson(1.0), 7), (poisson(0.9), 2))
    assert Ledger.from_json(ledger.to_json()) == ledger
    with pytest.raises(RunError, match="damaged privacy ledger"):
        Ledger.from_json([{"sampler": "poisson", "count": 1}])


def test_an_unreachable_target_is_refused_with_a_cure():
    with pytest.raises(InputError, match="take fewer epochs"):
        calibrate(lambda multiplier: Ledger.of([(poisson(multiplier, 1.0), 10**6)]), Budget(epsilon=1e-3, delta=1e-12))


@pytest.mark.parametrize("epsilon_value", [0, -1, float("nan"), float("inf")])
def test_an_epsilon_that_is_no_promise_is_refused(epsilon_value):
    with pytest.raises(InputError, match="epsilon is"):
        Budget(epsilon=epsilon_value, delta=1e-5)


@pytest.mark.parametrize("delta", [0, 1, -1e-5, 2])
def test_a_delta_outside_its_range_is_refused(delta):
    with pytest.raises(InputError, match="delta is"):
        Budget(epsilon=1.0, delta=delta)
    with pytest.raises(InputError, match="delta is"):
        epsilon(Ledger(), delta)


def test_a_pair_without_a_proof_is_refused():
    event = PrivacyEvent(
        sampler="truncated-poisson", sampling_probability=Q, noise_multiplier=1.0, neighbouring="zero-out", examples=13_000, cap=615
    )
    with pytest.raises(InputError, match="no proof"):
        epsilon(Ledger.of([(event, 1)]), 1e-5, accountant="rdp")
    with pytest.raises(InputError, match="one neighbouring relation"):
        epsilon(Ledger.of([(event, 1), (poisson(1.0), 1)]), 1e-5)
