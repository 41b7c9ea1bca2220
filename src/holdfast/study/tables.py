"""What all study files share: tables that refuse unknown keys, where data, task and model come from, and errors in words."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.core.errors import StudyError, nearest

P = TypeVar("P", bound=BaseModel)
Located = Callable[[Sequence[str | int]], type[BaseModel]]
"""From the place of a key in a file to the table that it should be a key of."""


class Table(BaseModel):
    """A table of the file; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Open(BaseModel):
    """A table whose further keys are options of the part that it names, which checks them itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def options(self) -> dict[str, Any]:
        """The further keys."""
        return dict(self.model_extra or {})


class DataPlan(Open):
    """``[data]``: where the utterances come from; further keys are options of `load_data`."""

    source: str

    def anchored(self, folder: Path) -> DataPlan:
        """The same with its path taken from a folder."""
        return DataPlan(**{**self.model_dump(), "source": anchored(self.source, folder)})


class TaskPlan(Open):
    """``[task]``: what to learn; further keys are options of the task."""

    name: str = "intent-slot"


class ModelPlan(Open):
    """``[model]``: what learns it; further keys are settings of the model."""

    name: str = "bilstm"

    def anchored(self, folder: Path) -> ModelPlan:
        """The same with its paths taken from a folder."""
        return ModelPlan(**anchored_model(self.model_dump(), folder))


def anchored(source: str, folder: Path) -> str:
    """Takes the path of a source from the study file's folder; a name on a hub stays as it is."""
    kind, colon, rest = source.partition(":")
    if not colon or kind == "assistant" or (kind == "hub" and not (folder / rest).exists()):
        return source
    return f"{kind}:{folder / rest}"


def anchored_model(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Takes the paths among the settings of a model from the study file's folder."""
    paths = {"vectors": str(folder / options["vectors"])} if options.get("vectors") is not None else {}
    return {**options, **paths, **({"name": anchored(options["name"], folder)} if "name" in options else {})}


def check_options(where: str, options: Mapping[str, Any], part: Callable[..., Any]) -> None:
    """Refuses an option that a part does not take.

    Args:
        where: What to call the table in errors.
        options: What the file gives.
        part: Whose arguments they are.

    Raises:
        StudyError: Naming the first unknown one and the nearest known.
    """
    known = [name for name, parameter in inspect.signature(part).parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise StudyError(f"{where}: unknown key {unknown[0]!r}; {nearest(unknown[0], [name for name in known if name != 'source'])}")


def read_text(path: Path) -> str:
    """Reads a study file.

    Raises:
        StudyError: If it is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: the study file cannot be read ({error})") from error


def validated(plan: type[P], text: str, *, origin: str, located: Located) -> P:
    """Checks the text of a study file against its tables.

    Args:
        plan: The whole file.
        text: TOML.
        origin: What to call it in errors.
        located: Tells the table of an unknown key.

    Raises:
        StudyError: For text that is no TOML, an unknown key (naming the nearest), a missing one, or a value out of range.
    """
    try:
        return plan.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{origin}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise StudyError(f"{origin}: " + "\n".join(_worded(item, located) for item in error.errors())) from error


def _worded(item: Mapping[str, Any], located: Located) -> str:
    place = item["loc"]
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    if item["type"] == "extra_forbidden":
        return f"unknown key {where!r}; {nearest(str(place[-1]), located(place).model_fields)}"
    if item["type"] == "missing":
        return f"the key {where!r} is missing"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    value = f", got {item['input']!r}" if where else ""
    return f"{where}: {item['msg'].lower()}{value}"
