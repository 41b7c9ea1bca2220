"""Users named by several fields, and files that are users or sections."""

import json

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Columns, load_data

SPEECHES = [
    {"play": play, "speaker": who, "text": f"words {i}"} for i, (play, who) in enumerate([("a", "b|c"), ("a|b", "c"), ("a", "c")] * 10)
]


def speeches(write, rows=SPEECHES):
    return f"jsonl:{write('plays.jsonl', ''.join(json.dumps(row) + chr(10) for row in rows))}"


def users(data):
    return {user for part in data.parts for user in part.user_ids()}


def test_fields_name_a_user_together_and_never_by_chance(write):
    source = speeches(write)
    both = load_data(source, columns=Columns(user_id=["play", "speaker"]))
    assert len(users(both)) == 3  # "a" and "b|c" are not "a|b" and "c"
    assert all(len(user) == 16 for user in users(both))
    assert len(users(load_data(source, columns={"user_id": "play"}))) == 2
    assert len(users(load_data(source, columns={"user_id": ["speaker", "play"]}))) == 3


def test_one_field_in_a_list_is_that_field(write):
    source = speeches(write)
    assert users(load_data(source, columns={"user_id": ["play"]})) == users(load_data(source, columns={"user_id": "play"}))


def test_numbers_and_csv_name_users_too(write):
    path = write("rows.csv", "text,house,number\n" + "hi,oak,1\nho,oak,2\nhe,elm,1\n" * 5)
    assert len(users(load_data(f"csv:{path}", columns={"user_id": ["house", "number"]}))) == 3


@pytest.mark.parametrize(("row", "why"), [({"play": "", "speaker": "x"}, "column 'play' is empty"), ({"play": "x"}, "no column 'speaker'")])
def test_each_field_must_be_there_and_full(write, row, why):
    source = speeches(write, [*SPEECHES, {"text": "x", **row}])
    with pytest.raises(DataError, match=f"line 31: {why}"):
        load_data(source, columns={"user_id": ["play", "speaker"]})


def test_a_list_of_fields_is_checked(write):
    for fields in ([], ["play", "play"]):
        with pytest.raises(DataError, match="give one field or more, each once"):
            Columns(user_id=fields)
    with pytest.raises(DataError, match="no column 'scene'"):
        load_data(speeches(write), columns={"user_id": ["play", "scene"]})


def test_the_hub_joins_fields_too(tmp_path):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SPEECHES))
    data = load_data(f"hub:{tmp_path}", columns=Columns(user_id=["play", "speaker"], context="play"), name="plays")
    assert len(users(data)) == 3
    assert {tuple(words) for words in data.train.contexts()} <= {("a",), ("a|b",)}
    source = tmp_path / "plays.jsonl"
    source.write_text((tmp_path / "train.jsonl").read_text())
    assert users(data) == users(load_data(f"jsonl:{source}", columns={"user_id": ["play", "speaker"]}))


@pytest.fixture
def sections(write, tmp_path):
    for name in ("north.conll", "south.conll.gz"):
        write(name.removesuffix(".gz"), f"{name[0]}\tO\n\n" * 20, zipped=name.endswith(".gz"))
    (tmp_path / "README.md").write_text("words")
    return tmp_path


def test_each_file_can_be_a_user(sections):
    data = load_data(f"conll:{sections}", file_as="user_id", name="tweets")
    assert [len(part) for part in data.parts] == [32, 4, 4]
    assert len(users(data)) == 2
    by_user = {(user, *words) for part in data.parts for user, words in zip(part.user_ids(), part.tokens(), strict=True)}
    assert len(by_user) == 2  # every row has the user of its own file
    assert "north" not in users(data)


def test_each_file_can_be_a_section(sections):
    data = load_data(f"conll:{sections}", file_as="group:section")
    assert {(name, *words) for name, words in zip(data.train.group("section"), data.train.tokens(), strict=True)} == {
        ("north", "n"),
        ("south", "s"),
    }
    assert not data.train.has("user_id")
    assert data.train.group("section") == sorted(data.train.group("section"))  # the rows keep their order


def test_files_that_are_users_must_fit(sections, write):
    with pytest.raises(InputError, match="file_as is 'user'; give 'user_id' or 'group:NAME'"):
        load_data(f"conll:{sections}", file_as="user")
    with pytest.raises(InputError, match="the files cannot be the parts"):
        load_data(f"conll:{sections}", file_as="user_id", parts="files")
    with pytest.raises(DataError, match=r"no file \*.csv or \*.csv.gz; there is README.md, north.conll"):
        load_data(f"csv:{sections}", file_as="user_id")
    with pytest.raises(DataError, match="no such folder"):
        load_data(f"conll:{sections / 'north.conll'}", file_as="user_id")
    write("north.more.conll", "n\tO\n\n")
    with pytest.raises(DataError, match="are both called 'north'"):
        load_data(f"conll:{sections}", file_as="user_id")


def test_a_file_with_users_of_its_own_is_no_user(write, tmp_path):
    write("one.jsonl", '{"text": "a", "user_id": "u"}\n' * 20)
    with pytest.raises(DataError, match="has a column 'user_id' of its own"):
        load_data(f"jsonl:{tmp_path}", file_as="user_id")


def test_files_with_other_columns_do_not_mix(write, tmp_path):
    write("one.jsonl", '{"text": "a", "label": "u"}\n' * 20)
    write("two.jsonl", '{"text": "a"}\n' * 20)
    with pytest.raises(DataError, match="the files have not the same columns"):
        load_data(f"jsonl:{tmp_path}", file_as="user_id")


def test_parts_that_are_files_can_be_cut_anew(write, tmp_path):
    for part, count in (("train", 20), ("dev", 6), ("test", 4)):
        write(f"{part}.jsonl", "".join(json.dumps({"text": f"{part} {i}"}) + "\n" for i in range(count)))
    assert [len(part) for part in load_data(f"jsonl:{tmp_path}").parts] == [20, 6, 4]
    mixed = load_data(f"jsonl:{tmp_path}", parts="random")
    assert [len(part) for part in mixed.parts] == [24, 3, 3]
    assert {row.tokens for part in mixed.parts for row in part} == {
        (p, str(i)) for p, n in (("train", 20), ("dev", 6), ("test", 4)) for i in range(n)
    }
    with pytest.raises(InputError, match="snips: has no option 'parts'"):
        load_data(f"snips:{tmp_path}", parts="random")
