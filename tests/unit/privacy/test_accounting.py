"""Epsilon against known answers, other accountants and itself."""

import dp_accounting
import numpy as np
import pytest
from dp_accounting import pld
from tests.oracles import rdp

from holdfast.core.errors import InputError, RunError
from holdfast.privacy import Budget, Ledger, PrivacyEvent, dp_sgd, edp_sgd, epsilon, from_dp_event, to_dp_event
from holdfast.privacy.accounting import calibrate, calibration
from holdfast.privacy.accounting.account import _grid as grid_of
from holdfast.privacy.accounting.account import spent
from holdfast.privacy.accounting.loss_distribution import subsampled_gaussian
from holdfast.privacy.sampling import free_cap

Q = 512 / 13_000


def poisson(noise_multiplier: float, q: float = Q, neighbouring: str = "add/remove") -> PrivacyEvent:
    return PrivacyEvent(sampler="poisson", sampling_probability=q, noise_multiplier=noise_multiplier, neighbouring=neighbouring)


def truncated(cap: int, *, batch_size: int = 512, examples: int = 13_000, noise_multiplier: float = 1.0) -> PrivacyEvent:
    return PrivacyEvent(
        sampler="truncated-poisson",
        sampling_probability=batch_size / examples,
        noise_multiplier=noise_multiplier,
        neighbouring="zero-out",
        examples=examples,
        cap=cap,
    )


def shuffled(noise_multiplier: float, neighbouring: str = "zero-out") -> PrivacyEvent:
    return PrivacyEvent(sampler="shuffled", sampling_probability=1.0, noise_multiplier=noise_multiplier, neighbouring=neighbouring)


def by_the_library(ledger: Ledger, delta: float, *, grid: float = 1e-3) -> float:
    """The library's own accountant on the library's own event."""
    relation = {
        "add/remove": dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
        "replace-one": dp_accounting.NeighboringRelation.REPLACE_ONE,
        "zero-out": dp_accounting.NeighboringRelation.REPLACE_SPECIAL,
    }[ledger.neighbouring]
    return pld.PLDAccountant(relation, value_discretization_interval=grid).compose(to_dp_event(ledger)).get_epsilon(delta)


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
    assert edp_sgd(**plan, micro_batch_size=1).claim("run").epsilon == claim.epsilon  # two examples may share a micro-batch of one


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


@pytest.mark.parametrize(
    ("event", "sigma", "q", "steps"),
    [
        (poisson(1.0, 0.01), 1.0, 0.01, 1000),
        (truncated(free_cap(13_000, 512, steps=500, delta=1e-5)), 1.0, Q, 500),
        (shuffled(4.0), 4.0, 1.0, 20),
    ],
    ids=["poisson", "truncated", "shuffled"],
)
def test_agrees_with_the_accountant_of_opacus(event, sigma, q, steps):
    from opacus.accountants import PRVAccountant

    other = PRVAccountant()
    other.history = [(sigma, q, steps)]
    assert epsilon(Ledger.of([(event, steps)]), 1e-5) == pytest.approx(other.get_epsilon(1e-5), rel=0.01)


@pytest.mark.parametrize("event", [truncated(free_cap(13_000, 512, steps=500, delta=1e-5)), shuffled(4.0)], ids=["truncated", "shuffled"])
def test_the_second_opinion_on_every_sampler_is_that_of_the_textbook(event):
    second = epsilon(Ledger.of([(event, 300)]), 1e-5, accountant="rdp")
    textbook = rdp.epsilon(event.sampling_probability, event.noise_multiplier, 300, 1e-5)
    assert epsilon(Ledger.of([(event, 300)]), 1e-5) <= second <= textbook * 1.001
    assert second > 0.75 * textbook


