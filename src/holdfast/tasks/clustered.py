"""Scores whose rows may hang together: ratios of sums, and areas under ROC curves, with intervals over users where users are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.core.evidence import Estimate, Interval
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.tasks.scoring import LEVEL, RESAMPLES

Floats = NDArray[np.float64]

AT_ONCE = 2**22
"""Draws that a bootstrap holds at a time."""

LARGEST_NATS = 700.0
"""Mean losses above this have no perplexity in double precision."""

NOTHING = 1e-20
"""A variance below this is rounding: the rows tell nothing of the spread, as where all are of one user."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which examples hang together: those of one user, or each by itself where no users are known.

    Args:
        of: The cluster of each example, (n,), in [0, count).
        count: How many there are.
        what: "users" or "examples".
    """

    of: NDArray[np.int64]
    count: int
    what: str

    @classmethod
    def in_data(cls, dataset: Dataset) -> Self:
        """The users of a data set, or its examples."""
        if not dataset.has("user_id"):
            return cls(np.arange(len(dataset)), len(dataset), "examples")
        users, of = np.unique(np.array(dataset.user_ids(), dtype=object), return_inverse=True)
        return cls(of.astype(np.int64), len(users), "users")

    def sums(self, values: ArrayLike) -> Floats:
        """The sum of the values of each cluster, (count,)."""
        found: Floats = np.bincount(self.of, weights=np.asarray(values, dtype=np.float64), minlength=self.count).astype(np.float64)
        return found


def ratio_interval(numerators: Floats, denominators: Floats, clusters: Clusters) -> Interval | None:
    """The percentile bootstrap interval of a ratio of two sums over examples; None where there are fewer than two clusters.

    Whole clusters are drawn. The stream is fixed, so the same numbers give the same interval.

    Args:
        numerators: What each example adds above the line, (n,).
        denominators: What it adds below, (n,), more than 0 in every cluster.
        clusters: Which examples hang together.

    Edge cases:
        With a handful of clusters such an interval is too short; how many there are stands beside the estimate.

    References:
        Efron 1979; Davison and Hinkley 1997, "Bootstrap methods and their application", section 2.4 (ratios) and 3.8 (clusters).
    """
    if clusters.count < 2:
        return None
    above, below = clusters.sums(numerators), clusters.sums(denominators)
    rng, step = Streams.from_seed(0).generator("bootstrap"), max(1, AT_ONCE // clusters.count)
    found = []
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, clusters.count, (min(step, RESAMPLES - start), clusters.count))
        found.append(above[drawn].sum(1) / below[drawn].sum(1))
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    method = f"percentile bootstrap over {clusters.what}, {RESAMPLES} resamples"
    return Interval(low=float(low), high=float(high), level=LEVEL, method=method)


def share_of(part: Floats, whole: Floats, clusters: Clusters, *, facts: Mapping[str, Any]) -> Estimate:
    """The share of what was counted, with its interval over clusters; missing where there are no examples.

    Args:
        part: What each example has of it, (n,).
        whole: What it has in all, (n,).
        clusters: Which examples hang together.
        facts: Name, subject, direction, unit and whatever else the estimate carries.
    """
    if not len(part):
        return Estimate(value=None, missing="there are no examples", **facts)
    return Estimate(value=float(part.sum() / whole.sum()), interval=ratio_interval(part, whole, clusters), **facts)


def perplexity(nats: Floats, words: Floats, clusters: Clusters, *, facts: Mapping[str, Any]) -> Estimate:
    """Exp of the nats of all words over their number, with its interval over clusters; missing where that is no number.

    Args:
        nats: What the words of each example cost, (n,).
        words: How many were counted, (n,).
        clusters: Which examples hang together.
        facts: Name, subject, method and whatever else the estimate carries; unit and direction are known.
    """
    told: dict[str, Any] = {"unit": "words", "direction": "lower is better", **facts}
    if not len(nats):
        return Estimate(value=None, missing="there are no examples", **told)
    mean = float(nats.sum() / words.sum())
    if not mean < LARGEST_NATS:
        return Estimate(value=None, missing=f"a word costs {mean:.4g} nats in the mean, whose exponential is no number", **told)
    span = ratio_interval(nats, words, clusters)
    if span is not None:
        low, high = (math.exp(min(end, LARGEST_NATS)) for end in (span.low, span.high))
        span = Interval(low=low, high=high, level=span.level, method=span.method)
    return Estimate(value=math.exp(mean), interval=span, **told)


@dataclass(frozen=True)
class Area:
    """An area under a ROC curve.

    Args:
        value: The share of pairs of a positive and a negative in which the positive scores higher; ties count one half.
        interval: Where it lies.
    """

    value: float
    interval: Interval

    @classmethod
    def of(cls, scores: Floats, positive: NDArray[np.bool_], clusters: Clusters) -> Self:
        """Measures the area and its variance, in O(n log n).

        The interval is Clopper-Pearson's for as many independent pairs as have the variance that was found, and never for fewer
        pairs than the rarer side has clusters: so it stays inside [0, 1] and has a width where the sides do not overlap.

        Args:
            scores: Higher = more likely positive, (n,), finite.
            positive: Which examples are, (n,); at least one is and one is not.
            clusters: Which examples hang together. Where each stands alone the variance is DeLong's, up to his n - 1 for n.

        Edge cases:
            With a handful of clusters such an interval is too short, as the variance is then itself in doubt.

        References:
            Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 567-578; DeLong et al. 1988; Korn
            and Graubard 1998 for the number of pairs.
        """
        from scipy.stats import beta

        above, below = np.sort(scores[positive]), np.sort(scores[~positive])
        won = np.zeros(len(scores))  # the placement of each example: the share of the other side that it is right about
        won[positive] = _share_under(below, scores[positive])
        won[~positive] = 1 - _share_under(above, scores[~positive])
        value = float(won[positive].mean())
        sides = [clusters.sums(positive * (won - value)) / len(above), clusters.sums(~positive * (won - value)) / len(below)]
        variance = float(((sides[0] + sides[1]) ** 2).sum()) * clusters.count / max(1, clusters.count - 1)
        fewest = min(np.unique(clusters.of[side]).size for side in (positive, ~positive))
        pairs = max(fewest, value * (1 - value) / variance) if variance > NOTHING else fewest
        ends, tail = (value * pairs, (1 - value) * pairs), (1 - LEVEL) / 2
        low = float(beta.ppf(tail, ends[0], ends[1] + 1)) if ends[0] > 0 else 0.0
        high = float(beta.ppf(1 - tail, ends[0] + 1, ends[1])) if ends[1] > 0 else 1.0
        method = f"Clopper-Pearson on as many pairs as Obuchowski's variance over {clusters.what} is worth"
        return cls(value, Interval(low=min(low, value), high=max(high, value), level=LEVEL, method=method))


def _share_under(sorted_values: Floats, values: Floats) -> Floats:
    """For each value the share of others below it, equal ones counted one half."""
    under = np.searchsorted(sorted_values, values, "left") + np.searchsorted(sorted_values, values, "right")
    return np.asarray(under / (2 * len(sorted_values)), dtype=np.float64)
