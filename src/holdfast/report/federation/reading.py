"""The evidence on training across clients, put in order: what each run did, by whom, and for whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.report.document import Document
from holdfast.report.figures.tradeoff import scores
from holdfast.report.numbers import label_of
from holdfast.report.view import plain

SETTINGS = "federation"
DECILES = ("client_score_decile", "participation_decile", "update_norm_decile")
PERCENTILES = "client_score_percentile"
ALONE = (
    *("activity_gini", "participation_gini", "mean_js_distance", "clients_left_out", "round_seconds", "local_steps"),
    *("bytes_up_per_client", "bytes_down_per_client", "bytes_up", "bytes_down"),
    *("prequential_score", "forgetting", "static_gap"),
)
SIZES = ("clients", "examples")  # names that other parts of the evidence may bear too
QUANTITIES = (*SIZES, *DECILES, PERCENTILES, *ALONE)
"""What the part shows, where a run was trained across clients."""

CURVES = ("convergence", "convergence_score", "activity_lorenz", "participation_lorenz", "js_map", "prequential", "period_scores")
_NAMES = ("strategy", "name", "weighting")  # under which a table of settings has the name of what it sets


@dataclass(frozen=True, kw_only=True)
class Federated:
    """A run across clients.

    Args:
        run: Its number, from 0.
        name: Of the run.
        settings: What its record says of the federation; empty without a record.
        evidence: About this run alone.
    """

    run: int
    name: str
    settings: Mapping[str, Any]
    evidence: Evidence

    def estimate(self, quantity: str) -> Estimate | None:
        """A quantity of the run, or None where it is not there or has no value."""
        found = self.evidence.estimate(quantity)
        return None if found is None or found.value is None else found

    def value(self, quantity: str) -> float | None:
        """The number alone."""
        found = self.estimate(quantity)
        return None if found is None else found.value

    def curve(self, name: str) -> Curve | None:
        """A curve of the run, or None where it is not there or empty."""
        found = self.evidence.curve(name)
        return found if found is not None and found.x else None

    def deciles(self, quantity: str) -> dict[int, Estimate]:
        """A quantity by decile of activity, from the lightest to the heaviest; those without a value are left out."""
        return self._by("decile", quantity)

    def percentiles(self) -> dict[int, Estimate]:
        """The score of the client at each percentile that was measured, the worst client first."""
        return self._by("percentile", PERCENTILES)

    @property
    def measure(self) -> str:
        """The score that the clients were measured by, such as "accuracy", or empty."""
        items: Sequence[Estimate | Curve] = (*self.evidence.curves, *self.evidence.estimates)
        return next((str(one.conditions["measure"]) for one in items if one.name in _MEASURED and "measure" in one.conditions), "")

    @property
    def clients(self) -> int | None:
        """How many clients there are, where that is known."""
        told = self.value("clients")
        return None if told is None else round(told)

    @property
    def continual(self) -> bool:
        """True where the data came period by period."""
        return self.settings.get("schedule") == "continual" or self.curve("prequential") is not None

    def _by(self, condition: str, quantity: str) -> dict[int, Estimate]:
        found = {
            int(one.conditions[condition]): one
            for one in self.evidence.estimates
            if one.name == quantity and one.value is not None and condition in one.conditions
        }
        return dict(sorted(found.items()))


_MEASURED = {*DECILES[:1], PERCENTILES, "convergence_score", "prequential", "period_scores", *ALONE[-3:]}
_SIGNS = {*DECILES, PERCENTILES, *ALONE, *CURVES}


def runs(document: Document) -> tuple[Federated, ...]:
    """The runs that were trained across clients, as their record or their evidence tells, in order."""
    estimates: dict[str, list[Estimate]] = {name: [] for name in document.names}
    curves: dict[str, list[Curve]] = {name: [] for name in document.names}
    for estimate in document.evidence.estimates:  # once for all runs: a grid has hundreds
        estimates[estimate.subject].append(estimate)
    for curve in document.evidence.curves:
        curves[curve.subject].append(curve)
    found = []
    for run, entry in enumerate(document.runs):
        settings, name = entry.settings.get(SETTINGS), entry.name
        told = any(estimate.name in _SIGNS for estimate in estimates[name]) or any(curve.name in _SIGNS for curve in curves[name])
        if isinstance(settings, Mapping) or told:
            own = settings if isinstance(settings, Mapping) else {}
            evidence = Evidence(estimates=tuple(estimates[name]), curves=tuple(curves[name]))
            found.append(Federated(run=run, name=name, settings=own, evidence=evidence))
    return tuple(found)


def shown(document: Document) -> Callable[[Estimate], bool]:
    """A test whether the part on federation shows an estimate."""
    names = {one.name for one in runs(document)}
    return lambda estimate: estimate.name in QUANTITIES and estimate.subject in names


def main_score(document: Document, measure: str = "") -> str:
    """The score by which runs are compared: that of the clients where it was measured on the test set too, else the first that was."""
    names = {one.name for one in document.evidence.estimates if one.value is not None}
    return measure if measure in names else next(iter(scores(document)), "")


def across(found: Sequence[Federated]) -> str:
    """How many clients there are, in words; nothing where that is not known.

    One number where all runs have as many, else the least and the most.
    """
    known = sorted({one.clients for one in found if one.clients is not None})
    if not known:
        return ""
    return f"{known[0]:,} clients" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,} clients"


def selection(settings: Mapping[str, Any]) -> str:
    """How the clients of a round are chosen.

    >>> selection({"select": {"strategy": "activity", "tau": 0.5}}), selection({"select": "uniform"}), selection({})
    ('activity, tau 0.5', 'uniform', '')
    """
    return _named(settings.get("select"))


def weighting(settings: Mapping[str, Any]) -> str:
    """How updates are weighted in the average."""
    return _named(settings.get("weighting"))


def about_selection(note: str) -> bool:
    """True for a note that the part shows beside its figures: it says what selection and weights do together.

    >>> about_selection("activity favours active clients, so they count twice."), about_selection("One split was drawn.")
    (True, False)
    """
    return note.startswith("Selection") or "count twice" in note or "counts twice" in note


def measure_label(measure: str) -> str:
    """A score inside a sentence.

    >>> measure_label("intent_accuracy"), measure_label("slot_f1"), measure_label("")
    ('intent accuracy', 'slot F1', 'score')
    """
    name = label_of(measure)
    return f"{name[:1].lower()}{name[1:]}" if name else "score"


def largest_distance(curve: Curve | Estimate) -> float:
    """The largest Jensen-Shannon distance that there is: that of two clients who share no label."""
    return 1.0 if str(curve.conditions.get("log", "e")) == "2" else math.sqrt(math.log(2))


def _named(value: object) -> str:
    """A name with its options, however the record calls the name; options that were left alone are left out."""
    if not isinstance(value, Mapping):
        return "" if value is None else str(value)
    key = next((key for key in _NAMES if key in value), "")
    rest = [f"{option.replace('_', ' ')} {plain(item)}" for option, item in value.items() if option != key and item is not None]
    return ", ".join([str(value[key]), *rest] if key else rest)
