"""The document beside the page: all that is known of the runs, from which page and card are drawn and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Protocol, Self, runtime_checkable

from holdfast.core.claim import OUTCOMES, PrivacyClaim, Verdict
from holdfast.core.errors import InputError
from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.report.fairness.names import METRIC
from holdfast.runs import RunRecord, validate

UNRECORDED = "not recorded"


@runtime_checkable
class Recorded(Protocol):
    """Anything that carries the record of its run, such as a fitted model."""

    @property
    def record(self) -> RunRecord:
        """The record."""
        ...


Item = RunRecord | Evidence | Recorded


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """What is known of one run beside its evidence; the fields are those of `RunRecord`."""

    name: str
    status: str
    created: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    mechanism: Mapping[str, Any]
    command: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """Runs side by side, in the order in which they were given, with all their evidence.

    Args:
        title: Heading of the page.
        runs: At least one, no two of one name.
        evidence: About these runs and no others.
        study: Text of the study file, or empty.
    """

    title: str
    runs: tuple[RunEntry, ...]
    evidence: Evidence
    study: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the runs, in order."""
        return tuple(run.name for run in self.runs)

    @property
    def private(self) -> tuple[str, ...]:
        """The names of the runs that carry a promise."""
        return tuple(name for name in self.names if self.claim(name) is not None)

    @property
    def baseline(self) -> str:
        """The run that the others are compared with: the first without a promise, else the first."""
        return next((name for name in self.names if name not in self.private), self.names[0])

    @property
    def created(self) -> str:
        """When the last run began, or empty where no record tells."""
        return max((run.created for run in self.runs if run.created), key=datetime.fromisoformat, default="")

    @property
    def data(self) -> Mapping[str, Any]:
        """The data of the first run whose record tells."""
        return next((run.data for run in self.runs if run.data), {})

    @property
    def environment(self) -> Mapping[str, Any]:
        """The environment of the first run whose record tells."""
        return next((run.environment for run in self.runs if run.environment), {})

    @property
    def same_data(self) -> bool:
        """True unless two records name different data."""
        return len({str(run.data["content_hash"]) for run in self.runs if "content_hash" in run.data}) <= 1

    def claim(self, name: str) -> PrivacyClaim | None:
        """The promise of a run; of several the weakest, since all must hold."""
        found = [claim for claim in self.evidence.claims if claim.subject == name]
        return max(found, key=lambda claim: claim.epsilon, default=None)

    def verdict(self, name: str) -> Verdict | None:
        """What tests made of a run's promise; one that contradicts it counts before all others."""
        found = [verdict for verdict in self.evidence.verdicts if verdict.subject == name]
        return min(found, key=lambda verdict: OUTCOMES.index(verdict.outcome), default=None)

    def estimate(self, quantity: str, name: str, *, fpr: float | None = None, attack: str | None = None) -> Estimate | None:
        """A quantity of a run; of several values the worst, so that the strongest attack speaks.

        Args:
            quantity: Its name in the evidence.
            name: Of the run.
            fpr: The false positive rate that it was measured at, for quantities that have one.
            attack: The attack that it was measured by, likewise.
        """
        asked = {key: value for key, value in (("fpr", fpr), ("attack", attack)) if value is not None}
        found = [
            estimate
            for estimate in self.evidence.estimates
            if (estimate.name, estimate.subject) == (quantity, name)
            and METRIC not in estimate.conditions  # the accuracy of one group is not that of the run
            and all(estimate.conditions.get(key) == value for key, value in asked.items())
        ]
        known = [estimate for estimate in found if estimate.value is not None]
        if not known:
            return found[0] if found else None
        return max(known, key=_badness)

    def curve(self, quantity: str, name: str) -> Curve | None:
        """The curve of that name of a run: of several attacks that of the strongest, else the first."""
        found = [curve for curve in self.evidence.curves if (curve.name, curve.subject) == (quantity, name)]
        strongest = self.strongest(name)
        return next((curve for curve in found if curve.conditions.get("attack") == strongest), found[0] if found else None)

    def attacks(self, name: str) -> tuple[str, ...]:
        """The attacks that were made on a run, in order."""
        found = (one for one in self.evidence.estimates if (one.name, one.subject) == ("membership_auc", name))
        return tuple(dict.fromkeys(str(one.conditions["attack"]) for one in found if "attack" in one.conditions))

    def strongest(self, name: str) -> str | None:
        """The attack on a run that has the largest AUC, which is the one that is drawn; None without any."""
        found = self.estimate("membership_auc", name)
        return None if found is None or "attack" not in found.conditions else str(found.conditions["attack"])

    def to_json(self) -> dict[str, Any]:
        """Returns the evidence with what was trained and how to do it again; `from_json` gives the same document back."""
        return {
            **self.evidence.to_json(),
            "title": self.title,
            "created": self.created,
            "data": dict(self.data),
            "environment": dict(self.environment),
            "runs": [{field.name: getattr(run, field.name) for field in fields(run)} for run in self.runs],
            "reproduce": {"study": self.study, "command": self.commands, "versions": self.versions, "seeds": self.seeds},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            InputError: If it is not as the schema says, or is evidence alone.
        """
        validate(document, place="evidence document")
        if "runs" not in document:
            raise InputError("this is evidence without its runs; give the evidence.json that stands beside a report")
        runs = tuple(RunEntry(**run) for run in document["runs"])
        evidence = Evidence.from_json(document)
        return cls(title=document["title"], runs=runs, evidence=evidence, study=document["reproduce"]["study"])

    @property
    def commands(self) -> list[str]:
        """What was typed, in the order of the runs, without repeats."""
        return list(dict.fromkeys(run.command for run in self.runs if run.command))

    @property
    def versions(self) -> dict[str, Any]:
        """Software and its version, where the environment tells them apart, else the whole environment."""
        versions = self.environment.get("versions", self.environment)
        return dict(versions) if isinstance(versions, Mapping) else {}

    @property
    def seeds(self) -> dict[str, dict[str, Any]]:
        """For each run the settings that are seeds, by their path, such as {"dp-sgd": {"training.seed": 7}}."""
        return {run.name: dict(_seeds(run.settings, "")) for run in self.runs}


def gather(items: Sequence[Item], *, title: str, study: str = "") -> Document:
    """Puts runs side by side.

    Args:
        items: Records, objects that carry one, or loose evidence, which joins the run that it speaks of.
        title: Heading of the page.
        study: Text of the study file.

    Returns:
        A document with a run for each record, and one for each subject of loose evidence that has no record. Records of one
        name are told apart by a number; evidence that stands twice is kept once.

    Raises:
        InputError: For no items, an item of another kind, or loose evidence of a name that two records share.
    """
    records: list[RunRecord] = []
    loose = Evidence()
    for item in items:
        if isinstance(item, Evidence):
            loose += item
        elif isinstance(item, RunRecord):
            records.append(item)
        elif isinstance(item, Recorded) and isinstance(item.record, RunRecord):
            records.append(item.record)
        else:
            raise InputError(f"cannot report a {type(item).__name__}; give run records, evidence, or objects with a `record`")
    if not records and not _subjects(loose):
        raise InputError("nothing to report; give at least one run record, or evidence that names its subject")
    runs, evidence = _told_apart(records, loose)
    evidence = Evidence(**{field.name: _once(getattr(evidence, field.name)) for field in fields(evidence)})
    known = {run.name for run in runs}
    runs += [_unrecorded(subject) for subject in _subjects(evidence) if subject not in known]
    return Document(title=title, runs=tuple(runs), evidence=evidence, study=study)


def _told_apart(records: Sequence[RunRecord], loose: Evidence) -> tuple[list[RunEntry], Evidence]:
    """One entry for each record, under a name of its own, and all evidence under these names."""
    shared = {name for name, count in Counter(record.name for record in records).items() if count > 1}
    claimed = shared.intersection(_subjects(loose))
    if claimed:
        raise InputError(f"two records are named {min(claimed)!r}, so loose evidence of that name is ambiguous; add it to its record first")
    taken = {record.name for record in records}.union(_subjects(loose))
    seen: Counter[str] = Counter()
    entries, evidence = [], Evidence()
    for record in records:
        seen[record.name] += 1
        own, others = record.evidence.about(record.name), _about_others(record)
        name = record.name if seen[record.name] == 1 else _free(record.name, taken)
        taken.add(name)
        entries.append(RunEntry(**{field.name: getattr(record, field.name) for field in fields(RunEntry)} | {"name": name}))
        evidence += (own if name == record.name else own.renamed(name)) + others
    return entries, evidence + loose


def _free(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


def _about_others(record: RunRecord) -> Evidence:
    """What a record's evidence says of other runs than its own."""
    own, found = record.name, record.evidence
    return Evidence(
        estimates=tuple(estimate for estimate in found.estimates if estimate.subject != own),
        curves=tuple(curve for curve in found.curves if curve.subject != own),
        claims=tuple(claim for claim in found.claims if claim.subject != own),
        verdicts=tuple(verdict for verdict in found.verdicts if verdict.subject != own),
    )


def _unrecorded(subject: str) -> RunEntry:
    if not subject.strip():
        raise InputError("evidence without a subject; give it the name of the run that it speaks of")
    empty: dict[str, Any] = {field.name: {} for field in fields(RunEntry)}
    return RunEntry(**{**empty, "name": subject, "status": UNRECORDED, "created": "", "command": ""})


def _subjects(evidence: Evidence) -> tuple[str, ...]:
    items: tuple[PrivacyClaim | Estimate | Curve | Verdict, ...]
    items = (*evidence.claims, *evidence.estimates, *evidence.curves, *evidence.verdicts)
    return tuple(dict.fromkeys(item.subject for item in items))


def _once(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without what stands there twice; estimates hold mappings and so cannot be hashed."""
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return tuple(kept)


def _badness(estimate: Estimate) -> float:
    value = estimate.value or 0.0
    return -value if estimate.direction == "higher is better" else value


def _seeds(settings: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{path}{key}.")
        elif key == "seed" or key.endswith("_seed"):
            yield f"{path}{key}", value
