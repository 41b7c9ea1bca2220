"""JSON documents on disk, held to a schema when written and when read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError, RunError, nearest

_SCHEMAS = {"holdfast.evidence": "evidence.schema.json", "holdfast.run": "run.schema.json"}
_NUMBERS = re.compile(r"\[\n\s*(-?\d[-+.,\deE\s]*)\n\s*\]")  # no string can match: a newline inside one is written as \n


def json_text(document: Mapping[str, Any]) -> str:
    """Plain JSON that a person can read too: indented, but a list of numbers stays on one line.

    The same document gives the same text, and reading it back gives the same document.

    Raises:
        ValueError: For a number that is not finite.

    >>> print(json_text({"name": "a", "x": [0.5, 1.0]}), end="")
    {
      "name": "a",
      "x": [0.5, 1.0]
    }
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return _NUMBERS.sub(lambda match: "[" + re.sub(r",\s+", ", ", match[1]) + "]", text) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RunError: If the file is missing, cut short, no JSON, or holds a number that is not finite; names file and line.
    """
    try:
        document = json.loads(path.read_bytes(), parse_constant=_refuse)
    except FileNotFoundError as error:
        raise RunError(f"{path}: there is no such file; is this the folder of a run?") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); check that the file belongs to you") from error
    except json.JSONDecodeError as error:
        raise RunError(f"{path}, line {error.lineno}: damaged, not JSON ({error.msg}); restore it from a backup or move it away") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}); restore it from a backup or move it away") from error
    if not isinstance(document, dict):
        raise RunError(
            f"{path}: holds a JSON {type(document).__name__} where an object is expected; restore it from a backup or move it away"
        )
    return document


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no JSON number")


def validate(document: Mapping[str, Any], *, place: str) -> None:
    """Holds a document against the JSON schema (draft 2020-12) of its kind and version.

    Args:
        document: What `RunRecord.to_json` or `Evidence.to_json` gives, or what was read from a file.
        place: Where it comes from, for the message.

    Raises:
        InputError: If it is of an unknown kind, or not as the schema says; names the place, the key and what is expected.
    """
    kind = document.get("schema")
    if kind not in _SCHEMAS:
        raise InputError(f"{place}: schema is {kind!r}; {nearest(str(kind), _SCHEMAS)}")
    expected = _schema(kind)["properties"]["schema_version"]["const"]
    version = document.get("schema_version")
    if version != expected:
        raise InputError(f"{place}: schema version {version!r}, this holdfast reads {expected}; use the version that wrote it")
    from jsonschema.exceptions import best_match

    error = best_match(_validator(kind).iter_errors(document))
    if error is not None:
        message = error.message if len(error.message) < 300 else f"{error.message[:300]}..."
        raise InputError(f"{place}: {error.json_path} is not as the schema {kind} {expected} says: {message}")


@cache
def _schema(kind: str) -> dict[str, Any]:
    text = resources.files("holdfast.runs").joinpath(_SCHEMAS[kind]).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    schemas = [_schema(name) for name in _SCHEMAS]
    registry: Any = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    return Draft202012Validator(_schema(kind), registry=registry)
