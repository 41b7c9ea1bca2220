"""Reply pairs: what answers what, and wrong answers that only the pair as a whole gives away."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example, Replies, replies
from holdfast.data.conversations import answered

START = datetime(2024, 1, 1, tzinfo=UTC)


def chat(messages, **more):
    """Messages as triples of user, minute and text."""
    rows = [
        Example(tokens=text.split(), user_id=user, timestamp=START + timedelta(minutes=minute), **more) for user, minute, text in messages
    ]
    return Dataset.from_examples(rows, name="chat", split="train")


def find(users, when, addressed=None, **settings):
    seconds = np.array(when, dtype=np.int64) * 60
    return answered(users, seconds, addressed or [None] * len(users), settings=Replies(**settings)).tolist()


def test_the_previous_message_of_another_user_is_answered():
    assert find("abbacc", [0, 1, 2, 3, 4, 5], rule="previous") == [-1, 0, 0, 2, 3, 3]


def test_past_the_minutes_nothing_is_answered():
    assert find("abab", [0, 5, 11, 11], rule="previous", minutes=5) == [-1, 0, -1, 2]
    assert find("ab", [0, 6], rule="previous", minutes=5) == [-1, -1]


def test_who_is_called_by_name_is_answered_with_the_last_message():
    users, called = "abacba", [None, "a", None, "a", "nobody", "a"]
    assert find(users, range(6), called) == [-1, 0, -1, 2, -1, -1]  # nobody answers themselves
    assert find(users, range(6), called, rule="either") == [-1, 0, 1, 2, 3, 4]
    assert find(users, range(6), called, rule="previous") == [-1, 0, 1, 2, 3, 4]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.sampled_from(["a", "b", "c", None]))),
    st.sampled_from(["addressed", "previous", "either"]),
)
def test_an_answered_message_lies_before_near_and_is_another_users(messages, rule):
    users, gaps, called = ([row[i] for row in messages] for i in range(3))
    minutes = np.cumsum(gaps).tolist()
    for at, found in enumerate(find(users, minutes, called, rule=rule, minutes=8)):
        own = called[at] if called[at] != users[at] and rule != "previous" else None
        past = [i for i in range(at) if users[i] != users[at]]
        by_name = [i for i in past if users[i] == own]
        wanted = by_name[-1:] or (past[-1:] if rule != "addressed" else [])
        assert found == (wanted[0] if wanted and minutes[at] - minutes[wanted[0]] <= 8 else -1)


MESSAGES = [("abcde"[i % 5] if i % 3 else "e", i, f"w{i} w{i * 7 % 11}") for i in range(120)]


def test_right_and_wrong_pairs_stand_side_by_side():
    data = chat(MESSAGES)
    pairs = replies(data, streams=Streams.from_seed(1))
    assert pairs.labels() == ["reply", "other"] * (len(pairs) // 2)
    users, texts, contexts = pairs.user_ids(), pairs.tokens(), pairs.contexts()
    said = {" ".join(row.tokens): row.user_id for row in data}
    for right, wrong in zip(range(0, len(pairs), 2), range(1, len(pairs), 2), strict=True):
        assert users[right] == users[wrong] == said[" ".join(texts[right])] == said[" ".join(texts[wrong])]
        assert contexts[right] == contexts[wrong]
        assert texts[right] != texts[wrong]
        assert said[" ".join(contexts[right])] != users[right]


def test_a_right_pair_is_a_message_with_the_one_before():
    data = chat(MESSAGES)
    texts, users = data.tokens(), data.user_ids()
    before = {" ".join(texts[i]): max((j for j in range(i) if users[j] != users[i]), default=-1) for i in range(len(data))}
    pairs = [row for row in replies(data, streams=Streams.from_seed(1)) if row.label == "reply"]
    assert len(pairs) > 60
    assert all(list(row.context) == texts[before[row.text]] for row in pairs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=2, max_size=40), st.integers(0, 3))
def test_neither_side_alone_tells_the_label(messages, seed):
    data = chat([(user, minute, f"t{word}") for minute, (user, word) in enumerate(messages)])
    try:
        pairs = list(replies(data, streams=Streams.from_seed(seed)))
    except InputError:
        return
    right, wrong = ([row for row in pairs if row.label == label] for label in ("reply", "other"))
    for part in (lambda row: (row.user_id, row.tokens), lambda row: (row.user_id, row.context)):
        assert Counter(map(part, right)) == Counter(map(part, wrong))
    both = {(row.user_id, row.context, row.tokens) for row in right}
    assert not both & {(row.user_id, row.context, row.tokens) for row in wrong}  # nothing is right and wrong at once


def test_who_says_the_same_most_of_the_time_loses_the_surplus():
    data = chat([("b", 2 * i, f"q{i}") if j == 0 else ("a", 2 * i + 1, "yes" if i < 7 else f"no {i}") for i in range(10) for j in (0, 1)])
    mine = [
        row for row in replies(data, streams=Streams.from_seed(0)) if row.label == "reply" and len(row.tokens) <= 2 and row.text[0] in "yn"
    ]
    assert Counter(row.text for row in mine) == {"yes": 3, "no 7": 1, "no 8": 1, "no 9": 1}


def test_one_answer_or_always_the_same_makes_no_pair():
    with pytest.raises(InputError, match="no user has two different answers"):
        replies(chat([("a", 0, "x"), ("b", 1, "y")]), streams=Streams.from_seed(0))
    with pytest.raises(InputError, match="no user has two different answers"):
        replies(chat([("ab"[i % 2], i, "same") for i in range(10)]), streams=Streams.from_seed(0))


def test_a_context_that_the_data_have_is_taken():
    rows = [Example(tokens=(f"t{i}",), user_id="a", label="old", context=(f"c{i}",) if i else ()) for i in range(4)]
    pairs = replies(Dataset.from_examples(rows, name="n", split="test"), streams=Streams.from_seed(0))
    assert {row.text for row in pairs} == {"t1", "t2", "t3"}
    assert set(pairs.labels()) == {"reply", "other"}
    assert pairs.split == "test"


def test_tags_go_with_the_words_and_groups_with_the_pair():
    rows = [
        Example(tokens=("w",) * (i + 1), tags=(f"T{i}",) * (i + 1), user_id="a", context=(f"c{i}",), groups={"g": str(i)}) for i in range(5)
    ]
    for row in replies(Dataset.from_examples(rows, name="n", split="s"), streams=Streams.from_seed(0)):
        assert set(row.tags) == {f"T{len(row.tokens) - 1}"}
        assert row.context == (f"c{row.groups['g']}",)


def test_the_streams_settle_the_wrong_answers():
    data = chat(MESSAGES)
    first, again, other = (replies(data, streams=Streams.from_seed(seed)).content_hash for seed in (1, 1, 2))
    assert first == again != other


def test_what_cannot_be_paired_is_refused():
    bare = Dataset.from_examples([Example(tokens=("a",), user_id="u")], name="n", split="s")
    with pytest.raises(InputError, match="neither a context nor times"):
        replies(bare, streams=Streams.from_seed(0))
    with pytest.raises(InputError, match="no column 'user_id'"):
        replies(Dataset.from_examples([Example(tokens=("a",))], name="n", split="s"), streams=Streams.from_seed(0))
    with pytest.raises(InputError, match="row 1 is earlier"):
        replies(chat([("a", 5, "x"), ("b", 1, "y")]), streams=Streams.from_seed(0))


@pytest.mark.parametrize(
    ("options", "why"), [({"rule": "before"}, "rule is 'before'"), ({"minutes": 0}, "minutes is 0"), ({"minutes": True}, "minutes is True")]
)
def test_settings_out_of_their_bounds_are_refused(options, why):
    with pytest.raises(InputError, match=why):
        Replies(**options)
