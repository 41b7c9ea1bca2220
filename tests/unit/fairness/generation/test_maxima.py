from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.fairness.generation.maxima import chance_of_any, expected_maximum


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.data())
def test_equals_the_mean_over_all_subsets(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    subsets = list(combinations(scores, k))
    assert expected_maximum(scores, k) == pytest.approx(np.mean([max(subset) for subset in subsets]), abs=1e-12)
    above = [score >= 0.5 for score in scores]
    found = chance_of_any(sum(above), len(scores), k)
    assert found == pytest.approx(np.mean([any(subset) for subset in combinations(above, k)]), abs=1e-12)


def test_all_samples_give_the_plain_maximum_and_one_the_mean():
    scores = np.array([0.2, 0.9, 0.1])
    assert expected_maximum(scores, 3) == pytest.approx(0.9)
    assert expected_maximum(scores, 1) == pytest.approx(0.4)


def test_large_counts_do_not_overflow():
    scores = np.linspace(0, 1, 2001)
    assert expected_maximum(scores, 25) == pytest.approx(25 / 26, abs=1e-3)
    assert chance_of_any(1000, 2000, 25) == pytest.approx(1 - 0.5**25, abs=1e-6)
    assert chance_of_any(0, 2000, 25) == pytest.approx(0, abs=1e-12)


def test_more_draws_do_not_move_the_expectation():
    """With the plain maximum of n draws in place of k, the number would grow with n."""
    draw = np.random.Generator(np.random.PCG64(0))
    few = np.mean([expected_maximum(draw.random(5), 5) for _ in range(4000)])
    many = np.mean([expected_maximum(draw.random(15), 5) for _ in range(4000)])
    assert few == pytest.approx(5 / 6, abs=0.01)
    assert many == pytest.approx(5 / 6, abs=0.01)
    assert np.mean([draw.random(15).max() for _ in range(4000)]) > 0.92


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_texts_is_refused(k):
    with pytest.raises(InputError, match=f"k {k} draws of 3 texts"):
        expected_maximum([0.1, 0.2, 0.3], k)
    with pytest.raises(InputError, match=f"k {k} draws of 3 texts"):
        chance_of_any(1, 3, k)
    with pytest.raises(InputError, match=r"4 texts above the bound of 3"):
        chance_of_any(4, 3, 1)
