"""Rows that clients use, against plain sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.federated.local.active import ABSENT, ActiveRows, Slots, Tokens
from holdfast.models.ragged import Ragged

SIZE = 12


def check(found: ActiveRows, words: list[list[int]], always: list[int]) -> None:
    """Holds what was found to sets of the words of each client."""
    longest = found.rows_CR.shape[1]
    assert found.size == SIZE
    for client, own in enumerate(words):
        wanted = sorted({*own, *always})
        assert found.rows_CR[client, : len(wanted)].tolist() == wanted
        assert found.counts[client] == len(wanted)
        assert (found.rows_CR[client, len(wanted) :] == 0).all()
        places = found.of(np.full(SIZE, client), np.arange(SIZE))
        for word, place in enumerate(places):
            assert place == (client * longest + wanted.index(word) if word in wanted else ABSENT)
    assert longest == max(1, *(len({*own, *always}) for own in words))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rounds=st.lists(st.lists(st.lists(st.integers(0, SIZE - 1), max_size=9), min_size=1, max_size=5), min_size=1, max_size=3),
    always=st.lists(st.integers(0, SIZE - 1), max_size=3, unique=True),
)
def test_rows_of_clients_are_their_sets_of_words_block_after_block(rounds, always):
    slots = Slots(SIZE, always=np.array(always, dtype=np.int64))
    for words in rounds:  # a smaller block finds nothing of a larger one before it
        clients = np.repeat(np.arange(len(words)), [len(own) for own in words])
        ids = np.array([word for own in words for word in own], dtype=np.int64)
        check(slots.find(clients, ids, len(words)), words, always)


def test_rows_that_all_clients_need_may_be_added_later():
    slots = Slots(SIZE, always=np.array([0]))
    check(slots.find(np.array([0, 1]), np.array([3, 4]), 2), [[3], [4]], [0])
    slots.always = np.array([0, 7])
    check(slots.find(np.array([0, 1]), np.array([3, 4]), 2), [[3], [4]], [0, 7])


def test_the_memory_for_places_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Slots, "MOST", 100)
    assert Slots(SIZE, always=np.array([0])).most == 8
    assert Slots(1000, always=np.array([0])).most == 1, "a single client is always taken"


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=6),
    examples=st.lists(st.integers(0, 5), max_size=8),
)
def test_tokens_of_examples_that_may_repeat(rows, examples):
    examples = [example % len(rows) for example in examples]
    tokens = Tokens.of(Ragged.from_rows(rows), np.array(examples, dtype=np.int64))
    assert tokens.ids.tolist() == [word for example in examples for word in rows[example]]
    assert tokens.lengths.tolist() == [len(rows[example]) for example in examples]
