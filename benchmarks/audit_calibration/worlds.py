"""Worlds whose truth is known: scores without leakage, scores of two mechanisms, null shadow signals, coins for one run, texts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from holdfast.audit.bounds.gaussian import mu_of_epsilon

SIDE = 1000
"""Members, and as many non-members, or canaries of one run."""

DELTA = 1e-5
"""At which the bounds by way of a Gaussian law are read off."""

Sides = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator], Sides]


def laplace(epsilon: float, n1: int = SIDE, n0: int = SIDE) -> Draw:
    """Whether an example is in (1) or out (0), plus Laplace noise: epsilon at delta 0. Pure noise at epsilon 0."""
    if epsilon == 0:
        return lambda rng: (rng.normal(size=n1), rng.normal(size=n0))
    return lambda rng: (1 + rng.laplace(0, 1 / epsilon, n1), rng.laplace(0, 1 / epsilon, n0))


def gaussian(epsilon: float, n1: int = SIDE, n0: int = SIDE) -> Draw:
    """The same with the normal noise that keeps this epsilon at `DELTA`."""
    mu = mu_of_epsilon(epsilon, DELTA) if epsilon else 0.0
    return lambda rng: (rng.normal(mu, 1, n1), rng.normal(0, 1, n0))


def of_area(area: float, n1: int, n0: int, *, rounded: bool = False) -> Draw:
    """Normal scores whose area under the ROC curve is this; rounded to whole numbers they tie, see `rounded_area`."""
    mu = math.sqrt(2) * special.ndtri(area)

    def draw(rng: np.random.Generator) -> Sides:
        sides = rng.normal(mu, 1, n1), rng.normal(0, 1, n0)
        return (np.round(sides[0]), np.round(sides[1])) if rounded else sides

    return draw


def rounded_area(area: float) -> float:
    """The area of the scores of `of_area` once they are rounded."""
    mu, marks = math.sqrt(2) * special.ndtri(area), np.arange(-12, 21)
    inside, outside = (special.ndtr(marks + 0.5 - place) - special.ndtr(marks - 0.5 - place) for place in (mu, 0.0))
    return float(inside @ (np.cumsum(outside) - outside / 2))


def coins(draw: Draw) -> Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]:
    """One training run: a fair coin for each canary picks its score from one side or the other."""

    def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        inside, outside = draw(rng)
        included = rng.random(inside.size) < 0.5
        return np.where(included, inside, outside), included

    return drawn


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What shadow models say where no model remembers anything: difficulty of the example plus noise.

    Args:
        target: Of the audited model, (N,).
        shadow: Of the shadow models, (N, M).
        included: Which model was said to be trained on what, (N, M); the signals do not depend on it.
        member: Which examples the audited model is said to be trained on, half of them, (N,).
    """

    target: np.ndarray
    shadow: np.ndarray
    included: np.ndarray
    member: np.ndarray


def null_signals(rng: np.random.Generator, models: int = 16) -> Signals:
    """Signals of 2 `SIDE` examples; each shadow model takes a random half of them."""
    examples = 2 * SIDE
    difficulty = rng.normal(0, 3, examples)
    halves = rng.permuted(np.tile(np.arange(models) % 2 == 0, (examples, 1)), axis=1)
    return Signals(
        target=difficulty + rng.normal(size=examples),
        shadow=difficulty[:, None] + rng.normal(size=(examples, models)),
        included=halves,
        member=rng.permutation(examples) < SIDE,
    )


def texts(rng: np.random.Generator, rows: int = 300) -> list[list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]]:
    """Two sides of rows of six words each, drawn alike from a vocabulary of 300 with Zipf's frequencies."""
    weights = 1 / np.arange(1, 301)
    picked = rng.choice(300, size=(2, rows, 6), p=weights / weights.sum())
    return [[(tuple(f"w{word}" for word in row), (), ()) for row in side] for side in picked]
