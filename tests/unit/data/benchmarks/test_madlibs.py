"""Madlibs: identity terms, frames, and parts that share no frame."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import load_data
from holdfast.data.benchmarks import read_madlibs, read_toxicity
from holdfast.data.benchmarks.madlibs import Terms, split_by_template

HEAD = "Text,Label,Template\n"
PEOPLE = ("old", "older", "african", "african american", "middle aged")
ROWS = "".join(
    f"{name} is a {word} {who},{label},name_adj\n"
    for name in ("Ann", "Bob", "Cy", "Di", "Ed")
    for word, label in (("vile", "BAD"), ("kind", "NOT_BAD"), ("fun", "NOT_BAD"), ("awful", "BAD"))
    for who in PEOPLE
)


@pytest.fixture
def folder(write):
    def make(rows=ROWS, zipped=False):
        write("madlibs/lists/adjectives_people.txt", "\n".join(PEOPLE) + "\n", zipped=zipped)
        write("madlibs/lists/occupations.txt", "coal miner\nminer\n", zipped=zipped)
        return write("madlibs/bias_madlibs_77k.csv", HEAD + rows, zipped=zipped).parent

    return make


@pytest.mark.parametrize("zipped", [False, True])
def test_terms_and_frames(folder, zipped):
    rows = 'You are a vile coal miner,BAD,x\n"Old, and African American men",NOT_BAD,x\nI hug the older,NOT_BAD,x\ncold old,BAD,x\n'
    table = read_madlibs(folder(rows, zipped=zipped))
    assert table.column("label").to_pylist() == ["BAD", "NOT_BAD", "NOT_BAD", "BAD"]
    assert table.column("group:identity").to_pylist() == ["none", "african american+old", "older", "old"]
    frames = ["You are a vile [...]", "[...], and [...] men", "I hug the [...]", "cold [...]"]
    assert table.column("group:template").to_pylist() == frames
    assert table.column("tokens")[0].as_py() == ["You", "are", "a", "vile", "coal", "miner"]


@given(st.lists(st.sampled_from([*PEOPLE, "cold", "an", "x"]), max_size=6))
@settings(max_examples=100, deadline=None)
def test_terms_are_found_as_by_a_slow_reading(words):
    """The twin cuts the longest term off the front, word by word."""
    text, left, found, kept = " ".join(words), " ".join(words).split(), set(), []
    while left:
        longest = next((n for n in (2, 1) if " ".join(left[:n]) in PEOPLE and len(left) >= n), 0)
        if longest:
            found.add(" ".join(left[:longest]))
        kept.append("*" if longest else left[0])
        left = left[max(longest, 1) :]
    terms = Terms(PEOPLE)
    assert terms.found(text.upper()) == tuple(sorted(found))
    assert terms.without(text, "*") == " ".join(kept)


def test_no_template_stands_in_two_parts(folder):
    data = load_data(f"madlibs:{folder()}", seed=3, fractions={"train": 0.5, "validation": 0.25, "test": 0.25})
    frames = [set(part.group("template")) for part in data.parts]
    assert not frames[0] & frames[1]
    assert not frames[0] & frames[2]
    assert not frames[1] & frames[2]
    assert [len(part) for part in data.parts] == [50, 25, 25]
    texts = Counter(re.sub(rf"({'|'.join(PEOPLE)})$", "", " ".join(words)) for part in data.parts for words in part.tokens())
    assert set(texts.values()) == {5}
    assert (
        data.content_hash
        == load_data(f"madlibs:{folder()}", seed=3, fractions={"train": 0.5, "validation": 0.25, "test": 0.25}).content_hash
    )
    assert (
        data.content_hash
        != load_data(f"madlibs:{folder()}", seed=4, fractions={"train": 0.5, "validation": 0.25, "test": 0.25}).content_hash
    )


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_met_to_within_half_a_template(folder, seed):
    table = read_madlibs(folder("".join(f"text {at} of old,BAD,x\n" * (at + 1) for at in range(12))))
    parts = split_by_template(table, validation=0.3, test=0.3, rng=Streams.from_seed(seed).generator("test"))
    assert sum(part.num_rows for part in parts.values()) == table.num_rows == 78
    assert abs(parts["test"].num_rows - 0.3 * 78) <= 6
    assert abs(parts["test"].num_rows + parts["validation"].num_rows - 0.6 * 78) <= 6


def test_every_template_is_equally_likely_to_be_tested(folder):
    table = read_madlibs(folder("".join(f"text {at},BAD,x\n" for at in range(10))))
    chosen = Counter()
    for seed in range(600):
        parts = split_by_template(table, validation=0.2, test=0.2, rng=Streams.from_seed(seed).generator("test"))
        chosen.update(parts["test"].column("group:template").to_pylist())
    counts = np.array(list(chosen.values()))
    assert len(counts) == 10
    assert ((counts - 120) ** 2 / (120 * 0.8)).sum() < 35  # chi-squared of 9 degrees, its .9999 quantile is 33.7


def test_rows_of_a_part_keep_the_order_of_the_file(folder):
    data = load_data(f"madlibs:{folder()}")
    texts = [line.split(",")[0] for line in ROWS.splitlines()]
    places = [texts.index(" ".join(words)) for words in data.train.tokens()]
    assert places == sorted(places)


def test_too_few_templates(folder):
    with pytest.raises(DataError, match="1 templates are too few"):
        load_data("madlibs:" + str(folder("He is old,BAD,x\nHe is older,BAD,x\n")))
    with pytest.raises(InputError, match="madlibs: has no option 'parts'"):
        load_data(f"madlibs:{folder()}", parts="random")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("He is old,WORSE,x\n", "line 2: Label is 'WORSE'"),
        (" ,BAD,x\n", "line 2: Text: the text is empty"),
        ("He is old,BAD\n", "line 2: 2 fields"),
        ("", "there is no text"),
    ],
)
def test_malformed_madlibs(folder, rows, message):
    with pytest.raises(DataError, match=message):
        read_madlibs(folder(rows))


@pytest.mark.parametrize("zipped", [False, True])
def test_comments(write, zipped):
    first, second = read_toxicity(write("t.csv", 'rev_id,comment,toxic\n1,"a, b\nc",False\n2,d,True\n', zipped=zipped))
    assert (first.text, first.toxic, first.revision) == ("a, b\nc", False, "1")
    assert second.toxic is True


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,a,maybe", "line 2: toxic is 'maybe'"),
        ("1,,True", "line 2: comment: the text is empty"),
        ("1,a", "line 2: 2 fields"),
        ("", "there is no comment"),
    ],
)
def test_malformed_comments(write, row, message):
    with pytest.raises(DataError, match=message):
        read_toxicity(write("t.csv", f"rev_id,comment,toxic\n{row}\n"))
