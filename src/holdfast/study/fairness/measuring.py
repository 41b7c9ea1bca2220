"""Measures one model with every metric that a table asks for, and says of each what it is and how long it took."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.fairness.language import CausalAccess, EncodingAccess, GeneratingAccess, MaskedAccess
from holdfast.fairness.metric import Metric
from holdfast.runs import RunRecord
from holdfast.study.fairness.models import Measured
from holdfast.study.fairness.plan import FairnessTable, MetricTable, plain

SETTING = "fairness"
"""The key of a record's settings that says what was measured and how."""


@dataclass(frozen=True)
class Found:
    """What was measured of one model.

    Args:
        evidence: The numbers.
        told: What the report says beside them, for the record: cards, seconds, commands, settings of the inference.
    """

    evidence: Evidence
    told: Mapping[str, Any]

    def into(self, record: RunRecord) -> RunRecord:
        """The record with these numbers in the place of what the same metrics found earlier."""
        before = record.settings.get(SETTING, {})
        merged = {**before, **self.told}
        for key in ("cards", "seconds", "commands", "notes"):
            merged[key] = {**before.get(key, {}), **self.told[key]}
        kept = without(record.evidence, self.told["cards"])
        stale = {note for metric in self.told["cards"] for note in before.get("notes", {}).get(metric, ())}
        kept = replace(kept, notes=tuple(note for note in kept.notes if note not in stale))
        return replace(record, evidence=kept + self.evidence, settings={**record.settings, SETTING: merged})


def without(evidence: Evidence, metrics: Mapping[str, Any]) -> Evidence:
    """Evidence without what some metrics found."""
    return replace(
        evidence,
        estimates=tuple(one for one in evidence.estimates if one.conditions.get("metric") not in metrics),
        curves=tuple(one for one in evidence.curves if one.conditions.get("metric") not in metrics),
    )


def measure(
    table: FairnessTable,
    given: Any,
    *,
    subject: str,
    command: str = "",
    source: str = "",
    on_progress: OnProgress = silent,
    phase: str = "fairness",
) -> Found:
    """Measures a model with every metric of a table.

    Args:
        table: What is asked for.
        given: A `Measured` run, or an access to a language model.
        subject: The run.
        command: How to measure it again without the metric, such as "holdfast fairness runs/dp-sgd".
        source: What to call the data.
        on_progress: Told of each metric.
        phase: What to call the work.

    Raises:
        InputError: For a metric that does not fit the model, before anything is measured, or whatever a metric refuses.
    """
    made = [(asked, asked.made()) for asked in table.tables]
    speaking = _Speaking(given)
    works = [(metric, _works(metric, asked, table, given, speaking, subject)) for asked, metric in made]
    evidence, seconds, notes = Evidence(), dict[str, float](), dict[str, list[str]]()
    for done, (metric, work) in enumerate(works):
        name = metric.card.name
        on_progress(Progress(phase=phase, done=done, total=len(works), note=name))
        start = time.perf_counter()
        found = work()
        evidence += found
        notes[name] = list(dict.fromkeys([*notes.get(name, ()), *found.notes]))
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    on_progress(Progress(phase=phase, done=len(works), total=len(works)))
    told = {
        "asked": plain(table),
        "cards": {metric.card.name: metric.card.describe() for metric, _ in works},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "commands": {asked.name: _command(command, asked, table, metric) for asked, metric in made} if command else {},
        "notes": notes,
        "source": source,
        "inference": asdict(table.inference),
    }
    return Found(evidence, told)


class _Speaking:
    """The model as metrics of language models see it, opened when the first asks; what it generates for one is kept for the next."""

    def __init__(self, given: Any) -> None:
        self._given = given

    @cached_property
    def access(self) -> Any:
        return self._given.access if isinstance(self._given, Measured) else self._given

    @cached_property
    def generator(self) -> Any:
        from holdfast.fairness.generation import Remembered

        return Remembered(self.access)


def _works(
    metric: Metric, asked: MetricTable, table: FairnessTable, given: Any, speaking: _Speaking, subject: str
) -> Callable[[], Evidence]:
    """What is to be done for one metric; whether the model fits is seen now."""
    inference = table.inference
    if metric.needs == "predictions":
        if not isinstance(given, Measured):
            raise InputError(
                f"{metric.card.name} looks at decisions of a classifier, and {subject} is a language model; give a run's folder"
            )
        looked = [given.predictions(table, attribute) for attribute in table.groups]
        return lambda: sum((metric.measure(one, subject=subject, inference=inference) for one in looked), Evidence())
    seen = _seen(metric, asked, speaking, subject)
    return lambda: metric.measure(seen, subject=subject, inference=inference)


_ACCESSES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "encoder": ((EncodingAccess,), "an encoder"),
    "masked model": ((MaskedAccess,), "a masked language model"),
    "causal model": ((CausalAccess,), "a causal language model"),
    "masked or causal model": ((MaskedAccess, CausalAccess), "a language model, masked or causal"),
    "generator": ((GeneratingAccess,), "a model that goes on with a text"),
}


def _seen(metric: Metric, asked: MetricTable, speaking: _Speaking, subject: str) -> Any:
    from holdfast.fairness.association import encoded_words, read_word_vectors

    words: Callable[[], Iterable[str]] | None = getattr(metric, "words", None)  # those of a metric of vectors that knows them beforehand
    if metric.needs == "vectors" and asked.vectors is not None:
        return read_word_vectors(asked.vectors, keep=None if words is None else words())
    access = speaking.access
    kinds, kind = _ACCESSES["encoder" if metric.needs == "vectors" else metric.needs]
    if not isinstance(access, kinds):
        raise InputError(f"{metric.card.name} needs {kind}, and {subject} is none; name a model that is")
    if metric.needs != "vectors":
        return speaking.generator if metric.needs == "generator" else access
    if words is None:
        raise InputError(f"{metric.card.name} does not say which words it looks at, so a model cannot encode them; give vectors = FILE")
    return encoded_words(cast("EncodingAccess", access), sorted(words()), pooling=asked.pooling or "mean")


def _command(command: str, asked: MetricTable, table: FairnessTable, metric: Metric) -> str:
    parts = [command, "--metric", asked.name]
    if metric.needs == "predictions":
        parts += [word for attribute in table.groups for word in ("--group", attribute)]
        parts += [word for label in table.positive for word in ("--positive", label)]
    options = asked.model_dump(exclude_none=True, exclude={"name"})
    parts += [word for key, value in options.items() for word in ("--set", shlex.quote(f"{asked.name}.{key}={value}"))]
    return " ".join(str(part) for part in parts)
