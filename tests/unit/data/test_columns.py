import pyarrow as pa
import pytest

from holdfast.core.errors import DataError
from holdfast.data import Dataset
from holdfast.data.columns import SCHEMA


def of(**columns):
    return Dataset.from_table(pa.table({name.replace("group_", "group:"): values for name, values in columns.items()}), name="n", split="s")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({}, "needs a column 'tokens'"),
        ({"tokens": [["a"]], "labels": ["x"]}, "did you mean 'label'"),
        ({"tokens": [["a"], []]}, "row 1 has no tokens"),
        ({"tokens": [["a"], ["b", ""]]}, "row 1 has an empty token"),
        ({"tokens": [["a"], ["b", None]]}, "'tokens' is empty in row 1"),
        ({"tokens": [["a"], None]}, "'tokens' is empty in row 1"),
        ({"tokens": ["a b"]}, "'tokens' holds string, a data set wants a list of strings"),
        ({"tokens": [["a"], ["b"]], "label": ["x", None]}, "'label' is empty in row 1"),
        ({"tokens": [["a"]], "label": [["x"]]}, "'label' holds list.* wants strings"),
        ({"tokens": [["a"]], "timestamp": ["2024-01-01"]}, "wants times"),
        ({"tokens": [["a"], ["b", "c"]], "tags": [["O"], ["O"]]}, "row 1 has 2 tokens but 1 tags"),
        ({"tokens": [["a"]], "group_": ["x"]}, "no column 'group:'"),
    ],
)
def test_a_table_of_another_form_is_refused(columns, why):
    with pytest.raises(DataError, match=why):
        of(**columns)


def test_a_null_inside_a_dictionary_is_found():
    label = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["x", None]))
    with pytest.raises(DataError, match="'label' is empty in row 1"):
        of(tokens=[["a"], ["b"]], label=label)


def test_a_column_that_stands_twice_is_refused():
    table = pa.Table.from_arrays([pa.array([["a"]]), pa.array([["b"]])], ["tokens", "tokens"])
    with pytest.raises(DataError, match="twice"):
        Dataset.from_table(table, name="n", split="s")


def test_integers_become_the_strings_that_they_are():
    assert of(tokens=[["a"]], label=[3], group_age=[41]).labels() == ["3"]


def test_any_time_becomes_utc_seconds():
    zoned = pa.array([1_704_067_200_999], pa.timestamp("ms", "Europe/Warsaw"))
    assert str(of(tokens=[["a"]], timestamp=zoned).timestamps()[0]) == "2024-01-01T00:00:00"


def encodings(data):
    """The same content in every encoding that Arrow has for it."""
    table = data.table
    plain = pa.table({name: table.column(name).cast(plainly(table.schema.field(name).type)) for name in table.column_names})
    large = pa.table({name: plain.column(name).cast(largely(plain.schema.field(name).type)) for name in plain.column_names})
    yield plain
    yield large
    yield table.select(list(reversed(table.column_names)))
    yield pa.concat_tables([table.slice(0, 1), table.slice(1, 0), plain.slice(1).cast(table.schema)])
    yield pa.concat_tables([plain.slice(row, 1) for row in range(len(data))])
    yield pa.concat_tables([table, table]).slice(len(data))


def plainly(kind):
    return pa.list_(pa.string()) if pa.types.is_list(kind) else kind if pa.types.is_timestamp(kind) else pa.string()


def largely(kind):
    return (
        pa.large_list(pa.large_string())
        if pa.types.is_list(kind)
        else pa.timestamp("us")
        if pa.types.is_timestamp(kind)
        else pa.large_string()
    )


def data_with_context(data):
    """The same rows, of which the second and third answer something."""
    column = pa.array([[], ["is", "Orla", "in", "?"], ["stop"]], pa.list_(pa.string()))
    return Dataset.from_table(data.table.append_column("context", column), name="n", split="s")


def test_hash_and_content_do_not_depend_on_the_encoding(data):
    data = data_with_context(data)
    for table in encodings(data):
        other = Dataset.from_table(table, name="n", split="s")
        assert list(other) == list(data)
        assert other.content_hash == data.content_hash
        assert {name: other.table.schema.field(name).type for name in SCHEMA} == SCHEMA


def test_the_hash_tells_contents_apart_that_run_together_alike():
    different = [
        of(tokens=[["ab"], ["c"]]),
        of(tokens=[["a", "b"], ["c"]]),
        of(tokens=[["a"], ["bc"]]),
        of(tokens=[["a"], ["b", "c"]]),
        of(tokens=[["a"], ["b", "c"]], label=["x", "y"]),
        of(tokens=[["a"], ["b", "c"]], user_id=["x", "y"]),
        of(tokens=[["a"], ["b", "c"]], group_label=["x", "y"]),
    ]
    assert len({data.content_hash for data in different}) == len(different)


def test_the_hash_covers_rows_past_the_first_piece():
    long = pa.table({"tokens": [["a"]] * 70_000, "label": ["x"] * 70_000})
    changed = pa.table({"tokens": [["a"]] * 70_000, "label": ["x"] * 69_999 + ["y"]})
    assert Dataset.from_table(long, name="n", split="s").content_hash != Dataset.from_table(changed, name="n", split="s").content_hash


def test_an_empty_table_is_a_data_set():
    empty = Dataset.from_table(pa.table({"tokens": pa.array([], pa.list_(pa.string()))}), name="n", split="s")
    assert (len(empty), empty.tokens(), list(empty)) == (0, [], [])
    assert empty.content_hash == Dataset.from_examples([], name="n", split="s").content_hash


def test_making_a_data_set_of_a_canonical_table_copies_nothing(data):
    again = Dataset.from_table(data.table, name="n", split="s")
    for name in ("label", "user_id"):
        assert (
            again.table.column(name).chunk(0).indices.buffers()[1].address == data.table.column(name).chunk(0).indices.buffers()[1].address
        )
