"""Properties of data sets under any content, any encoding and any order; hypothesis picks them."""

import gzip
import hashlib
import json
import struct
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.core.errors import HoldfastError
from holdfast.core.randomness import Streams
from holdfast.data import Columns, Dataset, Example, Fractions, load_data, plant_canaries
from holdfast.data.assistant import AssistantSettings, clean_labels, generate

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
MOMENT = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
THIRDS = Fractions(train=0.3, validation=0.3, test=0.4)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def rows(draw, word=WORD, min_size=0):
    """Examples that all have the same attributes, drawn with the examples."""
    label, tags, user, moment, context = (draw(st.booleans()) for _ in range(5))
    groups = draw(st.lists(WORD, max_size=2, unique=True))
    found = []
    for _ in range(draw(st.integers(min_size, 8))):
        tokens = draw(st.lists(word, min_size=1, max_size=5))
        found.append(
            Example(
                tokens=tokens,
                label=draw(word) if label else None,
                tags=[draw(word) for _ in tokens] if tags else None,
                user_id=draw(word) if user else None,
                timestamp=draw(MOMENT) if moment else None,
                groups={group: draw(word) for group in groups},
                context=draw(st.lists(word, max_size=3)) if context else None,
            )
        )
    return found


def as_record(example: Example) -> dict:
    fields = {
        "tokens": example.tokens,
        "label": example.label,
        "tags": example.tags,
        "user_id": example.user_id,
        "timestamp": example.timestamp and example.timestamp.isoformat(),
        "context": example.context,
    }
    return {key: value for key, value in fields.items() if value is not None} | {f"g:{key}": value for key, value in example.groups.items()}


def made(examples, name="any"):
    return Dataset.from_examples(examples, name=name, split="train")


def slow_hash(data: Dataset) -> str:
    """The definition of the content hash, one Python object at a time; only for data of fewer than 65,536 rows."""
    digest = hashlib.sha256(b"holdfast.dataset/1\n" + struct.pack("<q", len(data)))
    for name in sorted(data.table.column_names):
        digest.update(b"%d:%s\n" % (len(name.encode()), name.encode()))
        values = data.table.column(name).to_pylist()
        if not values:
            continue
        if name == "timestamp":
            digest.update(b"".join(struct.pack("<q", int(value.replace(tzinfo=UTC).timestamp())) for value in values))
            continue
        if name in ("tokens", "tags", "context"):
            digest.update(b"".join(struct.pack("<q", len(value)) for value in values))
            values = [word for value in values for word in value]
        digest.update(b"".join(struct.pack("<q", len(value.encode())) for value in values))
        digest.update("".join(values).encode())
    return digest.hexdigest()


@FEW
@given(rows())
def test_examples_come_back_as_they_went_in(examples):
    data = made(examples)
    assert list(data) == examples
    assert [data[at] for at in range(len(data))] == examples
    assert data.tokens() == [list(example.tokens) for example in examples]


@FEW
@given(rows())
def test_the_hash_is_its_definition(examples):
    data = made(examples)
    assert data.content_hash == slow_hash(data)


@FEW
@given(rows(min_size=1), st.data())
def test_the_hash_ignores_chunks_and_the_name(examples, draw):
    data = made(examples)
    cut = draw.draw(st.integers(0, len(data)))
    pieces = [made(examples[:cut]).table, made(examples[cut:]).table]
    pieces = [piece for piece in pieces if piece.num_rows]
    again = Dataset.from_table(pa.concat_tables(pieces), name="other", split="test")
    assert again.content_hash == data.content_hash


@FEW
@given(rows(), rows())
def test_equal_hashes_mean_equal_content(one, two):
    a, b = made(one), made(two)
    same = list(a) == list(b) and a.table.column_names == b.table.column_names
    assert (a.content_hash == b.content_hash) == same


@FEW
@given(rows(min_size=1), st.data())
def test_take_is_indexing(examples, draw):
    data = made(examples)
    indices = draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=12))
    assert list(data.take(indices)) == [examples[at] for at in indices]
    assert list(data.take(np.array(indices, np.int32))) == [examples[at] for at in indices]


@FEW
@given(rows(min_size=1))
def test_views_by_group_and_user_are_a_partition(examples):
    data = made(examples)
    for group in data.group_names:
        parts = {value: data.where(group, value) for value in set(data.group(group))}
        assert Counter(example for part in parts.values() for example in part) == Counter(examples)
        assert all(example.groups[group] == value for value, part in parts.items() for example in part)
    if data.has("user_id"):
        assert sum(len(data.for_user(user)) for user in set(data.user_ids())) == len(data)


@FEW
@given(rows(min_size=1), st.integers(1, 4), st.integers(0, 9))
def test_canaries_only_add(examples, copies, seed):
    data = made(examples)
    planted = Counter(plant_canaries(data, examples[:1], copies=copies, streams=Streams(seed)))
    planted.subtract({examples[0]: copies})
    assert +planted == Counter(examples)


@FEW
@given(rows(min_size=3), st.booleans())
def test_json_lines_carry_everything_but_the_users_name(tmp_path, examples, zipped):
    path = tmp_path / "any.jsonl"
    lines = "".join(json.dumps(as_record(example)) + "\n" for example in examples).encode()
    path.write_bytes(gzip.compress(lines) if zipped else lines)
    groups = {f"g:{name}": name for name in examples[0].groups}
    context = None if examples[0].context is None else "context"
    data = load_data(f"jsonl:{path}", columns=Columns(groups=list(groups), context=context), fractions=THIRDS)
    back = [
        replace(example, user_id=None, groups={groups[key]: value for key, value in example.groups.items()})
        for part in data.parts
        for example in part
    ]
    assert Counter(back) == Counter(replace(example, user_id=None) for example in examples)
    users = {user for part in data.parts if part.has("user_id") for user in part.user_ids()}
    assert len(users) == len({example.user_id for example in examples} - {None})


@FEW
@given(st.binary(max_size=300), st.sampled_from(["jsonl", "csv", "conll"]))
def test_no_bytes_make_a_loader_fail_in_another_way_than_on_purpose(tmp_path, raw, kind):
    path = tmp_path / f"any.{kind}"
    path.write_bytes(raw)
    told = ""
    try:
        load_data(f"{kind}:{path}")
    except HoldfastError as error:
        told = str(error)
    assert not told or str(path) in told or "'any': " in told


@settings(max_examples=15, deadline=None)
@given(
    st.builds(
        AssistantSettings,
        train=st.integers(1, 300),
        validation=st.integers(1, 30),
        test=st.integers(1, 30),
        users=st.integers(10, 80),
        seed=st.integers(0, 2**64),
        split=st.sampled_from(["random", "time"]),
        drift=st.floats(0, 5),
        minority_share=st.floats(0.01, 0.99),
        label_noise=st.floats(0, 0.5),
        label_noise_gap=st.floats(0, 0.5),
        slot_noise=st.floats(0, 1),
        rare_wording=st.floats(0, 0.5),
        rare_wording_gap=st.floats(0, 0.5),
    )
)
def test_any_settings_give_a_sound_corpus(settings):
    data, clean = generate(settings), clean_labels(settings)
    assert [len(part) for part in data.parts] == [settings.train, settings.validation, settings.test]
    assert [len(clean[part.split]) for part in data.parts] == [len(part) for part in data.parts]
    assert data.content_hash == generate(settings).content_hash
    for tags in data.train.tags():
        for before, tag in zip(["O", *tags], tags, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
    truth = settings.truth()
    assert truth.accuracy_difference == pytest.approx(settings.label_noise_gap, abs=1e-9)
