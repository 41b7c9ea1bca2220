"""BBQ: who the target is, by the published rules; both layouts; answers of a model."""

import csv
import io
import json

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data.benchmarks import UNPARSED, read_bbq, read_bbq_predictions


def question(groups=(("the old man", "old"), ("the young man", "nonOld"), ("Not known", "unknown")), stereotyped=("old",), **other):
    record = {
        "example_id": 7,
        "question_index": "3",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Age",
        "answer_info": {f"ans{at}": list(group) for at, group in enumerate(groups)},
        "additional_metadata": {"subcategory": "None", "stereotyped_groups": list(stereotyped), "version": "a", "source": "it's"},
        "context": "Two men met.",
        "question": "Who forgot?",
        "ans0": "The old man",
        "ans1": "The young man",
        "ans2": "Not known",
        "label": 2,
    }
    return record | other


def jsonl(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def as_csv(record):
    """As a table whose mappings numpy and Python print."""
    printed = {key: {name: np.array(value, dtype=object) for name, value in record[key].items()} for key in ("answer_info",)}
    metadata = dict(record["additional_metadata"])
    metadata["stereotyped_groups"] = np.array(metadata["stereotyped_groups"], dtype=object)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(record))
    writer.writeheader()
    writer.writerow(record | {"answer_info": repr(printed["answer_info"]), "additional_metadata": repr(metadata)})
    return stream.getvalue()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_question(write, zipped):
    (found,) = read_bbq(write("Age.jsonl", jsonl(question()), zipped=zipped))
    assert (found.category, found.example_id, found.question_index, found.label) == ("Age", 7, "3", 2)
    assert (found.polarity, found.condition, found.is_name) == ("neg", "ambig", False)
    assert found.answers == ("The old man", "The young man", "Not known")
    assert found.roles == ("target", "non-target", "unknown")
    assert (found.scored, found.biased) == (True, 0)


def test_both_layouts_say_the_same(write):
    record = question()
    assert read_bbq(write("Age.csv", as_csv(record))) == read_bbq(write("Age.jsonl", jsonl(record)))


def test_a_folder_is_read_in_the_order_of_its_names(write):
    write("set/b.csv", as_csv(question(category="B", stereotyped=["old"])))
    write("set/README.md", "about")
    folder = write("set/a.jsonl", jsonl(question()), zipped=True).parent
    assert [found.category for found in read_bbq(folder)] == ["Age", "B"]
    with pytest.raises(DataError, match=r"no file \*.jsonl, \*.csv"):
        read_bbq(write("none/README.md", "about").parent)


def test_names_and_the_biased_answer_of_a_question_that_is_not_negative(write):
    text = jsonl(question(question_index=26), question(question_index="25", question_polarity="nonneg"))
    named, other = read_bbq(write("a.jsonl", text))
    assert (named.is_name, other.is_name) == (True, False)
    assert (named.biased, other.biased) == (0, 1)


