"""JSON, JSON lines and tables: every error says the file and the place."""

import pytest

from holdfast.core.errors import DataError
from holdfast.data.benchmarks.documents import Place, json_lines, read_json, table_rows


@pytest.mark.parametrize("zipped", [False, True])
def test_a_document_is_read_as_it_is(write, zipped):
    path = write("a.json", '{"a": [1,\n "é"]}', zipped=zipped)
    assert read_json(path) == {"a": [1, "é"]}
    assert read_json(path.with_name("a.json")) == {"a": [1, "é"]}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a":\n  oops}', 2, "not JSON"),
        ('{"a": NaN}', 1, "NaN is no number in JSON"),
        ('{"a": -Infinity}', 1, "-Infinity is no number"),
        ('{"a": "\\ud800"}', 1, "half of a surrogate pair"),
        ("[" * 100_000, 1, "brackets in brackets"),
        ("[1] [2]", 1, "not JSON"),
        ("9" * 5000, 1, "not JSON"),
    ],
)
def test_bad_documents_are_refused_with_the_line(write, text, line, message):
    path = write("a.json", text)
    with pytest.raises(DataError, match=message) as refused:
        read_json(path)
    assert (refused.value.path, refused.value.line) == (path, line)


def test_two_halves_of_a_character_are_a_character(write):
    assert read_json(write("a.json", '["\\ud83d\\ude00"]')) == ["😀"]


def test_json_lines_pass_over_blank_ones_and_count_them(write):
    path = write("a.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    assert list(json_lines(path)) == [(1, {"a": 1}), (3, {"a": 2})]
    for text, message in (('{"a": 1}\n[1]\n', "line 2: not a JSON object but a list"), ('{"a": 1}\n{"a"\n', "line 2: not JSON")):
        with pytest.raises(DataError, match=message):
            list(json_lines(write("b.jsonl", text)))


@pytest.mark.parametrize("zipped", [False, True])
def test_rows_of_a_table(write, zipped):
    path = write("a.csv", 'x,y\n1,"two\nlines"\n\n3,4\n', zipped=zipped)
    assert list(table_rows(path, ("y",))) == [(3, {"x": "1", "y": "two\nlines"}), (5, {"x": "3", "y": "4"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,z\n1,2\n", "line 1: no column 'y'; it has: 'x', 'z'"),
        ("x,y\n1\n", "line 2: 1 fields, the first line names 2"),
        ("y,y\n1,2\n", "line 1: a column stands twice"),
        ('x,y\n1,"' + "a" * 200_000 + '"\n', "line 2: not CSV"),
    ],
)
def test_bad_tables_are_refused_with_the_line(write, text, message):
    with pytest.raises(DataError, match=message):
        list(table_rows(write("a.csv", text), ("y",)))


def test_missing_and_damaged_files(write, tmp_path):
    for reader in (read_json, lambda path: list(json_lines(path)), lambda path: list(table_rows(path, ("a",)))):
        with pytest.raises(DataError, match="no such file"):
            reader(tmp_path / "nothing")
        with pytest.raises(DataError, match="the file is empty"):
            reader(write("empty", ""))
        with pytest.raises(DataError, match="not UTF-8"):
            reader(write("latin", b"\xe9\n"))


def test_a_place_says_where_it_is(tmp_path):
    place = Place(tmp_path / "a.json").at("data").at(3).at("id")
    with pytest.raises(DataError, match=r"a.json: data\[3\].id: not a text but 7"):
        place.text(7)
    with pytest.raises(DataError, match="the text is empty"):
        place.text("  ")
    assert place.text("", may_be_empty=True) == ""
    with pytest.raises(DataError, match=r"not an object \{...\} but \[1\]"):
        place.mapping([1])
    with pytest.raises(DataError, match=r"not a list \[...\] but 'a'"):
        place.sequence("a")
    with pytest.raises(DataError, match="2 values; there must be 3"):
        place.sequence([1, 2], count=3)
    with pytest.raises(DataError, match="no 'id'; it has: 'a'"):
        place.named({"a": 1}, "id")
    with pytest.raises(DataError, match="kind is 'x'; it must be one of a, b"):
        place.chosen({"kind": "x"}, "kind", ("a", "b"))
    with pytest.raises(DataError, match=r"line 4: not a text"):
        Place(tmp_path, line=4).text(None)
