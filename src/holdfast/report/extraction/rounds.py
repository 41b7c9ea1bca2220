"""The evidence on gradients of federated rounds, put in order: what each way of reading them found under each setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.core.evidence import Condition, Estimate
from holdfast.report.document import Document
from holdfast.report.numbers import significant

ATTACK = "gradient"
PRIOR = "prior"
QUANTITIES = ("token_f1", "token_f1_gain", "token_precision", "token_recall", "sentences_recovered", "gradient_rank")
PARAMETERS = {
    "batch_size": "Batch size",
    "cohort": "Cohort",
    "clip_norm": "Clip norm",
    "noise_multiplier": "Noise multiplier",
}
"""What is varied, and how it is called."""

_CROWD = ("batch_size", "cohort", "target")  # how many sentences there are, and whose words count
_METHODS = {"embedding-rows": "embedding rows", "subspace": "subspace", PRIOR: "prior only"}
_WITHOUT = {"clip_norm": None, "noise_multiplier": 0}  # what a setting that does not speak of it means
Value = Condition | None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one method read out of gradients under one setting.

    Args:
        run: Number of the run, from 0.
        method: As in the evidence.
        setting: All conditions beside attack and method.
        figures: Its estimates by name.
    """

    run: int
    method: str
    setting: Mapping[str, Value]
    figures: Mapping[str, Estimate]

    @property
    def f1(self) -> float | None:
        """Token F1 in [0, 1]."""
        estimate = self.figures.get("token_f1")
        return None if estimate is None else estimate.value

    @property
    def name(self) -> str:
        """What to call the method."""
        return method_name(self.method)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One parameter varied while all others are held.

    Args:
        run: Number of the run, from 0.
        parameter: What is varied.
        held: The other conditions.
        values: Of the parameter, from the least protection to the most.
        lines: For each method, in the order of the evidence, what it found at each value where its token F1 is known.
    """

    run: int
    parameter: str
    held: Mapping[str, Value]
    values: tuple[Value, ...]
    lines: Mapping[str, Mapping[Value, Attempt]]

    def strongest(self, value: Value) -> Attempt | None:
        """The method that reads most at a value, guessing apart."""
        found = [line[value] for method, line in self.lines.items() if method != PRIOR and value in line]
        return max(found, key=lambda attempt: attempt.f1 or 0.0, default=None)

    def guessed(self, value: Value) -> Attempt | None:
        """What guessing from the language alone reaches at a value."""
        return self.lines.get(PRIOR, {}).get(value)


def shown(estimate: Estimate) -> bool:
    """True for an estimate that speaks of gradients."""
    return estimate.name in QUANTITIES and estimate.conditions.get("attack") == ATTACK


def attempts(document: Document) -> tuple[Attempt, ...]:
    """Every method under every setting, run by run, in the order of the evidence."""
    found: dict[tuple[int, str, tuple[tuple[str, Value], ...]], dict[str, Estimate]] = {}
    for one in (one for one in document.evidence.estimates if shown(one)):
        setting = {**_WITHOUT, **{key: value for key, value in one.conditions.items() if key not in ("attack", "method")}}
        key = (document.names.index(one.subject), str(one.conditions.get("method", "")), tuple(sorted(setting.items())))
        found.setdefault(key, {}).setdefault(one.name, one)
    made = [Attempt(run=run, method=method, setting=dict(setting), figures=figures) for (run, method, setting), figures in found.items()]
    return tuple(sorted(made, key=lambda attempt: attempt.run))


def sweeps(document: Document) -> tuple[Sweep, ...]:
    """For each run and parameter that varies the longest row of settings that differ in nothing else."""
    found = []
    made = [attempt for attempt in attempts(document) if "token_f1" in attempt.figures]
    for run in dict.fromkeys(attempt.run for attempt in made):
        own = [attempt for attempt in made if attempt.run == run]
        read, guessed = (
            [attempt for attempt in own if (attempt.method == PRIOR) == prior and attempt.f1 is not None] for prior in (False, True)
        )
        for parameter in PARAMETERS:
            found += list(_sweep(run, parameter, read, guessed))
    return tuple(found)


def _sweep(run: int, parameter: str, read: Sequence[Attempt], guessed: Sequence[Attempt]) -> Iterator[Sweep]:
    rows: dict[tuple[tuple[str, Value], ...], list[Attempt]] = {}
    for attempt in (attempt for attempt in read if parameter in attempt.setting):
        rows.setdefault(tuple((key, value) for key, value in attempt.setting.items() if key != parameter), []).append(attempt)
    if not rows:
        return
    length = {held: len({attempt.setting[parameter] for attempt in row}) for held, row in rows.items()}
    held = min(rows, key=lambda held: (-length[held], _protection(dict(held))))
    if length[held] < 2:
        return
    values = sorted({attempt.setting[parameter] for attempt in rows[held]}, key=lambda value: _strength(parameter, value))
    lines: dict[str, dict[Value, Attempt]] = {}
    for attempt in rows[held]:
        lines.setdefault(attempt.method, {})[attempt.setting[parameter]] = attempt
    beside = {value: alike for value in values if (alike := prior(guessed, {**dict(held), parameter: value})) is not None}
    if beside:
        lines[PRIOR] = beside
    yield Sweep(run=run, parameter=parameter, held=dict(held), values=tuple(values), lines=lines)


def prior(guessed: Sequence[Attempt], setting: Mapping[str, Value]) -> Attempt | None:
    """The guess that belongs to a setting: of as many sentences, and alike in as much else as can be.

    Guessing never sees a gradient, so neither clipping nor noise changes it; how many sentences there are does.
    """
    alike = [attempt for attempt in guessed if all(attempt.setting.get(key, setting.get(key)) == setting.get(key) for key in _CROWD)]
    return max(alike, key=lambda attempt: sum(setting.get(key) == value for key, value in attempt.setting.items()), default=None)


def method_name(method: str) -> str:
    """What to call a method.

    >>> method_name("embedding-rows"), method_name("two-step")
    ('embedding rows', 'two step')
    """
    return _METHODS.get(method, method.replace("-", " ").replace("_", " "))


def setting_words(setting: Mapping[str, Value]) -> str:
    """A setting in words; what is no condition of the evidence is left out, and so is whose words count where one client is alone.

    >>> setting_words({"batch_size": 4, "cohort": 1, "clip_norm": None, "noise_multiplier": 0})
    'batch size 4, cohort 1, no clipping, no noise'
    """
    parts = [value_words(key, setting[key], named=True) for key in PARAMETERS if key in setting]
    if "target" in setting and setting.get("cohort") != 1:
        parts.append(
            {"client": "words of one client", "cohort": "words of all clients"}.get(str(setting["target"]), str(setting["target"]))
        )
    return ", ".join(parts)


def value_words(parameter: str, value: Value, *, named: bool = False) -> str:
    """A value of a parameter, with the parameter's name where asked for.

    >>> value_words("clip_norm", None), value_words("clip_norm", 0.5, named=True), value_words("noise_multiplier", 0.0)
    ('none', 'clip norm 0.5', '0')
    """
    if value is None or (parameter == "noise_multiplier" and value == 0):
        return {"clip_norm": "no clipping", "noise_multiplier": "no noise"}.get(parameter, "none") if named else plain(value)
    if not named:
        return plain(value)
    return f"{'noise' if parameter == 'noise_multiplier' else PARAMETERS[parameter].lower()} {plain(value)}"


def plain(value: Value) -> str:
    """A value as it stands in a table."""
    return "none" if value is None else significant(float(value)) if isinstance(value, int | float) else str(value)


def _protection(setting: Mapping[str, Value]) -> tuple[float, ...]:
    """How much a setting protects, the parts that count most first."""
    return tuple(_strength(key, setting[key])[0] for key in ("noise_multiplier", "clip_norm", "cohort", "batch_size") if key in setting)


def _strength(parameter: str, value: Value) -> tuple[float, str]:
    """Order of a parameter's values from the least protection to the most: a small clip norm protects more."""
    if value is None:
        return (float("-inf"), "")
    if not isinstance(value, int | float):
        return (0.0, str(value))
    return (-float(value) if parameter == "clip_norm" else float(value), "")
