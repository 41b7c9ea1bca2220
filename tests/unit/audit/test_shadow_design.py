"""The design of shadow models: exact balance, complementary pairs, columns that stand alone and never change."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.audit.shadow import balanced, balanced_block, balanced_column
from holdfast.audit.shadow.design import DESIGN
from holdfast.core.errors import InputError

examples = st.integers(1, 300)
pairs = st.integers(1, 6)
seeds = st.integers(0, 2**130)


@given(n=examples, p=pairs, seed=seeds)
def test_every_example_is_in_half_of_the_models_and_in_one_of_each_pair(n: int, p: int, seed: int):
    included = balanced(n, 2 * p, seed=seed)
    assert included.shape == (n, 2 * p)
    assert included.dtype == np.bool_
    assert (included.sum(axis=1) == p).all()
    assert (included[:, ::2] ^ included[:, 1::2]).all()


@given(n=examples, p=pairs, more=pairs, seed=seeds)
def test_more_models_change_no_column_that_was_there(n: int, p: int, more: int, seed: int):
    np.testing.assert_array_equal(balanced(n, 2 * (p + more), seed=seed)[:, : 2 * p], balanced(n, 2 * p, seed=seed))


@given(n=examples, p=pairs, seed=seeds, data=st.data())
def test_one_column_alone_is_the_column_of_the_matrix(n: int, p: int, seed: int, data: st.DataObject):
    model = data.draw(st.integers(0, 2 * p - 1))
    np.testing.assert_array_equal(balanced_column(n, model, seed=seed), balanced(n, 2 * p, seed=seed)[:, model])


@given(n=examples, p=pairs, seed=seeds, data=st.data())
def test_some_rows_alone_are_the_rows_of_the_matrix(n: int, p: int, seed: int, data: st.DataObject):
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    np.testing.assert_array_equal(balanced_block(start, stop, 2 * p, seed=seed), balanced(n, 2 * p, seed=seed)[start:stop])


@settings(max_examples=20)
@given(seed=seeds)
def test_coins_are_fair_and_independent(seed: int):
    """Six standard deviations for each of some hundred figures: a fair coin fails this test once in some hundred thousand runs."""
    n, p = 10_000, 8
    signs = 2.0 * balanced(n, 2 * p, seed=seed)[:, ::2] - 1
    assert (np.abs(signs.sum(axis=0)) < 6 * np.sqrt(n)).all(), "a model has far more or fewer than half of the examples"
    between = signs.T @ signs
    assert (np.abs(between[~np.eye(p, dtype=bool)]) < 6 * np.sqrt(n)).all(), "two pairs know of one another"
    for lag in (1, 8, 64):
        assert (np.abs((signs[lag:] * signs[:-lag]).sum(axis=0)) < 6 * np.sqrt(n)).all(), "an example knows of another"


def test_the_seed_alone_decides():
    np.testing.assert_array_equal(balanced(500, 4, seed=7), balanced(500, 4, seed=7))
    assert (balanced(500, 4, seed=7) != balanced(500, 4, seed=8)).any()
    assert 100 < (balanced(500, 4, seed=7)[:, 0] != balanced(500, 4, seed=8)[:, 0]).sum() < 400


def test_the_rule_is_the_one_that_stored_scores_name():
    """If this fails, the design is another: give `DESIGN` a new name, or stored scores will be read against the wrong members."""
    drawn = np.packbits(np.ascontiguousarray(balanced(1000, 6, seed=2022).T)).tobytes()
    assert (DESIGN, hashlib.sha256(drawn).hexdigest()[:16]) == ("balanced pairs 1", "bc7c75c00845ea5e")


def test_numpy_integers_are_integers():
    np.testing.assert_array_equal(balanced(np.int64(9), np.int32(4), seed=np.int64(3)), balanced(9, 4, seed=3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: balanced(10, 7, seed=0), r"models is 7, which is odd.*give 6 or 8"),
        (lambda: balanced_block(0, 3, 7, seed=0), r"odd"),
        (lambda: balanced(10, 0, seed=0), r"models is 0; give an integer >= 2"),
        (lambda: balanced(10, 1, seed=0), r"models is 1; give an integer >= 2"),
        (lambda: balanced(0, 2, seed=0), r"examples is 0"),
        (lambda: balanced(True, 2, seed=0), r"examples is True"),
        (lambda: balanced(10, 2.0, seed=0), r"models is 2.0"),
        (lambda: balanced(10, 2, seed=None), r"seed is None; give an integer >= 0"),
        (lambda: balanced(10, 2, seed=-1), r"seed is -1"),
        (lambda: balanced_column(10, -1, seed=0), r"model is -1"),
        (lambda: balanced_block(3, 2, 2, seed=0), r"stop is 2; give an integer >= 3"),
        (lambda: balanced_block(-1, 2, 2, seed=0), r"start is -1"),
    ],
)
def test_refuses_what_no_design_has(call, message: str):
    with pytest.raises(InputError, match=message):
        call()


def test_a_column_of_a_million_needs_no_matrix():
    """A million coins are 125 kB of random bits and a column of 1 MB; the matrix of 256 models would be 256 MB."""
    tracemalloc.start()
    column = balanced_column(1_000_000, 255, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert column.shape == (1_000_000,)
    assert peak < 8e6
