"""From the template of a study to a study file: an ordinary one, with a line for each run of the grid."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from holdfast.core.evidence import Evidence
from holdfast.report.reproductions import Presentation
from holdfast.runs import RunRecord
from holdfast.study.federation import FederatedPlan
from holdfast.study.kinds import TRAININGS, Kind, Plan
from holdfast.study.plan import RunPlan

_OURS = ("grid", "method", "defence", "strategy", "clock", "other", "files", "sources", "quick", "seconds")
"""Tables of a template that a study file does not have."""

Template = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question that one command asks again, over a grid of settings and seeds.

    Args:
        name: What to call it on the command line.
        question: What is asked, in one sentence.
        template: Its file, below this package.
        runs: The runs of a template, as the lines of a study file.
        summarise: Sums up the records of a finished grid.
        trimmed: A record with the figures that the page shows of each run.
        presentation: How it is shown.
        timed: Whether it compares times, so that its runs must not share the machine with each other.
        kind: Of its file.
    """

    name: str
    question: str
    template: str
    runs: Callable[[Template], Iterator[Mapping[str, Any]]]
    summarise: Callable[[Sequence[RunRecord]], Evidence]
    trimmed: Callable[[RunRecord], RunRecord]
    presentation: Presentation
    timed: bool = False
    kind: Kind = TRAININGS

    @property
    def jobs(self) -> int:
        """How many runs to train at once where nobody says: one for each core, or one where times count."""
        return 1 if self.timed else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A study over a grid, with what its runs take.

    Args:
        study: What is asked.
        plan: The runs.
        text: The same as a study file, which `holdfast run` takes.
        per_run: Seconds that a run takes beside its epochs and its secrets, about, on one core.
        per_thousand: Seconds of an epoch over 1,000 examples, about, by what is done against leakage: the defence of the run's
            cell, or its mechanism; of a federated study those of a "round".
        per_secret: Seconds that the search for a secret takes, about, by its unknown words.
    """

    study: Study
    plan: Plan
    text: str
    per_run: float
    per_thousand: Mapping[str, float]
    per_secret: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, runs: Sequence[Any], *, examples: int) -> float:
        """About how long these runs take with so many training examples, on one core like the one that was measured on."""
        if isinstance(self.plan, FederatedPlan):
            return sum(self.per_run + self.per_thousand["round"] * self.plan.rounds_of(run) for run in runs)
        return sum(self._of_run(run, examples) for run in runs)

    def _of_run(self, run: RunPlan, examples: int) -> float:
        assert not isinstance(self.plan, FederatedPlan)
        epochs = float(self.plan.setting(run, "epochs"))
        secrets = self.plan.audit_of(run).secrets
        planted = sum(secret.repetitions for secret in secrets)
        training = self.per_thousand[str(run.cell.get("defence", run.mechanism))] * (examples + planted) / 1000 * epochs
        lengths = [secret.length or (secret.template or "").count("{}") for secret in secrets]
        return self.per_run + training + sum(self.per_secret.get(str(length), 0.0) for length in lengths)


def read_grid(study: Study, *, quick: bool, source: str | None) -> Grid:
    """Makes a grid of a study's template.

    Args:
        study: The study.
        quick: Take what its table [quick] says, which is smaller.
        source: Other data, as in a study file; None takes those of the template. Other data than the embedded corpus are loaded with the
            options of the table [files], if there is one. What [sources] says of their kind takes the place of the rest: its task and
            its model those of the template, its other tables key by key.

    Raises:
        InputError: For a source that does not exist.
        StudyError: If the template is no study.
    """
    text = resources.files("holdfast.study.reproductions").joinpath(study.template).read_text(encoding="utf-8")
    document = tomllib.loads(text)
    if quick:
        document = _overridden(document, document["quick"])
    if source is not None:
        document = _of_source(document, source)
    text = study_file(document, list(study.runs(document)))
    seconds = document["seconds"]
    return Grid(
        study=study,
        plan=study.kind.parse(text, origin=study.template, folder=Path()),
        text=text,
        per_run=seconds["run"],
        per_thousand={name: value for name, value in seconds.items() if name not in ("run", "secret")},
        per_secret=seconds.get("secret", {}),
    )


def study_file(document: Template, runs: Sequence[Mapping[str, Any]]) -> str:
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


def _of_source(document: Template, source: str) -> dict[str, Any]:
    kind = source.partition(":")[0]
    special = {**document.get("sources", {}).get(kind, {})}
    files = {} if kind == "assistant" else {**document.get("files", {}), **special.pop("files", {})}
    whole = {name: special.pop(name) for name in ("task", "model", "clock", "strategy") if name in special}
    return {**_overridden(document, special), **whole, "data": {"source": source, **files}}


def _overridden(document: Template, quick: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**document, **{name: {**document[name], **table} for name, table in quick.items()}}


def _toml(value: Any) -> str:
    """A value of a template as TOML; a JSON string, number or flag is one of TOML too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
