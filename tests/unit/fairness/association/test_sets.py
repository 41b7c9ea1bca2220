from dataclasses import replace

import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.association.sets import Sets, WordSet, foreign, resolve


@pytest.fixture
def sets() -> Sets:
    return Sets("T", WordSet("X", tuple("abcde")), WordSet("Y", tuple("fghij")), WordSet("A", tuple("klmno")), WordSet("B", tuple("pqrst")))


def known(without: str):
    return lambda word: None if word in without else word


def test_a_word_in_two_sets_twice_in_one_or_no_word_is_refused(sets: Sets):
    with pytest.raises(InputError, match="'b' stands in 'X' and in 'A'"):
        replace(sets, a=WordSet("A", ("k", "b")))
    with pytest.raises(InputError, match="'k' stands twice in 'A'"):
        replace(sets, a=WordSet("A", ("k", "k")))
    with pytest.raises(InputError, match="'A' has no words"):
        replace(sets, a=WordSet("A", ()))


def test_nothing_missing_changes_nothing(sets: Sets):
    found = resolve(sets, known(""), out_of_vocabulary="refuse")
    assert (found.sets, found.missing, found.trimmed, found.refused, found.note) == (sets, (), (), None, None)
    assert (found.sets.targets, found.sets.attributes) == (tuple("abcdefghij"), tuple("klmnopqrst"))


def test_missing_words_are_dropped_and_told(sets: Sets):
    found = resolve(sets, known("bk"))
    assert found.sets.x.words == tuple("acde")
    assert found.sets.y.words == tuple("fghij")
    assert found.missing == (("b", "X"), ("k", "A"))
    assert found.refused is None
    assert found.note == "T: 2 of 20 words are missing: b (X), k (A)."


def test_balance_cuts_the_longer_target_set_at_its_end(sets: Sets):
    found = resolve(sets, known("bk"), out_of_vocabulary="balance")
    assert found.sets.y.words == tuple("fghi")
    assert found.trimmed == ("j",)
    assert found.sets.b.words == tuple("pqrst")


def test_refuse_names_the_words(sets: Sets):
    with pytest.raises(InputError, match=r"1 words are missing: 'b' \(X\)"):
        resolve(sets, known("b"), out_of_vocabulary="refuse")


@pytest.mark.parametrize(("most", "told"), [(0.2, "2 of 5 words of 'X'"), (0.4, None), (0.0, "2 of 5 words of 'X'")])
def test_a_set_that_lost_too_much_has_no_number(sets: Sets, most: float, told: str | None):
    refused = resolve(sets, known("ab"), most_missing=most).refused
    assert refused is None if told is None else told in refused


def test_exactly_the_share_that_may_be_missing_is_allowed(sets: Sets):
    assert resolve(sets, known("a"), most_missing=0.2).refused is None


def test_a_set_that_is_gone_keeps_its_words_for_the_record(sets: Sets):
    found = resolve(sets, known("abcde"), most_missing=0.9)
    assert found.refused is not None
    assert found.sets == sets


def test_two_words_that_are_looked_up_as_one_give_no_number():
    sets = Sets("T", WordSet("X", ("Frank", "b")), WordSet("Y", ("c", "d")), WordSet("A", ("frank", "f")), WordSet("B", ("g", "h")))
    assert "'Frank' and 'frank' are looked up as one word" in str(resolve(sets, str.lower).refused)


def test_a_notice_where_most_words_are_missing(sets: Sets):
    assert foreign([resolve(sets, known("abcdefghij"))]) is None  # half is not most
    notice = foreign([resolve(sets, known("abcdefghijk"))])
    assert notice is not None
    assert "11 of 20" in notice
    assert "another language" in notice
    assert foreign([]) is None
