"""From a template to a study: one run for each method, level of noise and seed, written out as an ordinary study file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from holdfast.study.plan import RunPlan, StudyPlan, parse_plan

_OURS = ("grid", "method", "quick", "seconds")  # tables of a template that a study file does not have


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A study over a grid, with what its runs take.

    Args:
        plan: The study.
        text: The same as a study file, which `holdfast run` takes.
        per_run: Seconds that a run takes beside its epochs, about, on one core.
        per_thousand: Seconds of an epoch over 1,000 examples, about, by mechanism.
    """

    plan: StudyPlan
    text: str
    per_run: float
    per_thousand: Mapping[str, float]

    def seconds(self, runs: Sequence[RunPlan], *, examples: int) -> float:
        """About how long these runs take with so many training examples, on one core like the one that was measured on."""
        epochs = {run.name: float(self.plan.setting(run, "epochs")) for run in runs}
        return sum(self.per_run + self.per_thousand[run.mechanism] * examples / 1000 * epochs[run.name] for run in runs)


def read_grid(template: str, *, quick: bool, source: str | None) -> Grid:
    """Makes a study of a template.

    Args:
        template: Name of a file beside this module.
        quick: Take what its table [quick] says, which is smaller.
        source: Other data, as in a study file; None takes those of the template.

    Raises:
        InputError: For a source that does not exist.
        StudyError: If the template is no study.
    """
    document = tomllib.loads(resources.files("holdfast.study.reproductions").joinpath(template).read_text(encoding="utf-8"))
    if quick:
        document = _overridden(document, document["quick"])
    if source is not None:
        document["data"] = {"source": source}
    text = study_file(document, list(_runs(document)))
    seconds = document["seconds"]
    return Grid(
        plan=parse_plan(text, origin=template, folder=Path()),
        text=text,
        per_run=seconds["run"],
        per_thousand={name: value for name, value in seconds.items() if name != "run"},
    )


def study_file(document: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """Writes a study file with a line for each run.

    >>> print(study_file({"title": "A study", "data": {"source": "assistant"}}, [{"name": "plain", "seed": 1}]), end="")
    title = "A study"
    run = [
      { name = "plain", seed = 1 },
    ]
    <BLANKLINE>
    [data]
    source = "assistant"
    """
    kept = {key: value for key, value in document.items() if key not in _OURS}
    lines = [f"{key} = {_toml(value)}" for key, value in kept.items() if not isinstance(value, Mapping)]
    lines += ["run = [", *(f"  {_toml(run)}," for run in runs), "]"]
    for name, table in kept.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _runs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Seed after seed, so that whoever stops early has whole seeds."""
    grid, methods = document["grid"], document["method"]
    for seed in grid["seeds"]:
        for method, settings in methods.items():
            if method == "none":
                yield {"name": f"non-private-seed-{seed}", "mechanism": method, "seed": seed, **settings}
                continue
            for noise in grid["noise_multipliers"]:
                name = f"{method}-noise-{noise:g}-seed-{seed}"
                yield {"name": name, "mechanism": method, "seed": seed, "noise_multiplier": noise, **settings}


def _overridden(document: Mapping[str, Any], quick: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**document, **{name: {**document[name], **table} for name, table in quick.items()}}


def _toml(value: Any) -> str:
    """A value of a template as TOML; a JSON string, number or flag is one of TOML too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
