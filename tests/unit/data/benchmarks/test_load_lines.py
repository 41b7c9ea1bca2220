"""`lines:` and the options of the published sources in `load_data`."""

import pytest

from holdfast.core.errors import InputError
from holdfast.data import load_data


def test_a_file_of_lines_is_cut(write):
    path = write("novel.txt", "".join(f"Word {at}\n" for at in range(50)), zipped=True)
    data = load_data(f"lines:{path}", lower=True)
    assert [len(part) for part in data.parts] == [40, 5, 5]
    assert (data.name, data.train.group_names) == ("novel", ())
    assert sorted(int(words[1]) for part in data.parts for words in part.tokens()) == list(range(50))
    assert data.train[0].tokens[0] == "word"


def test_a_folder_of_parts_keeps_them_unless_it_is_told_to_mix(write):
    for part in ("train", "valid", "test"):
        folder = write(f"wiki/{part}.txt", "".join(f"{part} {at}\n" for at in range(10))).parent
    assert [{words[0] for words in part.tokens()} for part in load_data(f"lines:{folder}").parts] == [{"train"}, {"valid"}, {"test"}]
    mixed = load_data(f"lines:{folder}", parts="random", fractions={"train": 0.4, "validation": 0.3, "test": 0.3})
    assert [len(part) for part in mixed.parts] == [12, 9, 9]
    assert {words[0] for words in mixed.train.tokens()} == {"train", "valid", "test"}


def test_long_lines_and_fewer_rows(write):
    path = write("a.txt", "a b c d e f g h i j k l\n" * 10)
    data = load_data(f"lines:{path}", most_words=4, rows={"train": 7})
    assert [len(part) for part in data.parts] == [7, 3, 3]
    assert {len(words) for words in data.train.tokens()} == {4}
    assert len(load_data(f"lines:{path}", texts="paragraphs", most_words=6).train) == 16


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("lines:", {}, "lines: what to load is missing; give lines:PATH"),
        ("line:a", {}, "no data source 'line'; did you mean 'lines'"),
        ("lines:a", {"labels": "binary"}, "lines: has no option 'labels'; it has: name, fractions, rows, parts, texts, most_words, lower"),
        ("madlibs:a", {"lower": True}, "madlibs: has no option 'lower'; it has: name, fractions, rows"),
        ("snips:a", {"most_words": 3}, "snips: has no option 'most_words'"),
        ("assistant", {"texts": "lines"}, "assistant: has no option 'texts'"),
    ],
)
def test_options_that_a_source_has_not(source, options, message):
    with pytest.raises(InputError, match=message):
        load_data(source, **options)
