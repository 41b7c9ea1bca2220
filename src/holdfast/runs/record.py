"""What is kept of one run: resolved settings, environment, data, evidence; plain data with an exact JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self, get_args

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.runs.documents import validate

SCHEMA = "holdfast.run"
SCHEMA_VERSION = 1

Status = Literal["running", "finished", "interrupted", "stopped"]
_PLAIN = ("settings", "environment", "data", "model", "mechanism")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All that a report needs of one run, years later and without the model.

    Args:
        name: The run's name, the `subject` of its evidence.
        status: "running", "finished", "interrupted" (it can be resumed) or "stopped" (by an error).
        created: When the run began: ISO 8601 in UTC, such as "2026-11-22T17:04:55+00:00".
        settings: Every setting with its resolved value, defaults included.
        environment: Versions, platform, threads.
        data: What `DataSplits.summary()` gives: counts and hashes, no utterance.
        model: Kind and settings of the model.
        mechanism: What `Mechanism.describe()` gives.
        evidence: What was found about the run.
        command: What was typed, if it came from a command.

    The mappings hold plain JSON: text keys; text, finite numbers, booleans, None, lists and mappings as values. A tuple becomes
    a list, so that a record equals the one that is read back.

    Raises:
        InputError: For an empty name, an unknown status, a time that is not in UTC, or a value that is not plain JSON.
    """

    name: str
    status: Status
    created: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    mechanism: Mapping[str, Any]
    evidence: Evidence
    command: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("a run needs a name; give one such as 'dp-sgd'")
        if self.status not in get_args(Status):
            raise InputError(f"run {self.name!r}: status {self.status!r} is none of {get_args(Status)}")
        utc(self.created)
        for field in _PLAIN:
            object.__setattr__(self, field, _plain(getattr(self, field), f"run {self.name!r}: {field}"))

    def adding(self, evidence: Evidence) -> RunRecord:
        """Returns the record with more evidence at the end of its own."""
        return replace(self, evidence=self.evidence + evidence)

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists, dictionaries, strings and numbers; `from_json` gives the same record back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **values, "evidence": self.evidence.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            InputError: If the document is of another schema or version, or not as the schema says.
        """
        validate(document, place="run record")
        values = {field.name: document[field.name] for field in fields(cls)}
        return cls(**{**values, "evidence": Evidence.from_json(document["evidence"])})


def utc(moment: str) -> datetime:
    """Reads a time that is written in UTC.

    Raises:
        InputError: If it is no ISO 8601, or not in UTC.
    """
    try:
        read = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        read = None
    if read is None or read.utcoffset() != timedelta(0):
        raise InputError(f"the time a run was created is {moment!r}; give ISO 8601 in UTC, such as '2026-11-22T17:04:55+00:00'")
    return read


def _plain(value: Any, place: str) -> Any:
    """A copy in plain JSON types, or an error that names the place of what is not plain."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise InputError(f"{place} is {value}; JSON holds finite numbers only, so leave it out")
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{position}]") for position, item in enumerate(value)]
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise InputError(f"{place} has the key {odd[0]!r}, which is no text; a JSON object has text keys only")
        return {key: _plain(item, f"{place}.{key}") for key, item in value.items()}
    raise InputError(f"{place} is a {type(value).__module__}.{type(value).__name__}, which is not plain JSON; convert it first")
