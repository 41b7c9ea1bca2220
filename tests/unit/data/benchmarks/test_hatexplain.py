"""HateXplain: labels by majority, targets by annotators, both copies."""

import json

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import load_data
from holdfast.data.benchmarks import read_hatexplain


def post(
    labels=("hatespeech", "offensive", "hatespeech"), targets=(("Women",), ("Women", "African"), ("African", "Other")), words=("you", "")
):
    annotators = [
        {"label": label, "annotator_id": at, "target": list(target)}
        for at, (label, target) in enumerate(zip(labels, targets, strict=False))
    ]
    return {"post_id": "p", "annotators": annotators, "rationales": [], "post_tokens": list(words)}


NORMAL = post(("normal", "normal", "offensive"), (("None",), ("None",), ("Women",)), ("all", "good"))
DIVISIONS = {"train": ["t1", "t2"], "val": ["v"], "test": ["e"]}
POSTS = {"v": post(), "e": NORMAL}


@pytest.fixture
def folder(write):
    def make(posts=POSTS, train=(["so nice", "normal"], ["so bad", "hatespeech"]), divisions=DIVISIONS, zipped=False, whole=False):
        write("hate/post_id_divisions.json", json.dumps(divisions), zipped=zipped)
        if not whole:
            write("hate/majority_train.json", json.dumps(train), zipped=zipped)
        return write(f"hate/{'dataset' if whole else 'val_test_full'}.json", json.dumps(posts), zipped=zipped).parent

    return make


@pytest.mark.parametrize("zipped", [False, True])
def test_the_copy_without_targets_of_training(folder, zipped):
    data = load_data(f"hatexplain:{folder(zipped=zipped)}")
    assert [len(part) for part in data.parts] == [2, 1, 1]
    assert data.train.labels() == ["normal", "hatespeech"]
    assert data.train.group("target") == ["unknown", "unknown"]
    assert (data.validation[0].label, data.validation[0].tokens) == ("hatespeech", ("you",))
    assert data.validation.group("target") == ["African+Women"]
    assert (data.test[0].label, data.test.group("target")) == ("normal", ["none"])


def test_the_whole_data_set_knows_targets_of_training(folder):
    posts = {"t1": post(), "t2": NORMAL, **POSTS, "undecided": post(("hatespeech", "normal", "offensive"))}
    data = load_data(f"hatexplain:{folder(posts, whole=True)}")
    assert data.train.group("target") == ["African+Women", "none"]
    assert data.train.labels() == ["hatespeech", "normal"]


def test_two_classes_and_fewer_annotators(folder):
    data = load_data(f"hatexplain:{folder()}", labels="binary", least_annotators=1)
    assert [part.labels() for part in data.parts] == [["normal", "toxic"], ["toxic"], ["normal"]]
    assert data.test.group("target") == ["Women"]
    assert load_data(f"hatexplain:{folder()}", least_annotators=3).validation.group("target") == ["none"]


def test_an_annotator_counts_once(folder):
    posts = {**POSTS, "v": post(targets=(("Women", "Women"), ("None",), ("None",)))}
    assert load_data(f"hatexplain:{folder(posts)}").validation.group("target") == ["none"]


def test_rows_can_be_fewer(folder):
    assert len(load_data(f"hatexplain:{folder()}", rows={"train": 1}).train) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "two"}, "labels is 'two'"),
        ({"least_annotators": 0}, "least_annotators is 0; give an integer >= 1"),
        ({"least_annotators": True}, "least_annotators is True"),
        ({"fractions": {"train": 0.5}}, "hatexplain: has no option 'fractions'; it has: name, rows, labels, least_annotators"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(InputError, match=message):
        load_data(f"hatexplain:{folder()}", **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"posts": {"v": post()}}, "no post 'e', which post_id_divisions.json has in 'test'"),
        ({"posts": {**POSTS, "v": post(("hatespeech", "normal", "offensive"))}}, "v: no label has a majority"),
        ({"posts": {**POSTS, "v": post(("hate", "normal", "offensive"))}}, r"v.annotators\[0\]: label is 'hate'"),
        ({"posts": {**POSTS, "v": post((), ())}}, "v: no annotator"),
        ({"posts": {**POSTS, "v": post(words=(" ",))}}, "v: no words"),
        ({"posts": {**POSTS, "v": {"annotators": []}}}, "v: no 'post_tokens'"),
        ({"posts": []}, "val_test_full.json: not an object"),
        ({"divisions": {"train": []}}, "no 'val'"),
        ({"divisions": {**DIVISIONS, "val": []}}, "val: there is no post"),
        ({"train": [["so nice"]]}, r"majority_train.json: \[0\]: 1 values; there must be 2"),
        ({"train": [["so nice", "good"]]}, r"\[0\]: label is 'good'"),
        ({"train": [["", "normal"]]}, r"\[0\]: the text is empty"),
        ({"train": []}, "there is no post"),
    ],
)
def test_malformed_files(folder, changes, message):
    with pytest.raises(DataError, match=message):
        read_hatexplain(folder(**changes))


def test_a_missing_file(folder):
    (folder() / "majority_train.json").unlink()
    with pytest.raises(DataError, match="no such file"):
        read_hatexplain(folder().parent / "nothing")
