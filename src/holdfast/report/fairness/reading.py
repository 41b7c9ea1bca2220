"""The evidence on fairness, put in order: which metrics each run has, its groups, its gaps, and which gap is the surest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.core.evidence import Estimate
from holdfast.report.document import Document
from holdfast.report.fairness.names import INTRINSIC, METRIC, Family, distance, family_of, spelt
from holdfast.report.numbers import fixed, label_of, significant, written

SETTINGS = "fairness"
ALL = ("all", "overall", "every group")
FAIR, UNFAIR, UNSURE = "fair within the margin", "unfair", "not enough data"
VERDICTS = (UNFAIR, UNSURE, FAIR)
"""The words of a verdict, the worst first."""

_PLACES = (
    *("of", "attribute", "category", "class", "type", "kind", "items", "condition", "terms", "stereotyped", "direction"),
    *("domain", "format", "scope", "level"),
)
"""The conditions that are printed as what a number speaks of; no text of a data set stands under any of them."""

_WRITERS = {"model": "by the model", "people": "by people, for reference"}
_SETS = ("x", "y", "a", "b")  # names of the sets of words of a test
_IDENTITY = (METRIC, "groups", "group", "statistic", "variant", "classes", "positive", "written_by", "scorer", "encoder", *_PLACES, *_SETS)
_NULLS = ("expected_at_parity", "at_parity", "parity_null")


@dataclass(frozen=True, kw_only=True)
class Fair:
    """A run whose fairness was measured.

    Args:
        run: Its number, from 0.
        name: Of the run.
        settings: What its record says of how fairness was measured; empty without a record.
        estimates: About this run and of fairness, in order.
    """

    run: int
    name: str
    settings: Mapping[str, Any]
    estimates: tuple[Estimate, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, in order."""
        return tuple(dict.fromkeys(metric_of(one) for one in self.estimates))

    @property
    def margin(self) -> float | None:
        """Up to where a difference counts as fair enough; None where no margin was set."""
        found = _mapping(self.settings, "inference").get("margin")
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    def card(self, metric: str) -> Mapping[str, Any]:
        """The card of a metric as its record holds it, or nothing."""
        found = _mapping(self.settings, "cards").get(metric)
        return found if isinstance(found, Mapping) else {}

    def family(self, metric: str) -> Family:
        """What the metric looks at."""
        return family_of(metric, self.card(metric))

    def intrinsic(self, metric: str) -> bool:
        """Whether the metric looks inside the model rather than at what a user meets."""
        kind = self.card(metric).get("kind")
        return kind == "intrinsic" if kind in ("intrinsic", "extrinsic") else self.family(metric) in INTRINSIC

    def of(self, family: Family) -> tuple[Estimate, ...]:
        """The estimates of one family."""
        return tuple(one for one in self.estimates if self.family(metric_of(one)) == family)

    @property
    def gaps(self) -> tuple[Estimate, ...]:
        """Distances between groups in what a user meets, missing ones too; without those of single classes and categories.

        Texts that people wrote are there for reference, and a gap in them is none of the model's.
        """
        own = (one for one in self.estimates if is_gap(one) and whole(one) and not by_people(one))
        return tuple(one for one in own if not self.intrinsic(metric_of(one)))

    @property
    def known(self) -> tuple[Estimate, ...]:
        """The gaps that have a value and can be compared with others."""
        return tuple(one for one in self.gaps if one.value is not None and not summed(one))

    @property
    def surest(self) -> Estimate | None:
        """The gap that is surest, in shares where there are any; None without one."""
        shares = [one for one in self.known if one.unit == "share"]
        return max(shares or self.known, key=sureness, default=None)


def runs(document: Document) -> tuple[Fair, ...]:
    """The runs whose fairness was measured, in order."""
    estimates: dict[str, list[Estimate]] = {name: [] for name in document.names}
    for one in document.evidence.estimates:
        if shown(one):
            estimates[one.subject].append(one)
    found = []
    for run, entry in enumerate(document.runs):
        settings = entry.settings.get(SETTINGS)
        if estimates[entry.name]:
            told = settings if isinstance(settings, Mapping) else {}
            found.append(Fair(run=run, name=entry.name, settings=told, estimates=tuple(estimates[entry.name])))
    return tuple(found)


def shown(estimate: Estimate) -> bool:
    """Whether the part on fairness shows an estimate."""
    return METRIC in estimate.conditions


def metric_of(estimate: Estimate) -> str:
    """The name of the metric that a number belongs to."""
    return str(estimate.conditions.get(METRIC, ""))


def told(estimate: Estimate, key: str) -> str:
    """A condition as text, or nothing."""
    found = estimate.conditions.get(key)
    return "" if found is None else found if isinstance(found, str) else significant(float(found))


def value_of(estimate: Estimate, key: str) -> float | None:
    """A condition as a number, or None."""
    found = estimate.conditions.get(key)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def is_row(estimate: Estimate) -> bool:
    """Whether a number speaks of one group."""
    return "group" in estimate.conditions


def is_gap(estimate: Estimate) -> bool:
    """Whether a number is a distance between groups."""
    return not is_row(estimate) and distance(estimate.name, estimate.conditions.get("statistic", ""))


