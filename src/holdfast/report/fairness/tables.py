"""The numbers behind the charts of fairness, folded: summaries, groups, benchmarks, and runs against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdfast.core.evidence import Estimate
from holdfast.report.comparison import HOW_DIFFERENCES, difference
from holdfast.report.document import Document
from holdfast.report.fairness.reading import (
    UNFAIR,
    UNSURE,
    Fair,
    is_gap,
    is_row,
    metric_of,
    p_value,
    place,
    shared,
    titled,
    told,
    value_of,
    variant,
    writer,
)
from holdfast.report.numbers import label_of, significant
from holdfast.report.view import Cell, Table, Tone, cell, methods

SUMMARY = "Every gap and summary"
GROUPS = "Every group"
BENCHMARKS = "Every test and category"
DIFFERENCES = "Gaps of each run against another"
_TONES: dict[str, Tone] = {UNFAIR: "bad", UNSURE: "caution"}


def tables(document: Document, found: Sequence[Fair]) -> tuple[Table, ...]:
    """Every table that has a row, then how its numbers were measured."""
    made = (summaries(found), differences(document, found), *_groups(found), _benchmarks(found))
    told_ = [(label_of(one.name), replace(one, n=None)) for run in found for one in run.estimates]  # n stands beside each number
    sources = methods("How these numbers were measured", told_)
    return (*(table for table in made if table is not None), *([sources] if sources.rows else []))


def summaries(found: Sequence[Fair]) -> Table | None:
    """A row for each run and summary over groups, the same of all runs below each other."""
    made = shared(found, lambda _, one: not is_row(one) and ("groups" in one.conditions or is_gap(one)))
    rows = []
    for runs in made.values():
        for at, one in runs.items():
            worst = ", class ".join(filter(None, (told(one, "worst"), told(one, "worst class"))))
            cells = (_name(found[at]), Cell(text=titled(one)), Cell(text=variant(one) or "–"), *_measured(one))
            rows.append((*cells, Cell(text=worst or "–"), *_tested(one)))
    columns = ("Run", "Summary", "Variant", "Value", "n", "Worst group", *_TESTED)
    return _trimmed(SUMMARY, columns, rows, text=_DETECTABLE) if rows else None


def differences(document: Document, found: Sequence[Fair]) -> Table | None:
    """How far each gap moves from the run that the others are compared with to another."""
    base = next((run for run in found if run.name == document.baseline), found[0] if found else None)
    made = shared(found, lambda _, one: is_gap(one) and not told(one, "class"))
    rows = []
    for runs in made.values():
        own = next((one for at, one in runs.items() if found[at] is base), None)
        for at, one in runs.items():
            change = None if own is None or one is own else difference(one, own)
            if change is not None:
                name = ", ".join(filter(None, (titled(one), variant(one))))
                rows.append((_name(found[at]), Cell(text=name), cell(one), cell(own), cell(change), Cell(text=seen(change))))
    if base is None or not rows:
        return None
    columns = ("Run", "Gap", "Value", f"In {base.name}", "Difference", "Can it be seen?")
    return Table(title=DIFFERENCES, columns=columns, rows=tuple(rows), text=HOW_DIFFERENCES)


def seen(change: Estimate) -> str:
    """Whether a difference between runs is more than these data leave to chance."""
    if change.interval is None:
        return "no interval"
    return "no" if change.interval.low <= 0 <= change.interval.high else "yes"


def _groups(found: Sequence[Fair]) -> Iterator[Table]:
    """A table for each attribute, with a row for each metric, rate, group and run."""
    made = shared(found, lambda _, one: is_row(one))
    attributes = dict.fromkeys(told(next(iter(runs.values())), "groups") for runs in made.values())
    for attribute in attributes:
        rows = []
        for runs in made.values():
            for at, one in runs.items():
                if told(one, "groups") == attribute:
                    rate = ", ".join(filter(None, (label_of(one.name), place(one) if place(one) != "all" else "", writer(one))))
                    way, metric = Cell(text=variant(one) or "–"), Cell(text=metric_of(one))
                    rows.append(
                        (Cell(text=told(one, "group")), _name(found[at]), Cell(text=rate), *_measured(one), *_tested(one), metric, way)
                    )
        columns = ("Group", "Run", "Rate", "Value", "n", *_TESTED, "Metric", "Variant")
        yield _trimmed(f"{GROUPS}, by {attribute}" if attribute else GROUPS, columns, rows, text=_DETECTABLE)


def _benchmarks(found: Sequence[Fair]) -> Table | None:
    """Tests of association, benchmarks and generated text."""
    made = shared(found, lambda _, one: not is_row(one) and "groups" not in one.conditions and not is_gap(one))
    rows = []
    for runs in made.values():
        for at, one in runs.items():
            cells = (
                Cell(text=metric_of(one)),
                Cell(text=variant(one) or "–"),
                Cell(text=place(one)),
                _name(found[at]),
                Cell(text=label_of(one.name)),
            )
            rows.append((*cells, *_measured(one), *_tested(one), Cell(text=_read(one) or "–")))
    columns = ("Metric", "Variant", "Of", "Run", "Quantity", "Value", "n", *_TESTED, "Texts")
    return _trimmed(BENCHMARKS, columns, rows, text=_DETECTABLE) if rows else None


def _trimmed(title: str, columns: Sequence[str], rows: Sequence[tuple[Cell, ...]], *, text: str) -> Table:
    """A table without the columns that hold nothing, and without the sentence on one of them that is not there."""
    kept = [place for place in range(len(columns)) if any(row[place].text != "–" for row in rows)]
    light = len(rows) > _HINTED
    body = tuple(tuple(replace(row[place], hint="") if light else row[place] for place in kept) for row in rows)
    return Table(
        title=title, columns=tuple(columns[place] for place in kept), rows=body, text=text if columns.index("Detectable") in kept else ""
    )


def _measured(one: Estimate) -> tuple[Cell, Cell]:
    """Value with its interval, or why there is none; and on how much it rests."""
    shown = cell(one)
    if one.missing:
        shown = Cell(text=f"{shown.text}: {one.missing}", tone="missing")
    counted = "–" if one.n is None else f"{one.n:,}"
    sizes = [
        f"{key.removeprefix('n ')} {significant(float(value))}"
        for key, value in one.conditions.items()
        if key.startswith("n ") and isinstance(value, int | float)
    ]
    unit = told(one, "resampled")
    return shown, Cell(text=f"{counted} {unit}".strip(), notes=tuple(sizes[:_SIZES]))


def _tested(one: Estimate) -> tuple[Cell, ...]:
    """Test, effect size, smallest detectable gap, verdict."""
    effect, least = value_of(one, "effect_size"), value_of(one, "minimum_detectable")
    verdict = told(one, "verdict")
    scale = 100 if one.unit == "share" else 1
    return (
        Cell(text=p_value(one).removeprefix("p ").removeprefix("= ") or "–", hint=told(one, "test"), notes=_notes(one, "adjustment")),
        Cell(text="–" if effect is None else significant(effect, 2), notes=_notes(one, "effect")),
        Cell(text="–" if least is None else f"{significant(scale * least, 2)}{' points' if scale == 100 else ''}"),
        Cell(text=verdict or "–", tone=_TONES.get(verdict, "plain")),
    )


def _notes(one: Estimate, key: str) -> tuple[str, ...]:
    return (told(one, key),) if told(one, key) else ()


def _read(one: Estimate) -> str:
    """How much of the texts the model could read."""
    parts = []
    for key, word in (("cut", "cut off"), ("undefined", "undefined"), ("ties", "ties")):
        count = value_of(one, key)
        if count:
            parts.append(f"{significant(count)} {word}")
    unknown = value_of(one, "unknown_words")
    if unknown:
        parts.append(f"{significant(100 * unknown, 2)}% unknown words")
    return ", ".join(parts)


def _name(run: Fair) -> Cell:
    return Cell(text=run.name, run=run.run)


_TESTED = ("p", "Effect size", "Detectable", "Verdict")
_HINTED = 120  # rows of a table whose cells have hints; in a longer one they would be a heavy page, and the methods have a table
_SIZES = 4  # of groups, beside a number
_DETECTABLE = "Detectable: the smallest true gap that data of this size would have shown with the power asked for."
