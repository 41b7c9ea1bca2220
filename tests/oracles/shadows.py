"""Membership scores by plain loops over examples and models, and toy signals whose best attack is known."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.audit.intervals import Area


@dataclass(frozen=True)
class Toy:
    """Signals of a target and of shadow models in which every example has a difficulty of its own.

    A signal is difficulty + noise, and for a member also + shift. Each model, the target included, was trained on a random half.
    """

    target: np.ndarray
    shadow: np.ndarray
    included: np.ndarray
    member: np.ndarray
    difficulty: np.ndarray

    def auc(self, scores: np.ndarray) -> float:
        return Area.between(scores[self.member], scores[~self.member]).value


def gaussian_toy(
    examples: int,
    models: int,
    *,
    shift: float,
    seed: int,
    spread_in: float = 1.0,
    spread_out: float = 1.0,
    difficulty: float = 3.0,
    dtype: type = np.float64,
) -> Toy:
    rng = np.random.default_rng(seed)
    hard = difficulty * rng.normal(size=examples)
    included = rng.permuted(np.arange(models)[None, :].repeat(examples, axis=0) < models // 2, axis=1)
    member = rng.permutation(examples) < examples // 2

    def signals(trained: np.ndarray) -> np.ndarray:
        noise = rng.normal(size=trained.shape)
        return np.where(trained, shift + spread_in * noise, spread_out * noise)

    shadow = (hard[:, None] + signals(included)).astype(dtype)
    return Toy(target=hard + signals(member), shadow=shadow, included=included, member=member, difficulty=hard)


def sides(row: Sequence[float], trained: Sequence[bool]) -> tuple[list[float], list[float]]:
    """Signals of the models that were trained on an example, and of the others."""
    pairs = [(float(value), bool(inside)) for value, inside in zip(row, trained, strict=True)]
    return [value for value, inside in pairs if inside], [value for value, inside in pairs if not inside]


def pooled_variance(groups: Sequence[Sequence[float]]) -> float:
    squares = sum((value - statistics.fmean(group)) ** 2 for group in groups for value in group)
    return squares / sum(len(group) - 1 for group in groups)


def log_normal_density(value: float, mean: float, variance: float) -> float:
    return -0.5 * math.log(2 * math.pi * variance) - (value - mean) ** 2 / (2 * variance)


def lira(toy_target: np.ndarray, shadow: np.ndarray, included: np.ndarray, *, pooled: bool) -> list[float]:
    both = [sides(row, trained) for row, trained in zip(shadow, included, strict=True)]
    variances = [[statistics.variance(group) for group in pair] for pair in both]
    if pooled:
        shared = [pooled_variance([pair[side] for pair in both]) for side in (0, 1)]
        variances = [shared for _ in both]
    return [
        log_normal_density(phi, statistics.fmean(inside), v_in) - log_normal_density(phi, statistics.fmean(outside), v_out)
        for phi, (inside, outside), (v_in, v_out) in zip(toy_target, both, variances, strict=True)
    ]


def lira_out(toy_target: np.ndarray, shadow: np.ndarray, included: np.ndarray, *, pooled: bool) -> list[float]:
    """The paper's offline score: 1 - P[N(mu_out, s_out) > phi]."""
    outs = [sides(row, trained)[1] for row, trained in zip(shadow, included, strict=True)]
    variances = [pooled_variance(outs) if pooled else statistics.variance(group) for group in outs]
    laws = [statistics.NormalDist(statistics.fmean(group), math.sqrt(variance)) for group, variance in zip(outs, variances, strict=True)]
    return [law.cdf(float(phi)) for phi, law in zip(toy_target, laws, strict=True)]


def rmia(ratio_x: Sequence[float], ratio_z: Sequence[float], gamma: float) -> list[float]:
    """The share of z with LR(x, z) > gamma, pair by pair."""
    return [statistics.fmean(x > gamma * z for z in ratio_z) for x in ratio_x]


def beaten(toy_target: np.ndarray, shadow: np.ndarray, included: np.ndarray) -> list[float]:
    """Attack R, pair by pair."""
    shares = []
    for phi, row, trained in zip(toy_target, shadow, included, strict=True):
        outside = sides(row, trained)[1]
        shares.append(sum(1.0 if value < phi else 0.5 if value == phi else 0.0 for value in outside) / len(outside))
    return shares
