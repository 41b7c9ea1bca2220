"""StereoSet in its three layouts, predictions for it, and CrowS-Pairs."""

import json

import pytest

from holdfast.core.errors import DataError
from holdfast.data.benchmarks import read_crows_pairs, read_stereoset, read_stereoset_predictions

HEAD = "prompt,choices,bias_type,target\n"
INTRA = HEAD + "Men of X are BLANK.,['thin' 'fat' 'grey cats'],race,X\n"
INTER = HEAD + """We fly to X.,"['It is ""far"".'\n ""I'm off."" 'A cat.']",race,X\n"""


def sentence(text, label, name):
    return {"sentence": text, "id": name, "labels": [{"label": label, "human_id": "h"}], "gold_label": label}


def item(context="Men of X are BLANK.", texts=("Men of x are thin.", "Men of x are fat.", "Men of x are grey cats."), **other):
    labels = ("stereotype", "anti-stereotype", "unrelated")
    sentences = [sentence(text, label, f"{label}-id") for text, label in zip(texts, labels, strict=True)]
    return {"id": "c1", "target": "X", "bias_type": "race", "context": context, "sentences": sentences[::-1], **other}


@pytest.mark.parametrize("zipped", [False, True])
def test_the_compact_copy(write, zipped):
    (found,) = read_stereoset(write("intra.csv", INTRA, zipped=zipped))
    assert (found.kind, found.bias_type, found.target, found.identifiers) == ("intrasentence", "race", "X", None)
    assert found.choices == ("thin", "fat", "grey cats")
    assert found.sentences == ("Men of X are thin.", "Men of X are fat.", "Men of X are grey cats.")
    (found,) = read_stereoset(write("inter.csv", INTER, zipped=zipped))
    assert (found.kind, found.context) == ("intersentence", "We fly to X.")
    assert found.sentences == found.choices == ('It is "far".', "I'm off.", "A cat.")


def test_a_folder_of_compact_files(write):
    write("set/inter.csv", INTER)
    folder = write("set/intra.csv", INTRA, zipped=True).parent
    write("set/README.md", "about")
    assert [found.kind for found in read_stereoset(folder)] == ["intersentence", "intrasentence"]
    with pytest.raises(DataError, match=r"no file \*.csv"):
        read_stereoset(write("none/README.md", "about").parent)


def test_the_official_layout(write):
    after = item("We fly to X.", ("It is far.", "It is near.", "A cat."))
    document = {"version": "1.0", "data": {"intersentence": [after], "intrasentence": [item()]}}
    within, follows = sorted(read_stereoset(write("dev.json", json.dumps(document))), key=lambda found: found.kind, reverse=True)
    assert (within.kind, within.choices) == ("intrasentence", ("thin", "fat", "grey cats"))
    assert within.identifiers == ("stereotype-id", "anti-stereotype-id", "unrelated-id")
    assert within.sentences[0] == "Men of x are thin."  # as written, not as the context writes it
    assert (follows.kind, follows.choices) == ("intersentence", ("It is far.", "It is near.", "A cat."))


def test_a_list_of_one_kind_with_ids(write):
    (found,) = read_stereoset(write("race.json", json.dumps([item()]), zipped=True))
    assert (found.kind, found.identifiers[2]) == ("intrasentence", "unrelated-id")


@pytest.mark.parametrize(
    ("context", "texts", "choices"),
    [
        ("BLANK men sing", ("Old men sing", "Very young men sing", "Red men sing"), ("Old", "Very young", "Red")),
        ("He is BLANK and BLANK.", ("He is a and a.", "He is b c and b c.", "He is d and d."), ("a", "b c", "d")),
        ("He  is BLANK .", ("He is a .", "He is b .", "He is c ."), ("a", "b", "c")),
        ("He is BLANK and BLANK.", ("He is a and b.", "He is c and d.", "He is e and f."), ("a and b.", "c and d.", "e and f.")),
        ("The man is BLANK.", ("A man is a one.", "A man is b.", "A man is c one."), ("a one.", "b.", "c one.")),
    ],
)
def test_what_stands_for_the_blank(write, context, texts, choices):
    """By the context where the sentences fit it, else by what the three sentences do not share."""
    (found,) = read_stereoset(write("dev.json", json.dumps([item(context, texts)])))
    assert found.choices == choices
    assert found.sentences == texts


