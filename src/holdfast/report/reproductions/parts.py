"""Parts that the pages of all grids have: contradicted promises, limits, how to do it again."""

from __future__ import annotations

from dataclasses import replace

from holdfast.core.evidence import Evidence
from holdfast.report import front
from holdfast.report.document import UNRECORDED, Document
from holdfast.report.sections import reproduction
from holdfast.report.view import Point, Section


def recorded(document: Document) -> list[str]:
    """The names of the trainings; what else the evidence speaks of are cells of the grid."""
    return [run.name for run in document.runs if run.status != UNRECORDED]


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
