"""A record is plain data, and comes back from JSON as it went in."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.runs import RunRecord, json_text, validate

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(), max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=12,
)


def bare(**changes: object) -> RunRecord:
    values = {"name": "a", "status": "finished", "created": "2026-11-22T17:04:55+00:00", "evidence": Evidence()}
    empty = {key: {} for key in ("settings", "environment", "data", "model", "mechanism")}
    return RunRecord(**{**values, **empty, **changes})


def there_and_back(record: RunRecord) -> RunRecord:
    return RunRecord.from_json(json.loads(json_text(record.to_json()).encode("utf-8", "backslashreplace")))


def test_round_trip_is_exact(record: RunRecord):
    assert there_and_back(record) == record
    assert json_text(there_and_back(record).to_json()) == json_text(record.to_json())


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_round_trip_is_exact_for_any_plain_settings(settings: dict):
    assert there_and_back(bare(settings=settings)) == bare(settings=settings)


def test_tuples_and_numpy_floats_become_plain_so_that_a_record_equals_its_copy():
    record = bare(settings={"splits": (0.8, np.float64(0.1))})
    assert record.settings == {"splits": [0.8, 0.1]}
    assert type(record.settings["splits"][1]) is float
    assert there_and_back(record) == record


def test_a_record_does_not_change_with_the_settings_it_was_made_from():
    settings = {"training": {"epochs": 20}}
    record = bare(settings=settings)
    settings["training"]["epochs"] = 1
    assert record.settings == {"training": {"epochs": 20}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"a": {"b": [1, math.nan]}}, r"settings\.a\.b\[1\] is nan; JSON holds finite numbers only"),
        ({"a": np.int64(3)}, r"settings\.a is a numpy\.int64, which is not plain JSON"),
        ({"a": {3: 1}}, r"settings\.a has the key 3, which is no text"),
        ({"when": object()}, r"settings\.when is a builtins\.object"),
    ],
)
def test_what_is_not_plain_is_refused_by_its_place(settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        bare(settings=settings)


@pytest.mark.parametrize("created", ["yesterday", "2026-11-22T17:04:55", "2026-11-22T17:04:55+01:00", ""])
def test_a_time_that_is_not_utc_is_refused(created: str):
    with pytest.raises(InputError, match="give ISO 8601 in UTC"):
        bare(created=created)


def test_a_time_may_end_in_z():
    assert bare(created="2026-11-22T17:04:55Z").created.endswith("Z")


def test_a_run_has_a_name_and_a_known_status():
    with pytest.raises(InputError, match="a run needs a name"):
        bare(name=" ")
    with pytest.raises(InputError, match="status 'done' is none of"):
        bare(status="done")


def test_adding_evidence_leaves_the_record_as_it_was(record: RunRecord):
    more = record.adding(Evidence(notes=("Another note.",)))
    assert more.evidence.notes == ("One run only.", "Another note.")
    assert record.evidence.notes == ("One run only.",)
    assert dataclasses.replace(more, evidence=record.evidence) == record


def test_a_record_of_a_later_version_is_refused(record: RunRecord):
    with pytest.raises(InputError, match="schema version 2, this holdfast reads 1; use the version that wrote it"):
        RunRecord.from_json({**record.to_json(), "schema_version": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": []}, r"\$\.settings is not as the schema"),
        ({"surprise": 1}, r"'surprise' was unexpected"),
        ({"schema": "holdfast.runs"}, "did you mean 'holdfast.run'"),
    ],
)
def test_the_schema_names_the_key_that_is_wrong(record: RunRecord, change: dict, message: str):
    with pytest.raises(InputError, match=message):
        validate({**record.to_json(), **change}, place="here")


def test_the_schema_reaches_into_the_evidence(record: RunRecord):
    document = record.to_json()
    document["evidence"]["estimates"][1]["missing"] = None
    with pytest.raises(InputError, match=r"here: \$\.evidence\.estimates\[1\]"):
        validate(document, place="here")


def test_a_key_that_is_missing_is_named(record: RunRecord):
    document = record.to_json()
    del document["mechanism"]
    with pytest.raises(InputError, match="'mechanism' is a required property"):
        validate(document, place="here")
