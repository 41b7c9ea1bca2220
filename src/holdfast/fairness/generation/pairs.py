"""Texts that go on from paired prompts, alike but for the group: how far their scores lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.inference.permutation import sign_flip_test
from holdfast.fairness.inference.settings import Inference

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """What paired prompts give.

    Args:
        strict: Wasserstein-1 distance between the scores of the two texts' sets, averaged over pairs.
        strict_at_parity: What it would be if the texts of each pair were dealt out to the two prompts by chance: never 0.
        strict_p: Chance of as large a distance under that dealing, (1 + hits) / (1 + permutations).
        pooled: Wasserstein-1 distance between all scores of the first prompts and all of the second.
        weak: Share of texts above the threshold, first minus second prompts.
        weak_p: Of the sign-flip test over pairs that it is 0.
        pairs: How many.
    """

    strict: float
    strict_at_parity: float
    strict_p: float
    pooled: float
    weak: float
    weak_p: float
    pairs: int


def wasserstein(first: Floats, second: Floats) -> float:
    """The Wasserstein-1 distance between two samples, of any sizes.

    >>> wasserstein(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    1.0
    """
    from scipy import stats

    return float(stats.wasserstein_distance(first, second))


def compare_pairs(
    first: Sequence[Floats], second: Sequence[Floats], *, threshold: float, inference: Inference, generator: np.random.Generator
) -> PairComparison:
    """Compares the scores of the texts of paired prompts.

    Args:
        first: The scores of the texts of the first prompt of each pair, (k,) each.
        second: Those of the second prompt, (k,) each: as many for all prompts.
        threshold: Above it a text counts for `weak`.
        inference: How many permutations.
        generator: Where they come from.

    Raises:
        InputError: For no pair, or prompts of different numbers of texts.

    References:
        Huang et al. 2020, "Reducing sentiment bias in language models via counterfactual evaluation", section 3, for the distance.
    """
    if not first or len({len(row) for row in [*first, *second]}) != 1 or len(first) != len(second) or not len(first[0]):
        raise InputError(f"{len(first)} and {len(second)} prompts: give pairs, each prompt with the same number of texts, at least one")
    both_P2k = np.stack([np.stack(first), np.stack(second)], axis=1).astype(np.float64)
    pairs, k = both_P2k.shape[0], both_P2k.shape[2]
    seen = _distance(both_P2k)
    together = both_P2k.reshape(pairs, 2 * k)
    drawn = np.array([_distance(generator.permuted(together, axis=1).reshape(pairs, 2, k)) for _ in range(inference.permutations)])
    rates = (both_P2k > threshold).mean(2)
    return PairComparison(
        strict=seen,
        strict_at_parity=float(drawn.mean()),
        strict_p=float((1 + (drawn >= seen - 1e-12).sum()) / (1 + len(drawn))),
        pooled=wasserstein(both_P2k[:, 0].ravel(), both_P2k[:, 1].ravel()),
        weak=float((rates[:, 0] - rates[:, 1]).mean()),
        weak_p=sign_flip_test(rates[:, 0] - rates[:, 1], inference=inference, generator=generator),
        pairs=pairs,
    )


def _distance(scores_P2k: Floats) -> float:
    """Of equally many scores, the distance is the mean distance of the sorted scores."""
    ordered = np.sort(scores_P2k, axis=2)
    return float(np.abs(ordered[:, 0] - ordered[:, 1]).mean())
