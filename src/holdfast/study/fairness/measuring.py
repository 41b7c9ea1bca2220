"""Measures one model with every metric that a table asks for, and says of each what it is and how long it took."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence
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

    def replaced(self, record: RunRecord) -> list[str]:
        """What an earlier measurement found that `into` takes out and puts nothing like it in, a sentence for each metric."""
        commands, told = record.settings.get(SETTING, {}).get("commands", {}), []
        now = {_called(one) for one in self.evidence.estimates}
        for metric in self.told["cards"]:
            before = [one for one in record.evidence.estimates if one.conditions.get("metric") == metric]
            gone = [one for one in before if _called(one) not in now]
            by = sorted({str(one.conditions["groups"]) for one in gone if "groups" in one.conditions})
            earlier, later = (str(some.get(metric, "")) for some in (commands, self.told["commands"]))
            otherwise = before and earlier.partition(" --metric ")[2] != later.partition(" --metric ")[2]
            if gone or otherwise:
                what = f"{len(gone)} earlier figures{_by(by)}" if gone else "the earlier figures, of other options,"
                told.append(f"{metric}: {what} left the record{f'; they came of: {earlier}' if earlier else ''}")
        return told


_CALLED = (
    *("metric", "groups", "group", "class", "classes", "category", "condition", "type", "direction", "of"),
    *("statistic", "variant", "written_by"),
)
"""Conditions that say which of the numbers of a metric one is."""


def _called(one: Estimate) -> tuple[str, ...]:
    return (one.name, *(str(one.conditions.get(key, "")) for key in _CALLED))


def _by(attributes: Sequence[str]) -> str:
    return f" by {', '.join(attributes)}" if attributes else ""


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

    Edge cases:
        A metric may stand twice with other options: the options of each then stand behind the variant of its numbers.
    """
    table.check_writing()
    made = [(asked, asked.made()) for asked in table.tables]
    speaking, apart = _Speaking(given), options_apart([(asked, metric.card.name) for asked, metric in made])
    works = [(metric, _works(metric, asked, table, given, speaking, subject)) for asked, metric in made]
    evidence, seconds, notes = Evidence(), dict[str, float](), dict[str, list[str]]()
    for done, (metric, work) in enumerate(works):
        name = metric.card.name
        on_progress(Progress(phase=phase, done=done, total=len(works), note=name))
        start = time.perf_counter()
        found = work()
        evidence += _with_options(found, apart[done])
        notes[name] = list(dict.fromkeys([*notes.get(name, ()), *found.notes]))
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    on_progress(Progress(phase=phase, done=len(works), total=len(works)))
    told = {
        "asked": plain(table),
        "cards": {metric.card.name: metric.card.describe() for metric, _ in works},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "commands": _commands(command, table, made) if command else {},
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


def options_apart(asked: Sequence[tuple[MetricTable, str]]) -> list[str]:
    """The options of each metric in words where its name stands more than once, else "".

    Args:
        asked: What is asked for, with the name on the metric's card.
    """
    cards = [card for _, card in asked]
    short, long = ([_options(table, whole=whole) for table, _ in asked] for whole in (False, True))
    told: list[str] = []
    for card in cards:
        same = [at for at, other in enumerate(cards) if other == card]
        distinct = len({short[at] for at in same}) == len(same)
        told.append("" if len(same) == 1 else (short if distinct else long)[len(told)])
    return told


def _options(table: MetricTable, *, whole: bool) -> str:
    given = table.model_dump(exclude_none=True, exclude={"name"})
    return ", ".join(f"{key} = {value if whole else _last(value)}" for key, value in sorted(given.items())) or "usual options"


def _last(value: Any) -> Any:
    """A path without the folders before it: where things lie is nobody's business."""
    return value.rpartition("/")[2] or value if isinstance(value, str) else value


def _with_options(found: Evidence, options: str) -> Evidence:
    if not options:
        return found

    def told(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
        return {**conditions, "variant": "; ".join(filter(None, (str(conditions.get("variant", "")), options)))}

    return replace(
        found,
        estimates=tuple(replace(one, conditions=told(one.conditions)) for one in found.estimates),
        curves=tuple(replace(one, conditions=told(one.conditions)) for one in found.curves),
    )


_USUAL = FairnessTable()
_FLAGS = ("margin", "level", "replicates", "permutations", "seed", "part", "separator")


def _commands(command: str, table: FairnessTable, made: Sequence[tuple[MetricTable, Metric]]) -> dict[str, str]:
    """How to measure each metric again; one that stands twice is measured by two commands."""
    told: dict[str, str] = {}
    for asked, metric in made:
        name, one = metric.card.name, _command(command, asked, table, metric)
        told[name] = f"{told[name]} && {one}" if name in told else one
    return told


def _command(command: str, asked: MetricTable, table: FairnessTable, metric: Metric) -> str:
    parts = ["--metric", asked.name]
    if metric.needs == "predictions":
        named = {"--group": table.groups, "--positive": table.positive, "--no-group": table.no_group}
        parts += [word for flag, some in named.items() for one in some for word in (flag, one)]
    options = asked.model_dump(exclude_none=True, exclude={"name"})
    parts += [word for key, value in options.items() for word in ("--set", f"{asked.name}.{key}={_literal(value)}")]
    parts += [word for key in _FLAGS if (value := getattr(table, key)) != getattr(_USUAL, key) for word in (f"--{key}", str(value))]
    return " ".join([command, shlex.join(parts)])


def _literal(value: Any) -> str:
    """As the command line reads it back: TOML but for texts, which stand as they are."""
    return str(value).lower() if isinstance(value, bool) else str(value)
