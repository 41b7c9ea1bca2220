"""Writes what a grid leaves behind: the page, the evidence that it is drawn from, and the table of its cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.evidence import Evidence
from holdfast.report.document import gather
from holdfast.report.numbers import RATIO
from holdfast.report.reproductions import page
from holdfast.report.reproductions.grid import ADVANTAGE, LEAKAGE, NAIVE, PROMISE, SECONDS, cells, estimate, usefulness
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


def write_reproduction(folder: Path, records: Sequence[RunRecord], summary: Evidence, *, title: str, study: str) -> ReproductionFiles:
    """Draws a grid. The same records and summary give the same bytes on the same machine.

    Args:
        folder: Where the files go.
        records: Of every run, with the figures that the page shows of each.
        summary: Of the cells and over all runs.
        title: Heading of the page.
        study: The study file.

    Raises:
        TrainingStopped: If the disk is full.
        RunError: If the folder cannot be written.
    """
    files = ReproductionFiles(html=folder / PAGE, evidence_json=folder / EVIDENCE, table=folder / TABLE)
    document = gather([*records, summary], title=title, study=study)
    evidence = document.to_json()
    validate(evidence, place="evidence of the reproduction")
    drawn = {files.evidence_json: json_text(evidence), files.html: page.render(document), files.table: table(summary)}
    for target, content in drawn.items():
        atomic_write(target, content)
    return files


def table(summary: Evidence) -> str:
    """The cells as comma-separated values: each figure with its interval, where it has one; empty where there is none."""
    quantities = [PROMISE, NAIVE, LEAKAGE, ADVANTAGE, *usefulness(summary), SECONDS, SECONDS + RATIO]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["cell", "method", "seeds", *(f"{name}{end}" for name in quantities for end in ("", "_low", "_high"))])
    for one in cells(summary):
        row: list[object] = [one.subject, one.method, one.seeds]
        for name in quantities:
            found = estimate(summary, name, one)
            interval = None if found is None else found.interval
            row += ["" if found is None or found.value is None else found.value]
            row += ["", ""] if interval is None else [interval.low, interval.high]
        writer.writerow(row)
    return target.getvalue()
