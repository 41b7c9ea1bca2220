"""Real public data: the loaders on what people actually have."""

import pytest

from holdfast.core.errors import DataError
from holdfast.data import Columns, Fractions, load_data

pytestmark = pytest.mark.shared


def test_snips_has_its_published_sizes(shared_data):
    data = load_data(f"snips:{shared_data / 'snips'}")
    assert [len(part) for part in data.parts] == [13_084, 700, 700]
    assert data.name == "snips"
    assert len(set(data.train.labels())) == 7
    assert len({tag for tags in data.train.tags() for tag in tags}) == 72
    first = data.test[0]
    assert first.text == "add sabrina salerno to the grime instrumentals playlist"
    assert first.label == "AddToPlaylist"
    assert first.tags == ("O", "B-artist", "I-artist", "O", "O", "B-playlist", "I-playlist", "O")


def test_wnut17_is_found_by_its_file_names_and_gunzipped(shared_data):
    data = load_data(f"conll:{shared_data / 'ner_wnut17'}")
    assert [len(part) for part in data.parts] == [3394, 1009, 1287]
    kinds = {tag[2:] for tags in data.train.tags() for tag in tags if tag != "O"}
    assert kinds == {"person", "location", "corporation", "group", "creative-work", "product"}


def test_nlu_evaluation_is_told_by_its_semicolons(shared_data):
    source = f"csv:{shared_data / 'nlu_evaluation' / 'all_folds_union.csv.gz'}"
    data = load_data(source, columns=Columns(text="answer_from_user", label="intent", groups=["scenario"]), fractions=Fractions())
    assert sum(map(len, data.parts)) == 11_036
    assert len({*data.train.group("scenario"), *data.test.group("scenario")}) == 18
    with pytest.raises(DataError, match="no column 'text' or 'tokens'; it has: 'answerid', 'scenario', 'intent'"):
        load_data(source)


def test_bbq_is_read_from_json_lines(shared_data):
    path = shared_data / "bbq" / "Religion.jsonl.gz"
    data = load_data(f"jsonl:{path}", columns=Columns(text="question", label="label", groups=["category"]))
    assert sum(map(len, data.parts)) == 1200
    assert set(data.train.labels()) == {"0", "1", "2"}
