"""MultiDoGO: quoted utterances over several lines, slots as BIO tags, conversations as users."""

import gzip
import logging

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import load_data
from holdfast.data.conversations import read_multidogo
from holdfast.data.conversations.multidogo import bio

HEAD = "conversationId\tturnNumber\tsentenceNumber\tutteranceId\tutterance\tslot-labels\tintent\n"


def line(conversation, utterance, slots, intent="ask"):
    return f"{conversation}\t0\t0\t<CONV>{conversation}\t{utterance}\t{slots}\t{intent}\n"


GOOD = line("c1", "fly from new york", "O O city city") + line("c1", "no thanks", "O O", "no<div>bye") + line("c2", "hi", "O", "hello")


@pytest.fixture
def domain(tmp_path):
    def make(name="airline", train=GOOD, zipped=False):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for part, text in (("train", train), ("dev", GOOD), ("test", GOOD)):
            raw = (HEAD + text).encode()
            (folder / f"{part}.tsv{'.gz' if zipped else ''}").write_bytes(gzip.compress(raw) if zipped else raw)
        return folder

    return make


def test_words_tags_labels_and_users(domain):
    data = load_data(f"multidogo:{domain()}")
    first = data.train[0]
    assert first.tokens == ("fly", "from", "new", "york")
    assert first.tags == ("O", "O", "B-city", "I-city")
    assert (first.label, first.groups) == ("ask", {"domain": "airline"})
    assert data.train.labels() == ["ask", "no", "hello"]
    users = data.train.user_ids()
    assert users[0] == users[1] != users[2]
    assert "c1" not in users
    assert data.name == "airline"


def test_several_intents_can_be_one_label(domain):
    assert load_data(f"multidogo:{domain()}", intents="joined").train.labels() == ["ask", "no<div>bye", "hello"]
    with pytest.raises(InputError, match="did you mean 'joined'"):
        load_data(f"multidogo:{domain()}", intents="join")


def test_an_utterance_in_quotes_may_hold_tabs_and_ends_of_lines(domain):
    text = line("c1", '"15068 \n new kensington pa"', "zip O city city O") + line("c2", '"chennai \t 526987"', "city O zip")
    rows = list(load_data(f"multidogo:{domain(train=text)}").train)
    assert rows[0].tokens == ("15068", "new", "kensington", "pa")
    assert rows[0].tags == ("B-zip", "B-city", "I-city", "O")
    assert rows[1].tokens == ("chennai", "526987")
    assert rows[1].tags == ("B-city", "B-zip")


def test_a_blank_that_is_left_out_does_not_join_two_slots_wrongly():
    assert bio(["city", "city", "O", "city", "zip", "city"]) == ["B-city", "I-city", "O", "B-city", "B-zip", "B-city"]
    assert bio([]) == []


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (line("c1", "two words", "O"), "2 words but 1 slot labels"),
        (line("c1", "", "O"), "column 'utterance' is empty"),
        (line("c1", " ", "O O"), "column 'utterance' is empty"),
        ("c1\t0\t0\n", "3 fields, the first line names 7"),
        (line("c1", "hi", "O", ""), "column 'label' is empty"),
        (line("", "hi", "O"), "column 'conversationId' is empty"),
    ],
)
def test_bad_rows_are_refused_by_line_or_skipped(domain, bad, why, caplog):
    folder = domain(train=GOOD + bad + line("c3", "ok", "O"))
    with pytest.raises(DataError, match=rf"train.tsv, line 5: {why}"):
        load_data(f"multidogo:{folder}")
    with caplog.at_level(logging.WARNING):
        data = load_data(f"multidogo:{folder}", bad_rows="skip")
    assert data.train.labels() == ["ask", "no", "hello", "ask"]
    assert "left out 1 bad rows, such as those of lines 5" in caplog.text


def test_all_domains_are_read_from_the_folder_that_holds_them(domain, tmp_path):
    domain("airline")
    domain("media", zipped=True)
    (tmp_path / "LICENSE.txt").write_text("words")
    data = load_data(f"multidogo:{tmp_path}", name="dogo")
    assert data.train.group("domain") == ["airline"] * 3 + ["media"] * 3
    assert len(set(data.train.user_ids())) == 4  # c1 of the airline is not c1 of the media
    assert data.train.where("domain", "media")[0].text == "fly from new york"


def test_parts_at_random_give_conversations_scores_of_their_own(domain):
    folder = domain(train=GOOD * 20)
    files, mixed = load_data(f"multidogo:{folder}"), load_data(f"multidogo:{folder}", parts="random")
    assert [len(part) for part in files.parts] == [60, 3, 3]
    assert [len(part) for part in mixed.parts] == [52, 7, 7]


def test_what_is_no_domain_is_told(tmp_path, domain):
    with pytest.raises(DataError, match="no such folder"):
        read_multidogo(tmp_path / "none")
    with pytest.raises(DataError, match=r"has a file train\.tsv"):
        read_multidogo(tmp_path)
    folder = domain()
    (folder / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"no file validation\.tsv"):
        read_multidogo(folder)
    folder = domain()
    (folder / "train.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(DataError, match="no column 'conversationId'; it has: 'a', 'b'"):
        read_multidogo(folder)
