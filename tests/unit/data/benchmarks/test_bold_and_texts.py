"""BOLD, and plain text for language models."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.core.errors import DataError, InputError
from holdfast.data.benchmarks import read_bold, read_texts

PROMPTS = {"Actors": {"Ann": ["Ann is an ", "Ann was "], "Bob": ["Bob is "]}, "Actresses": {"Cy": [""]}}
WHOLE = {"Actors": {"Ann": ["Ann is an actor.", "Ann was one."], "Bob": ["a", "b"]}, "Actresses": {"Cy": ["Cy."]}}


@pytest.fixture
def bold(write):
    def make(prompts=PROMPTS, whole=WHOLE, zipped=False):
        path = write("bold/prompts/gender_prompt.json", json.dumps(prompts), zipped=zipped)
        if whole is not None:
            write("bold/wikipedia/gender_wiki.json", json.dumps(whole), zipped=zipped)
        return path.parent.parent

    return make


@pytest.mark.parametrize("zipped", [False, True])
def test_prompts_and_how_wikipedia_goes_on(bold, zipped):
    found = read_bold(bold(zipped=zipped), ["gender"])
    assert [(one.group, one.name, one.text) for one in found] == [
        ("Actors", "Ann", "Ann is an "),
        ("Actors", "Ann", "Ann was "),
        ("Actors", "Bob", "Bob is "),
        ("Actresses", "Cy", ""),
    ]
    assert [one.continuation for one in found] == ["Ann is an actor.", "Ann was one.", None, "Cy."]  # Bob's do not stand beside his
    assert {one.domain for one in found} == {"gender"}


def test_without_wikipedia_there_are_no_continuations(bold):
    assert {one.continuation for one in read_bold(bold(whole=None), ("gender",))} == {None}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], r"gender_prompt.json: not an object"),
        ({"Actors": ["Ann"]}, "Actors: not an object"),
        ({"Actors": {"Ann": "Ann is"}}, "Actors.Ann: not a list"),
        ({"Actors": {"Ann": ["Ann is", 3]}}, r"Actors.Ann\[1\]: not a text but 3"),
    ],
)
def test_malformed_bold(bold, document, message):
    with pytest.raises(DataError, match=message):
        read_bold(bold(prompts=document), ["gender"])


def test_unknown_domains_and_missing_files(bold, tmp_path):
    with pytest.raises(InputError, match="no domain 'genders'; did you mean 'gender'"):
        read_bold(bold(), ["genders"])
    for none in ("gender", []):
        with pytest.raises(InputError, match="give a list of domains"):
            read_bold(bold(), none)
    with pytest.raises(DataError, match="no such file"):
        read_bold(bold(), ["race"])
    with pytest.raises(DataError, match="no such folder"):
        read_bold(tmp_path / "nothing")


def words(table):
    return table.column("tokens").to_pylist()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_is_a_text(write, zipped):
    path = write("a.txt", " The End \r\n\n \nof IT\n", zipped=zipped)
    assert words(read_texts(path)["train"]) == [["The", "End"], ["of", "IT"]]
    assert words(read_texts(path, lower=True)["train"]) == [["the", "end"], ["of", "it"]]


def test_a_paragraph_is_a_text(write):
    path = write("a.txt", "\n\none\ntwo\n \nthree\r\n\r\n\r\nfour five")
    assert words(read_texts(path, texts="paragraphs")["train"]) == [["one", "two"], ["three"], ["four", "five"]]


def test_a_long_text_goes_on_as_the_next(write):
    path = write("a.txt", "a b c d e\nf\n")
    assert words(read_texts(path, most_words=2)["train"]) == [["a", "b"], ["c", "d"], ["e"], ["f"]]
    assert words(read_texts(path, most_words=5)["train"]) == [["a", "b", "c", "d", "e"], ["f"]]


@given(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\ufeff"), min_size=1),
    st.sampled_from([None, 2, 7]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_word_is_lost(tmp_path, text, most_words, paragraphs):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    if not text.split():
        with pytest.raises(DataError, match="no word in it"):
            read_texts(path)
        return
    rows = words(read_texts(path, texts="paragraphs" if paragraphs else "lines", most_words=most_words)["train"])
    assert [word for row in rows for word in row] == text.split()
    assert all(0 < len(row) <= (most_words or len(row)) for row in rows)


def test_sentences_of_bold_know_whom_they_are_about(bold):
    table = read_texts(bold() / "wikipedia" / "gender_wiki.json", most_words=3)["train"]
    assert words(table) == [["Ann", "is", "an"], ["actor."], ["Ann", "was", "one."], ["a"], ["b"], ["Cy."]]
    assert table.column("group:subject").to_pylist() == ["Actors"] * 5 + ["Actresses"]


def test_folders(write, bold):
    write("novels/b.txt", "two\n", zipped=True)
    write("novels/README.md", "about\n")
    assert words(read_texts(write("novels/a.txt", "one\n").parent)["train"]) == [["one"], ["two"]]
    for name in ("train", "valid", "test"):
        folder = write(f"wiki/{name}.txt", f"{name}\n").parent
    assert {part: words(table) for part, table in read_texts(folder).items()} == {
        "train": [["train"]],
        "validation": [["valid"]],
        "test": [["test"]],
    }
    write("mixed/a.txt", "one\n")
    with pytest.raises(DataError, match="give the folder of one kind"):
        read_texts(write("mixed/b.json", "{}").parent)
    with pytest.raises(DataError, match=r"no file \*.txt or \*.json"):
        read_texts(write("none/README.md", "about\n").parent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": "line"}, "texts is 'line'; did you mean 'lines'"),
        ({"most_words": 1}, "most_words is 1; give an integer >= 2"),
        ({"most_words": True}, "most_words is True"),
        ({"most_words": 2.5}, "most_words is 2.5"),
    ],
)
def test_bad_options(write, options, message):
    with pytest.raises(InputError, match=message):
        read_texts(write("a.txt", "one\n"), **options)
