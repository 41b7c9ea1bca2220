"""Claims: what they refuse, how they read, and the cap that they put on any attack."""

import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from scipy import stats

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.errors import InputError


def claim(**changes: Any) -> PrivacyClaim:
    settings: dict[str, Any] = {
        "subject": "dp-sgd",
        "epsilon": 2.0,
        "delta": 1e-5,
        "unit": "example",
        "neighbouring": "add/remove",
        "sampler": "Poisson, probability .01",
        "accountant": "PLD of dp-accounting 0.6",
        "kind": "proved",
        "steps": 500,
    }
    return PrivacyClaim(**{**settings, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": -0.1},
        {"epsilon": math.inf},
        {"epsilon": math.nan},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": math.nan},
        {"unit": "record"},
        {"neighbouring": "swap"},
        {"kind": "certain"},
        {"other_accounts": {"RDP": math.inf}},
    ],
)
def test_a_claim_without_a_meaning_is_refused(change: dict[str, Any]):
    with pytest.raises(InputError):
        claim(**change)


def test_a_privacy_parameter_has_no_default():
    with pytest.raises(TypeError, match="epsilon"):
        PrivacyClaim(subject="x", delta=1e-5)


def test_a_claim_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        claim().epsilon = 1.0


def test_a_claim_reads_as_one_line_with_all_that_gives_it_a_meaning():
    assert str(claim()) == (
        "epsilon = 2 at delta = 1e-05 per example (add/remove neighbouring; Poisson, probability .01; PLD of dp-accounting 0.6; "
        "500 steps; proved)"
    )


@pytest.mark.parametrize(
    ("epsilon", "delta", "fpr", "cap"),
    [
        (math.log(2), 0.01, 0.1, 0.21),  # e^epsilon fpr + delta
        (math.log(2), 0.01, 0.9, 0.955),  # 1 - e^-epsilon (1 - delta - fpr)
        (math.log(2), 0.01, 1 / 3, 1 - 0.5 * (0.99 - 1 / 3)),
        (0.0, 0.01, 0.5, 0.51),
        (5.0, 0.01, 0.0, 0.01),
        (5.0, 0.01, 1.0, 1.0),
        (5.0, 0.01, 0.995, 1.0),
        (10_000.0, 0.01, 0.0, 0.01),  # whatever epsilon is, who is never wrong is right at most with probability delta
        (10_000.0, 0.01, 1e-3, 1.0),
    ],
)
def test_cap_known_answers(epsilon: float, delta: float, fpr: float, cap: float):
    assert claim(epsilon=epsilon, delta=delta).cap(fpr) == pytest.approx(cap)


@pytest.mark.parametrize("fpr", [-0.1, 1.1, math.nan])
def test_a_cap_at_no_rate_is_refused(fpr: float):
    with pytest.raises(InputError, match="outside"):
        claim().cap(fpr)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_randomised_response_touches_its_cap(epsilon: float):
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert claim(epsilon=epsilon, delta=1e-300).cap(1 - truth) == pytest.approx(truth)


@pytest.mark.parametrize("fpr", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_no_gaussian_mechanism_passes_its_cap_and_the_best_epsilon_touches_it(fpr: float):
    mu = 1.0
    tpr = stats.norm.cdf(stats.norm.ppf(fpr) + mu)
    epsilons = np.linspace(0, 5, 501)
    deltas = stats.norm.cdf(mu / 2 - epsilons / mu) - np.exp(epsilons) * stats.norm.cdf(-mu / 2 - epsilons / mu)
    caps = [claim(epsilon=float(epsilon), delta=float(delta)).cap(fpr) for epsilon, delta in zip(epsilons, deltas, strict=True)]
    assert min(caps) >= tpr - 1e-12
    assert min(caps) < 1.0001 * tpr


@pytest.mark.parametrize(
    "change", [{"outcome": "refuted"}, {"lower_bound": math.inf}, {"lower_bound": -0.1}, {"detectable": math.nan}, {"level": 95.0}]
)
def test_a_verdict_without_a_meaning_is_refused(change: dict[str, Any]):
    with pytest.raises(InputError):
        Verdict(**{"subject": "dp-sgd", "outcome": "contradicted", "reason": "Because.", **change})


def test_a_verdict_needs_no_numbers():
    verdict = Verdict(subject="dp-sgd", outcome="not testable", reason="No attack was made.")
    assert (verdict.lower_bound, verdict.detectable, verdict.level) == (None, None, None)
