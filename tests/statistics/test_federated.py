"""What selection and weighting estimate together, in real simulations of one local step, against the gradient of all examples."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import stats

import holdfast
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.federated import LocalSolver, Population, selector, simulate, weighting
from holdfast.federated.algorithms import Averaging
from holdfast.tasks import Classification

SIZES = [1] * 6 + [2] * 4 + [5, 9, 14, 40]
EXAMPLES = sum(SIZES)
RATE, COHORT, ROUNDS = 0.5, 4, 700
RARE = 1e-4
STEP = LocalSolver(learning_rate=RATE, batch_size=None, steps=1)
DIRECTIONS = 8


@lru_cache
def population() -> Population:
    """Users whose words and labels hang on how much they say: heavy ones want another model than light ones."""
    draw = np.random.default_rng(3)
    rows = []
    for user, size in enumerate(SIZES):
        for _ in range(size):
            heavy = draw.random() < size / 40
            words = [f"h{place}" if heavy else f"l{place}" for place in draw.integers(6, size=3)]
            label = "much" if draw.random() < (0.9 if heavy else 0.2) else "little"
            rows.append(Example(tokens=tuple(words), label=label, user_id=f"u{user}"))
    parts = {name: Dataset.from_examples(rows, name="skewed", split=name) for name in ("train", "validation", "test")}
    model = holdfast.models.settings("bag", {"embedding": 4, "hidden": 5, "dropout": 0.0, "word_dropout": 0.0})
    return Population.of(Classification(), DataSplits("skewed", **parts), model=model)


@dataclass(frozen=True, kw_only=True)
class Stands(Averaging):
    """Notes what the cohort's updates sum up to, and never moves: every round is a draw of the same estimate."""

    heard: list = field(default_factory=list)

    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        self.heard.append(torch.cat([value.flatten() for value in trained.update.values()]).numpy())
        return state


def estimates(select: str, options: dict, weights: str, *, rounds: int = ROUNDS, cohort: int = COHORT, seed: int = 1) -> np.ndarray:
    """What the server heard in each round, as a gradient, (rounds, P)."""
    algo = Stands(local=STEP)
    chosen, weigh = selector(select, options), weighting(weights)
    found = simulate(
        algo,
        population(),
        cohort=cohort,
        rounds=rounds,
        select=chosen,
        weights=weigh,
        seed=seed,
        kernel="closed form",
        evaluate_every=0,
        test_examples=1,
    )
    assert found.state.history.steps == found.state.history.trained  # one step each, on all its examples
    nobody = found.state.history.left_out["nobody drawn"]  # Poisson cohorts may be empty, and then nothing moves
    heard = -np.array(algo.heard) / RATE
    return np.concatenate([heard, np.zeros((nobody, heard.shape[1]))])


@lru_cache
def gradients() -> tuple[np.ndarray, np.ndarray]:
    """The gradient of the mean loss over all examples, (P,), by autograd; and that of each client, (N, P)."""
    whole = population()
    module = whole.module(Streams.from_seed(1))

    def gradient(at: np.ndarray) -> np.ndarray:
        losses = whole.task.per_example_loss(module, whole.task.collate(whole.encoded, at))
        found = torch.autograd.grad(losses.mean(), list(module.parameters()))
        return torch.cat([value.flatten() for value in found]).numpy()

    each = np.array([gradient(whole.clients.of(client)) for client in range(len(SIZES))])
    return gradient(np.arange(EXAMPLES)), each


def z_scores(heard_RP: np.ndarray, expected_P: np.ndarray) -> np.ndarray:
    """How far the mean of the rounds lies from what is expected, in standard errors, along directions drawn once, (D,)."""
    directions_PD = np.random.default_rng(0).normal(size=(heard_RP.shape[1], DIRECTIONS))
    along_RD = (heard_RP - expected_P) @ directions_PD
    return along_RD.mean(0) / (along_RD.std(0, ddof=1) / np.sqrt(len(along_RD)))


def p_value(heard_RP: np.ndarray, expected_P: np.ndarray) -> float:
    """Two-sided, of the largest of them, with Bonferroni's factor."""
    return float(min(1.0, DIRECTIONS * 2 * stats.norm.sf(np.abs(z_scores(heard_RP, expected_P)).max())))


REPLACED = {"tau": 1.0, "sampling": "with replacement"}


def test_the_updates_are_the_gradients_of_the_clients():
    """Or the rest would speak of something else than gradients: a cohort of everybody, weighed by examples, is the whole."""
    heard = estimates("uniform", {}, "examples", rounds=1, cohort=len(SIZES))[0]
    whole, each = gradients()
    np.testing.assert_allclose(heard, whole, atol=2e-6)
    np.testing.assert_allclose(np.array(SIZES) @ each / EXAMPLES, whole, atol=1e-6)
    assert np.linalg.norm(each - whole, axis=1).max() > 0.5 * np.linalg.norm(whole)  # clients differ


def test_proportional_draws_with_replacement_and_equal_weights_are_unbiased():
    heard = estimates("activity", REPLACED, "uniform")
    assert p_value(heard, gradients()[0]) > RARE


def test_proportional_draws_and_weights_by_examples_are_biased_towards_the_heavy():
    """Activity counts twice: the estimate leans from the gradient of all examples to that of clients weighed by their squares."""
    heard = estimates("activity", REPLACED, "examples")
    whole, each = gradients()
    assert p_value(heard, whole) < 1e-12
    squares = np.array(SIZES, dtype=float) ** 2
    lean = squares @ each / squares.sum() - whole
    mean = heard.mean(0) - whole
    assert mean @ lean / (np.linalg.norm(mean) * np.linalg.norm(lean)) > 0.9


def test_without_replacement_equal_weights_are_biased_too():
    """The heaviest client can be drawn once only, so it counts for less than its share."""
    heard = estimates("activity", {"tau": 1.0}, "uniform")
    assert p_value(heard, gradients()[0]) < 1e-12


@pytest.mark.parametrize(
    ("select", "options"),
    [
        ("activity", REPLACED),
        ("activity", {"tau": 1.0}),
        ("activity", {"tau": 0.5, "sampling": "poisson"}),
        ("uniform", {}),
        ("mixture", {"tau": 1.0, "explore": 0.3}),
    ],
    ids=str,
)
def test_inverse_propensities_are_unbiased_whoever_is_favoured(select, options):
    heard = estimates(select, options, "inverse-propensity", rounds=500, cohort=6)
    assert p_value(heard, gradients()[0]) > RARE


def test_uniform_draws_and_equal_weights_estimate_the_mean_over_clients():
    heard = estimates("uniform", {}, "uniform")
    whole, each = gradients()
    assert p_value(heard, each.mean(0)) > RARE
    assert p_value(heard, whole) < 1e-12


@pytest.mark.slow
def test_the_p_value_is_one_under_the_null():
    values = [p_value(estimates("activity", REPLACED, "uniform", rounds=80, seed=seed), of_seed(seed)) for seed in range(2, 42)]
    assert np.mean(np.array(values) < 0.05) < 0.2  # Bonferroni: at most .05 in truth; .2 of 40 comes less than once in 10,000
    assert np.median(values) > 0.1


def of_seed(seed: int) -> np.ndarray:
    """The gradient of all examples at the first weights of another seed, by one round of everybody."""
    return estimates("uniform", {}, "examples", rounds=1, cohort=len(SIZES), seed=seed)[0]
