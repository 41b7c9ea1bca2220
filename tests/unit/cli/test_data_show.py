"""`holdfast data show`: sizes, values, examples, and no user id in the clear."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.data.load import SOURCES

ROWS = [
    {
        "text": "call Orla",
        "label": "call",
        "tags": "O B-contact",
        "user_id": "anna@example.org",
        "when": "2024-03-01T10:00:00Z",
        "area": "north",
    },
    {"text": "stop", "label": "stop", "tags": "O", "user_id": "ben", "when": "2024-03-02T10:00:00Z", "area": "south"},
    {"text": "stop now", "label": "stop", "tags": "O O", "user_id": "anna@example.org", "when": "2024-03-03T10:00:00Z", "area": "north"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same three rows as each of the parts."""
    for part in ("train", "validation", "test"):
        (tmp_path / f"{part}.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return tmp_path


COLUMNS = ["--column", "timestamp=when", "--column", "group=area"]


def test_words(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", f"jsonl:{folder}", *COLUMNS, "--examples", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2:4] == [
        "part        examples  tokens  labels  tags  users  from        to",
        "train       3         5       2       2     2      2024-03-01  2024-03-03",
    ]
    assert "labels: stop 2, call 1" in printed
    assert "group area: north 2, south 1" in printed
    assert printed[-1].startswith("call Orla/B-contact  [call]  user ")
    assert printed[-1].endswith("  2024-03-01 10:00")


def test_document(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", f"jsonl:{folder}", *COLUMNS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"] == f"jsonl:{folder}"
    assert found["splits"]["train"]["examples"] == 3
    assert [example["groups"] for example in found["examples"]] == [{"area": "north"}, {"area": "south"}, {"area": "north"}]
    assert found["examples"][0]["tokens"] == ["call", "Orla"]
    users = [example["user"] for example in found["examples"]]
    assert users[0] == users[2] != users[1]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_user_id_in_the_clear(form: list[str], folder: Path, capsys: pytest.CaptureFixture[str]):
    main(["data", "show", f"jsonl:{folder}", *form])
    assert "anna@example.org" not in capsys.readouterr().out


def test_what_an_example_answers_stands_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{"text": f"me {n}", "asked": "who is there" if n % 2 else "", "label": "reply"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["data", "show", f"jsonl:{tmp_path / 'pairs.jsonl'}", "--column", "context=asked", "--examples", "40"]
    assert main(words) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if "me " in line]
    assert len(printed) > 10
    for line in printed:
        number = int(line.partition("me ")[2].split()[0])
        assert line == f"who is there -> me {number}  [reply]" if number % 2 else line == f"me {number}  [reply]"
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["examples"]
    assert {(int(one["tokens"][1]) % 2, tuple(one["context"])) for one in found} == {(1, ("who", "is", "there")), (0, ())}


def test_every_source_is_named_in_the_help(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["data", "show", "--help"])
    shown = capsys.readouterr().out
    assert all(f"{source}:" in shown for source in SOURCES if source != "assistant")


def test_leaves_out_columns_that_no_part_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "plain.csv").write_text("text,label\n" + "".join(f"hello {n},greet\n" for n in range(30)))
    assert main(["data", "show", f"csv:{tmp_path / 'plain.csv'}"]) == 0
    assert "part        examples  tokens  labels\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jsonl:absent.jsonl"], "error: absent.jsonl: no such file"),
        (["jsnol:x"], "error: no data source 'jsnol'; did you mean 'jsonl'?"),
        (["assistant:train=200", "--examples", "-1"], "error: --examples is -1; give 0 or more"),
        (
            ["jsonl:x", "--column", "txt=utterance"],
            "error: --column 'txt=utterance': give KIND=FIELD, such as text=utterance; did you mean 'text'?",
        ),
        (["jsonl:x", "--column", "text"], "error: --column 'text': give KIND=FIELD"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
