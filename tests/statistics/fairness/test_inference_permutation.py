"""Simulations of the null that hold permutation tests to their size, and show that drawing with replacement would not keep it."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Inference, partition_test, sign_flip_test
from holdfast.fairness.inference.permutation import _drawn_sums

REPEATS = 2000
SLACK = 2 * math.sqrt(0.05 * 0.95 / REPEATS)


def shares_below(p_values, levels=(0.01, 0.05, 0.2)) -> dict[float, float]:
    return {level: float(np.mean(np.array(p_values) <= level + 1e-12)) for level in levels}


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("exact", [True, False])
def test_partitions_reject_as_often_as_they_may(alternative: str, exact: bool):
    """Scores of heavy tails, sets of unequal size."""
    found = []
    for repeat in range(REPEATS):
        streams = Streams.from_seed(repeat).child("partitions")
        scores = streams.generator("scores").standard_t(3, 15)
        inference = Inference(permutations=199, exact_up_to=200_000 if exact else 0)
        given = {"inference": inference, "generator": streams.generator("draws"), "alternative": alternative}
        found.append(partition_test(scores, np.arange(15) < 6, **given).p_value)
    for level, share in shares_below(found).items():
        assert share == pytest.approx(level, abs=0.01 * (level > 0.01) + 3 * math.sqrt(level * (1 - level) / REPEATS))


def test_drawing_words_with_replacement_is_no_such_test():
    """Some libraries do, without counting what was seen: of 70 partitions none has a p below 1 / 70, and yet p is 0 at times."""
    found = []
    for repeat in range(REPEATS):
        streams = Streams.from_seed(repeat).child("replacement")
        scores, rng = streams.generator("scores").normal(size=8), streams.generator("draws")
        drawn = scores[rng.integers(0, 8, size=(199, 2, 4))].mean(2)
        seen = scores[:4].mean() - scores[4:].mean()
        found.append(float((drawn[:, 0] - drawn[:, 1] >= seen).mean()))
    shares = shares_below(found)
    assert shares[0.05] > 0.05 + SLACK
    assert min(found) == 0.0


@pytest.mark.parametrize("exact", [True, False])
def test_sign_flips_reject_as_often_as_they_may_where_students_t_does_not(exact: bool):
    """Differences that are mostly 0 and seldom large, symmetric."""
    found, drawn = [], []
    for repeat in range(REPEATS):
        streams = Streams.from_seed(repeat).child("signs")
        rng = streams.generator("differences")
        differences = rng.normal(size=12) * np.exp(2 * rng.normal(size=12))
        inference = Inference(permutations=199, exact_up_to=5000 if exact else 0)
        found.append(sign_flip_test(differences, inference=inference, generator=streams.generator("flips")))
        drawn.append(differences)
    for level, share in shares_below(found).items():
        assert share == pytest.approx(level, abs=0.01 * (level > 0.01) + 3 * math.sqrt(level * (1 - level) / REPEATS))
    assert shares_below(stats.ttest_1samp(np.array(drawn), 0, axis=1).pvalue)[0.05] < 0.05 - 2 * SLACK


def test_drawn_partitions_are_all_alike_likely():
    """Every subset of 4 of 14 words, which lie in two tables: told apart by scores that are powers of 2."""
    scores = 2.0 ** np.arange(14)
    sums = _drawn_sums(scores, 4, 200_200, Streams.from_seed(1).generator("draws"))
    sets, counts = np.unique(sums, return_counts=True)
    assert len(sets) == math.comb(14, 4)
    assert all(int(one).bit_count() == 4 for one in sets)
    assert stats.chisquare(counts).pvalue > 0.001
