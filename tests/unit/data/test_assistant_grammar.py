"""The grammar says what it means to say, and its compiled form draws what it should."""

import re
from itertools import pairwise

import numpy as np
import pytest

from holdfast.data.assistant import lexicon
from holdfast.data.assistant.compiled import Choices, Rows, compiled
from holdfast.data.assistant.grammar import BELONGINGS, CLOSINGS, COMMAND_OPENINGS, INTENTS, SLOTS, STATEMENT_OPENINGS

COMMON = [line for intent in INTENTS.values() for line in intent.common]
RARE = [line for intent in INTENTS.values() for line in intent.rare]


def cells(line: str) -> list[str]:
    return re.findall(r"\{\w+\}|\[[^\]]*\]|\S+", line.removeprefix("?"))


def wordings(cell: str) -> list[set[str]]:
    """The words of each way to say a cell; a slot adds none."""
    return [set()] if cell.startswith("{") else [set(way.split()) for way in cell.strip("[]").split("|")]


def said_by_everybody() -> set[str]:
    lines = [*COMMON, COMMAND_OPENINGS, STATEMENT_OPENINGS, CLOSINGS]
    words = {word for line in lines for cell in cells(line) for way in wordings(cell) for word in way}
    words |= {word for spellings in lexicon.classes().values() for word in spellings}
    return words | {word for patterns in SLOTS.values() for pattern in patterns for word in pattern.split()}


RARE_WORDS = {word for line in RARE for cell in cells(line) for way in wordings(cell) for word in way} - said_by_everybody()


def test_there_are_enough_intents_and_slots():
    assert len(INTENTS) >= 12
    assert len(SLOTS) >= 15
    assert all(len(intent.common) >= 4 and len(intent.rare) >= 2 for intent in INTENTS.values())
    assert all(-1 <= intent.trend <= 1 and intent.weight > 0 for intent in INTENTS.values())


def test_all_that_is_defined_is_used_and_all_that_is_used_is_defined():
    used = set(re.findall(r"\{(\w+)\}", " ".join(COMMON + RARE)))
    drawn = set(re.findall(r"<(\w+)>", " ".join(pattern for patterns in SLOTS.values() for pattern in patterns)))
    assert used == set(SLOTS)
    assert drawn == set(lexicon.classes())
    assert set(BELONGINGS) <= set(SLOTS)


@pytest.mark.parametrize("line", RARE)
def test_every_rare_wording_holds_a_word_that_is_said_nowhere_else(line):
    assert any(all(way & RARE_WORDS for way in wordings(cell)) for cell in cells(line))


def test_word_classes_hold_each_word_once_and_no_blank():
    for name, words in lexicon.classes().items():
        assert len(set(words)) == len(words), name
        assert all(word and not word.split()[1:] for word in words), name


def test_invented_names_are_as_many_as_they_should_be():
    for name, (count, _) in lexicon.INVENTED.items():
        assert len(lexicon.classes()[name]) == count


@pytest.mark.parametrize("name", ["FIRST", "NOUN", "DIGIT"])
def test_weights_are_shares_that_fall_with_the_rank_or_are_even(name):
    weights = lexicon.weights(name, 50)
    assert weights.sum() == pytest.approx(1)
    assert all(a == b if name == "DIGIT" else a > b for a, b in pairwise(weights))


def test_choices_come_as_often_as_their_weights_say():
    choices = Choices.of([[1, 3], [5], [2, 2, 4]])
    uniform = (np.arange(8000) + 0.5) / 8000
    for key, shares in enumerate(([0.25, 0.75], [1.0], [0.25, 0.25, 0.5])):
        drawn = choices.draw(np.full(8000, key), uniform) - choices.starts[key]
        assert (np.bincount(drawn, minlength=len(shares)) / 8000 == shares).all()


def test_a_choice_never_falls_to_the_neighbouring_key():
    choices = Choices.of([[0.1] * 10] * 2000)
    keys = np.arange(2000)
    for uniform in (0.0, np.nextafter(1, 0)):
        drawn = choices.draw(keys, np.full(2000, uniform))
        assert (drawn // 10 == keys).all()


def test_rows_expand_in_order_with_owner_and_position():
    rows = Rows.of([[7, 8], [], [9]])
    owner, position, index = rows.expand(np.array([2, 0, 1, 0]))
    assert owner.tolist() == [0, 1, 1, 3, 3]
    assert position.tolist() == [0, 0, 1, 0, 1]
    assert rows.values[index].tolist() == [9, 7, 8, 7, 8]


def test_the_compiled_grammar_has_every_template_pattern_and_tag():
    grammar = compiled()
    assert len(grammar.templates.ends) == len(COMMON) + len(RARE)
    assert grammar.tags[0] == "O"
    assert len(grammar.tags) == 1 + 2 * len(SLOTS)
    assert len(set(grammar.words)) == len(grammar.words)
    assert len(grammar.cell_tags) == len(grammar.cells.values)
    assert int(grammar.patterns.starts[-1]) == len(grammar.cells.starts) - 1
    assert grammar.belongings.sum() == sum(count for count, _ in BELONGINGS.values())
