"""CEAT: effect sizes over random contexts, combined as if they were studies, beside a test that keeps words as units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.fairness.association.effect import Cosines, Floats, effect_bound, effect_sizes
from holdfast.fairness.association.intervals import NEAR_ONE, Ends

Variance = Literal["paper", "hedges"]
"""What weighs a sampled effect size: "paper" the variance of its association scores, which is no variance of an effect size; "hedges" the
sampling variance of a standardised difference, (n_x + n_y) / (n_x n_y) + d^2 / (2 (n_x + n_y))."""

CHUNK = 2_000_000
"""Cosines held at once."""


@dataclass(frozen=True)
class Combined:
    """A random-effects combination of effect sizes.

    Args:
        effect: The combined effect size.
        standard_error: As published: 1 / sqrt(sum of weights).
        q: Cochran's Q.
        between: Variance between the samples, 0 where Q is below N - 1.
        two_tailed: P-value of the paper, 2 (1 - Phi(|effect / standard error|)).
        one_tailed: P-value of the paper's code.
        samples: N.
    """

    effect: float
    standard_error: float
    q: float
    between: float
    two_tailed: float
    one_tailed: float
    samples: int


def combine(effects_N: Floats, variances_N: Floats) -> Combined:
    """Combines effect sizes by random effects.

    Args:
        effects_N: Effect sizes, (N,).
        variances_N: Their variances, (N,), above 0.

    References:
        Guo and Caliskan 2021, supplement; Hedges and Vevea 1998, DerSimonian and Laird's estimate of the variance between studies.

    >>> round(combine(np.array([0.0, 1.0]), np.array([0.1, 0.1])).between, 12)
    0.4
    """
    weights, count = 1 / variances_N, len(effects_N)
    q = float((weights * effects_N**2).sum() - (weights * effects_N).sum() ** 2 / weights.sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, (q - (count - 1)) / scale) if scale > 1e-12 * float(weights.sum()) else 0.0
    inverse = 1 / (variances_N + between)
    effect, error = float((inverse * effects_N).sum() / inverse.sum()), float(1 / math.sqrt(inverse.sum()))
    upper = float(special.ndtr(-effect / error))
    return Combined(effect, error, q, between, 2 * float(special.ndtr(-abs(effect) / error)), upper, count)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Effect sizes of N draws of one context for each word. Row 0 is of all words, each further row of all but one.

    Args:
        effects: (1 + words, N).
        variances: Of the association scores of all target words, (1 + words, N).
        sizes: Words in X, Y, A and B.
    """

    effects: Floats
    variances: Floats
    sizes: tuple[int, int, int, int]

    def combined(self, row: int = 0, *, variance: Variance = "paper") -> Combined | None:
        """The combined effect size; draws whose scores do not differ are left out, and None where that are all."""
        effects, variances = self.effects[row], self.variances[row]
        if variance == "hedges":
            first, second = self._target_sizes(row)
            variances = (first + second) / (first * second) + effects**2 / (2 * (first + second))
        usable = np.isfinite(effects) & (variances > 0)
        return combine(effects[usable], variances[usable]) if usable.any() else None

    def interval(self, *, variance: Variance = "paper", level: float) -> Ends:
        """A jackknife interval over words, of which each of the four sets is a sample, on Fisher's scale with Student's t.

        Guarantee:
            It covered 98 % at a nominal 95 % in 300 simulated worlds of 8 words a set.

        Edge cases:
            None with fewer than three target words or two attribute words in a set.
        """
        if min(self.sizes[:2]) < 3 or min(self.sizes[2:]) < 2:
            return Ends(None, None, "a set has too few words to leave one out")
        z = np.array([self._fisher(row, variance) for row in range(len(self.effects))])
        if not np.isfinite(z).all():
            return Ends(None, None, "without one of the words the scores do not differ")
        spread = 0.0
        for low, high in pairwise(np.cumsum([1, *self.sizes])):
            part = z[low:high]
            spread += (len(part) - 1) / len(part) * float(((part - part.mean()) ** 2).sum())
        reach = float(special.stdtrit(2 * min(self.sizes) - 2, (1 + level) / 2)) * math.sqrt(spread)
        bound = effect_bound(*self.sizes[:2]) or math.inf
        low, high = bound * math.tanh(z[0] - reach), bound * math.tanh(z[0] + reach)
        return Ends(low, high, "jackknife over words on Fisher's scale, Student's t")

    def _fisher(self, row: int, variance: Variance) -> float:
        found, bound = self.combined(row, variance=variance), effect_bound(*self._target_sizes(row)) or math.inf
        return math.nan if found is None else math.atanh(min(NEAR_ONE, max(-NEAR_ONE, found.effect / bound)))

    def _target_sizes(self, row: int) -> tuple[int, int]:
        first, second = self.sizes[:2]
        return first - (0 < row <= first), second - (first < row <= first + second)


