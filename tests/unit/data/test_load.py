import json
import re

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Columns, Fractions, load_data


def utterances(count, start=0):
    return "".join(
        json.dumps({"text": f"w{i}", "label": f"l{i % 3}", "user_id": f"person{i % 5}"}) + "\n" for i in range(start, start + count)
    )


def test_one_file_is_cut_by_the_seed(write):
    path = write("calls.jsonl", utterances(100))
    data, again, other = (load_data(f"jsonl:{path}", seed=seed) for seed in (1, 1, 2))
    assert [len(part) for part in data.parts] == [80, 10, 10]
    assert sorted(word for part in data.parts for (word,) in part.tokens()) == sorted(f"w{i}" for i in range(100))
    assert data.content_hash == again.content_hash != other.content_hash
    assert data.name == "calls"


def test_the_cut_leaves_no_trace_of_the_order(write):
    data = load_data(f"jsonl:{write('a.jsonl', utterances(3000))}", fractions=Fractions(train=0.5, validation=0.25, test=0.25))
    ranks = {part.split: np.mean([int(word[1:]) for (word,) in part.tokens()]) for part in data.parts}
    for split, mean in ranks.items():
        n = {"train": 1500, "validation": 750, "test": 750}[split]
        assert abs(mean - 1499.5) < 5 * 866 / np.sqrt(n)  # 866 = 3000 / sqrt(12); five standard errors


def test_a_folder_gives_its_parts_in_their_order(write):
    for part, start in (("train", 0), ("valid", 50), ("test", 60)):
        write(f"calls/{part}.jsonl", utterances(10, start), zipped=part == "valid")
    data = load_data(f"jsonl:{write('calls/README.md', 'about').parent}")
    assert [part.tokens()[0] for part in data.parts] == [["w0"], ["w50"], ["w60"]]
    assert data.name == "calls"


def test_without_a_validation_file_the_training_part_gives_a_share(write):
    write("calls/train.jsonl", utterances(90))
    folder = write("calls/test.jsonl", utterances(10, 90)).parent
    data = load_data(f"jsonl:{folder}", fractions={"train": 0.8, "validation": 0.1, "test": 0.1})
    assert [len(part) for part in data.parts] == [80, 10, 10]
    assert data.test.tokens() == [[f"w{i}"] for i in range(90, 100)]


def test_user_ids_are_hashed_alike_in_all_parts_and_differently_in_other_data(write):
    path = write("calls.jsonl", utterances(100))
    users = [set(part.user_ids()) for part in load_data(f"jsonl:{path}").parts]
    assert all(re.fullmatch("[0-9a-f]{16}", user) for user in users[0])
    assert len(set.union(*users)) == 5
    assert users[1] <= users[0]
    assert not users[0] & set(load_data(f"jsonl:{path}", name="other").train.user_ids())
    assert "person" not in str(list(load_data(f"jsonl:{path}").train))


def test_columns_may_be_a_mapping_as_in_a_study_file(write):
    path = write("a.csv", "utterance,intent\n" + "a b,x\n" * 10)
    expected = load_data(f"csv:{path}", columns=Columns(text="utterance", label="intent"))
    assert load_data(f"csv:{path}", columns={"text": "utterance", "label": "intent"}).content_hash == expected.content_hash
    with pytest.raises(InputError, match="columns has no key 'lable'; did you mean 'label'"):
        load_data(f"csv:{path}", columns={"lable": "intent"})
    with pytest.raises(InputError, match="columns is 3; give a Columns"):
        load_data(f"csv:{path}", columns=3)


@pytest.mark.parametrize(
    ("source", "options", "why"),
    [
        ("jsnol:a", {}, "no data source 'jsnol'; did you mean 'jsonl'"),
        ("a.csv", {}, "A file is given as jsonl:PATH"),
        ("csv:", {}, "give csv:PATH"),
        ("snips", {}, "give snips:PATH"),
        ("assistant", {"columns": Columns()}, "assistant: has no option 'columns'; it has: none"),
        ("snips:a", {"delimiter": ";"}, "snips: has no option 'delimiter'; it has: name, bad_rows"),
        ("hub:a", {"bad_rows": "skip"}, "hub: has no option 'bad_rows'"),
        ("csv:a", {"bad_rows": "drop"}, "bad_rows is 'drop'.*Valid: refuse, skip"),
        ("csv:a", {"fractions": {"train": 1.2}}, "three shares"),
        ("assistant:trian=5", {}, "did you mean 'train'"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_the_cure(source, options, why):
    with pytest.raises(InputError, match=why):
        load_data(source, **options)


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1), ("a", 0.1, 0.1), (float("nan"), 0.1, 0.1)])
def test_fractions_must_be_shares_of_one(fractions):
    with pytest.raises(InputError, match="three shares"):
        Fractions(train=fractions[0], validation=fractions[1], test=fractions[2])


def test_too_few_rows_to_cut_are_an_error(write):
    with pytest.raises(DataError, match=r"2 rows are too few for a test share of 0\.1"):
        load_data(f"jsonl:{write('a.jsonl', utterances(2))}")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_data(f"jsonl:{tmp_path / 'a.jsonl'}")


def test_the_embedded_corpus_takes_its_seed_from_either_place():
    small = "train=50,validation=10,test=10"
    assert load_data(f"assistant:{small}", seed=4).content_hash == load_data(f"assistant:{small},seed=4", seed=9).content_hash


def test_at_most_so_many_rows_of_a_part_are_drawn_in_their_order(write):
    path = write("calls.jsonl", utterances(100))
    whole = load_data(f"jsonl:{path}", seed=1)
    some, again, other = (load_data(f"jsonl:{path}", seed=seed, rows={"train": 30, "test": 50}) for seed in (1, 1, 2))
    assert [len(part) for part in some.parts] == [30, 10, 10]
    places = [whole.train.tokens().index(row) for row in some.train.tokens()]
    assert places == sorted(places) != list(range(30))
    assert some.content_hash == again.content_hash != other.content_hash
    assert some.test.content_hash == whole.test.content_hash


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"trian": 3}, r"rows has no part 'trian'; did you mean 'train'"),
        ({"train": 0}, r"rows of train are 0; give an integer >= 1"),
        ({"train": 2.5}, r"rows of train are 2\.5"),
    ],
)
def test_rows_that_cannot_be_drawn_are_refused(write, rows, says):
    with pytest.raises(InputError, match=says):
        load_data(f"jsonl:{write('calls.jsonl', utterances(20))}", rows=rows)


def test_the_embedded_corpus_says_its_size_in_its_source():
    with pytest.raises(InputError, match="has no option 'rows'"):
        load_data("assistant", rows={"train": 20})
