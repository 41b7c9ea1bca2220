"""Real public data: the loaders on what people actually have."""

import gzip
import re
import tarfile
import time
from collections import Counter
from itertools import pairwise

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


def irc(folder):
    return f"irc:{folder / 'ubuntu_irc_users' / 'irc_logs.tar.gz'}"


def irc_logs(folder):
    """Each dated log, in the order of loading: part, lines; read without the library."""
    with tarfile.open(folder / "ubuntu_irc_users" / "irc_logs.tar.gz") as tar:
        texts = {member.name: tar.extractfile(member).read().decode() for member in tar if member.name.endswith(".raw.txt")}
    parts = {"train": [], "dev": [], "test": []}
    for name in sorted(texts, key=lambda name: name.split("/")[-1][:10]):
        if not name.startswith("channel-two/"):
            parts[name.split("/")[0]].append(texts[name].split("\n"))
    return parts, [texts[name].split("\n") for name in texts if name.startswith("channel-two/")]


MESSAGE = re.compile(r"\[\d\d:\d\d\] <([^>]*)> ?(.*)")


@pytest.mark.slow
def test_the_chat_of_ubuntu_has_its_messages_and_users(shared_data):
    """All 226,406 messages and 17,907 spellings of names are accounted for."""
    parts, without_date = irc_logs(shared_data)
    dated = [MESSAGE.fullmatch(line) for logs in parts.values() for lines in logs for line in lines]
    undated = [MESSAGE.fullmatch(line) for lines in without_date for line in lines]
    dated, undated = list(filter(None, dated)), list(filter(None, undated))
    assert len(dated) + len(undated) == 226_406
    assert len({found[1] for found in dated + undated}) == 17_907
    assert (len(undated), len({found[1] for found in dated})) == (4_787, 17_780)  # the second channel has no dates, so it is left out

    begin = time.process_time()
    data = load_data(irc(shared_data))
    assert time.process_time() - begin < 15
    assert sum(map(len, data.parts)) == 221_592 == len(dated) - sum(not found[2].strip() for found in dated)
    users = {user for part in data.parts for user in part.user_ids()}
    assert len(users) == 17_524 == len({found[1].strip().lower() for found in dated if found[2].strip()})  # IRC knows no case
    assert all(len(user) == 16 for user in users)
    days = [str(part.timestamps()[at])[:10] for part in data.parts for at in (0, -1)]
    assert (min(days), max(days)) == ("2004-11-15", "2018-02-28")  # the last log goes on past midnight
    tested = set(data.test.user_ids())
    assert len(tested & set(data.train.user_ids())) / len(tested) > 0.85


@pytest.mark.slow
def test_no_name_of_a_log_stands_in_its_words(shared_data):
    """A slow twin: each log by itself, each name against each token, with its own idea of who was there."""
    logs, _ = irc_logs(shared_data)
    data = load_data(irc(shared_data), parts="files")
    assert [len(part) for part in data.parts] == [196_123, 11_612, 13_857]
    for part, folder in zip(data.parts, ("train", "dev", "test"), strict=True):
        words, at = part.tokens(), 0
        for lines in logs[folder]:
            found = list(filter(None, map(MESSAGE.fullmatch, lines)))
            names = {match[1].strip().lower() for match in found}
            names |= {
                word.lower() for line in lines if (gone := re.match(r"=== (\S+) is now known as (\S+)$", line)) for word in gone.groups()
            }
            count = sum(bool(match[2].strip()) for match in found)
            tokens = {token.lower().replace("<nick>", " ") for row in words[at : at + count] for token in row}
            at += count
            assert not tokens & names
            pieces = {piece for token in tokens for piece in re.split(r"[^\w\-\[\]\\`^{}|]+", token)}
            assert not pieces & names
        assert at == len(part)
    assert sum(word == "<nick>" for part in data.parts for row in part.tokens() for word in row) > 100_000


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "train", "repliers"), [("addressed", 100_000, 4_000), ("either", 280_000, 10_000)])
def test_reply_pairs_of_the_chat_are_balanced_for_every_user(shared_data, rule, train, repliers):
    data = load_data(irc(shared_data), pairs={"rule": rule}, leave_out=["ubottu"])
    assert len(data.train) > train
    for part in data.parts:
        counts = Counter(zip(part.user_ids(), part.labels(), strict=True))
        users = set(part.user_ids())
        assert all(counts[user, "reply"] == counts[user, "other"] > 1 for user in users)
    assert len(set(data.train.user_ids())) > repliers


@pytest.mark.slow
def test_multidogo_reads_whole_once_its_quotes_are_read(shared_data):
    """122,229 lines and 14,677 first fields are of a reading by lines; with quotes there are 121,636 sentences, 75 without a word."""
    lines = [
        (path.parent.name, line)
        for path in sorted((shared_data / "multidogo").glob("*/*.tsv.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().split("\n")[1:]
        if line
    ]
    assert len(lines) == 122_229
    assert len({(domain, line.split("\t")[0]) for domain, line in lines}) == 14_677
    data = load_data(f"multidogo:{shared_data / 'multidogo'}", bad_rows="skip")
    assert [len(part) for part in data.parts] == [85_249, 11_963, 24_349]
    assert sum(map(len, data.parts)) == 121_636 - 75
    assert len({user for part in data.parts for user in part.user_ids()}) == 14_215
    assert not set(data.train.user_ids()) & set(data.test.user_ids())
    assert set(data.train.group("domain")) == {"airline", "fastfood", "finance", "insurance", "media", "software"}
    tags = [tag for part in data.parts for row in part.tags() for tag in row]
    assert {tag[:2] for tag in tags} == {"O", "B-", "I-"}
    for row in data.test.tags():
        for last, tag in pairwise(["O", *row]):
            assert not tag.startswith("I-") or last[2:] == tag[2:]
    with pytest.raises(DataError, match=r"airline/train.tsv.gz, line 192: column 'utterance' is empty"):
        load_data(f"multidogo:{shared_data / 'multidogo'}")
    joined = load_data(f"multidogo:{shared_data / 'multidogo' / 'fastfood'}", bad_rows="skip", intents="joined")
    assert sum("<div>" in label for part in joined.parts for label in part.labels()) > 200


def test_shakespeare_has_a_user_for_each_role_of_each_play(shared_data):
    source = f"jsonl:{shared_data / 'shakespeare_roles' / 'shakespeare_speeches.jsonl.gz'}"
    data = load_data(source, columns={"text": "text", "user_id": ["play", "speaker"], "groups": ["play"]})
    assert sum(map(len, data.parts)) == 20_088
    assert len({user for part in data.parts for user in part.user_ids()}) == 895
    by_name = load_data(source, columns=Columns(text="text", user_id="speaker"))
    assert len({user for part in by_name.parts for user in part.user_ids()}) < 895


def test_the_sections_of_the_broad_twitter_corpus_become_users(shared_data):
    source = f"conll:{shared_data / 'ner_btc'}"
    with pytest.raises(DataError, match=r"no file for 'train'.*file_as='user_id'"):
        load_data(source)
    data = load_data(source, file_as="user_id", bad_rows="skip")
    assert sum(map(len, data.parts)) == 9_339 - 4  # four tweets hold a token of blanks alone
    assert all(len(set(part.user_ids())) == 6 for part in data.parts)
    sections = load_data(source, file_as="group:section", bad_rows="skip").train
    assert set(sections.group("section")) == set("abefgh")