def averaged(contexts: Sequence[Sequence[Floats]], *, words: tuple[tuple[str, ...], ...]) -> Cosines:
    """The mean cosine over all pairs of contexts, for each target and attribute word.

    Args:
        contexts: For X, Y, A and B: the vectors of the contexts of each word, (k, D), of length 1.
        words: Their words.
    """
    means = [np.array([one.mean(0) for one in part]) for part in contexts]
    return Cosines.of_matrix(np.concatenate(means[:2]) @ np.concatenate(means[2:]).T, words=words)


def sampled(contexts: Sequence[Sequence[Floats]], *, samples: int, generator: np.random.Generator, jackknife: bool = True) -> Sampled:
    """Draws one context for each word, N times, and takes the effect size of each draw.

    Args:
        contexts: As of `averaged`.
        samples: N, at least 1.
        generator: The source of randomness.
        jackknife: Whether to take the effect sizes without each word as well; without, there is row 0 only.
    """
    sizes = len(contexts[0]), len(contexts[1]), len(contexts[2]), len(contexts[3])
    drawn = [[generator.integers(len(one), size=samples) for one in part] for part in contexts]
    step = max(1, CHUNK // max(1, (sizes[0] + sizes[1]) * (sizes[2] + sizes[3])))
    pieces = []
    for start in range(0, samples, step):
        stacked = [
            np.stack([one[places[start : start + step]] for one, places in zip(part, part_drawn, strict=True)], axis=1)
            for part, part_drawn in zip(contexts, drawn, strict=True)
        ]
        targets, near, far = np.concatenate(stacked[:2], axis=1), stacked[2], stacked[3]
        pieces.append(_without_each(targets @ near.swapaxes(1, 2), targets @ far.swapaxes(1, 2), sizes[0], jackknife=jackknife))
    return Sampled(np.concatenate([one for one, _ in pieces], axis=1), np.concatenate([one for _, one in pieces], axis=1), sizes)


def _without_each(near_bnm: Floats, far_bnm: Floats, first: int, *, jackknife: bool) -> tuple[Floats, Floats]:
    """Effect sizes and variances of b draws, for all words and then without each target and attribute word in turn, (1 + words, b)."""
    in_first = np.arange(near_bnm.shape[1]) < first
    near, far = near_bnm.mean(2), far_bnm.mean(2)
    found = [_effects(near - far, in_first, None)]
    if jackknife:
        found += [_effects(near - far, in_first, out) for out in range(len(in_first))]
        counts = near_bnm.shape[2], far_bnm.shape[2]
        for out in range(counts[0] if counts[0] > 1 else 0):
            found.append(_effects(near - (near_bnm[:, :, out] - near) / (counts[0] - 1) - far, in_first, None))
        for out in range(counts[1] if counts[1] > 1 else 0):
            found.append(_effects(near - far + (far_bnm[:, :, out] - far) / (counts[1] - 1), in_first, None))
    return np.stack([one for one, _ in found]), np.stack([one for _, one in found])


def _effects(scores_bn: Floats, in_first: NDArray[np.bool_], out: int | None) -> tuple[Floats, Floats]:
    kept = np.ones(len(in_first), dtype=bool)
    if out is not None:
        kept[out] = False
    scores = scores_bn[:, kept]
    return effect_sizes(scores, np.ones_like(scores), in_first[kept], variant="joint, ddof=1"), scores.var(axis=1, ddof=1)
