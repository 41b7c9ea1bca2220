import math
from itertools import combinations

import numpy as np
import pytest

from holdfast.fairness.association.norms import BLOCK, Products, _linear, norm_interval, partition_norms, relative_norm_distance
from holdfast.fairness.inference import Inference


def unit(seed: int, size: int, shift: float = 0.0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(size, 6)) + shift * np.eye(6)[0]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slow(first: np.ndarray, second: np.ndarray, attributes: np.ndarray) -> float:
    g1, g2 = first.mean(0), second.mean(0)
    return float(np.mean([math.dist(a, g1) - math.dist(a, g2) for a in attributes]))


@pytest.fixture
def parts() -> list[np.ndarray]:
    return [unit(1, 4, 1.0), unit(2, 5, -1.0), unit(3, 6, 0.7)]


def test_the_distance_equals_the_plain_formula(parts: list[np.ndarray]):
    found = relative_norm_distance(Products.of_vectors(*parts))
    assert found == pytest.approx(slow(*parts))
    assert found < 0  # the attribute words stand nearer to the first group
    assert relative_norm_distance(Products.of_vectors(parts[1], parts[0], parts[2])) == pytest.approx(-found)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_exact_p_values_equal_a_count_over_all_partitions(parts: list[np.ndarray], alternative: str):
    words, seen = np.concatenate(parts[:2]), slow(*parts)
    values = np.array([slow(words[list(chosen)], np.delete(words, chosen, 0), parts[2]) for chosen in combinations(range(9), 4)])
    hits = {"greater": values >= seen - 1e-9, "less": values <= seen + 1e-9, "two-sided": np.abs(values) >= abs(seen) - 1e-9}
    found = partition_norms(Products.of_vectors(*parts), inference=Inference(), generator=np.random.default_rng(0), alternative=alternative)
    assert found == (pytest.approx(hits[alternative].mean()), 126, True)


def test_drawn_partitions_are_seeded_close_to_the_exact_ones_and_never_zero(parts: list[np.ndarray]):
    products, exact = Products.of_vectors(*parts), None
    exact = partition_norms(products, inference=Inference(), generator=np.random.default_rng(0))
    few = Inference(exact_up_to=10, permutations=BLOCK + 5000)
    drawn = [partition_norms(products, inference=few, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (drawn[0].partitions, drawn[0].exact) == (BLOCK + 5000, False)
    assert drawn[0].p_value == pytest.approx(exact.p_value, abs=0.005)
    far = Products.of_vectors(unit(4, 12, 9.0), unit(5, 12, -9.0), unit(6, 3, 9.0))
    assert partition_norms(far, inference=few, generator=np.random.default_rng(3)).p_value >= 1 / (1 + few.permutations)


def test_the_standard_error_is_the_slope_in_each_weight(parts: list[np.ndarray]):
    products, step = Products.of_vectors(*parts), 1e-6
    weights = np.ones((1, 9)), np.ones((1, 6))
    value, error = _linear(products, *weights)
    assert value[0] == pytest.approx(slow(*parts))
    variance = 0.0
    for which, words in ((0, range(4)), (0, range(4, 9)), (1, range(6))):
        for word in words:
            moved = [weight.copy() for weight in weights]
            moved[which][0, word] += step
            slope = (_linear(products, *moved)[0][0] - value[0]) / step * len(words)
            variance += slope**2 / (len(words) * (len(words) - 1))
    assert error[0] == pytest.approx(math.sqrt(variance), rel=1e-3)


def test_intervals_hold_the_value_and_need_two_words(parts: list[np.ndarray]):
    products = Products.of_vectors(*parts)
    found = norm_interval(products, level=0.95, replicates=300, generator=np.random.default_rng(0))
    assert found.low < relative_norm_distance(products) < found.high
    for few in ([parts[0][:1], *parts[1:]], [*parts[:2], parts[2][:1]]):
        assert norm_interval(Products.of_vectors(*few), level=0.95, replicates=300, generator=np.random.default_rng(0)).low is None
    same = [np.repeat(part[:1], 3, axis=0) for part in parts]
    found = norm_interval(Products.of_vectors(*same), level=0.95, replicates=300, generator=np.random.default_rng(0))
    assert "the same vector" in found.method
