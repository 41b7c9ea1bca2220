"""The hub loader on local folders in the formats of Hugging Face; nothing here reaches for a network."""

import builtins
from datetime import UTC, datetime

import datasets
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Columns, load_data


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


FEATURES = datasets.Features(
    {
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-contact"])),
        "intent": datasets.ClassLabel(names=["call", "ring"]),
        "user_id": datasets.Value("int64"),
        "timestamp": datasets.Value("string"),
        "accent": datasets.Value("string"),
    }
)
COLUMNS = Columns(tags="ner_tags", label="intent", groups=["accent"])


def made(count, **changed):
    row = {"tokens": ["call", "Orla"], "ner_tags": [0, 1], "intent": 1, "user_id": 3, "timestamp": "2024-01-01T00:00:00Z", "accent": "a"}
    return datasets.Dataset.from_list([row | changed] * count, features=FEATURES)


@pytest.fixture
def saved(tmp_path):
    """Saves parts in one of the forms that the hub knows, and gives the source."""

    def save(form, **parts):
        folder = tmp_path / "corpus"
        if form == "disk":
            datasets.DatasetDict(parts).save_to_disk(str(folder))
        for part, data in parts.items():
            path = folder / f"{part}.{form}"
            folder.mkdir(exist_ok=True)
            if form == "parquet":
                data.to_parquet(str(path))
            elif form == "jsonl":
                data.to_json(str(path))
        return f"hub:{folder}"

    return save


@pytest.mark.parametrize("form", ["parquet", "disk"])
def test_parts_and_named_classes_are_read(saved, form):
    data = load_data(saved(form, train=made(5), validation=made(2), test=made(3)), columns=COLUMNS)
    assert data.name == "corpus"
    assert [len(part) for part in data.parts] == [5, 2, 3]
    example = data.test[0]
    assert example.tokens == ("call", "Orla")
    assert example.tags == ("O", "B-contact")
    assert example.label == "ring"
    assert example.timestamp == datetime(2024, 1, 1, tzinfo=UTC)
    assert example.groups == {"accent": "a"}
    assert example.user_id not in (None, "3")


def test_json_lines_of_texts_are_split_into_words(saved):
    texts = datasets.Dataset.from_list([{"text": f" turn  on w{i} ", "label": "x"} for i in range(20)])
    data = load_data(saved("jsonl", train=texts))
    assert [len(part) for part in data.parts] == [16, 2, 2]
    assert data.train.tokens()[0][:2] == ["turn", "on"]
    assert len(data.train.tokens()[0]) == 3


def test_a_part_without_rows_of_its_own_choice_is_cut_from_the_training_part(saved):
    data = load_data(saved("parquet", train=made(18), test=made(2)), columns=COLUMNS)
    assert [len(part) for part in data.parts] == [16, 2, 2]


def test_rows_that_were_selected_are_those_that_are_read(saved):
    base = datasets.Dataset.from_list([{"text": f"w{i}", "label": i} for i in range(10)])
    data = load_data(saved("disk", train=base.select([9, 7, 5]), validation=base.select([0]), test=base.select([1])))
    assert data.train.tokens() == [["w9"], ["w7"], ["w5"]]


@pytest.mark.parametrize(
    ("changed", "columns", "why"),
    [
        ({}, Columns(label="intnet"), "no column 'intnet'; it has: 'tokens', 'ner_tags', 'intent'"),
        ({"intent": None}, COLUMNS, r"corpus \(train\): column 'label' is empty in row 0"),
        ({"intent": -1}, COLUMNS, "'label' is empty in row 0"),
        ({"ner_tags": [0]}, COLUMNS, "row 0 has 2 tokens but 1 tags"),
        ({"timestamp": "soon"}, COLUMNS, "'soon' is no time"),
    ],
)
def test_what_is_wrong_in_the_columns_is_named(saved, changed, columns, why):
    with pytest.raises(DataError, match=why):
        load_data(saved("parquet", train=made(4, **changed)), columns=columns)


def test_no_training_part_is_an_error(saved):
    with pytest.raises(DataError, match="has no part 'train'; it has: test"):
        load_data(saved("disk", test=made(3)), columns=COLUMNS)


@pytest.mark.parametrize("name", ["no/such-data", "/no/such/folder"])
def test_what_cannot_be_found_is_a_data_error(name):
    with pytest.raises(DataError, match=r"cannot be loaded|no such folder"):
        load_data(f"hub:{name}")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest, **options):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"holdfast\[hub\]"):
        load_data("hub:owner/name")
