import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.generation.pairs import compare_pairs, wasserstein
from holdfast.fairness.inference import Inference

INFERENCE = Inference(replicates=100, permutations=500)


def compare(first, second):
    return compare_pairs(first, second, threshold=0.5, inference=INFERENCE, generator=Streams.from_seed(2).generator("pairs"))


def test_distances_are_those_of_scipy():
    draw = np.random.Generator(np.random.PCG64(0))
    first, second = draw.random((6, 5)), draw.random((6, 5)) + 0.3
    found = compare(list(first), list(second))
    assert found.strict == pytest.approx(np.mean([stats.wasserstein_distance(a, b) for a, b in zip(first, second, strict=True)]))
    assert found.pooled == pytest.approx(wasserstein(first.ravel(), second.ravel()))
    assert found.weak == pytest.approx((first > 0.5).mean() - (second > 0.5).mean())
    assert found.pairs == 6


def test_a_model_that_treats_both_alike_has_a_distance_above_0_and_a_null_that_says_so():
    draw = np.random.Generator(np.random.PCG64(1))
    both = draw.random((40, 2, 4))
    found = compare(list(both[:, 0]), list(both[:, 1]))
    assert found.strict > 0.1
    assert found.strict == pytest.approx(found.strict_at_parity, abs=0.04)
    assert found.strict_p > 0.05
    assert found.weak_p > 0.05


def test_a_shift_is_found():
    draw = np.random.Generator(np.random.PCG64(1))
    both = draw.random((40, 2, 4))
    both[:, 1] += 0.4
    found = compare(list(both[:, 0]), list(both[:, 1]))
    assert found.strict > found.strict_at_parity + 0.1
    assert found.strict_p == pytest.approx(1 / 501)
    assert found.weak < -0.2
    assert found.weak_p < 0.01


@pytest.mark.parametrize(("first", "second"), [([], []), ([np.ones(2)], [np.ones(3)]), ([np.ones(2)], []), ([np.ones(0)], [np.ones(0)])])
def test_prompts_that_are_no_pairs_are_refused(first, second):
    with pytest.raises(InputError, match="give pairs"):
        compare(first, second)
