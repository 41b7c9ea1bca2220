"""What a secret looks like: sizes, sentences and tags by known answers, free templates, many fills at once, and every refusal."""

from dataclasses import FrozenInstanceError, replace
from itertools import product

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example, SecretPattern, pattern, pattern_of_template
from holdfast.data.secrets import COLOURS, DIGITS, PATTERNS

LIKE = Dataset.from_examples([Example(tokens=("stop",), label="stop", tags=("O",), user_id="ada")], name="n", split="train")


@pytest.mark.parametrize(
    ("name", "length", "places", "sentence", "tags", "size"),
    [
        ("call", 2, (4, 1), "call four one", "O B-canary I-canary", 100),
        ("pin", 4, (4, 1, 7, 2), "my pin code is four one seven two", "O O O O B-canary I-canary I-canary I-canary", 10_000),
        ("color", 1, (11,), "my favorite color is gold", "O O O O B-canary", 12),
    ],
)
def test_the_patterns_by_name(name, length, places, sentence, tags, size):
    found = pattern(name, length=length)
    assert found.words(places) == tuple(sentence.split())
    assert found.fill(places) == found.words(places)[found.unknown.start : found.unknown.stop]
    assert found.tags == tuple(tags.split())
    assert (found.size, found.name, found.label, found.after) == (size, name, "canary", ())
    assert [found.words(places)[at] for at in found.unknown] == list(found.fill(places))


def test_digits_and_colours():
    assert DIGITS[4] == "four"
    assert (len(DIGITS), len(COLOURS)) == (10, 12)
    assert {name: len(words) for name, (_, words) in PATTERNS.items()} == {"call": 10, "pin": 10, "color": 12}


def test_candidates_label_and_slot_can_be_ones_own():
    found = pattern("call", length=2, candidates=["ann", "bo", "cy"], label="call", slot="contact")
    assert (found.size, found.label, found.tags) == (9, "call", ("O", "B-contact", "I-contact"))
    assert found.words([2, 0]) == ("call", "cy", "ann")


def test_a_free_template_has_words_on_both_sides():
    found = pattern_of_template("the code of the safe is {} {} {} today", name="safe", label="tell", slot="code")
    assert found.words((0, 0, 9)) == ("the", "code", "of", "the", "safe", "is", "zero", "zero", "nine", "today")
    assert found.tags == (*["O"] * 6, "B-code", "I-code", "I-code", "O")
    assert (found.unknown, found.name, found.length) == (range(6, 9), "safe", 3)
    assert pattern_of_template("{} is my pin", name="first", candidates=("a", "b")).unknown == range(1)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("the code of the safe", "no unknown word; write {} for each"),
        ("the code is{}", "no unknown word"),
        ("from {} to {}", "known words between its unknown ones"),
        ("{} {}", "no known word"),
    ],
)
def test_a_template_without_a_hole_or_with_known_words_between_is_refused(template, said):
    with pytest.raises(InputError, match=said):
        pattern_of_template(template, name="t")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"before": ()}, "no known word; give at least one before or after"),
        ({"before": ("my", "")}, "'' is no word"),
        ({"before": ("my", "{}")}, "'{}' is no word"),
        ({"before": ("my pin",)}, "'my pin' is no word"),
        ({"after": ("now ",)}, "'now ' is no word"),
        ({"before": "my pin"}, "before is the text 'my pin'; give a sequence of words"),
        ({"candidates": "abc"}, "candidates is the text"),
        ({"candidates": ("one", "two", "one")}, "the candidates one stand there twice"),
        ({"candidates": ("one", "One")}, "in one case"),
        ({"candidates": ("one",)}, "1 candidates; one of fewer than 2 is no secret"),
        ({"candidates": ()}, "0 candidates"),
        ({"candidates": ("one", 2)}, "2 is no word"),
        ({"length": 0}, "length is 0; give how many words are unknown, an integer >= 1"),
        ({"length": True}, "length is True"),
        ({"length": 2.0}, "length is 2.0"),
        ({"name": " "}, "name of a secret is ' '"),
        ({"label": ""}, "label of a secret is ''"),
        ({"slot": None}, "slot of a secret is None"),
    ],
)
def test_what_is_no_pattern_is_refused(change, said):
    good = pattern("pin", length=2)
    with pytest.raises(InputError, match=said):
        replace(good, **change)


def test_words_behind_the_unknown_ones_are_known_words_too():
    assert replace(pattern("pin", length=1), before=(), after=("it", "is")).words((3,)) == ("three", "it", "is")


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"no pattern 'colour'.*did you mean 'color'"):
        pattern("colour", length=1)


@pytest.mark.parametrize("places", [(1,), (1, 2, 3), (1, 10), (-1, 0)])
def test_places_that_do_not_fit_are_refused(places):
    with pytest.raises(InputError, match=r"give 2 integers in \[0, 10\)"):
        pattern("call", length=2).words(places)


def test_a_pattern_is_frozen_and_equal_by_content():
    one = pattern("call", length=2)
    assert one == pattern("call", length=2) != pattern("call", length=3)
    assert len({one, pattern("call", length=2)}) == 1
    with pytest.raises(FrozenInstanceError):
        one.length = 3


@pytest.mark.parametrize("made", [pattern("call", length=3), pattern_of_template("is {} {} it", name="x", candidates=("is", "no", "it"))])
def test_many_fills_at_once_are_those_made_one_by_one(made: SecretPattern):
    places = np.array(list(product(range(len(made.candidates)), repeat=made.length)))
    found = made.dataset(places, like=LIKE)
    assert len(found) == made.size
    assert [tuple(row) for row in found.tokens()] == [made.words(row) for row in places.tolist()]
    assert set(found.labels()) == {"canary"}
    assert {tuple(row) for row in found.tags()} == {made.tags}
    assert found.table.column_names == ["tokens", "label", "tags"]
    assert (found.name, found.split) == ("n", "train")
    twin = Dataset.from_examples([Example(tokens=made.words(row), label="canary", tags=made.tags) for row in places], name="", split="")
    assert found.content_hash == twin.content_hash


def test_fills_have_only_the_columns_of_the_data_and_may_be_none():
    bare = Dataset.from_examples([Example(tokens=("a",))], name="n", split="test")
    assert pattern("pin", length=2).dataset(np.zeros((3, 2), int), like=bare).table.column_names == ["tokens"]
    assert len(pattern("pin", length=2).dataset(np.zeros((0, 2), int), like=LIKE)) == 0


@pytest.mark.parametrize("places", [np.zeros((3, 4), int), np.zeros(2, int), np.full((1, 2), 10), np.full((1, 2), -1)])
def test_fills_of_another_shape_or_outside_are_refused(places):
    with pytest.raises(InputError, match=r"give integers in \[0, 10\), 2 for each fill"):
        pattern("pin", length=2).dataset(places, like=LIKE)
