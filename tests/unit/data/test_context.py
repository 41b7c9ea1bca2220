"""The column `context`: what an utterance answers, in examples, columns, files and secrets."""

import json

import pyarrow as pa
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import Columns, Dataset, DataSplits, Example, coin_canaries, draw_secrets, load_data, pattern, plant_secrets


def chat():
    rows = [
        Example(tokens=("is", "it", "on", "?"), user_id="ada", label="asks", context=()),
        Example(tokens=("yes",), user_id="bo", label="says", context=("is", "it", "on", "?")),
        Example(tokens=("thanks",), user_id="ada", label="says", context=("yes",)),
    ]
    return Dataset.from_examples(rows, name="chat", split="train"), rows


def test_contexts_come_back_as_they_went_in():
    data, rows = chat()
    assert data.has("context")
    assert data.contexts() == [[], ["is", "it", "on", "?"], ["yes"]]
    assert list(data) == rows
    assert data.take([2, 0]).contexts() == [["yes"], []]
    assert list(data.for_user("ada")) == [rows[0], rows[2]]
    assert repr(data) == "Dataset('chat', 'train', 3 examples: tokens, label, user_id, context)"


def test_data_without_a_context_say_so(data):
    assert not data.has("context")
    assert data[0].context is None
    with pytest.raises(InputError, match="no column 'context'"):
        data.contexts()


def test_the_hash_counts_the_context_and_data_without_keep_theirs():
    data, _ = chat()
    bare = Dataset.from_table(data.table.drop_columns(["context"]), name="chat", split="train")
    other = data.table.set_column(3, "context", pa.array([[], ["is", "it"], ["yes"]]))
    assert len({data.content_hash, bare.content_hash, Dataset.from_table(other, name="c", split="s").content_hash}) == 3
    without = Dataset.from_examples([Example(tokens=row.tokens, user_id=row.user_id, label=row.label) for row in data], name="c", split="s")
    assert without.content_hash == bare.content_hash


def test_a_word_does_not_wander_between_contexts_unseen():
    hashes = {
        Dataset.from_table(pa.table({"tokens": [["a"], ["b"]], "context": pair}), name="n", split="s").content_hash
        for pair in ([["x"], ["y"]], [["x", "y"], []], [[], ["x", "y"]], [["xy"], []])
    }
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ([["a"], [""]], "row 1 has an empty word in its context"),
        ([["a"], None], "'context' is empty in row 1"),
        ([["a"], ["b", None]], "'context' is empty in row 1"),
        (["a", "b"], "'context' holds string, a data set wants a list"),
    ],
)
def test_a_context_of_another_form_is_refused(context, why):
    with pytest.raises(DataError, match=why):
        Dataset.from_table(pa.table({"tokens": [["a"], ["b"]], "context": context}), name="n", split="s")


def test_an_example_refuses_a_text_and_an_empty_word():
    with pytest.raises(DataError, match="context is the text"):
        Example(tokens=("a",), context="hello there")
    with pytest.raises(DataError, match="no word may be empty"):
        Example(tokens=("a",), context=("b", ""))
    assert Example(tokens=("a",), context=["b", "c"]).context == ("b", "c")
    assert Example(tokens=("a",), context=[]).context == ()


def test_the_summary_counts_what_answers_something():
    data, _ = chat()
    assert DataSplits("chat", data, data, data).summary()["splits"]["train"]["in_context"] == 2


def test_files_give_a_context_only_where_it_is_named(write):
    rows = [{"text": f"well {i}", "context": c} for i, c in enumerate(["", [], "is it on", ["is it", "on"], " "] * 4)]
    source = f"jsonl:{write('chat.jsonl', chr(10).join(map(json.dumps, rows)))}"
    assert not load_data(source).train.has("context")  # such a field means other things elsewhere, and hashes must not change
    parts = load_data(source, columns=Columns(context="context")).parts
    contexts = {" ".join(row.tokens): row.context for part in parts for row in part}
    assert [contexts[f"well {i}"] for i in range(5)] == [(), (), ("is", "it", "on"), ("is it", "on"), ()]


def test_a_csv_gives_a_context_too_and_a_missing_field_is_an_error(write):
    path = write("chat.csv", "text,before\n" + "yes,is it on\nhm,\n" * 5)
    whole = [row for part in load_data(f"csv:{path}", columns={"context": "before"}).parts for row in part]
    assert {row.context for row in whole} == {("is", "it", "on"), ()}
    with pytest.raises(DataError, match="no column 'after'"):
        load_data(f"csv:{path}", columns={"context": "after"})
    path = write("chat.jsonl", '{"text": "a", "before": "b"}\n{"text": "a"}\n')
    with pytest.raises(DataError, match=r"line 2.*no column 'before'|:2.*no column 'before'"):
        load_data(f"jsonl:{path}", columns={"context": "before"})


def test_canaries_and_secrets_carry_the_context_of_a_row():
    rows = [Example(tokens=(f"w{i % 7}", "x"), label="ab"[i % 2], context=(f"c{i}",)) for i in range(80)]
    data = Dataset.from_examples(rows, name="n", split="train")
    made = coin_canaries(data, count=20, kind="random-words", streams=Streams.from_seed(1))
    assert {row.context for row in made.candidates} <= {row.context for row in rows}
    secrets = draw_secrets([(pattern("pin", length=2), 3)], streams=Streams.from_seed(2))
    planted = plant_secrets(DataSplits("n", data, data, data), secrets, streams=Streams.from_seed(3), min_count=None).train
    assert len(planted) == 83
    assert {len(context) for context in planted.contexts()} == {1}
