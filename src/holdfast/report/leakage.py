"""The part of the page on leakage: what the attacks found, whom it concerns, and what that makes of each promise."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.document import Document
from holdfast.report.figures import attack, group_areas, score_histograms
from holdfast.report.figures.leakage import attributes
from holdfast.report.front import leakage_sentence
from holdfast.report.numbers import label, label_of, share, significant, written
from holdfast.report.view import Cell, Point, Section, Table, cell, hint, methods

FPRS = (0.1, 0.01, 0.001)
_WHOLE = ("membership_auc", "tpr_at_fpr", "membership_advantage", "epsilon_lower_bound", "blind_auc")
_GROUPS = (
    *("group_auc", "group_auc_difference", "group_auc_gap", "group_tpr_one_threshold", "group_fpr_one_threshold"),
    *("group_tpr_own_threshold", "group_advantage"),
)
_CANARIES = ("one_run_epsilon", "one_run_gaussian_epsilon", "one_run_accuracy")
RECORDS = "record_fpr"
QUANTITIES = (*_WHOLE, *_GROUPS, *_CANARIES, RECORDS)
"""What this part shows."""


def leakage(document: Document, *, drawn: bool = True) -> Section:
    """What the attacks found, and what that makes of each promise.

    Args:
        document: What is known.
        drawn: False leaves the chart out.
    """
    measured = _named(document, *_WHOLE)
    points = [
        Point(lead=f"{name}: {verdict.outcome}.", text=verdict.reason, run=run)
        for run, name in enumerate(document.names)
        if (verdict := document.verdict(name)) is not None
    ]
    points += _guesses(document)
    gaps = list(_gaps(document))
    told = [*measured, *_firsts(_named(document, *_GROUPS, *_CANARIES, RECORDS))]
    tables = (
        _attacks(document),
        *_canaries(document),
        *(_groups(document, attribute) for attribute in attributes(document)),
        *_records(document),
        methods("How these numbers were measured", [(label(estimate), estimate) for estimate in told]),
    )
    return Section(
        name="leakage",
        title="Leakage",
        finding=_leakage_finding(document),
        points=(*points, *gaps),
        points_title=("The verdict on each promise, and differences between groups" if gaps else "The verdict on each promise")
        if points or gaps
        else "",
        figures=(attack(document), *score_histograms(document), *group_areas(document)) if drawn else (),
        tables=tables if told else (),
        tone="plain" if measured or points or gaps else "missing",
    )


def _leakage_finding(document: Document) -> str:
    outcomes = {name: verdict.outcome for name in document.private if (verdict := document.verdict(name)) is not None}
    refuted = [name for name, outcome in outcomes.items() if outcome == "contradicted"]
    if refuted:
        return f"The attack contradicts the promise of {words.listed(refuted)}."
    if not outcomes:
        return leakage_sentence(document)
    beyond = [name for name, outcome in outcomes.items() if outcome == "not testable"]
    if not beyond:
        return "The attack contradicts no promise."
    if len(beyond) == len(outcomes):
        return "The attack contradicts no promise, but it could test none of them."
    return f"The attack contradicts no promise that it could test; it could not test that of {words.listed(beyond)}."


def _attacks(document: Document) -> Table:
    """A row for each run and attack; what was too fine to resolve says so."""
    several = any(len(document.attacks(name)) > 1 for name in document.names)
    rows = []
    for run, name in enumerate(document.names):
        for made in document.attacks(name) or (None,):
            rows.append((Cell(text=name, run=run), *([Cell(text=made or "none")] if several else []), *_attack_row(document, name, made)))
    tprs = [f"TPR at {share(fpr)} FPR" for fpr in FPRS]
    columns = (
        *("Run", *(["Attack"] if several else []), "AUC", *tprs, label_of("membership_advantage"), label_of("epsilon_lower_bound")),
        *("Provable at most", label_of("epsilon")),
    )
    text = "The chart shows the attack with the largest AUC; the verdict rests on all of them." if several else ""
    return Table(title="Every attack on each run" if several else "The attack on each run", columns=columns, rows=tuple(rows), text=text)


def _attack_row(document: Document, name: str, made: str | None) -> Iterator[Cell]:
    claim, bound = document.claim(name), document.estimate("epsilon_lower_bound", name, attack=made)
    verdict = document.verdict(name)
    detectable = None if bound is None else bound.conditions.get("detectable", None if verdict is None else verdict.detectable)
    yield cell(document.estimate("membership_auc", name, attack=made))
    for fpr in FPRS:
        yield _tpr(document.estimate("tpr_at_fpr", name, fpr=fpr, attack=made), claim, fpr)
    yield cell(document.estimate("membership_advantage", name, attack=made))
    yield cell(bound)
    if detectable is None or claim is None:
        yield Cell(text="–")
    else:
        yield Cell(text=significant(float(detectable), 3), hint="Largest bound that a perfect attack gives")
    yield Cell(text="none", tone="missing") if claim is None else Cell(text=significant(claim.epsilon))


def _guesses(document: Document) -> Iterator[Point]:
    """What the audit by canaries found, in one sentence for each run that had any."""
    for one in _named(document, "one_run_accuracy"):
        bound, known = document.estimate("one_run_epsilon", one.subject), one.conditions
        proved = "" if bound is None or bound.value is None else f" That proves ε ≥ {significant(bound.value, 3)}."
        cap = f"; the promise lets at most {share(float(known['cap']))} be expected" if "cap" in known else ""
        text = (
            f"{known['correct']:,} of {known['guessed']:,} guesses, which of {known['canaries']:,} canaries it was trained on, are right "
            f"({written(one).full}; 50% by chance{cap}).{proved}"
        )
        yield Point(lead=f"{one.subject}, by canaries:", text=text, run=document.names.index(one.subject))


def _canaries(document: Document) -> list[Table]:
    """A row for each run that was trained with canaries."""
    rows = []
    for one in _named(document, "one_run_accuracy"):
        bounds = [document.estimate(name, one.subject) for name in ("one_run_epsilon", "one_run_gaussian_epsilon")]
        counts = [Cell(text=f"{one.conditions[name]:,}") for name in ("canaries", "guessed", "correct")]
        rows.append((Cell(text=one.subject, run=document.names.index(one.subject)), *counts, cell(one), *map(cell, bounds)))
    columns = ("Run", "Canaries", "Guessed", "Right", "Share right", "Lower bound on ε", "The same, if the mechanism is Gaussian")
    return [Table(title="The audit by canaries", columns=columns, rows=tuple(rows))] if rows else []


def _tpr(estimate: Estimate | None, claim: PrivacyClaim | None, fpr: float) -> Cell:
    cap = "" if claim is None else f"promise allows {share(claim.cap(fpr))}"
    found = cell(estimate, note=cap)
    return (
        found
        if found.tone != "missing" or estimate is None
        else Cell(text=found.text, hint=hint(estimate), tone="missing", notes=(cap,) if cap else ())
    )


def _gaps(document: Document) -> Iterator[Point]:
    """How far groups lie apart, where that was measured, in one sentence for each run and attribute."""
    for estimate in _named(document, "group_auc_gap"):
        if estimate.conditions.get("attack") != document.strongest(estimate.subject):
            continue  # the table has every attack
        run = document.names.index(estimate.subject)
        attribute, lead = str(estimate.conditions.get("attribute", "group")), f"{estimate.subject}, by {{}}:"
        if estimate.value is None or estimate.interval is None:
            yield Point(lead=lead.format(attribute), text=f"no comparison: {estimate.missing}.", run=run)
            continue
        most, least = (str(estimate.conditions.get(end, "")) for end in ("largest", "smallest"))
        by_chance = estimate.conditions.get("null_mean")
        expected = f"; where no group differs, {significant(float(by_chance), 2)} is to be expected" if by_chance is not None else ""
        found = "no two groups were found to differ" if estimate.interval.low <= 0 else "at least two groups differ"
        text = f"{found}. The AUC of {most} lies {written(estimate).full} above that of {least}{expected}."
        yield Point(lead=lead.format(attribute), text=text, run=run)


def _groups(document: Document, attribute: str) -> Table:
    """A row for each run and group: whom the attack finds, and whom it accuses wrongly."""
    found = [one for one in _named(document, *_GROUPS) if one.conditions.get("attribute") == attribute and "group" in one.conditions]
    attacks = dict.fromkeys(one.conditions.get("attack") for one in found)
    fprs = sorted({one.conditions["fpr"] for one in found if one.name == "group_tpr_one_threshold"}, reverse=True)
    keys = dict.fromkeys((one.subject, one.conditions["group"], one.conditions.get("attack")) for one in found)
    rows = []
    for subject, group, attack_name in keys:
        own = [
            one for one in found if (one.subject, one.conditions["group"], one.conditions.get("attack")) == (subject, group, attack_name)
        ]
        named = str(group) if len(attacks) == 1 else f"{group} ({attack_name})"
        rates = [_of(own, quantity, fpr) for fpr in fprs for quantity in ("group_tpr_one_threshold", "group_fpr_one_threshold")]
        figures = (_of(own, "group_auc"), _of(own, "group_auc_difference"), *rates)
        rows.append((Cell(text=subject, run=document.names.index(subject)), Cell(text=named), *map(cell, figures)))
    heads = [f"{rate} at {share(float(fpr))} FPR of all" for fpr in fprs for rate in ("TPR", "FPR")]
    text = "Intervals of one column hold for all groups of a run at once. Rates are those of one attack with one threshold for all groups."
    return Table(
        title=f"The attack by {attribute}", columns=("Run", "Group", "AUC", "Against the rest", *heads), rows=tuple(rows), text=text
    )


def _records(document: Document) -> list[Table]:
    """The members that the attack finds first, by hash."""
    found = _named(document, RECORDS)
    rows = [
        (
            Cell(text=one.subject, run=document.names.index(one.subject)),
            Cell(text=str(one.conditions.get("rank", ""))),
            Cell(text=str(one.conditions.get("record", ""))[:16]),
            cell(one),
            Cell(text=significant(float(one.conditions["null_mean"])) if "null_mean" in one.conditions else "–"),
        )
        for one in found
    ]
    columns = ("Run", "Rank", "Record (hash)", "Non-members that score as high", "Expected of that rank by chance")
    return [Table(title="Records at most risk", columns=columns, rows=tuple(rows))] if rows else []


def _of(found: list[Estimate], quantity: str, fpr: object = None) -> Estimate | None:
    return next((one for one in found if one.name == quantity and (fpr is None or one.conditions.get("fpr") == fpr)), None)


def _firsts(found: list[Estimate]) -> list[Estimate]:
    """One estimate for each quantity and attack: the others were measured likewise."""
    return list({(one.name, one.conditions.get("attack"), one.conditions.get("fpr")): one for one in reversed(found)}.values())[::-1]


def _named(document: Document, *quantities: str) -> list[Estimate]:
    return [one for quantity in quantities for one in document.evidence.estimates if one.name == quantity]
