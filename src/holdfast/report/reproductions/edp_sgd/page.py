"""The page of a grid: what promise and measurement have to do with each other, one row for each level of noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import words
from holdfast.report.document import Document
from holdfast.report.numbers import RATIO, label_of, significant, written
from holdfast.report.reproductions.edp_sgd.charts import over_promise
from holdfast.report.reproductions.edp_sgd.grid import (
    ADVANTAGE,
    BOTH,
    CORRELATION,
    LABELS,
    LEAKAGE,
    NAIVE,
    PROMISE,
    SECONDS,
    STATEMENT,
    GridCell,
    cells,
    estimate,
    methods,
    of_method,
    usefulness,
    value,
)
from holdfast.report.reproductions.edp_sgd.reading import readings, sign, together
from holdfast.report.reproductions.parts import Study, every_run, framed, recorded
from holdfast.report.view import NOT_MEASURED, Cell, Point, Section, Table, Tile, Tone, cell, hint
from holdfast.report.view import methods as how

_TONES: dict[int, Tone] = {1: "good", 0: "missing", -1: "bad"}
_STATUS = {1: "promise and leakage rank alike", 0: "the interval holds 0: not told", -1: "promise and leakage rank against each other"}

_MEANING = (
    "A rank correlation of 1 means that, within every seed, a smaller promised ε always came with a smaller AUC of the attack; "
    "one of 0 that the promise says nothing of what the attack finds."
)


def render(document: Document) -> str:
    """Draws the page of a grid.

    Args:
        document: The runs, and the summary among their evidence; the page shows nothing else.

    Returns:
        HTML. The same document gives the same text on the same machine.
    """
    found = document.evidence
    own = Study(
        statement=STATEMENT,
        cells=len(cells(found)),
        lead=_lead(found),
        meaning=_MEANING,
        tiles=[*(_correlation(found, subject) for subject in (*methods(found), BOTH)), _time(found)],
        overview=overview(found),
        sections=[_leakage(found), _usefulness(found), _every_run(document)],
    )
    return framed(document, own)


def _lead(evidence: Evidence) -> str:
    """The sentence over both methods, or over the only one."""
    subject = BOTH if evidence.estimate(CORRELATION, BOTH) is not None else next(iter(methods(evidence)), "")
    found = together(evidence, subject)
    return f"Over {LABELS.get(subject, subject)}: {found[:1].lower()}{found[1:]}" if found else "No method with a promise was run."


def overview(evidence: Evidence) -> Table:
    """A row for each cell: promise, leakage, usefulness, time."""
    measures = usefulness(evidence)
    rows = []
    for one in cells(evidence):
        longer = estimate(evidence, SECONDS + RATIO, one)
        slower = "" if longer is None else f"{written(longer).value} non-private"
        rows.append(
            (
                Cell(text=_name(evidence, one), run=one.colour),
                _promise(evidence, one),
                cell(estimate(evidence, LEAKAGE, one)),
                cell(estimate(evidence, ADVANTAGE, one)),
                *(cell(estimate(evidence, measure, one)) for measure in measures),
                _seconds(estimate(evidence, SECONDS, one), slower),
            )
        )
    columns = ("Runs", "Promised ε", "Attack AUC", "Advantage", *map(label_of, measures), "Time for an epoch")
    seeds = max((one.seeds for one in cells(evidence)), default=0)
    return Table(
        title="Every level of noise",
        columns=columns,
        rows=tuple(rows),
        text=f"Each row is the mean of {seeds} seeds (times: of the fastest). The advantage is a largest value, and so biased upwards.",
    )


def _name(evidence: Evidence, one: GridCell) -> str:
    found = estimate(evidence, LEAKAGE, one)
    noise = None if found is None else found.conditions.get("noise_multiplier")
    return LABELS[one.method] if noise is None else f"{LABELS[one.method]}, noise {noise:g}"


def _promise(evidence: Evidence, one: GridCell) -> Cell:
    """What is proved, and below it what naive accounting would claim."""
    found, naive = estimate(evidence, PROMISE, one), value(evidence, NAIVE, one)
    if found is None or found.value is None:
        return Cell(text="no promise", tone="missing")
    kind = str(found.conditions.get("kind", ""))
    notes = [kind] if naive is None else [kind, f"naive {significant(naive)}, unproved"]
    return Cell(text=significant(found.value), hint=hint(found), notes=tuple(note for note in notes if note))


def _seconds(found: Estimate | None, note: str) -> Cell:
    if found is None:
        return cell(None)
    return Cell(text=f"{significant(found.value or 0.0)} s", hint=hint(found), notes=(note,) if note else ())


def _correlation(evidence: Evidence, subject: str) -> Tile:
    title = f"Rank correlation, {LABELS.get(subject, subject)}"
    found = evidence.estimate(CORRELATION, subject)
    if found is None or found.value is None or found.interval is None:
        reason = "It was not computed." if found is None else f"{(found.missing or '').capitalize()}."
        return Tile(title=title, headline="not found", text=reason, status="no evidence", tone="missing")
    shown, seeds = written(found), found.conditions.get("seeds")
    text = f"Interval {shown.interval}, from {seeds} seeds and {found.n} runs."
    return Tile(title=title, headline=shown.value, text=text, status=_STATUS[sign(found)], tone=_TONES[sign(found)])


def _time(evidence: Evidence) -> Tile:
    """What the methods cost for an epoch: the median over their levels of noise, which has no bearing on time."""
    title = "Time for an epoch"
    found = []
    for method in methods(evidence):
        known = [number for one in of_method(evidence, method) if (number := value(evidence, SECONDS + RATIO, one)) is not None]
        if known:
            found.append((LABELS[method], f"{significant(median(known), 2)}×"))
    if not found:
        reason = "There is no non-private run to compare with."
        return Tile(title=title, headline=NOT_MEASURED, text=reason, status="no evidence", tone="missing")
    text = f"{words.listed([label for label, _ in found])}, over the time without privacy at the same batch size."
    headline = words.listed([times for _, times in found])
    return Tile(title=title, headline=headline, text=text, status="on one machine and these settings", tone="plain")


def _leakage(evidence: Evidence) -> Section:
    points = tuple(Point(lead=one.lead, text=one.text, run=one.colour) for one in readings(evidence))
    kept = [one for one in evidence.estimates if one.name == CORRELATION]
    rows = tuple(
        (Cell(text=LABELS.get(one.subject, one.subject)), cell(one), Cell(text=str(one.n)), Cell(text=str(one.conditions.get("seeds"))))
        for one in kept
    )
    table = Table(title="The correlations", columns=("Over", "Rank correlation", "Runs", "Seeds"), rows=rows)
    shown = [(label_of(name), one) for name in (LEAKAGE, ADVANTAGE) for one in _of_cells(evidence, name)]
    sources = how("How these numbers were measured", [*shown, *((label_of(CORRELATION), one) for one in kept)])
    return Section(
        name="promised",
        title="Promised against measured privacy",
        finding=" ".join(f"{LABELS[method]}: {together(evidence, method)}" for method in methods(evidence)),
        figures=(over_promise(evidence, LEAKAGE),),
        points=points,
        points_title="Read plainly",
        tables=(table, sources),
    )


def _usefulness(evidence: Evidence) -> Section:
    measures = usefulness(evidence)
    shown = [(label_of(measure), one) for measure in measures for one in _of_cells(evidence, measure)]
    return Section(
        name="usefulness",
        title="Usefulness over the promise",
        finding=_span(evidence, measures[0]) if measures else "The usefulness of the runs was not measured.",
        figures=tuple(over_promise(evidence, measure) for measure in measures),
        tables=(how("How these numbers were measured", shown),) if shown else (),
    )


def _span(evidence: Evidence, measure: str) -> str:
    """How far a measure of usefulness ranges over the levels of noise of each method."""
    parts = []
    for method in methods(evidence):
        known = [found for one in of_method(evidence, method) if (found := estimate(evidence, measure, one)) and found.value is not None]
        if known:
            least, most = min(known, key=_number), max(known, key=_number)
            parts.append(f"{LABELS[method]} from {written(least).value} to {written(most).value}")
    base = next((found for one in cells(evidence) if one.method == "none" and (found := estimate(evidence, measure, one))), None)
    against = "" if base is None else f", against {written(base).value} without privacy"
    return f"{label_of(measure)} over the levels of noise: {'; '.join(parts)}{against}."


def _every_run(document: Document) -> Section:
    """One row for each training, folded."""
    names = recorded(document)
    measures = usefulness(document.evidence)
    rows = []
    for name in names:
        claim = document.claim(name)
        naive = document.estimate(NAIVE, name)
        note = (f"naive {significant(naive.value)}, unproved",) if naive is not None and naive.value is not None else ()
        promise = Cell(text="no promise", tone="missing") if claim is None else Cell(text=significant(claim.epsilon), notes=note)
        verdict = document.verdict(name)
        measured = [cell(document.estimate(quantity, name)) for quantity in (LEAKAGE, ADVANTAGE, *measures, SECONDS)]
        rows.append((Cell(text=name), promise, *measured, Cell(text="–" if verdict is None else verdict.outcome)))
    columns = ("Run", "Promised ε", "Attack AUC", "Advantage", *map(label_of, measures), label_of(SECONDS), "The promise")
    return every_run(document, columns=columns, rows=rows, done="trained and attacked")


def _of_cells(evidence: Evidence, name: str) -> Sequence[Estimate]:
    return [found for one in cells(evidence) if (found := estimate(evidence, name, one)) is not None]


def _number(found: Estimate) -> float:
    return found.value or 0.0