def test_what_stands_for_the_blank_must_be_something(write):
    with pytest.raises(DataError, match="what stands for BLANK cannot be told"):
        read_stereoset(write("dev.json", json.dumps([item("He is BLANK.", ("She is", "She is a.", "She is b."))])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "A BLANK,['a' 'b'],race,X\n", "line 2: choices: 2 values; there must be 3"),
        (HEAD + "A BLANK,['a' 'b' open],race,X\n", "line 2: choices: the name 'open'"),
        (HEAD + "A BLANK,['a' 'b' ''],race,X\n", r"line 2: choices\[2\]: the text is empty"),
        (HEAD + "A BLANK,['a' 'b' 3],race,X\n", r"choices\[2\]: not a text but 3"),
        (HEAD + "A BLANK,['a' 'b' 'c'],age,X\n", "line 2: bias_type is 'age'"),
        (HEAD + "A BLANK,['a' 'b' 'c'],race, \n", "line 2: target: the text is empty"),
        (HEAD + "A BLANK,['a' 'b' 'c'],race,X\nA,['a' 'b' 'c'],race,X\n", "line 3: no BLANK in 'A'"),
        (HEAD, "there is no item"),
        ("prompt,choices\n", "no column 'bias_type'"),
    ],
)
def test_malformed_compact_files(write, text, message):
    with pytest.raises(DataError, match=message):
        read_stereoset(write("a.csv", text))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "there is no item"),
        ({"data": {}}, "there is no item"),
        ({"version": 1}, "no 'data'"),
        ("text", "not an object"),
        ([7], r"\[0\]: not an object"),
        ([item(bias_type="age")], r"\[0\]: bias_type is 'age'"),
        ([item(sentences=[])], r"\[0\].sentences: 0 values; there must be 3"),
        ([item(sentences=[sentence("BLANK", "stereotype", "a")] * 3)], "a second sentence with gold_label 'stereotype'"),
        ([item(sentences=[sentence("BLANK", "related", "a")] * 3)], "gold_label is 'related'"),
        ([item(target=" ")], "target: the text is empty"),
        ({"data": {"intrasentence": [item("no blank")]}}, r"data.intrasentence\[0\]: no BLANK in"),
    ],
)
def test_malformed_official_files(write, document, message):
    with pytest.raises(DataError, match=message):
        read_stereoset(write("dev.json", json.dumps(document)))


def test_predictions(write):
    document = {"intrasentence": [{"id": "a", "score": 0.5}], "intersentence": [{"id": "b", "score": -2}]}
    assert read_stereoset_predictions(write("p.json", json.dumps(document), zipped=True)) == {"a": 0.5, "b": -2.0}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"id": "a", "score": "1"}], r"intrasentence\[0\]: score is '1'"),
        ([{"id": "a", "score": True}], "score is True"),
        ([{"id": "a", "score": 1e999}], "no number in JSON|score is inf"),
        ([{"id": "a", "score": 1}, {"id": "a", "score": 2}], r"intrasentence\[1\]: sentence 'a' has a second score"),
        ([{"score": 1}], "no 'id'"),
        ([], "has a score"),
    ],
)
def test_malformed_predictions(write, entries, message):
    with pytest.raises(DataError, match=message):
        read_stereoset_predictions(write("p.json", json.dumps({"intrasentence": entries})))


PAIRS = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_crows_pairs(write, zipped):
    text = PAIRS + '0,"Poor, he said.","Rich, he said.",stereo,socioeconomic,[[\'x\']]\n1,A man.,A woman.,antistereo,gender,[]\n'
    first, second = read_crows_pairs(write("crows.csv", text, zipped=zipped))
    assert (first.more, first.less) == ("Poor, he said.", "Rich, he said.")
    assert (second.direction, second.bias_type) == ("antistereo", "gender")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,a,b,other,gender,[]", "line 2: stereo_antistereo is 'other'"),
        ("0,,b,stereo,gender,[]", "line 2: sent_more: the text is empty"),
        ("0,a,a,stereo,gender,[]", "line 2: the two sentences are equal"),
        ("0,a,b,stereo,,[]", "line 2: bias_type: the text is empty"),
        ("0,a,b,stereo", "line 2: 4 fields"),
        ("", "there is no pair"),
    ],
)
def test_malformed_crows_pairs(write, row, message):
    with pytest.raises(DataError, match=message):
        read_crows_pairs(write("crows.csv", PAIRS + row + "\n"))
