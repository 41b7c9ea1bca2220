"""Printed values: what Python and numpy print comes back, and nothing else is taken."""

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.data.benchmarks.reprs import BadRepr, parse

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
leaves = st.one_of(text, st.integers(), st.booleans(), st.none())
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=3), max_leaves=12)


@given(values)
@settings(max_examples=150, deadline=None)
def test_what_python_prints_comes_back(value):
    assert parse(repr(value)) == value
    assert type(parse(repr(value))) is type(value)


@given(st.lists(text, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_numpy_prints_comes_back(words):
    printed = np.array(words, dtype=object)
    with np.printoptions(linewidth=30, threshold=10_000):
        assert parse(str(printed)) == words
        assert parse(repr(printed)) == words
        assert parse(f"{{'a': {printed!r}, 'b': 1}}") == {"a": words, "b": 1}


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=50, deadline=None)
def test_numbers_come_back(number):
    assert parse(repr(number)) == number


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(noise):
    with contextlib.suppress(BadRepr):
        parse(noise)


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("['a' 'b'\n 'c']", ["a", "b", "c"]),
        ("('a', 2)", ["a", 2]),
        ('["it\'s", \'a "b"\']', ["it's", 'a "b"']),
        ("{'ans0': array(['man', 'M'], dtype='<U3')}", {"ans0": ["man", "M"]}),
        ("array([])", []),
        (" [ ] ", []),
        (r"'a\n\t\\\x41\u00e9\U0001f600'", "a\n\t\\Aé😀"),
        ("-1.5e3", -1500.0),
    ],
)
def test_forms(printed, value):
    assert parse(printed) == value


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("__import__('os').system('true')", "the name '__import__', which is no value at character 1"),
        ("['a', exec]", "the name 'exec'"),
        ("array(('a',))", "an array without its list"),
        ("array(['a'], dtype=open('x'))", "')' is missing"),
        ("array(['a'], 7)", "')' is missing"),
        ("['a'", "']' is missing"),
        ("['a", "a text does not end"),
        ("{'a': 1", "',' or '}' is missing"),
        ("{'a': 1 'b': 2}", "',' or '}' is missing"),
        ("{'a' 1}", "':' is missing"),
        ("{1: 2}", "a key that is no text"),
        ("{'a': 1, 'a': 2}", "the key 'a' stands twice"),
        ("{", "'}' is missing"),
        ("1 + 1", "something is left over"),
        ("['a'] ['b']", "something is left over"),
        ("", "a value is missing at character 1"),
        (r"'\q'", "an unknown escape"),
        (r"'\ud800'", "is no character"),
        (r"'\U00110000'", "is no character"),
        ("[" * 40 + "]" * 40, "more than 32 deep"),
        ("9" * 5000, "a number of too many digits"),
    ],
)
def test_all_else_is_refused(printed, message):
    with pytest.raises(BadRepr) as refused:
        parse(printed)
    assert message in str(refused.value)


def test_time_is_linear_in_the_length():
    def seconds(count):
        printed = "[" + "'a' " * count + "]"
        begin = time.process_time()
        assert len(parse(printed)) == count
        return time.process_time() - begin

    seconds(1000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.002)  # ten times as long; a square would be a hundred times
