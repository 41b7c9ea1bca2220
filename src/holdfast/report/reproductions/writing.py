"""Writes what a grid leaves behind: the page, the evidence that it is drawn from, and the table of its cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.evidence import Evidence
from holdfast.report.document import gather
from holdfast.report.reproductions.presentation import Presentation
from holdfast.runs import RunRecord, atomic_write, json_text, validate

PAGE, EVIDENCE, TABLE = "reproduction.html", "evidence.json", "cells.csv"


@dataclass(frozen=True, kw_only=True)
class ReproductionFiles:
    """Where the parts are.

    Args:
        html: The page.
        evidence_json: What it was drawn from; see evidence.schema.json.
        table: The cells, as comma-separated values.
    """

    html: Path
    evidence_json: Path
    table: Path


def write_reproduction(
    folder: Path, records: Sequence[RunRecord], summary: Evidence, *, title: str, study: str, presentation: Presentation
) -> ReproductionFiles:
    """Draws a grid. The same records and summary give the same bytes on the same machine.

    Args:
        folder: Where the files go.
        records: Of every run, with the figures that the page shows of each.
        summary: Of the cells and over all runs.
        title: Heading of the page.
        study: The study file.
        presentation: How a study of this kind is shown.

    Raises:
        TrainingStopped: If the disk is full.
        RunError: If the folder cannot be written.
    """
    files = ReproductionFiles(html=folder / PAGE, evidence_json=folder / EVIDENCE, table=folder / TABLE)
    document = gather([*records, summary], title=title, study=study)
    evidence = document.to_json()
    validate(evidence, place="evidence of the reproduction")
    drawn = {
        files.evidence_json: json_text(evidence),
        files.html: presentation.render(document),
        files.table: table(summary, presentation),
    }
    for target, content in drawn.items():
        atomic_write(target, content)
    return files


def table(summary: Evidence, presentation: Presentation) -> str:
    """The cells as comma-separated values: each figure with its interval, where it has one; empty where there is none."""
    quantities, rows = presentation.quantities(summary), presentation.rows(summary)
    labels = list(dict.fromkeys(label for row in rows for label in row.labels))
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["cell", *labels, *(f"{name}{end}" for name in quantities for end in ("", "_low", "_high"))])
    for row in rows:
        figures: list[object] = [row.subject, *(row.labels.get(label, "") for label in labels)]
        for name in quantities:
            found = summary.estimate(name, row.subject)
            interval = None if found is None else found.interval
            figures += ["" if found is None or found.value is None else found.value]
            figures += ["", ""] if interval is None else [interval.low, interval.high]
        writer.writerow(figures)
    return target.getvalue()
