"""What a pillar hands back: estimates, curves, claims and verdicts, as plain data with an exact JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, Self, TypeVar, get_args, get_type_hints

import numpy as np

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.errors import InputError, nearest

SCHEMA_VERSION = 1

Direction = Literal["higher is better", "lower is better", "neither"]
Condition = str | float | int | bool
T = TypeVar("T")


def _finite(owner: str, values: Mapping[str, Condition | None]) -> None:
    for name, value in values.items():
        if value is not None and not isinstance(value, str) and not math.isfinite(value):
            raise InputError(f"{owner}: {name} is {value}; evidence holds finite numbers only, so leave it out and say why in `missing`")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval.

    Args:
        low: Lower end, in the unit of the estimate.
        high: Upper end.
        level: Coverage in (0, 1), such as .95.
        method: How it was made, such as "DeLong" or "stratified bootstrap, 1000 resamples".
    """

    low: float
    high: float
    level: float
    method: str

    def __post_init__(self) -> None:
        _finite("interval", {"low": self.low, "high": self.high})
        if self.low > self.high:
            raise InputError(f"interval: low {self.low} is above high {self.high}; swap them")
        if not 0 < self.level < 1:
            raise InputError(f"interval: level {self.level} is outside (0, 1)")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One measured number, with all that is needed to read it.

    Args:
        name: Stable snake_case name, such as "intent_accuracy".
        subject: The run that it speaks of, such as "dp-sgd".
        value: The number, or None where it is missing. Never NaN.
        unit: "share", "seconds", "nats", ...
        direction: Which way is better.
        interval: Confidence interval, where there is one.
        n: How many units (examples, seeds) it rests on.
        conditions: What it was measured under, such as ``{"fpr": .01, "delta": 1e-5}``.
        method: How it was measured, in one phrase.
        reference: Where the method is described.
        access: What the method was allowed to see, such as "black-box: losses".
        missing: Why the value is None.

    Raises:
        InputError: For a number that is not finite, or a missing value without a reason.
    """

    name: str
    subject: str
    value: float | None
    unit: str
    direction: Direction
    interval: Interval | None = None
    n: int | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    method: str = ""
    reference: str = ""
    access: str = ""
    missing: str | None = None

    def __post_init__(self) -> None:
        _finite(f"estimate {self.name!r}", {"value": self.value})
        _finite(f"conditions of estimate {self.name!r}", self.conditions)
        if (self.value is None) == (self.missing is None):
            raise InputError(f"estimate {self.name!r}: give either a value or the reason why it is missing")
        if self.direction not in get_args(Direction):
            raise InputError(f"estimate {self.name!r}: direction {self.direction!r} is none of {get_args(Direction)}")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A measured curve, such as a ROC or a training loss.

    Args:
        name: Stable snake_case name, such as "roc".
        subject: The run that it speaks of.
        x: Abscissae, ascending or not, finite.
        y: Ordinates, as many.
        x_label: Words for the x axis, with unit.
        y_label: Words for the y axis, with unit.
        low: Lower band, as many as y, or empty.
        high: Upper band, as many as y, or empty.
        conditions: What it was measured under.
        method: How it was measured.
    """

    name: str
    subject: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    method: str = ""

    def __post_init__(self) -> None:
        _finite(f"conditions of curve {self.name!r}", self.conditions)
        for name in ("x", "y", "low", "high"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if not all(map(math.isfinite, values)):
                raise InputError(f"curve {self.name!r}: {name} holds a number that is not finite; drop that point")
        lengths = {name: len(getattr(self, name)) for name in ("x", "y", "low", "high")}
        band = lengths["low"]
        if lengths["x"] != lengths["y"] or lengths["high"] != band or band not in (0, lengths["y"]):
            raise InputError(f"curve {self.name!r}: x, y and the band must have one length (the band may be empty), got {lengths}")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that was found about one or more runs.

    Args:
        estimates: Single numbers.
        curves: Curves.
        claims: Promises, one for each private run.
        verdicts: What a test made of each claim.
        notes: What this evidence does not show, in sentences.
    """

    estimates: tuple[Estimate, ...] = ()
    curves: tuple[Curve, ...] = ()
    claims: tuple[PrivacyClaim, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Evidence) -> Evidence:
        """Joins two pieces of evidence; a note that stands in both is kept once."""
        return Evidence(
            estimates=self.estimates + other.estimates,
            curves=self.curves + other.curves,
            claims=self.claims + other.claims,
            verdicts=self.verdicts + other.verdicts,
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
        )

    def estimate(self, name: str, subject: str | None = None, *, conditions: Mapping[str, Condition] | None = None) -> Estimate | None:
        """Finds the first estimate of that name, subject and, where given, conditions such as ``{"fpr": .1}``; or None."""
        return next((e for e in self.estimates if _matches(e, name, subject, conditions or {})), None)

    def curve(self, name: str, subject: str | None = None) -> Curve | None:
        """Finds the first curve of that name and subject, or None."""
        return next((c for c in self.curves if _matches(c, name, subject, {})), None)

    def about(self, subject: str) -> Evidence:
        """Keeps what speaks of one run."""
        return Evidence(
            estimates=tuple(e for e in self.estimates if e.subject == subject),
            curves=tuple(c for c in self.curves if c.subject == subject),
            claims=tuple(c for c in self.claims if c.subject == subject),
            verdicts=tuple(v for v in self.verdicts if v.subject == subject),
            notes=self.notes,
        )

    def renamed(self, subject: str) -> Evidence:
        """Gives everything another subject, as when a run is listed under a new name."""
        return Evidence(
            estimates=tuple(replace(e, subject=subject) for e in self.estimates),
            curves=tuple(replace(c, subject=subject) for c in self.curves),
            claims=tuple(replace(c, subject=subject) for c in self.claims),
            verdicts=tuple(replace(v, subject=subject) for v in self.verdicts),
            notes=self.notes,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists, dictionaries, strings and numbers; `from_json` gives the same object back."""
        return {"schema": "holdfast.evidence", "schema_version": SCHEMA_VERSION, **_plain(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` wrote; keys beside the five of evidence are left to the caller.

        Raises:
            InputError: If the document is of another schema or of another version, or is damaged.
        """
        if document.get("schema") != "holdfast.evidence":
            raise InputError(f"not a holdfast evidence document: schema is {document.get('schema')!r}, expected 'holdfast.evidence'")
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"evidence of schema version {version}, this holdfast reads {SCHEMA_VERSION}; use the version that wrote it")
        absent = [f.name for f in fields(cls) if f.name not in document]
        if absent:
            raise InputError(f"the evidence document has no {', '.join(absent)}; it was cut short or edited")
        return cls(
            estimates=tuple(_read(Estimate, item) for item in document["estimates"]),
            curves=tuple(_read(Curve, item) for item in document["curves"]),
            claims=tuple(_read(PrivacyClaim, item) for item in document["claims"]),
            verdicts=tuple(_read(Verdict, item) for item in document["verdicts"]),
            notes=tuple(document["notes"]),
        )


def _matches(item: Estimate | Curve, name: str, subject: str | None, conditions: Mapping[str, Condition]) -> bool:
    if item.name != name or (subject is not None and item.subject != subject):
        return False
    return all(item.conditions.get(key) == value for key, value in conditions.items())


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _read(kind: type[T], document: Mapping[str, Any]) -> T:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name not in hints:
            raise InputError(f"evidence document: {kind.__name__} has no {name!r}; {nearest(name, hints)}")
        if isinstance(value, list):
            values[name] = tuple(value)
        elif isinstance(value, Mapping) and Interval in get_args(hints[name]):
            values[name] = _read(Interval, value)
        else:
            values[name] = value
    try:
        return kind(**values)
    except TypeError as error:  # a field without a default is not in the document
        raise InputError(f"evidence document: {kind.__name__} is not complete: {error}") from error
