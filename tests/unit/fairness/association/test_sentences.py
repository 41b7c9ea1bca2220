import json
from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.association.sentences import KINDS, PATTERNS, article, bleached, kind_of, plural


@pytest.mark.parametrize(
    ("word", "kind", "count", "some"),
    [
        ("Katie", "name", 8, ["This is Katie.", "Katie is here.", "The person's name is Katie."]),
        ("arrow", "noun", 14, ["This is an arrow.", "An arrow is a thing.", "Those are arrows.", "Arrows are things."]),
        ("lily", "noun", 14, ["It is a lily.", "The lilies are here."]),
        ("uncle", "person", 13, ["There is an uncle.", "An uncle is a person.", "Uncles are people."]),
        ("children", "person", 13, ["Here is a child.", "They are children."]),
        ("equations", "noun", 14, ["This is an equation.", "These are equations."]),
        ("teargas", "mass noun", 4, ["There is teargas.", "It is teargas."]),
        ("honest", "adjective", 3, ["They are honest."]),
        ("pollute", "verb", 8, ["This will pollute.", "That may pollute."]),
        ("she", "subject pronoun", 5, ["She is here.", "Here she is."]),
        ("him", "object pronoun", 3, ["It is him."]),
        ("hers", "possessive pronoun", 7, ["Hers is there."]),
    ],
)
def test_each_kind_of_word_has_its_sentences(word: str, kind: str, count: int, some: list[str]):
    assert kind_of(word) == kind
    sentences = bleached(word)
    assert len(sentences) == len(set(sentences)) == count == len(PATTERNS[kind])
    assert set(some) <= set(sentences)


def test_every_sentence_is_one_sentence_with_the_word_in_it():
    for word in [*KINDS, "Katie", "rose", "bee"]:
        for sentence in bleached(word):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert "{" not in sentence
            assert any(part in sentence.lower() for part in (word.lower(), plural(word).lower(), word[:4].lower()))


def test_kinds_can_be_set_and_unknown_ones_are_refused():
    assert bleached("flat", kinds={"flat": "adjective"}) == ("This is flat.", "That is flat.", "They are flat.")
    assert kind_of("flat") == "noun"
    with pytest.raises(InputError, match="did you mean 'adjective'"):
        bleached("flat", kinds={"flat": "adjektive"})


@pytest.mark.parametrize(
    ("word", "expected"),
    [("oboe", "an"), ("harp", "a"), ("honor", "an"), ("user", "a"), ("uncle", "an"), ("uniform", "a"), ("eulogy", "a"), ("axe", "an")],
)
def test_the_article_goes_by_sound(word: str, expected: str):
    assert article(word) == expected


def test_no_kind_is_listed_twice():
    from holdfast.fairness.association import sentences

    words = [word for some in sentences._LISTED.values() for word in some.split()]
    assert len(words) == len(set(words))


@pytest.mark.shared
def test_every_word_of_weat_and_ceat_has_sentences(shared_data: Path):
    folder = shared_data / "weat_seat_ceat"
    words = {word for some in json.loads((folder / "wefe_WEAT.json").read_text()).values() for word in some}
    words |= {word for some in json.loads((folder / "ceat_word_lists.json").read_text())["lists"].values() for word in some}
    assert len(words) > 400
    kinds = {word: kind_of(word) for word in words}
    assert all(kind == "name" for word, kind in kinds.items() if word[0].isupper() and word != "American")
    assert {word for word, kind in kinds.items() if kind == "verb"} == {"pollute", "kill", "stink", "caress"}
    assert all(3 <= len(bleached(word)) <= 14 for word in words)
