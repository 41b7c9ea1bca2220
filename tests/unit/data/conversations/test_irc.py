"""Chat logs of IRC: what is a message, whose it is, when it was, and what is kept out."""

import io
import logging
import tarfile
from collections import Counter

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Replies, load_data
from holdfast.data.conversations import read_irc

LOG = """\
=== Zoe [n=zoe@example.org] has joined #chat
[10:00] <Ada> hello everybody
[10:01] <bo> Ada: hi, is zoe here?
[10:01]  * Cy waves at Ada
[10:02] -serv:#chat- a notice
=== Cy is now known as Cyrus
[10:03] <Cyrus> cy was my name
[10:04] <ubottu> bo: I am a bot
[10:05] <Ada> bo, yes
[10:06] <bo>
"""


def archive(path, members):
    """Writes a tar.gz; a member is a text, bytes, or a TarInfo to change it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            if isinstance(raw, bytes):
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
            else:
                info.type, info.linkname = raw
                tar.addfile(info)
    return path


@pytest.fixture
def chat(tmp_path):
    """Three days in an archive, of which one has the log above."""
    days = [
        "".join(f"[{h:02d}:{m:02d}] <u{m // 5 % 3}> {day} {h} {m}\n" for h in range(10) for m in range(0, 60, 5)) for day in ("one", "two")
    ]
    members = [("train/2005-01-02.train-a.raw.txt", LOG), ("dev/2006-01-01_05.raw.txt", days[0]), ("test/2004-03-04_01.raw.txt", days[1])]
    return archive(tmp_path / "logs.tar.gz", members)


def rows(table):
    return [(" ".join(row["tokens"]), row["user_id"], f"{row['timestamp']:%Y-%m-%d %H:%M}") for row in table.to_pylist()]


def test_messages_users_and_times(chat):
    assert rows(read_irc(chat)["train"]) == [
        ("hello everybody", "ada", "2005-01-02 10:00"),
        ("<nick> : hi , is <nick> here ?", "bo", "2005-01-02 10:01"),
        ("<nick> was my name", "cyrus", "2005-01-02 10:03"),
        ("<nick> : I am a bot", "ubottu", "2005-01-02 10:04"),
        ("<nick> , yes", "ada", "2005-01-02 10:05"),
    ]


def test_a_bot_can_be_left_out_and_its_name_stays_out_of_the_text(tmp_path):
    log = LOG + "[10:07] <Ada> Ubottu is a bot\n"
    path = archive(tmp_path / "l.tar", [("2005-01-02.raw.txt", log)])
    found = rows(read_irc(path, leave_out=["UBOTTU"])["elsewhere"])
    assert {user for _, user, _ in found} == {"ada", "bo", "cyrus"}
    assert found[-1][0] == "<nick> is a bot"
    with pytest.raises(DataError, match="nobody is called 'ubotu'; did you mean 'ubottu'"):
        read_irc(path, leave_out=["ubotu"])
    with pytest.raises(InputError, match="leave_out is the text"):
        load_data(f"irc:{path}", leave_out="ubottu")


def test_a_clock_that_goes_back_has_passed_noon_or_midnight(tmp_path):
    times = ["11:50", "12:10", "12:59", "01:00", "01:01", "01:00", "11:59", "12:00", "12:01", "01:05"]
    log = "".join(f"[{time}] <a> x\n" for time in times)
    path = archive(tmp_path / "l.tar", [("2005-01-02.raw.txt", log)])
    found = [row[2] for row in rows(read_irc(path)["elsewhere"])]
    assert found[:5] == ["2005-01-02 11:50", "2005-01-02 12:10", "2005-01-02 12:59", "2005-01-02 13:00", "2005-01-02 13:01"]
    assert found[5] == "2005-01-02 13:01"  # a minute back is a log out of order, not another half of the day
    assert found[6:] == ["2005-01-02 23:59", "2005-01-03 00:00", "2005-01-03 00:01", "2005-01-03 01:05"]
    log = "[23:59] <a> x\n[00:00] <a> y\n"
    path = archive(tmp_path / "m.tar", [("2005-12-31.raw.txt", log)])
    assert [row[2] for row in rows(read_irc(path)["elsewhere"])] == ["2005-12-31 23:59", "2006-01-01 00:00"]


def test_an_unpacked_folder_reads_as_its_archive(chat, tmp_path):
    with tarfile.open(chat) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    packed, unpacked = read_irc(chat), read_irc(tmp_path / "out")
    assert set(packed) == {"train", "validation", "test"}
    assert all(packed[part].equals(unpacked[part]) for part in packed)


def test_by_default_users_speak_in_all_parts_and_rows_keep_their_order(chat):
    data = load_data(f"irc:{chat}", seed=3)
    assert sum(map(len, data.parts)) == 5 + 2 * 120
    assert len(data.test) == round(0.1 * 245)
    for part in data.parts:
        assert (np.diff(part.timestamps().astype(int)) >= 0).all()
    assert set(data.test.user_ids()) <= set(data.train.user_ids())
    again = load_data(f"irc:{chat}", seed=3)
    assert [part.content_hash for part in again.parts] == [part.content_hash for part in data.parts]
    assert load_data(f"irc:{chat}", seed=4).test.content_hash != data.test.content_hash


def test_the_folders_may_be_the_parts(chat, tmp_path):
    data = load_data(f"irc:{chat}", parts="files")
    assert [len(part) for part in data.parts] == [5, 120, 120]
    assert str(data.test.timestamps()[0]) == "2004-03-04T00:00:00"
    path = archive(tmp_path / "l.tar", [("2005-01-02.raw.txt", LOG)])
    with pytest.raises(DataError, match="no training part; give parts='random'"):
        load_data(f"irc:{path}", parts="files")


def test_users_are_hashed_and_no_name_is_anywhere_in_the_data(chat):
    data = load_data(f"irc:{chat}")
    names = {"ada", "bo", "cy", "cyrus", "zoe", "ubottu", *(f"u{i}" for i in range(5))}
    for part in data.parts:
        assert all(len(user) == 16 and user not in names for user in part.user_ids())
        assert not {word.lower() for words in part.tokens() for word in words} & names
    assert "ada" not in str(data.summary())


def test_logs_without_a_date_are_left_out_and_named(tmp_path, caplog):
    path = archive(tmp_path / "l.tar", [("2005-01-02.raw.txt", LOG), ("channel/all.raw.txt", "no log\n"), ("README.md", "words")])
    with caplog.at_level(logging.WARNING):
        assert read_irc(path)["elsewhere"].num_rows == 5
    assert "left out 1 logs without a date, such as channel/all.raw.txt" in caplog.text


@pytest.mark.parametrize("line", ["hello", "[25:00] <a> x", "[10:61] <a> x", "[10:00] < > x", "[10:00] a: x"])
def test_a_line_of_another_form_is_refused_or_skipped(tmp_path, line, caplog):
    path = archive(tmp_path / "l.tar", [("2005-01-02.raw.txt", f"{LOG}{line}\n")])
    with pytest.raises(DataError, match=r"2005-01-02.raw.txt, line 11: .* is no line of a log"):
        read_irc(path)
    with caplog.at_level(logging.WARNING):
        assert read_irc(path, bad_rows="skip")["elsewhere"].num_rows == 5
    assert "left out 1 bad lines, such as those of lines [11]" in caplog.text


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("a.txt", "x")], "holds no log"),
        ([("2005-02-30.raw.txt", LOG)], "2005-02-30 is no day"),
        ([("2005-01-02.raw.txt", LOG), ("2005-01-02.raw.txt", LOG)], "stands twice"),
        ([("2005-01-02.raw.txt", (tarfile.SYMTYPE, "/etc/passwd"))], "is no plain file"),
        ([("2005-01-02.raw.txt", (tarfile.LNKTYPE, "x"))], "is no plain file"),
        ([("2005-01-02.raw.txt", (tarfile.FIFOTYPE, ""))], "is no plain file"),
        ([("2005-01-02.raw.txt", (tarfile.DIRTYPE, ""))], "is no plain file"),
        ([("2005-01-02.raw.txt", b"[10:00] <a> x\n[10:01] <a> \xff\n")], r"line 2: not UTF-8 \(invalid start byte: 0xff\)"),
    ],
)
def test_odd_archives_are_refused(tmp_path, members, why):
    with pytest.raises(DataError, match=why):
        read_irc(archive(tmp_path / "l.tar.gz", members))


def test_members_that_lead_out_of_the_archive_write_nothing(tmp_path):
    """Names are only names: nothing is unpacked, wherever a member says that it lies."""
    inner = tmp_path / "inner"
    inner.mkdir()
    path = archive(inner / "l.tar", [("../../2005-01-02.raw.txt", LOG), ("/2005-01-03.raw.txt", LOG), ("../evil.txt", "x")])
    before = sorted(tmp_path.rglob("*"))
    assert read_irc(path)["elsewhere"].num_rows == 10
    assert sorted(tmp_path.rglob("*")) == before


def test_a_log_that_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.data.conversations.irc_files.LARGEST", 100)
    with pytest.raises(DataError, match="a log may have 100"):
        read_irc(archive(tmp_path / "l.tar.gz", [("2005-01-02.raw.txt", LOG)]))


def test_what_is_missing_or_damaged_is_told(chat, tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        load_data(f"irc:{tmp_path / 'none.tar.gz'}")
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(chat.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged"):
        load_data(f"irc:{broken}")
    broken.write_bytes(b"no archive at all")
    with pytest.raises(DataError, match="no tar archive"):
        load_data(f"irc:{broken}")
    with pytest.raises(InputError, match="irc: has no option 'columns'"):
        load_data(f"irc:{chat}", columns={"text": "x"})
    with pytest.raises(InputError, match="did you mean 'random'"):
        load_data(f"irc:{chat}", parts="randomly")


def test_pairs_answer_who_is_called(chat):
    found = read_irc(chat, pairs=Replies())["train"].to_pylist()
    assert [" ".join(row["context"]) for row in found] == [
        "",
        "hello everybody",
        "",
        "<nick> : hi , is <nick> here ?",
        "<nick> : hi , is <nick> here ?",
    ]
    near = read_irc(chat, pairs=Replies(minutes=3))["train"].to_pylist()
    assert [bool(row["context"]) for row in near] == [False, True, False, True, False]


def test_pairs_are_made_within_each_part_with_as_many_wrong_as_right(chat):
    data = load_data(f"irc:{chat}", pairs={"rule": "previous", "minutes": 10}, seed=1)
    for part in data.parts:
        labels = np.array(part.labels())
        assert (labels[::2] == "reply").all()
        assert (labels[1::2] == "other").all()
        assert part.contexts()[::2] == part.contexts()[1::2]
    texts = [Counter(" ".join(words) for words in part.tokens()[::2]) for part in data.parts]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    wrong = [Counter(" ".join(words) for words in part.tokens()[1::2]) for part in data.parts]
    assert wrong == texts  # the wrong answers of a part are its right ones, so none comes from another part


def test_rows_bound_pairs_too(chat):
    data = load_data(f"irc:{chat}", pairs={"rule": "previous"}, rows={"train": 40})
    assert 0 < len(data.train) <= 40
    assert len(data.train) % 2 == 0
    with pytest.raises(InputError, match="did you mean 'minutes'"):
        load_data(f"irc:{chat}", pairs={"minute": 3})
