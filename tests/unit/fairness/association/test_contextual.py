import math
import statistics

import numpy as np
import pytest

from holdfast.fairness.association import effect_bound, effect_size
from holdfast.fairness.association.contextual import CHUNK, Sampled, averaged, combine, sampled

NAMES = (tuple("abcd"), tuple("efghi"), tuple("jkl"), tuple("mno"))


def contexts(seed: int = 0, most: int = 4) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    shift = np.eye(6)[0]
    sides = zip(NAMES, (1, -1, 1, -1), strict=True)
    made = [[rng.normal(size=(rng.integers(1, most + 1), 6)) + side * shift for _ in part] for part, side in sides]
    return [[one / np.linalg.norm(one, axis=1, keepdims=True) for one in part] for part in made]


def test_random_effects_where_samples_agree_more_than_chance():
    """Q < N - 1: nothing is left for the variance between."""
    effects, variances = np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.4])
    found = combine(effects, variances)
    assert found.between == 0
    assert found.effect == pytest.approx((4 + 2.5 + 1.5) / (10 + 5 + 2.5))
    assert found.standard_error == pytest.approx(1 / math.sqrt(17.5))
    assert found.q == pytest.approx(10 * 0.16 + 5 * 0.25 + 2.5 * 0.36 - 8**2 / 17.5)


def test_random_effects_where_samples_disagree():
    effects, variances = np.array([-1.0, 0.0, 2.0]), np.array([0.1, 0.2, 0.1])
    found = combine(effects, variances)
    weights = [10, 5, 10]
    q = 10 + 0 + 40 - (10 * -1 + 20) ** 2 / 25
    between = (q - 2) / (25 - (100 + 25 + 100) / 25)
    inverse = [1 / (0.1 + between), 1 / (0.2 + between), 1 / (0.1 + between)]
    assert sum(weights) == 25
    assert found.q == pytest.approx(q)
    assert found.between == pytest.approx(between)
    assert found.effect == pytest.approx((-inverse[0] + 2 * inverse[2]) / sum(inverse))
    z = found.effect / found.standard_error
    assert found.two_tailed == pytest.approx(2 * (1 - statistics.NormalDist().cdf(abs(z))))
    assert found.one_tailed == pytest.approx(1 - statistics.NormalDist().cdf(z))


def test_one_sample_is_itself():
    found = combine(np.array([0.7]), np.array([0.3]))
    assert (found.effect, found.between, found.samples) == (pytest.approx(0.7), 0, 1)


def slow(parts: list[list[np.ndarray]], seed: int, samples: int) -> np.ndarray:
    """One draw after the other, word by word."""
    rng = np.random.default_rng(seed)
    places = [[rng.integers(len(one), size=samples) for one in part] for part in parts]
    effects = []
    for draw in range(samples):
        x, y, a, b = ([one[at[draw]] for one, at in zip(part, some, strict=True)] for part, some in zip(parts, places, strict=True))
        scores = np.array([np.mean([w @ one for one in a]) - np.mean([w @ one for one in b]) for w in [*x, *y]])
        effects.append((effect_size(scores, np.arange(len(scores)) < len(x)), scores.var(ddof=1)))
    return np.array(effects).T


def test_draws_equal_a_plain_loop():
    parts = contexts(1)
    found = sampled(parts, samples=20, generator=np.random.default_rng(2), jackknife=False)
    effects, variances = slow(parts, 2, 20)
    assert found.effects.shape == (1, 20)
    np.testing.assert_allclose(found.effects[0], effects)
    np.testing.assert_allclose(found.variances[0], variances)
    combined, direct = found.combined(), combine(effects, variances)
    assert combined.effect == pytest.approx(direct.effect)
    weights = 9 / 20 + effects**2 / 18
    assert found.combined(variance="hedges").effect == pytest.approx(combine(effects, weights).effect)


def test_draws_do_not_depend_on_how_they_are_cut_up(monkeypatch: pytest.MonkeyPatch):
    parts = contexts(3)
    whole = sampled(parts, samples=11, generator=np.random.default_rng(4))
    monkeypatch.setattr("holdfast.fairness.association.contextual.CHUNK", 9 * 6 * 2)
    cut = sampled(parts, samples=11, generator=np.random.default_rng(4))
    assert CHUNK > 9 * 6 * 11
    np.testing.assert_allclose(cut.effects, whole.effects)
    np.testing.assert_allclose(cut.variances, whole.variances)


def test_each_row_leaves_one_word_out():
    parts = contexts(5, most=1)  # one context each, so that nothing is drawn
    found = sampled(parts, samples=1, generator=np.random.default_rng(0))
    assert found.effects.shape == (1 + 9 + 6, 1)
    row = 1
    for which, part in enumerate(parts):
        for out in range(len(part)):
            left = [[one for place, one in enumerate(some) if (at, place) != (which, out)] for at, some in enumerate(parts)]
            effect, variance = slow(left, 0, 1)
            assert found.effects[row, 0] == pytest.approx(effect[0])
            assert found.variances[row, 0] == pytest.approx(variance[0])
            row += 1


def test_the_jackknife_interval_is_the_formula_and_lies_within_the_bound():
    found = sampled(contexts(6), samples=30, generator=np.random.default_rng(7))
    ends, bound = found.interval(level=0.95), effect_bound(4, 5)
    value = found.combined().effect
    assert -bound < ends.low < value < ends.high < bound
    z = []
    for row in range(len(found.effects)):
        sizes = (4 - (1 <= row <= 4), 5 - (5 <= row <= 9))
        z.append(math.atanh(found.combined(row).effect / effect_bound(*sizes)))
    parts = [z[1:5], z[5:10], z[10:13], z[13:16]]
    error = math.sqrt(sum((len(part) - 1) ** 2 / len(part) * statistics.variance(part) for part in parts))
    assert math.atanh(ends.high / bound) == pytest.approx(z[0] + 2.7764 * error, rel=1e-4)  # Student's t, 4 degrees of freedom


def test_no_interval_with_too_few_words_or_scores_that_do_not_differ():
    few = Sampled(np.ones((1, 5)), np.ones((1, 5)), (2, 2, 3, 3))
    assert few.interval(level=0.95).low is None
    flat = Sampled(np.full((13, 5), np.nan), np.zeros((13, 5)), (3, 3, 3, 3))
    assert flat.combined() is None
    assert "do not differ" in flat.interval(level=0.95).method


def test_averaging_is_over_all_pairs_of_contexts():
    parts = contexts(8)
    cosines = averaged(parts, words=NAMES)
    target, attribute = parts[1][2], parts[2][1]
    assert cosines.matrix[4 + 2, 1] == pytest.approx(np.mean([u @ v for u in target for v in attribute]))
    assert cosines.target_words == tuple("abcdefghi")