@pytest.mark.parametrize("target", [0.1, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("sampler", ["poisson", "truncated-poisson"])
def test_calibration_keeps_the_promise_and_wastes_little_of_it(target, sampler):
    budget = Budget(epsilon=target, delta=1e-5)
    made = dp_sgd(examples=13_000, batch_size=512, epochs=5, clip_norm=1.0, target=budget, sampler=sampler)
    assert 0.97 * target < made.epsilon() <= target


def test_truncation_costs_next_to_nothing():
    plan = {"examples": 13_000, "batch_size": 512, "steps": 508, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    capped, free = dp_sgd(**plan), dp_sgd(**plan, sampler="poisson")
    assert str(capped.sampler).startswith("truncated Poisson")
    assert free.epsilon() <= capped.epsilon() <= free.epsilon() * 1.0005


def test_the_usual_cap_is_free_where_1_2_times_the_mean_is_not():
    """A batch of 128 varies by 9 %: a cap 20 % above its mean is reached again and again, and epsilon doubles."""
    tight = epsilon(Ledger.of([(truncated(154, batch_size=128, noise_multiplier=0.64), 2032)]), 1e-5)
    plan = {"examples": 13_000, "batch_size": 128, "steps": 2032, "clip_norm": 1.0, "noise_multiplier": 0.64, "delta": 1e-5}
    assert tight > 2 * dp_sgd(**plan).epsilon()
    for examples, batch_size in ((13_000, 128), (200, 7), (50, 50), (1, 1)):
        cap = free_cap(examples, batch_size, steps=500, delta=1e-5)
        assert min(examples, 1.2 * batch_size) <= cap <= examples
        event = truncated(cap, batch_size=batch_size, examples=examples)
        without = epsilon(Ledger.of([(poisson(1.0, batch_size / examples), 500)]), 1e-5)
        assert by_the_library(Ledger.of([(event, 500)]), 1e-5) <= without * 1.001
    assert free_cap(100_000, 4096, steps=500, delta=1e-5) == 4916  # 1.2 times, where the batch is large


@pytest.mark.parametrize("cap", [520, 560, 615, 640, 680])
def test_a_capped_account_is_that_of_the_library_and_errs_on_the_safe_side_where_it_is_shortened(cap):
    ledger = Ledger.of([(truncated(cap), 100)])
    exact = by_the_library(ledger, 1e-5)
    assert exact * (1 - 1e-6) <= epsilon(ledger, 1e-5) <= exact * 1.001


@pytest.mark.parametrize(
    ("sigma", "q", "grid"), [(1.0, Q, 1e-3), (0.3, 0.01, 1e-3), (5.0, 0.5, 1e-3), (2.0, 1.0, 1e-3), (100.0, 1e-4, 1e-4)]
)
def test_the_loss_distribution_is_that_of_the_library(sigma, q, grid):
    library = pld.privacy_loss_distribution.from_gaussian_mechanism(sigma, value_discretization_interval=grid, sampling_prob=q)
    ours = subsampled_gaussian(sigma, q, grid)
    epsilons = np.linspace(-2, 4, 50)
    np.testing.assert_allclose(ours.get_delta_for_epsilon(epsilons), library.get_delta_for_epsilon(epsilons), atol=1e-13)
    np.testing.assert_allclose(
        ours.self_compose(50).get_delta_for_epsilon(epsilons), library.self_compose(50).get_delta_for_epsilon(epsilons), atol=1e-11
    )


@pytest.mark.parametrize(("sigma", "epochs"), [(1.0, 1), (3.0, 20), (8.0, 7)])
def test_a_shuffled_epoch_is_one_gaussian_mechanism(sigma, epochs):
    found = epsilon(Ledger.of([(shuffled(sigma), epochs)]), 1e-5)
    assert found == pytest.approx(rdp.gaussian(epochs**0.5 / sigma, 1e-5), rel=1e-3)
    assert found <= epsilon(Ledger.of([(shuffled(sigma), epochs)]), 1e-5, accountant="rdp")
    assert found == pytest.approx(epsilon(Ledger.of([(shuffled(sigma, "replace-one"), epochs)]), 1e-5), rel=1e-6)  # over sensitivity


def test_shuffled_batches_pay_for_the_amplification_that_they_lack():
    """Known: the same run costs 5.8 by Poisson sampling and 28 in a fixed order; an unfinished epoch counts whole."""
    plan = {"examples": 13_000, "batch_size": 500, "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    made = dp_sgd(**plan, epochs=20, sampler="shuffled")
    assert made.steps == 20 * 26
    assert made.ledger().entries == ((shuffled(1.0), 20),)
    assert made.epsilon() == pytest.approx(rdp.gaussian(20**0.5, 1e-5), rel=1e-3)
    assert made.epsilon() > 4 * dp_sgd(**plan, epochs=20).epsilon()
    assert made.ledger(1).steps == made.ledger(26).steps == 1
    assert made.ledger(27).steps == 2
    assert "shuffled, accounted without amplification" in str(made.claim("run"))


def test_decay_under_shuffling_is_counted_by_epoch():
    made = edp_sgd(
        examples=100,
        batch_size=10,
        epochs=3,
        clip_norm=1.0,
        micro_batch_size=5,
        noise_multiplier=4.0,
        delta=1e-5,
        sampler="shuffled",
        noise_decay="exponential",
        noise_decay_rate=0.5,
    )
    assert made.ledger().entries == ((shuffled(2.0), 1), (shuffled(1.0), 1), (shuffled(0.5), 1))  # sensitivity 2C


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger.of([(poisson(1.0), 500), (poisson(0.9), 3)]),
        Ledger.of([(poisson(1.0, 0.2, "zero-out"), 3), (truncated(540), 20)]),
        Ledger.of([(poisson(1.0, 0.2, "replace-one"), 3)]),
        Ledger.of([(shuffled(2.0, "replace-one"), 4), (shuffled(1.5, "replace-one"), 1)]),
        Ledger.of([(poisson(1.0, 1.0, "zero-out"), 2), (shuffled(1.0), 2)]),
        Ledger(),
    ],
    ids=["decay", "capped", "replace", "shuffled", "whole-data", "nothing"],
)
def test_a_ledger_maps_one_to_one_to_events_of_the_library(ledger):
    event = to_dp_event(ledger)
    if ledger.entries:
        assert from_dp_event(event, ledger.neighbouring) == ledger
        assert epsilon(ledger, 1e-5) == pytest.approx(by_the_library(ledger, 1e-5), rel=2e-3)
    else:
        assert from_dp_event(event, "add/remove") == ledger
    again = dp_accounting.DpEvent.from_named_tuple(event.to_named_tuple())
    assert again == event


def test_an_event_that_no_ledger_holds_is_refused():
    laplace = dp_accounting.ComposedDpEvent([dp_accounting.SelfComposedDpEvent(dp_accounting.LaplaceDpEvent(1.0), 2)])
    with pytest.raises(InputError, match="holds no LaplaceDpEvent"):
        from_dp_event(laplace, "add/remove")
    with pytest.raises(InputError, match="GaussianDpEvent is not what to_dp_event gives"):
        from_dp_event(dp_accounting.GaussianDpEvent(1.0), "add/remove")


def test_a_wider_grid_for_many_levels_errs_little_and_on_the_safe_side():
    ledger = Ledger.of([(poisson(1.5 * 0.97**level), 20) for level in range(25)])
    assert grid_of(ledger) == pytest.approx(2.5e-3)
    finest, usual, coarse = (spent(ledger, 1e-5, coarseness=coarseness) for coarseness in (0.4, 1.0, 4.0))
    assert finest <= usual <= coarse
    assert usual == pytest.approx(finest, rel=5e-4)


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


@pytest.mark.parametrize(("decay", "rate"), [("exponential", 0.05), ("hyperbolic", 0.3), ("step", 0.2), ("linear", 0.04)])
def test_calibration_of_decaying_noise_keeps_the_promise_with_few_accounts(decay, rate, monkeypatch):
    """Each account of the whole schedule costs half a second, so the search is done on a sketch of it."""
    whole = []
    spent = calibration.spent

    def counted(ledger, delta, **options):
        whole.append(len(ledger.entries) > calibration.LEVELS)
        return spent(ledger, delta, **options)

    monkeypatch.setattr(calibration, "spent", counted)
    target = Budget(epsilon=8, delta=1e-5)
    plan = {"examples": 13_000, "batch_size": 512, "epochs": 10, "clip_norm": 1.0, "target": target}
    made = dp_sgd(**plan, noise_decay=decay, noise_decay_rate=rate)
    assert 0.997 * 8 < made.epsilon() <= 8
    assert sum(whole) <= 4  # the last answer is asked for twice, and remembered


def test_an_unreachable_target_is_refused_with_a_cure():
    with pytest.raises(InputError, match="take fewer epochs"):
        calibrate(lambda multiplier: Ledger.of([(poisson(multiplier, 1.0), 10**6)]), Budget(epsilon=1e-3, delta=1e-12))


def test_what_cannot_be_told_is_said():
    with pytest.raises(InputError, match="no finite epsilon can be told at delta 1e-18"):
        epsilon(Ledger.of([(poisson(1.0), 100)]), 1e-18)
    with pytest.raises(InputError, match="add noise"):
        epsilon(Ledger.of([(poisson(1e-9), 100)]), 1e-5)
    with pytest.raises(InputError, match="no finite epsilon"):
        dp_sgd(examples=100, batch_size=10, steps=5, clip_norm=1.0, noise_multiplier=1e-5, delta=1e-5).claim("run")
    with pytest.raises(InputError, match="delta 1e-30 is below what the accountant resolves"):
        dp_sgd(examples=1000, batch_size=50, steps=40, clip_norm=1.0, target=Budget(epsilon=1, delta=1e-30))
    assert epsilon(Ledger.of([(poisson(1e300), 100)]), 1e-5) >= 0.0
    weak = dp_sgd(examples=1000, batch_size=50, steps=40, clip_norm=1.0, target=Budget(epsilon=1e6, delta=1e-5))
    assert weak.noise.noise_multiplier < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": float("nan")}, "noise_multiplier is nan"),
        ({"noise_multiplier": float("inf")}, "noise_multiplier is inf"),
        ({"sampling_probability": 0.0}, "sampling_probability is 0.0"),
        ({"sampling_probability": float("nan")}, "sampling_probability is nan"),
        ({"sampler": "round-robin"}, "sampler is 'round-robin'"),
        ({"sampler": "shuffled", "neighbouring": "zero-out"}, "a shuffled event has probability 1"),
        ({"sampler": "shuffled", "sampling_probability": 1.0}, "a shuffled event has probability 1"),
        ({"cap": 10}, "needs examples and cap"),
    ],
)
def test_an_event_that_cannot_be_is_refused(change, message):
    values = {"sampler": "poisson", "sampling_probability": 0.1, "noise_multiplier": 1.0, "neighbouring": "add/remove"}
    with pytest.raises(InputError, match=message):
        PrivacyEvent(**{**values, **change})


@pytest.mark.parametrize("epsilon_value", [0, -1, float("nan"), float("inf"), 1e7])
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
    event = truncated(520)
    for unproved in (event, shuffled(1.0, "replace-one")):  # of the latter the library's accountant would give half
        with pytest.raises(InputError, match="no proof"):
            epsilon(Ledger.of([(unproved, 1)]), 1e-5, accountant="rdp")
    with pytest.raises(InputError, match="one neighbouring relation"):
        epsilon(Ledger.of([(event, 1), (poisson(1.0), 1)]), 1e-5)
