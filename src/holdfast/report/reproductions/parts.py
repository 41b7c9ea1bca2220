"""What the pages of all grids have: one frame, contradicted promises, every run, limits, how to do it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdfast.core.evidence import Evidence
from holdfast.report import front, html
from holdfast.report.document import UNRECORDED, Document
from holdfast.report.sections import reproduction
from holdfast.report.view import Cell, Page, Point, Section, Table, Tile


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a page has of its own; the rest is alike for all grids.

    Args:
        statement: What the study is, and what it is not.
        cells: How many there are.
        lead: The sentence that a person remembers.
        meaning: How to read the figures, below the tiles.
        tiles: The answers on the first screen.
        overview: The table on the first screen.
        sections: Everything below, but for limits and how to do it again.
    """

    statement: str
    cells: int
    lead: str
    meaning: str
    tiles: Sequence[Tile]
    overview: Table
    sections: Sequence[Section]


def framed(document: Document, own: Study) -> str:
    """Draws a page: what is its own between what all have.

    Args:
        document: The runs, and the summary among their evidence.
        own: Made from the summary.

    Returns:
        HTML.
    """
    return html.page(
        Page(
            title=document.title,
            facts=[*front.facts(document), ("Runs", f"{len(recorded(document))}, over {own.cells} cells")],
            alerts=[Point(lead="No reproduction of figures.", text=own.statement, tone="caution"), *contradicted(document)],
            lead=own.lead,
            support=own.meaning,
            tiles=own.tiles,
            overview=own.overview,
            sections=[*own.sections, limits(document.evidence), again(document)],
            version=document.versions.get("holdfast", ""),
        )
    )


def recorded(document: Document) -> list[str]:
    """The names of the trainings; what else the evidence speaks of are cells of the grid."""
    return [run.name for run in document.runs if run.status != UNRECORDED]


def every_run(document: Document, *, columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], done: str) -> Section:
    """One row for each training, folded.

    Args:
        document: The runs.
        columns: Heads of the table.
        rows: One for each run.
        done: What was done to each model.
    """
    count = len(recorded(document))
    return Section(
        name="every-run",
        title="Every run",
        finding=f"{count} models were {done}, each once; its whole record is in the folder runs beside this page.",
        tables=(Table(title="The runs one by one", columns=columns, rows=tuple(rows)),),
    )


def contradicted(document: Document) -> list[Point]:
    """An alert for each promise that an attack contradicted."""
    return [point for point in front.alerts(replace(document, evidence=replace(document.evidence, claims=()))) if point.tone == "bad"]


def limits(evidence: Evidence) -> Section:
    """What the page does not show: the notes of the evidence."""
    points = tuple(Point(lead="", text=note) for note in evidence.notes)
    finding = f"{len(points)} limits bear on the figures above." if len(points) != 1 else "One limit bears on the figures above."
    return Section(name="limits", title="What this does not show", finding=finding, points=points)


def again(document: Document) -> Section:
    """How to do it again; the study file has a line for each run, so it stands beside the page and not on it."""
    found = reproduction(document)
    blocks = tuple(block for block in found.blocks if block[1] != document.study)
    tables = tuple(table for table in found.tables if table.title != "Seeds")  # the names of the runs carry them
    return replace(found, blocks=blocks, tables=tables, finding=f"{found.finding} study.toml, beside it, has a line for each run.")
