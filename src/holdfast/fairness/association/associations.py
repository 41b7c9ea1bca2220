"""One association test: effect size, permutation test, interval, and the word that matters most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from holdfast.core.randomness import Streams
from holdfast.fairness.association.effect import Cosines, Variant, effect_bound, effect_size, effect_sizes
from holdfast.fairness.association.intervals import Ends, effect_interval
from holdfast.fairness.inference import Inference, Measured, PartitionResult, equivalence, partition_test
from holdfast.fairness.inference.permutation import Alternative


@dataclass(frozen=True)
class Influence:
    """The word without which the effect size moves most.

    Args:
        word: The word.
        without: The effect size without it.
    """

    word: str
    without: float


@dataclass(frozen=True)
class Association:
    """What was found about one test.

    Args:
        effect_size: None where the scores do not differ at all.
        bound: The largest |effect size| that such sets can have; None for a variant without a bound.
        ends: Its interval.
        tested: The permutation test, in which whole words move.
        influence: The word that matters most; None where a set has one word.
        verdict: On the margin of the inference; None without one.
        words: How many target words there are.
    """

    effect_size: float | None
    bound: float | None
    ends: Ends
    tested: PartitionResult
    influence: Influence | None
    verdict: str | None
    words: int

    def measured(self, *, alternative: Alternative, sizes: Mapping[str, int]) -> Measured:
        """The same for evidence."""
        sided = "two-sided" if alternative == "two-sided" else f"one-sided, {alternative}"
        return Measured(
            value=self.effect_size,
            low=None if self.effect_size is None else self.ends.low,
            high=None if self.effect_size is None else self.ends.high,
            interval=self.ends.method,
            p_value=self.tested.p_value,
            test=f"{self.tested.test}, {sided}, whole words move",
            verdict=self.verdict,
            units=self.words,
            resampled="words",
            sizes=sizes,
            missing="all target words have the same association, so there is no standard deviation to divide by",
        )


def associate(
    cosines: Cosines,
    *,
    inference: Inference,
    streams: Streams,
    variant: Variant = "joint, ddof=1",
    alternative: Alternative = "greater",
) -> Association:
    """Runs one association test.

    Args:
        cosines: How near each target stands to each attribute.
        inference: How intervals and tests are made.
        streams: The source of randomness of this test.
        variant: Of the effect size.
        alternative: "greater" where X is suspected to stand nearer to A than Y does (as published), "less", or "two-sided", which
            compares absolute values.

    Guarantee:
        Where X and Y hold words drawn from one source, each in the same number of rows, the test rejects at level alpha with chance at
        most alpha: it is exact where all partitions are gone through, and counts the observed one where they are drawn.
    """
    size = effect_size(cosines.scores, cosines.first, variant=variant)
    means, first = cosines.by_word()
    tested = partition_test(means, first, inference=inference, generator=streams.generator("partitions"), alternative=alternative)
    # one stream for both levels: the interval of the verdict is read off the same replicates
    ends, closer = (
        effect_interval(
            cosines, variant=variant, level=level, replicates=inference.replicates, generator=streams.generator("words drawn anew")
        )
        for level in (inference.level, max(1e-6, 2 * inference.level - 1))
    )
    verdict = None if inference.margin is None else equivalence(closer.low, closer.high, margin=inference.margin)
    bound = effect_bound(int(cosines.first.sum()), int((~cosines.first).sum()), variant=variant)
    return Association(size, bound, ends, tested, most_influential(cosines, variant=variant), verdict, cosines.targets.count)


def most_influential(cosines: Cosines, *, variant: Variant) -> Influence | None:
    """Leaves out each word of the four sets in turn, and tells the one without which the effect size moves most."""
    full = effect_size(cosines.scores, cosines.first, variant=variant)
    if full is None:
        return None
    names, found = [*cosines.target_words, *cosines.attribute_words], []
    kept = (cosines.targets.of[None] != np.arange(cosines.targets.count)[:, None]).astype(np.float64)
    scores = np.broadcast_to(cosines.scores, kept.shape)
    found.append(effect_sizes(scores, kept, cosines.first, variant=variant))
    columns = (cosines.attributes.of[None] != np.arange(cosines.attributes.count)[:, None]).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        sides = [
            (columns[:, part] @ cosines.matrix[:, part].T) / columns[:, part].sum(1, keepdims=True)
            for part in (cosines.near, ~cosines.near)
        ]
    found.append(effect_sizes(sides[0] - sides[1], np.ones_like(sides[0]), cosines.first, variant=variant))
    without = np.concatenate(found)
    if not np.isfinite(without).any():
        return None
    place = int(np.nanargmax(np.abs(without - full)))
    return None if math.isnan(without[place]) else Influence(names[place], float(without[place]))
