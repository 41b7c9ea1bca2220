"""Writes the three files of a report: the page, the evidence that it is drawn from, and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import InputError
from holdfast.report.document import Item, gather
from holdfast.runs import atomic_write, json_text, validate

TITLE = "Trust report"


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where the parts of a report are.

    Args:
        html: The page.
        evidence_json: What it was drawn from; see evidence.schema.json.
        model_card: Markdown.
    """

    html: Path
    evidence_json: Path
    model_card: Path


def write_report(path: Path | str, *items: Item, title: str = TITLE, study: str = "") -> ReportFiles:
    """Draws runs side by side.

    Writes the page to `path`, and `evidence.json` and `model_card.md` beside it. No model is loaded and no clock is read: the
    same items give the same bytes on the same machine. Each file is written whole or not at all.

    Args:
        path: The page, such as "trust.html".
        items: Run records, objects with a `record` such as fitted models, or loose evidence, which joins the run of its
            subject. The first run without a promise is what the others are compared with.
        title: Heading of the page.
        study: Text of the study file, to be shown under "How to reproduce".

    Returns:
        The three paths.

    Raises:
        InputError: For no items, an item of another kind, or a page that would overwrite its own evidence or card.
        TrainingStopped: If the disk is full.
        RunError: If the folder cannot be written.
    """
    from holdfast.report import html, model_card

    page = Path(path)
    files = ReportFiles(html=page, evidence_json=page.with_name("evidence.json"), model_card=page.with_name("model_card.md"))
    if page.name in (files.evidence_json.name, files.model_card.name) or not page.name:
        raise InputError(f"the page cannot be named {str(path)!r}; give a name such as trust.html")
    document = gather(items, title=title, study=study)
    evidence = document.to_json()
    validate(evidence, place="evidence of the report")
    drawn = {files.evidence_json: json_text(evidence), files.html: html.render(document), files.model_card: model_card.render(document)}
    for target, content in drawn.items():
        atomic_write(target, content)
    return files