def whole(estimate: Estimate) -> bool:
    """Whether a number speaks of all classes and categories together."""
    return all(told(estimate, key) in ("", *ALL) for key in ("class", "category"))


def summed(estimate: Estimate) -> bool:
    """Whether a number is a sum over groups, which grows with their number and so is compared with no other."""
    return estimate.unit.startswith("sum") or estimate.name in ("fped", "fned")


def by_people(estimate: Estimate) -> bool:
    """Whether a number speaks of texts that people wrote, which stand beside those of the model for reference."""
    return told(estimate, "written_by") == "people"


def writer(estimate: Estimate) -> str:
    """Who wrote the texts that a number speaks of, in words; empty where nobody is named."""
    return _WRITERS.get(told(estimate, "written_by"), "")


def spaced(group: str) -> str:
    """The name of a group as it stands in charts and sentences; the tables keep it as it is.

    >>> spaced("healthcare_occupations")
    'healthcare occupations'
    """
    return group.replace("_", " ")


def nearest(estimate: Estimate) -> float:
    """How far from parity a gap lies at least, by its interval: nought where that reaches parity, and where there is none."""
    interval = estimate.interval
    return 0.0 if interval is None else max(0.0, interval.low, -interval.high)


def sureness(estimate: Estimate) -> tuple[float, float, float]:
    """What gaps are ordered by: the end of the interval next to parity, then the smallness of the p-value, then the size.

    The largest gap is often the one of the smallest groups, which says nothing.
    """
    return nearest(estimate), -_p(estimate), abs(estimate.value or 0.0)


def is_ratio(estimate: Estimate) -> bool:
    """Whether a number is a ratio, so that one is parity."""
    return estimate.name.endswith("_ratio") or told(estimate, "statistic") == "ratio"


def null_of(estimate: Estimate) -> float | None:
    """What a number would be at parity, given how much text there is, where that was worked out."""
    return next((value for key in _NULLS if (value := value_of(estimate, key)) is not None), None)


def identity(estimate: Estimate) -> tuple[tuple[str, str], ...]:
    """What a number of one run has in common with the same number of another."""
    kept = [(key, told(estimate, key)) for key in _IDENTITY if key in estimate.conditions]
    return (("name", estimate.name), *kept, ("undefined", "left out" if partial(estimate) else ""))


def place(estimate: Estimate) -> str:
    """What a number speaks of within its metric, such as a category; "all" where it speaks of everything."""
    parts = _parts(estimate)
    return ", ".join(part for part in parts.values() if part not in ALL) or "all"


def places(estimates: Sequence[Estimate]) -> list[str]:
    """The same for numbers that stand below each other, without what all of them have in common."""
    more = ("statistic", "variant")
    parts = [_parts(one) | {key: told(one, key) for key in more} for one in estimates]
    shared_ = {key for key in (*_PLACES, "sets", *more) if len({part.get(key, "") for part in parts}) == 1}
    short = [_short(part, {*shared_, "variant"}) for part in parts]
    if len(set(short)) < len(short):
        short = [_short(part, shared_) for part in parts]
    return [place(one) if len(parts) == 1 else name for name, one in zip(short, estimates, strict=True)]


def _short(parts: Mapping[str, str], without: set[str]) -> str:
    """What is left of the parts; "all" of the categories is said before a kind, so that it is not taken for the whole."""
    kept = [v for key, v in parts.items() if v and key not in without and (key == "category" or v not in ALL)]
    return ", ".join(kept) or "all"


def _parts(estimate: Estimate) -> dict[str, str]:
    """The conditions that say what a number speaks of, in words."""
    parts = {key: told(estimate, key) for key in _PLACES if told(estimate, key)}
    if parts.get("type", "").isdigit():
        parts["type"] = f"type {parts['type']}"
    x, y, a, b = (told(estimate, key).replace("_", " ") for key in _SETS)
    if x and y:
        parts["sets"] = f"{x}, {y}{f' / {a}, {b}' if a and b else ''}"
    return parts


def titled(estimate: Estimate, *, groups: bool = True) -> str:
    """What a summary is called, with what it was taken over.

    Args:
        estimate: A number that speaks of no single group.
        groups: Whether to say by which attribute.
    """
    statistic, name = told(estimate, "statistic"), label_of(estimate.name)
    parts = [name]
    if statistic and statistic.lower() not in name.lower() and not summed(estimate):
        parts.append(statistic)
    attribute = told(estimate, "groups")
    if groups and attribute:
        parts.append(f"by {attribute}")
    if place(estimate) != "all":
        parts.append(place(estimate))
    classes = told(estimate, "classes")
    if classes:
        parts.append("worst class" if classes == "worst" else f"{classes} over classes")
    if partial(estimate):
        parts.append("where defined")
    if writer(estimate):
        parts.append(writer(estimate))
    return ", ".join(parts)


