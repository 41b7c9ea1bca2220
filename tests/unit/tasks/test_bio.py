"""Well-formed tags against every row of tags there is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import chains

from holdfast.tasks.bio import decode

BIO = ("O", "B-a", "I-a", "B-b", "I-b")


def well_formed(row: tuple[str, ...], tags: tuple[str, ...]) -> bool:
    before = ("O", *row)
    free = {tag for tag in tags if not tag.startswith("I-") or f"B-{tag[2:]}" not in tags}
    return all(tag in free or last in (f"B-{tag[2:]}", tag) for last, tag in zip(before, row, strict=False))


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([BIO, ("B-a", "I-a", "I-b", "O"), ("NOUN", "VERB"), ("O",)]))
def test_the_likeliest_well_formed_row_is_found(data: st.DataObject, tags: tuple[str, ...]):
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scores = rng.normal(size=(len(lengths), max(lengths), len(tags))).astype(np.float32)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    found = decode(scores, mask, tags, np.array(lengths))
    for row, length in enumerate(lengths):
        rows = [path for path in itertools.product(range(len(tags)), repeat=length) if well_formed(tuple(tags[tag] for tag in path), tags)]
        best = max(rows, key=lambda path: sum(scores[row, place, tag] for place, tag in enumerate(path)))
        assert found[row] == tuple(tags[tag] for tag in best)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([BIO, ("B-a", "I-a", "I-b", "O"), ("NOUN", "VERB"), ("O",)]))
def test_with_transitions_it_is_the_likeliest_well_formed_row_of_all(data: st.DataObject, tags: tuple[str, ...]):
    """Words that are not read have neighbours on both sides, which are neighbours of each other."""
    read = data.draw(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    mask = np.array([row + [False] * (max(map(len, read)) - len(row)) for row in read])
    scores = rng.normal(size=(*mask.shape, len(tags))).astype(np.float32)
    tables = 2 * rng.normal(size=(len(read), len(tags) + 2, len(tags))).astype(np.float32)
    found = decode(scores, mask, tags, np.array([len(row) for row in read]), transitions=tables)
    for row, table in enumerate(tables):
        alone = scores[row, mask[row]]
        rows = [path for path in chains.rows(alone) if well_formed(tuple(tags[tag] for tag in path), tags)]
        best = iter(max(rows, key=lambda path: chains.score(alone, path, table)))
        assert found[row] == tuple(tags[next(best)] if one else "O" for one in read[row])


def test_transitions_of_zero_change_nothing():
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(5), size=(20, 9))).astype(np.float32)
    mask, words = np.ones((20, 9), dtype=bool), np.full(20, 9)
    none = np.zeros((20, 7, 5), dtype=np.float32)
    assert decode(scores, mask, BIO, words, transitions=none) == decode(scores, mask, BIO, words)


def test_a_learned_step_outweighs_the_words():
    scores = np.zeros((1, 3, 2), dtype=np.float32)
    table = np.array([[[0, 1], [1, 0], [0, 2], [0, 0]]], dtype=np.float32)  # NOUN and VERB in turn, VERB first
    assert decode(scores, np.ones((1, 3), dtype=bool), ("NOUN", "VERB"), np.array([3]), transitions=table) == [("VERB", "NOUN", "VERB")]


def test_an_inside_tag_wins_its_begin_where_both_together_are_likeliest():
    scores = np.log(np.array([[[0.5, 0.4, 0.1], [0.05, 0.05, 0.9]]], dtype=np.float32))  # O B-a I-a: the best single tags are O I-a
    assert decode(scores, np.ones((1, 2), dtype=bool), ("O", "B-a", "I-a"), np.array([2])) == [("B-a", "I-a")]


def test_words_that_were_not_read_are_outside():
    scores = np.zeros((2, 3, 2), dtype=np.float32)
    scores[:, :, 1] = 1.0
    mask = np.array([[True, False, True], [True, False, False]])
    assert decode(scores, mask, ("O", "B-a"), np.array([5, 1])) == [("B-a", "O", "B-a", "O", "O"), ("B-a",)]


@pytest.mark.parametrize("shape", [(0, 1, 2), (0, 4, 2)])
def test_no_sentences_give_no_rows(shape: tuple[int, int, int]):
    for table in (None, np.zeros((0, 4, 2), dtype=np.float32)):
        nothing = np.zeros(shape, dtype=np.float32), np.zeros(shape[:2], dtype=bool), ("O", "B-a"), np.zeros(0, dtype=np.int64)
        assert decode(*nothing, transitions=table) == []
