import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Dataset, DataSplits, Example

HASH = "ae860b65349898059c2814cbfa536eb9a9d050f5457eb63655c3509e2974f2dd"


def test_examples_come_back_as_they_went_in(data, rows):
    assert list(data) == rows
    assert [data[0], data[1], data[-1]] == rows
    assert data[np.int64(2)] == rows[2]


def test_columns_come_back_as_plain_lists(data, rows):
    assert len(data) == 3
    assert data.tokens() == [list(row.tokens) for row in rows]
    assert data.tags() == [list(row.tags) for row in rows]
    assert data.labels() == ["call", "stop", "play"]
    assert data.user_ids() == ["ada", "bo", "ada"]
    assert data.group("dialect") == ["avel", "brin", "avel"]
    assert data.group_names == ("device", "dialect")
    assert data.timestamps().dtype == np.dtype("datetime64[s]")
    assert data.timestamps()[2] == np.datetime64("2024-01-15T23:59:59")


def test_iterating_goes_past_the_size_of_one_piece():
    many = Dataset.from_examples([Example(tokens=(f"w{i}",)) for i in range(2500)], name="many", split="train")
    assert [example.tokens[0] for example in many] == [f"w{i}" for i in range(2500)]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_outside_is_an_index_error(data, index):
    with pytest.raises(IndexError, match="of 3"):
        data[index]


def test_a_missing_column_is_named_with_those_that_are_there():
    bare = Dataset.from_examples([Example(tokens=("a",))], name="bare", split="test")
    for ask, column in ((bare.labels, "label"), (bare.tags, "tags"), (bare.user_ids, "user_id"), (bare.timestamps, "timestamp")):
        assert not bare.has(column)
        with pytest.raises(InputError, match=f"'bare' \\(test\\) has no column '{column}', only tokens"):
            ask()
    with pytest.raises(InputError, match="no group attribute 'dialect'; It has none"):
        bare.group("dialect")


def test_an_attribute_that_only_some_examples_have_is_refused():
    with pytest.raises(DataError, match="'label' is empty in row 1"):
        Dataset.from_examples([Example(tokens=("a",), label="x"), Example(tokens=("b",))], name="n", split="s")
    with pytest.raises(DataError, match="'group:g' is empty in row 0"):
        Dataset.from_examples([Example(tokens=("a",)), Example(tokens=("b",), groups={"g": "1"})], name="n", split="s")


def test_take_keeps_name_split_order_and_repeats(data, rows):
    taken = data.take([2, 0, 2])
    assert list(taken) == [rows[2], rows[0], rows[2]]
    assert (taken.name, taken.split) == ("tiny", "train")
    assert len(data.take([])) == 0
    assert data.take([]).tokens() == []


@pytest.mark.parametrize(("indices", "why"), [([3], "0, 3"), ([-1], "0, 3"), ([True, False, True], "flatnonzero"), ([0.5], "integers")])
def test_take_refuses_what_is_no_position(data, indices, why):
    with pytest.raises(InputError, match=why):
        data.take(indices)


def test_where_and_for_user_are_views_in_order(data, rows):
    assert list(data.where("dialect", "avel")) == [rows[0], rows[2]]
    assert list(data.for_user("ada")) == [rows[0], rows[2]]
    assert list(data.where("dialect", "avel").where("device", "pocket")) == [rows[2]]


def test_a_known_value_without_a_row_is_empty_and_an_unknown_one_is_an_error(data):
    only = data.where("dialect", "avel")
    assert len(only.where("dialect", "brin")) == 0
    assert len(only.for_user("bo")) == 0
    with pytest.raises(InputError, match="did you mean 'brin'"):
        data.where("dialect", "brim")
    with pytest.raises(InputError, match="did you mean 'dialect'"):
        data.where("dialekt", "brin")
    with pytest.raises(InputError, match="no user 'eve'"):
        data.for_user("eve")


def test_an_unknown_user_among_many_is_not_answered_with_all_of_them():
    many = Dataset.from_examples([Example(tokens=("a",), user_id=f"u{i}") for i in range(50)], name="n", split="s")
    with pytest.raises(InputError, match="50 are known") as caught:
        many.for_user("eve")
    assert "u49" not in str(caught.value)


def test_the_hash_is_of_the_content_alone(data, rows):
    again = Dataset.from_examples(rows, name="other", split="test")
    assert again.content_hash == data.content_hash
    assert data.take([0, 2, 1]).content_hash != data.content_hash
    assert data.take([0, 1]).content_hash != data.content_hash


def test_the_hash_never_changes(data):
    assert data.content_hash == HASH  # stored records refer to it


def test_the_hash_is_the_same_in_another_process():
    script = (
        "from holdfast.data import Dataset, Example\n"
        "print(Dataset.from_examples([Example(tokens=('a', 'b'), label='x')], name='n', split='s').content_hash)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert told == Dataset.from_examples([Example(tokens=("a", "b"), label="x")], name="m", split="t").content_hash


def test_it_survives_pickling_for_worker_processes(data):
    copy = pickle.loads(pickle.dumps(data))
    assert list(copy) == list(data)
    assert copy.content_hash == data.content_hash


def test_it_cannot_be_changed(data):
    with pytest.raises(AttributeError):
        data.name = "other"


def test_the_summary_is_plain_json_without_an_utterance(data):
    splits = DataSplits("tiny", data, data.take([0]), data.take([]))
    summary = splits.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["content_hash"] == splits.content_hash
    train = summary["splits"]["train"]
    assert train["examples"] == 3
    assert train["tokens"] == 7
    assert train["labels"] == {"call": 1, "play": 1, "stop": 1}
    assert train["tags"] == {"B-contact": 1, "B-title": 1, "I-contact": 1, "O": 4}
    assert train["users"] == 2
    assert train["groups"] == {"device": {"hearth": 2, "pocket": 1}, "dialect": {"avel": 2, "brin": 1}}
    assert (train["from"], train["to"]) == ("2024-01-01T08:30:00Z", "2024-02-01T00:00:00Z")
    assert summary["splits"]["test"]["examples"] == 0
    assert "Orla" not in json.dumps(summary)
    assert "ada" not in json.dumps(summary)


def test_the_hash_of_splits_depends_on_which_part_is_which(data):
    one, two = data.take([0]), data.take([1])
    assert DataSplits("n", data, one, two).content_hash != DataSplits("n", data, two, one).content_hash