def titles(estimates: Sequence[Estimate]) -> list[str]:
    """The same for numbers that stand below each other, with variant, then metric, where without it two would be called alike."""
    names = [titled(one) for one in estimates]
    for more in (variant, metric_of):
        bare = [name.replace(", where defined", "") for name in names]  # which tells two variants apart no better
        names = [
            ", ".join(filter(None, (name, more(one)))) if bare.count(plain) > 1 else name
            for name, plain, one in zip(names, bare, estimates, strict=True)
        ]
    return names


def variant(estimate: Estimate) -> str:
    """The variant of a metric in words; one that is the name of a quantity is called as that quantity is."""
    name = told(estimate, "variant")
    return label_of(name) if "_" in name and " " not in name else name


def partial(estimate: Estimate) -> bool:
    """Whether a number leaves out what is undefined, and says so."""
    return bool(told(estimate, "left out"))


def worst_of(rows: Sequence[Estimate], summaries: Iterable[Estimate]) -> str:
    """The name of the worst of the groups of one rate, as its direction tells, else as a summary of the metric names it; or empty."""
    known = [one for one in rows if one.value is not None]
    if not known:
        return ""
    if known[0].direction != "neither":
        sign = -1 if known[0].direction == "higher is better" else 1
        return told(max(known, key=lambda one: sign * (one.value or 0.0)), "group")
    groups = {told(one, "group") for one in known}
    own = [one for one in summaries if all(told(one, key) == told(known[0], key) for key in (METRIC, "groups", "written_by"))]
    own.sort(key=lambda one: not one.name.startswith(known[0].name))  # a metric has several rates, each with a worst group
    return next((name for one in own if (name := told(one, "worst")) in groups), "")


def verdict_of(found: Iterable[Estimate]) -> dict[str, int]:
    """How many numbers have each verdict, the worst first; those without one are not counted."""
    given = [told(one, "verdict") for one in found]
    return {verdict: given.count(verdict) for verdict in VERDICTS if verdict in given}


def headline(document: Document) -> tuple[tuple[Fair, ...], Fair, Estimate] | None:
    """The surest gap of the runs with a promise that have any, else of all: those runs, the run that has it, and the gap."""
    found = [(one, gap) for one in runs(document) if (gap := one.surest) is not None]
    kept = [pair for pair in found if pair[0].name in document.private] or found
    if not kept:
        return None
    shares = [pair for pair in kept if pair[1].unit == "share"]
    run, gap = max(shares or kept, key=lambda pair: sureness(pair[1]))
    return tuple(one for one, _ in kept), run, gap


Outcome = Literal["unfair", "not enough data", "judged in part", "fair within the margin", "not judged"]


def outcome(found: Sequence[Fair]) -> Outcome:
    """What the verdicts on all gaps of some runs come to; fair only where every gap has been found so.

    A gap without a value is one on which there are not enough data, whatever the others are; a gap without a verdict beside others
    that have one keeps the whole from being fair.
    """
    gaps = [one for run in found for one in run.gaps if not summed(one)]
    counts = verdict_of(gaps)
    if UNFAIR in counts:
        return "unfair"
    if UNSURE in counts or (counts and any(one.value is None for one in gaps)):
        return "not enough data"
    if not counts:
        return "not judged"
    return "fair within the margin" if sum(counts.values()) == len(gaps) else "judged in part"


def shared(found: Sequence[Fair], wanted: Callable[[Fair, Estimate], bool]) -> dict[tuple[tuple[str, str], ...], dict[int, Estimate]]:
    """The numbers that are wanted, the same of all runs together: by identity, then by place of the run in `found`.

    Numbers of one run that nothing tells apart are told apart by their order, so that none is lost.
    """
    made: dict[tuple[tuple[str, str], ...], dict[int, Estimate]] = {}
    for at, run in enumerate(found):
        seen: Counter[tuple[tuple[str, str], ...]] = Counter()
        for one in run.estimates:
            if wanted(run, one):
                key = identity(one)
                seen[key] += 1
                made.setdefault((*key, ("number", str(seen[key]))), {})[at] = one
    return made


def p_value(estimate: Estimate) -> str:
    """The p-value, adjusted where it was, in words; empty where there is none, or nothing that it speaks of."""
    value = _p(estimate)
    if value == math.inf or estimate.value is None:
        return ""
    return "p < 0.0001" if value < 1e-4 else f"p = {fixed(value, 4) if value < 0.001 else significant(value, 2)}"


def _p(estimate: Estimate) -> float:
    """The p-value, adjusted where it was; infinite where there is none."""
    adjusted, plain = value_of(estimate, "p_adjusted"), value_of(estimate, "p_value")
    value = plain if adjusted is None else adjusted
    return math.inf if value is None else value


def spoken(estimate: Estimate) -> str:
    """Value, interval and verdict in words, for whoever does not see a chart."""
    shown_ = written(estimate)
    parts = [f"{shown_.full}{f' ({shown_.missing})' if shown_.missing else ''}", told(estimate, "verdict")]
    return ", ".join(filter(None, parts))


def title_of(found: Sequence[Fair], metric: str) -> str:
    """What a metric is called for people, as its card tells, else by its name."""
    return next((str(card["title"]) for one in found if "title" in (card := one.card(metric))), spelt(metric))


def _mapping(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = settings.get(key)
    return found if isinstance(found, Mapping) else {}
