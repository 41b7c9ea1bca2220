from datetime import UTC, datetime, timedelta, timezone

import pytest

from holdfast.core.errors import DataError
from holdfast.data import Example


def test_sequences_become_tuples_and_the_text_joins_them():
    example = Example(tokens=["wake", "me"], tags=["O", "O"])
    assert example.tokens == ("wake", "me")
    assert example.tags == ("O", "O")
    assert example.text == "wake me"


@pytest.mark.parametrize("tokens", [(), ("a", "")])
def test_no_tokens_or_an_empty_one_is_refused(tokens):
    with pytest.raises(DataError, match="at least one token"):
        Example(tokens=tokens)


def test_a_text_in_place_of_tokens_is_refused_rather_than_split_into_letters():
    with pytest.raises(DataError, match=r"text\.split"):
        Example(tokens="call home")


def test_unequal_tags_are_refused_with_both_counts():
    with pytest.raises(DataError, match="2 tokens but 1 tags"):
        Example(tokens=("call", "home"), tags=("O",))


def test_times_are_kept_in_utc_to_the_second():
    zone = timezone(timedelta(hours=2))
    assert Example(tokens=("a",), timestamp=datetime(2024, 1, 1, 12, 0, 0, 999, tzinfo=zone)).timestamp == datetime(
        2024, 1, 1, 10, tzinfo=UTC
    )
    assert Example(tokens=("a",), timestamp=datetime(2024, 1, 1, 12)).timestamp == datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_an_example_cannot_be_changed_through_what_it_was_made_of():
    groups = {"dialect": "avel"}
    example = Example(tokens=("a",), groups=groups)
    groups["dialect"] = "brin"
    assert example.groups == {"dialect": "avel"}
    with pytest.raises(AttributeError):
        example.label = "x"


def test_equal_examples_are_equal_and_hash_alike():
    one, two = (Example(tokens=("a",), label="x", groups={"g": "1"}) for _ in range(2))
    assert one == two
    assert len({one, two}) == 1
