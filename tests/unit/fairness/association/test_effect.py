import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.fairness.association.effect import TOOLS, Cosines, effect_bound, effect_size, effect_sizes, explain, unit_vectors
from holdfast.fairness.inference import Units

VARIANTS = ["joint, ddof=1", "joint, ddof=0", "pooled within"]


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def slow_scores(x, y, a, b) -> list[float]:
    """The formula word by word."""
    return [statistics.fmean(cosine(w, one) for one in a) - statistics.fmean(cosine(w, one) for one in b) for w in [*x, *y]]


def slow_effect(scores: list[float], n: int, variant: str) -> float:
    gap = statistics.fmean(scores[:n]) - statistics.fmean(scores[n:])
    if variant == "pooled within":
        return gap / math.sqrt((statistics.pvariance(scores[:n]) + statistics.pvariance(scores[n:])) / 2)
    return gap / (statistics.stdev(scores) if variant == "joint, ddof=1" else statistics.pstdev(scores))


def named(*parts: np.ndarray) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{place}{i}" for i in range(len(part))) for place, part in enumerate(parts))


def drawn(seed: int, sizes: tuple[int, int, int, int]) -> tuple[list[np.ndarray], Cosines]:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(size, 5)) for size in sizes]
    return parts, Cosines.of_words(*parts, words=named(*parts))


@given(st.integers(0, 10**6), st.tuples(*[st.integers(2, 6)] * 4), st.sampled_from(VARIANTS))
def test_scores_and_effects_equal_the_formula_word_by_word(seed: int, sizes: tuple[int, int, int, int], variant: str):
    parts, cosines = drawn(seed, sizes)
    scores = slow_scores(*parts)
    assert cosines.scores == pytest.approx(scores)
    assert effect_size(cosines.scores, cosines.first, variant=variant) == pytest.approx(slow_effect(scores, sizes[0], variant))


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.sampled_from(VARIANTS[:2]))
def test_no_vectors_pass_the_bound_and_separated_scores_reach_it(seed: int, first: int, second: int, variant: str):
    inside = np.arange(first + second) < first
    bound = effect_bound(first, second, variant=variant)
    size = effect_size(np.random.default_rng(seed).normal(size=first + second), inside, variant=variant)
    assert size is None or abs(size) <= bound + 1e-9
    if first + second > 2:
        assert effect_size(inside.astype(float), inside, variant=variant) == pytest.approx(bound)


def test_the_bound_of_balanced_sets_is_just_below_two():
    assert effect_bound(8, 8) == pytest.approx(2 * math.sqrt(15 / 16))
    assert effect_bound(25, 25, variant="joint, ddof=0") == 2
    assert effect_bound(8, 8, variant="pooled within") is None


def test_exchanging_the_targets_or_the_attributes_changes_the_sign_only():
    (x, y, a, b), cosines = drawn(1, (4, 5, 3, 6))
    swapped = Cosines.of_words(y, x, a, b, words=named(y, x, a, b))
    other = Cosines.of_words(x, y, b, a, words=named(x, y, b, a))
    for variant in VARIANTS:
        size = effect_size(cosines.scores, cosines.first, variant=variant)
        assert effect_size(swapped.scores, swapped.first, variant=variant) == pytest.approx(-size)
        assert effect_size(other.scores, other.first, variant=variant) == pytest.approx(-size)


def test_lengths_of_vectors_do_not_matter_and_zeros_are_refused_by_word():
    (x, y, a, b), cosines = drawn(2, (3, 3, 3, 3))
    names = (("a", "b", "c"), ("d", "e", "f"), ("g", "h", "i"), ("j", "k", "l"))
    assert Cosines.of_words(9 * x, y / 5, a, b, words=names).scores == pytest.approx(cosines.scores)
    a[1] = 0
    with pytest.raises(InputError, match="vector of 'h' is all zeros"):
        Cosines.of_words(x, y, a, b, words=names)
    with pytest.raises(InputError, match="'q'"):
        unit_vectors(np.zeros((1, 4)), ("q",))
    with pytest.raises(InputError, match=r"shape \(6, 6\) for sets of \[3, 3, 3, 2\] words; give \(6, 5\)"):
        Cosines.of_words(x, y, b, b, words=(*names[:3], ("j", "k")))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e8])
def test_scores_that_do_not_differ_have_no_effect_size(value: float):
    for variant in VARIANTS:
        assert effect_size(np.full(6, value), np.arange(6) < 3, variant=variant) is None


def test_weights_are_repeats():
    rng = np.random.default_rng(3)
    scores, first = rng.normal(size=7), np.arange(7) < 3
    weights = np.array([[1, 2, 0, 1, 1, 3, 0], [1, 1, 1, 1, 1, 1, 1]])
    for variant in VARIANTS:
        found = effect_sizes(np.stack([scores, scores]), weights.astype(float), first, variant=variant)
        for row, size in zip(weights, found, strict=True):
            assert size == pytest.approx(effect_size(np.repeat(scores, row), np.repeat(first, row), variant=variant))


def test_an_unknown_variant_is_refused():
    with pytest.raises(InputError, match="'ddof=1' is none of"):
        effect_size(np.arange(4.0), np.arange(4) < 2, variant="ddof=1")


def test_explain_gives_every_variant_that_is_met():
    parts, cosines = drawn(4, (4, 4, 3, 3))
    found = explain(cosines)
    assert set(found) == set(TOOLS)
    for variant in VARIANTS:
        assert found[variant] == pytest.approx(slow_effect(slow_scores(*parts), 4, variant))
    pairs = [[cosine(w, a) - cosine(w, b) for a, b in zip(parts[2], parts[3], strict=True)] for w in [*parts[0], *parts[1]]]
    spread = math.sqrt((np.var(pairs[:4]) + np.var(pairs[4:])) / 2)
    assert found["pooled within, pairs"] == pytest.approx((np.mean(pairs[:4]) - np.mean(pairs[4:])) / spread)
    assert explain(drawn(4, (4, 4, 3, 2))[1])["pooled within, pairs"] is None


def test_sentences_of_a_word_are_averaged():
    matrix = np.array([[1.0, 0], [0.5, 0], [0, 1], [0.2, 0.8], [0.4, 0.2]])
    cosines = Cosines(
        matrix,
        np.array([True, True, True, False, False]),
        np.array([True, False]),
        Units(np.array([0, 0, 1, 2, 2]), 3, "target words"),
        Units.rows(2),
        ("p", "q", "r"),
        ("a", "b"),
    )
    means, first = cosines.by_word()
    assert means == pytest.approx([0.75, -1, -0.2])
    assert first.tolist() == [True, True, False]