@pytest.mark.parametrize(
    ("category", "stereotyped", "first", "second", "target"),
    [
        ("Age", ["old"], ("a", "old"), ("b", "nonOld"), 0),
        ("Age", ["nonOld"], ("a", "old"), ("b", "nonOld"), 1),  # "old" stands in "nonOld"
        ("Religion", ["Muslim", "Mormon", "Orthodox", "Catholic"], ("a", "Sikh"), ("b", "Mormon"), 1),
        ("Disability_status", ["disabled", "D/deaf"], ("a", "nonDisabled"), ("b", "disabled"), 1),
        ("Gender_identity", ["F"], ("a", "man"), ("b", "woman"), 1),
        ("Gender_identity", ["M"], ("a", "boy"), ("b", "girl"), 0),
        ("Gender_identity", ["women"], ("a", "M"), ("b", "F"), 1),
        ("Gender_identity", ["F"], ("a", "woman"), ("b", "girl"), 0),  # both match: the first
        ("Gender_identity", ["F"], ("a", "man"), ("b", "boy"), None),
        ("Gender_identity", ["transgender women", "trans"], ("a", "nonTrans"), ("b", "trans"), 1),
        ("Gender_identity", ["Transgender women", "transgender men", "trans"], ("a", "nonTrans_M"), ("b", "trans_F"), 1),
        ("Race_ethnicity", ["Black", "African American"], ("a", "F-White"), ("b", "F-Black"), 1),
        ("Race_ethnicity", ["African American"], ("African", "African"), ("b", "African American"), 1),
        ("SES", ["low SES"], ("a", "highSES"), ("b", "lowSES"), 1),
        ("Nationality", ["Nigerian", "Indian"], ("Swiss", "Europe"), ("Nigerian", "Africa"), 1),
        ("Physical_appearance", ["obese"], ("a", "notObese"), ("b", "obese"), 1),
    ],
)
def test_the_published_rules_tell_the_target(write, category, stereotyped, first, second, target):
    groups = (("can't say", "unknown"), first, second)
    (found,) = read_bbq(write("a.jsonl", jsonl(question(groups, stereotyped, category=category))))
    assert found.roles == ("unknown", *("target" if at == target else "non-target" for at in (0, 1)))
    assert found.scored is (target is not None)
    assert found.biased == (None if target is None else target + 1)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"category": "Race_x_SES"}, "category 'Race_x_SES' crosses two attributes"),
        ({"label": 3}, "label is 3; it must be 0, 1 or 2"),
        ({"label": True}, "label is True"),
        ({"example_id": "x"}, "example_id is 'x'; give an integer"),
        ({"question_polarity": "pos"}, "question_polarity is 'pos'"),
        ({"context_condition": "clear"}, "context_condition is 'clear'"),
        ({"ans1": ""}, "ans1: the text is empty"),
        ({"answer_info": [1]}, "not an object"),
        ({"answer_info": {"ans0": ["a", "old"], "ans1": ["b", "x"]}}, "answer_info: no 'ans2'"),
        ({"answer_info": {"ans0": ["a"], "ans1": ["b", "x"], "ans2": ["c", "unknown"]}}, "answer_info of ans0 is"),
        ({"answer_info": {"ans0": ["a", "old"], "ans1": ["b", "x"], "ans2": ["c", "y"]}}, "0 answers are 'unknown'"),
        ({"additional_metadata": {}}, "no 'stereotyped_groups'"),
    ],
)
def test_malformed_questions(write, other, message):
    with pytest.raises(DataError, match=f"line 2: {message}"):
        read_bbq(write("a.jsonl", jsonl(question(), question(**other))))


def test_malformed_tables(write):
    text = as_csv(question())
    with pytest.raises(DataError, match="answer_info: the name 'evil'"):
        read_bbq(write("a.csv", text.replace("array(['the old man'", "evil(['the old man'")))
    with pytest.raises(DataError, match="no column 'answer_info'"):
        read_bbq(write("b.csv", text.replace("answer_info", "info")))
    with pytest.raises(DataError, match="there is no question"):
        read_bbq(write("c.csv", text.splitlines()[0] + "\n"))
    with pytest.raises(DataError, match="there is no question"):
        read_bbq(write("c.jsonl", "\n"))


def test_answers_of_a_model(write):
    records = [
        question(**{"m_pred_arc": " the OLD man ", "m_pred_race": "not known"}),
        question(**{"m_pred_arc": "him", "m_pred_race": ""}),
    ]
    found = read_bbq_predictions(write("a.jsonl", jsonl(*records)))
    assert found.chosen("arc") == [0, UNPARSED]
    assert found.chosen("race") == [2, UNPARSED]
    with pytest.raises(InputError, match="no answers in format 'arx'; did you mean 'arc'"):
        found.chosen("arx")
    with pytest.raises(DataError, match="line 1: no field"):
        read_bbq_predictions(write("b.jsonl", jsonl(question())))
    with pytest.raises(DataError, match="line 2: answers in formats"):
        read_bbq_predictions(write("c.jsonl", jsonl(records[0], question(m_pred_arc="x"))))
