"""The audit of one run held to its promise: made-up worlds whose truth is known, and two small models that are really trained."""

import dataclasses
import math
from functools import lru_cache
from importlib import import_module

import numpy as np
import pytest

from holdfast import privacy
from holdfast.audit import audit, loss_threshold, one_run_audit
from holdfast.audit.bounds import epsilon_of_gaussian, plan
from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example, coin_canaries, load_data
from holdfast.models import BiLSTM
from holdfast.tasks import IntentSlot
from holdfast.training import FittedModel, TrainingSettings, train

REPEATS = 200
DELTA = 1e-4


@pytest.fixture(autouse=True, scope="module")
def planned_once():
    """A plan depends on its arguments alone, and takes nearly all of the time of a made-up audit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("holdfast.audit.one_run_audit"), "plan", lru_cache(plan))
        yield


def two_errors(share: float) -> float:
    return 2 * math.sqrt(share * (1 - share) / REPEATS)


def promise(epsilon: float, *, subject: str = "world") -> PrivacyClaim:
    return PrivacyClaim(
        subject=subject,
        epsilon=epsilon,
        delta=DELTA,
        unit="example",
        neighbouring="add/remove",
        sampler="all examples at every step",
        accountant="by hand",
        kind="unproved",
        steps=1,
    )


def canaries(m: int) -> Dataset:
    return Dataset.from_examples([Example(tokens=(f"canary{number}",)) for number in range(m)], name="made up", split="train")


class World:
    """A model that is nothing but its losses at the canaries, which stand in the order of their names."""

    def __init__(self, losses: np.ndarray) -> None:
        self.each = losses

    def losses(self, data: Dataset) -> np.ndarray:
        return self.each[: len(data)]


@lru_cache
def worlds(mu: float, claimed: float, *, m: int, seed: int, repeats: int = REPEATS) -> list[Evidence]:
    """Audits of a Gaussian mechanism: the loss of a canary is standard normal, and mu lower where it was in."""
    rng, data, found = np.random.default_rng(seed), canaries(m), []
    for _ in range(repeats):
        coins = rng.random(m) < 0.5
        model = World(rng.standard_normal(m) - mu * coins)
        found.append(one_run_audit(model, canaries=data, included=coins, claim=promise(claimed), subject="world"))
    return found


def test_losses_that_know_nothing_of_the_coins_seldom_contradict_a_promise_of_zero():
    outcomes = [found.verdicts[0].outcome for found in worlds(0.0, 0.0, m=150, seed=1)]
    assert np.mean([outcome == "contradicted" for outcome in outcomes]) <= 0.05 + two_errors(0.05)
    assert "not testable" not in outcomes


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_the_bounds_of_a_gaussian_mechanism_seldom_exceed_its_epsilon(mu: float):
    truth = epsilon_of_gaussian(mu, DELTA)
    found = worlds(mu, truth, m=300, seed=2)
    for name in ("one_run_epsilon", "one_run_gaussian_epsilon"):
        values = np.array([one.estimate(name).value for one in found])
        assert np.mean(values > truth) <= 0.05 + two_errors(0.05)
        assert mu < 1 or values.mean() > 0.15 * truth
    outcomes = [one.verdicts[0].outcome for one in found]
    assert np.mean([outcome == "contradicted" for outcome in outcomes]) <= 0.05 + two_errors(0.05)


def test_the_accuracy_of_guesses_is_covered_and_below_what_the_promise_allows():
    found = [one.estimate("one_run_accuracy") for one in worlds(1.0, epsilon_of_gaussian(1.0, DELTA), m=300, seed=2)]
    assert np.mean([one.value for one in found]) < found[0].conditions["cap"]
    below = np.mean([one.interval.low > one.conditions["cap"] for one in found])
    assert below <= 0.025 + two_errors(0.025)


def test_a_quarter_of_the_promised_noise_is_found():
    claimed = epsilon_of_gaussian(0.5, DELTA)
    outcomes = [one.verdicts[0].outcome for one in worlds(2.0, claimed, m=1000, seed=4, repeats=20)]
    assert outcomes.count("contradicted") >= 18


@pytest.mark.parametrize(("m", "claimed"), [(100, 1.0), (300, 2.0), (1000, 1.0)])
def test_a_lookup_table_reaches_the_cap(m: int, claimed: float):
    rng, data = np.random.default_rng(5), canaries(m)
    coins = rng.random(m) < 0.5
    found = one_run_audit(World(np.where(coins, 0.0, 9.0)), canaries=data, included=coins, claim=promise(claimed), subject="world")
    (verdict,) = found.verdicts
    assert verdict.outcome == "contradicted"
    assert verdict.lower_bound == verdict.detectable > claimed
    assert found.estimate("one_run_accuracy").value == 1


@pytest.fixture(scope="module")
def data() -> DataSplits:
    return load_data("assistant:train=600,validation=20,test=200,users=30", seed=5)


@pytest.fixture(scope="module")
def coins(data):
    return coin_canaries(data.train, count=200, kind="label-noise", streams=Streams(0))


def fitted(data: DataSplits, coins, mechanism: privacy.Mechanism) -> FittedModel:
    model = BiLSTM(embedding=24, hidden=24, characters=0, dropout=0.0, word_dropout=0.0)
    settings = TrainingSettings(learning_rate=0.01, evaluate_every=0)
    task, planted = IntentSlot(unseen_labels="count as wrong"), dataclasses.replace(data, train=coins.train)
    return train(task, planted, mechanism=mechanism, model=model, settings=settings, seed=1)


def test_a_model_that_learned_its_canaries_by_heart_contradicts_a_false_promise(data, coins):
    model = fitted(data, coins, privacy.non_private(examples=len(coins.train), batch_size=25, epochs=10))
    found = audit(
        model,
        members=coins.rest,
        nonmembers=data.test,
        attacks=[loss_threshold],
        claim=promise(1.0, subject=model.name),
        subject=model.name,
        canaries=coins,
    )
    (verdict,) = found.verdicts
    assert verdict.outcome == "contradicted"
    assert verdict.lower_bound > 2
    assert found.estimate("one_run_accuracy").value > 0.95


def test_a_private_model_does_not_contradict_its_own(data, coins):
    mechanism = privacy.dp_sgd(
        examples=len(coins.train), batch_size=50, epochs=5, clip_norm=1.0, target=privacy.Budget(epsilon=1.0, delta=DELTA)
    )
    model = fitted(data, coins, mechanism)
    assert model.claim is not None
    found = one_run_audit(model, canaries=coins.candidates, included=coins.included, claim=model.claim, subject=model.name)
    (verdict,) = found.verdicts
    assert (verdict.outcome, model.claim.neighbouring) == ("not contradicted", "zero-out")
    assert verdict.detectable > 1.5
    assert found.estimate("one_run_accuracy").value < 0.75
