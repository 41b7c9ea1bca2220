import gzip

import pytest

from holdfast.core.errors import DataError
from holdfast.data.text_files import find, lines


def test_lines_are_numbered_from_one_without_their_ends(write):
    assert list(lines(write("a.txt", "one\r\ntwo\n\nfour"))) == [(1, "one"), (2, "two"), (3, ""), (4, "four")]


def test_only_line_ends_split_lines(write):
    assert [text for _, text in lines(write("a.txt", "one\u2028still one\x0bone\ntwo\n"))] == ["one\u2028still one\x0bone", "two"]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt"])
def test_gzip_is_known_by_its_content_not_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert list(lines(path)) == [(1, "one"), (2, "two")]


def test_the_gzipped_file_is_found_under_the_plain_name(tmp_path, write):
    zipped = write("a.txt", "one\n", zipped=True)
    assert find(tmp_path / "a.txt") == zipped
    assert list(lines(tmp_path / "a.txt")) == [(1, "one")]


def test_a_plain_file_is_preferred_to_a_gzipped_one(tmp_path, write):
    write("a.txt", "zipped\n", zipped=True)
    write("a.txt", "plain\n")
    assert list(lines(tmp_path / "a.txt")) == [(1, "plain")]


def test_a_byte_order_mark_is_dropped(write):
    assert list(lines(write("a.txt", b"\xef\xbb\xbfone\n"))) == [(1, "one")]


def test_a_missing_file_names_what_stands_beside_it(tmp_path, write):
    write("train.jsonl", "{}")
    with pytest.raises(DataError, match=r"trian\.jsonl: no such file; beside it stand: train\.jsonl"):
        list(lines(tmp_path / "trian.jsonl"))
    with pytest.raises(DataError, match=r"the folder .* does not exist either"):
        list(lines(tmp_path / "none" / "a.jsonl"))


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(DataError, match="a folder, not a file"):
        list(lines(tmp_path))


@pytest.mark.parametrize("zipped", [False, True])
def test_an_empty_file_is_refused(write, zipped):
    with pytest.raises(DataError, match="the file is empty"):
        list(lines(write("a.txt", "", zipped=zipped)))


def test_what_is_not_utf8_is_named_with_its_line(write):
    with pytest.raises(DataError, match="line 2: not UTF-8") as caught:
        list(lines(write("a.txt", b"one\nca\xe9 here\n")))
    assert caught.value.line == 2
    assert "0xe9" in str(caught.value)


@pytest.mark.parametrize("cut", [15, -4])
def test_a_damaged_gzip_is_named(tmp_path, cut):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % i for i in range(1000)))[:cut])
    with pytest.raises(DataError, match="gzipped file is damaged"):
        list(lines(path))
