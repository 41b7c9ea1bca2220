"""What stands on the page, before it is HTML or Markdown: tiles, tables, sections. Plain text throughout; nothing is escaped yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.core.evidence import Estimate
from holdfast.report.figures import Figure
from holdfast.report.numbers import share, significant, written

Tone = Literal["plain", "good", "caution", "bad", "missing"]
NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table.

    Args:
        text: What it says.
        hint: Method and source, shown on hovering; the same stands in a table of methods.
        tone: How it is coloured.
        run: The run whose mark stands before the text, counted from 0.
        notes: Smaller lines below it.
    """

    text: str
    hint: str = ""
    tone: Tone = "plain"
    run: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def wordy(self) -> bool:
        """True for a text that needs a wide column."""
        return len(self.text) > 40


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column names its rows.

    Args:
        title: What it holds.
        columns: Heads, as many as cells in a row.
        rows: Cells.
        text: A sentence above the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the four answers on the first screen."""

    title: str
    headline: str
    text: str
    status: str
    tone: Tone


@dataclass(frozen=True, kw_only=True)
class Point:
    """A sentence with a lead-in.

    Args:
        lead: What it speaks of, such as a run's name.
        text: The sentence.
        run: The run whose mark stands before it, counted from 0.
        tone: How the lead-in is coloured.
    """

    lead: str
    text: str
    run: int | None = None
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Args:
        name: Its id.
        title: Its heading.
        finding: What was found, in one sentence; stands first.
        points: Sentences to read before the tables.
        points_title: Their heading, or empty.
        figures: Charts, by name.
        blocks: Texts to be shown as they are, with their titles.
        tables: Folded tables.
        tone: "missing" where there is no evidence.
    """

    name: str
    title: str
    finding: str
    points: tuple[Point, ...] = ()
    points_title: str = ""
    figures: tuple[Figure, ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that stands on a page.

    Args:
        title: Its heading.
        facts: Pairs of a name and a value, at the top.
        alerts: What a reader must know before anything else.
        lead: The sentence that a person remembers.
        support: A sentence below the tiles.
        tiles: The answers on the first screen, four of them.
        overview: The table on the first screen.
        sections: Everything below.
        version: Of holdfast.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    alerts: Sequence[Point]
    lead: str
    support: str
    tiles: Sequence[Tile]
    overview: Table
    sections: Sequence[Section]
    version: str


def hint(estimate: Estimate | None) -> str:
    """Method, interval, number of examples, access and source of an estimate, in sentences."""
    if estimate is None:
        return ""
    interval = estimate.interval
    parts = [
        estimate.missing or "",
        estimate.method,
        "" if interval is None else f"{share(interval.level)} interval: {interval.method}",
        "" if estimate.n is None else f"n = {estimate.n:,}",
        f"Access: {estimate.access}" if estimate.access else "",
        f"Source: {estimate.reference}" if estimate.reference else "",
    ]
    return ". ".join(part if part.startswith("n = ") else part[:1].upper() + part[1:] for part in parts if part)


def cell(estimate: Estimate | None, *, note: str = "") -> Cell:
    """A cell with an estimate and its interval, or with a grey word where there is none."""
    if estimate is None:
        return Cell(text=NOT_MEASURED, tone="missing")
    shown = written(estimate)
    if shown.missing:
        return Cell(text=shown.value, hint=hint(estimate), tone="missing")
    return Cell(text=shown.value, hint=hint(estimate), notes=tuple(line for line in (shown.interval, note) if line))


def methods(title: str, estimates: list[tuple[str, Estimate]]) -> Table:
    """How numbers came about: a row for each quantity and way of measuring it.

    Args:
        title: Of the table.
        estimates: Pairs of a label and an estimate, in the order of the rows.
    """
    rows: dict[tuple[str, ...], None] = {}
    for name, estimate in estimates:
        level = "" if estimate.interval is None else f"{share(estimate.interval.level)}: {estimate.interval.method}"
        count = "" if estimate.n is None else f"{estimate.n:,}"
        told = (estimate.method, level, count, estimate.access, estimate.reference)
        if any(told):  # a missing figure may have no method
            rows[(name, *told)] = None
    columns = ("Quantity", "Method", "Interval", "n", "Access", "Source")
    cells = tuple(tuple(Cell(text=text or "–") for text in row) for row in rows)
    return Table(title=title, columns=columns, rows=cells)


def listing(values: Mapping[str, object], *, title: str, columns: tuple[str, str]) -> Table | None:
    """A table of names and values, or None for no values."""
    rows = tuple((Cell(text=name), Cell(text=plain(value))) for name, value in values.items())
    return Table(title=title, columns=columns, rows=rows) if rows else None


def plain(value: object) -> str:
    """A plain value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return significant(value, 4)
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value)
