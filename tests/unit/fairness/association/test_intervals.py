import math
from dataclasses import replace

import numpy as np
import pytest

from holdfast.fairness.association.effect import Cosines, effect_bound, effect_size
from holdfast.fairness.association.intervals import _fisher, effect_interval, studentised
from holdfast.fairness.inference import Units


def made(seed: int, sizes=(6, 6, 5, 7), shift: float = 0.5, sentences: int = 1) -> Cosines:
    """Normal similarities with a difference; each word may have several rows."""
    rng = np.random.default_rng(seed)
    sides = np.repeat([1, -1], sizes[:2])[:, None] * np.repeat([1, -1], sizes[2:])[None] * shift
    matrix = np.repeat(np.repeat(sides + rng.normal(size=sides.shape), sentences, 0), sentences, 1)
    matrix += 0.3 * rng.normal(size=matrix.shape)
    rows, columns = np.repeat(np.arange(sizes[0] + sizes[1]), sentences), np.repeat(np.arange(sizes[2] + sizes[3]), sentences)
    return Cosines(
        matrix,
        rows < sizes[0],
        columns < sizes[2],
        Units(rows, sizes[0] + sizes[1], "target words"),
        Units(columns, sizes[2] + sizes[3], "attribute words"),
        tuple(map(str, range(sizes[0] + sizes[1]))),
        tuple(map(str, range(sizes[2] + sizes[3]))),
    )


def ones(cosines: Cosines) -> tuple[np.ndarray, np.ndarray]:
    return np.ones((1, cosines.targets.count)), np.ones((1, cosines.attributes.count))


def ends(cosines: Cosines, *, seed: int = 1, level: float = 0.95, variant: str = "joint, ddof=1"):
    return effect_interval(cosines, variant=variant, level=level, replicates=400, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("sizes", [(6, 6, 5, 7), (4, 9, 3, 3)])
def test_the_effect_size_is_the_correlation_times_the_bound(sizes: tuple[int, ...]):
    cosines = made(2, sizes)
    z, _ = _fisher(cosines, *ones(cosines))
    assert math.tanh(z[0]) == pytest.approx(np.corrcoef(cosines.scores, cosines.first)[0, 1])
    assert math.tanh(z[0]) * effect_bound(*sizes[:2]) == pytest.approx(effect_size(cosines.scores, cosines.first))


@pytest.mark.parametrize("sentences", [1, 3])
def test_the_standard_error_is_the_slope_in_each_weight(sentences: int):
    """Slow twin: move the weight of each word a little, and see how far z goes."""
    cosines, step = made(3, (6, 6, 5, 7), sentences=sentences), 1e-5
    weights = ones(cosines)
    z, error = _fisher(cosines, *weights)
    variance = 0.0
    for which, (units, part) in enumerate(((cosines.targets, cosines.first), (cosines.attributes, cosines.near))):
        for side in (part, ~part):
            words = np.unique(units.of[side])
            for word in words:
                moved = [weight.copy() for weight in weights]
                moved[which][0, word] += step
                slope = (_fisher(cosines, *moved)[0][0] - z[0]) / step * len(words)
                variance += slope**2 / (len(words) * (len(words) - 1))
    assert error[0] == pytest.approx(math.sqrt(variance), rel=1e-3)


def test_whole_words_are_drawn_so_repeating_sentences_adds_nothing():
    once = made(4, (6, 6, 5, 7))
    thrice = Cosines(
        np.repeat(once.matrix, 3, axis=0),
        np.repeat(once.first, 3),
        once.near,
        Units(np.repeat(once.targets.of, 3), once.targets.count, "target words"),
        once.attributes,
        once.target_words,
        once.attribute_words,
    )
    for found, known in zip(_fisher(thrice, *ones(thrice)), _fisher(once, *ones(once)), strict=True):
        np.testing.assert_allclose(found, known)


@pytest.mark.parametrize("shift", [0, 0.3, 3])
def test_intervals_hold_the_value_stay_within_the_bound_and_widen_with_the_level(shift: float):
    cosines = made(5, (8, 8, 8, 8), shift)
    size, bound = effect_size(cosines.scores, cosines.first), effect_bound(8, 8)
    narrow, wide = ends(cosines, level=0.9), ends(cosines, level=0.99)
    assert -bound <= wide.low < narrow.low < size < narrow.high < wide.high <= bound
    assert "400 replicates" in narrow.method


def test_one_seed_one_interval_and_variants_are_the_same_interval_on_other_scales():
    cosines = made(6, (8, 8, 8, 8))
    first, again = ends(cosines), ends(cosines)
    assert (first.low, first.high) == (again.low, again.high)
    rng = np.random.default_rng(0)
    words, side = rng.normal(size=16) + np.repeat([1.5, -1.5], 8), np.repeat([1, -1], 8)
    shared = replace(cosines, matrix=words[:, None] * side + 0.3 * rng.normal(size=(16, 16)))
    assert len({ends(shared, seed=seed).low for seed in range(4)}) > 1  # the bootstrap reaches further than Student's t
    other = ends(cosines, variant="joint, ddof=0")
    assert other.low / first.low == pytest.approx(math.sqrt(16 / 15))
    pooled, half = ends(cosines, variant="pooled within"), other.high / 2
    assert pooled.high == pytest.approx(2 * half / math.sqrt(1 - half**2))


@pytest.mark.parametrize(
    ("sizes", "variant", "told"),
    [
        ((1, 6, 5, 7), "joint, ddof=1", "fewer than two words"),
        ((6, 6, 1, 7), "joint, ddof=1", "fewer"),
        ((5, 6, 5, 7), "pooled within", "equal"),
    ],
)
def test_no_interval_where_nothing_is_known(sizes: tuple[int, ...], variant: str, told: str):
    found = ends(made(7, sizes), variant=variant)
    assert (found.low, found.high) == (None, None)
    assert told in found.method


def test_no_interval_for_scores_that_are_equal_within_both_sets():
    matrix = np.repeat([[0.5, 0.1], [0.2, 0.4]], 3, axis=0).repeat(2, axis=1)
    found = ends(Cosines.of_matrix(matrix, words=(tuple("abc"), tuple("def"), tuple("gh"), tuple("ij"))))
    assert "do not differ within" in found.method


def test_a_studentised_interval_is_never_narrower_than_student():
    rng = np.random.default_rng(8)
    low, high = studentised(1.0, 0.5, 1 + 0.01 * rng.normal(size=500), np.full(500, 0.5), level=0.95, freedom=10)
    assert (low, high) == pytest.approx((1 - 2.2281 * 0.5, 1 + 2.2281 * 0.5), abs=1e-4)
    skewed = 1 + rng.exponential(size=500) * 4
    low, high = studentised(1.0, 0.5, skewed, np.full(500, 0.5), level=0.95, freedom=10)
    assert low == pytest.approx(1 - (np.quantile(skewed, 0.975) - 1))
    assert studentised(0.0, 1.0, np.full(9, np.nan), np.ones(9), level=0.95, freedom=10)[1] == pytest.approx(2.2281, abs=1e-4)
