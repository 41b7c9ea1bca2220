"""The model card: Markdown to put beside the weights, drawn from the same document as the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from holdfast.report import front, words
from holdfast.report.document import Document
from holdfast.report.extraction.gradients import gradients
from holdfast.report.extraction.secrets import extraction
from holdfast.report.fairness.section import fairness
from holdfast.report.fairness.tables import SUMMARY
from holdfast.report.federation.section import federation
from holdfast.report.federation.tables import SETTINGS
from holdfast.report.html import printable
from holdfast.report.leakage import leakage
from holdfast.report.numbers import named, significant
from holdfast.report.sections import limits, reproduction, training
from holdfast.report.view import Cell, Section, Table, plain

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$#@]|:(?=//)|(?<=www)\.)")
_EVERY_METHOD = "Every method under every setting"
_INTENDED = (
    "Text of the kind of the training data, in the task above. Read the evaluation and the limits before any other use. "
    "A promise speaks of the released weights: it does not allow publishing the training data, or figures measured on them."
)


def render(document: Document) -> str:
    """Draws the card.

    Args:
        document: What stands beside the card as evidence.json.

    Returns:
        Markdown (GitHub flavour). Whatever a user named is escaped.
    """
    return "\n".join(_lines(document)).rstrip("\n") + "\n"


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no link, no line break.

    It must not open a line, where more signs have a meaning.

    >>> print(escape("a|b <i> http://c"))
    a\|b \<i\> http\://c
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(printable(text)).split()))


def _lines(document: Document) -> Iterator[str]:
    yield from (f"# Model card: {escape(document.title)}", "")
    for alert in front.alerts(document):
        yield from (f"> **{escape(alert.lead)}** {escape(alert.text)}", "")
    yield from (f"**{escape(front.lead(document))}**", "", escape(front.support(document)), "")
    yield from ("## Model and data", "")
    yield from (f"- {name}: {escape(value)}" for name, value in front.facts(document))
    yield from ("", "## Intended use", "", _INTENDED, "")
    yield from ("## Results", "")
    yield from _table(replace(front.overview(document), text=""))
    yield from ("## Training settings", "")
    yield from _settings(document)
    yield from ("## Promise", "")
    yield from _promises(document)
    yield from _part("Evaluation", training(document, drawn=False), "Usefulness")
    yield from _part("Leakage", leakage(document, drawn=False), "The attack on each run")
    across, groups = federation(document, drawn=False), fairness(document, drawn=False)
    asked = ((extraction(document, drawn=False), "Every secret"), (gradients(document, drawn=False), _EVERY_METHOD), (across, SETTINGS))
    for section, title in (*asked, (groups, SUMMARY)):
        if section is not None:
            yield from _part(section.title, section, title)
    yield from ("## Limits", "")
    yield from (f"- {escape(point.text)}" for point in limits(document).points)
    missing = f"{'' if across else 'federation, '}{'' if groups else 'fairness, '}mitigation and rewriting"
    yield from (f"- Not measured: {missing}.", "", "## How to reproduce", "")
    yield from _reproduction(reproduction(document))


def _settings(document: Document) -> Iterator[str]:
    """What all runs share once, then what each has of its own; a setting inside another is written with its path."""
    found = [
        {**_flat(run.settings, ""), **_flat({"mechanism": dict(run.mechanism), "model": dict(run.model)}, "")} for run in document.runs
    ]
    shared = {key: value for key, value in found[0].items() if all(key in other and other[key] == value for other in found)}
    if len(found) > 1:
        yield f"- All runs: {_values(shared)}"
    for name, values in zip(document.names, found, strict=True):
        own = {key: value for key, value in values.items() if len(found) == 1 or key not in shared}
        yield f"- **{escape(name)}**: {_values(own)}"
    yield ""


def _values(values: dict[str, object]) -> str:
    return "; ".join(f"{escape(key)} = {escape(plain(value))}" for key, value in values.items()) or "nothing recorded"


def _flat(values: object, path: str) -> dict[str, object]:
    if not isinstance(values, dict):
        return {path: values}
    return {key: value for name, inner in values.items() for key, value in _flat(inner, f"{path}.{name}" if path else str(name)).items()}


def _promises(document: Document) -> Iterator[str]:
    for name in document.names:
        claim = document.claim(name)
        if claim is None:
            missing = document.estimate("epsilon", name)
            yield f"- **{escape(name)}**: none{f', {escape(missing.missing)}' if missing is not None and missing.missing else ''}."
            continue
        yield f"- **{escape(name)}**: {escape(words.promise(claim, model='this model'))} {escape(words.in_words(claim))}"
        signs = f"{named('ε', claim.epsilon)}, {named('δ', claim.delta)}"
        yield f"  Precisely: {signs}, per {claim.unit}, {claim.neighbouring} neighbouring, {claim.kind};"
        yield f"  {escape(claim.sampler)}; {escape(claim.accountant)}; {claim.steps:,} noisy steps."
        yield from (f"  - Holds if {escape(condition)}." for condition in claim.conditions)
        yield from (f"  - Other account: {significant(value)}, {escape(account)}." for account, value in claim.other_accounts.items())
    yield ""


def _part(heading: str, section: Section, title: str) -> Iterator[str]:
    yield from (f"## {heading}", "", escape(section.finding), "")
    if heading != "Evaluation" and section.points:
        yield from (f"- **{escape(point.lead)}** {escape(point.text)}" for point in section.points)
        yield ""
    for table in section.tables:
        if table.title in (title, "How these numbers were measured"):
            yield from (f"### {table.title}", "")
            yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    if table.text:
        yield from (escape(table.text), "")
    yield "| " + " | ".join(map(escape, table.columns)) + " |"
    yield "|" + " --- |" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    yield ""


def _cell(cell: Cell) -> str:
    return escape(f"{cell.text} ({'; '.join(cell.notes)})" if cell.notes else cell.text)


def _reproduction(section: Section) -> Iterator[str]:
    yield from (escape(section.finding), "")
    for title, text in section.blocks:
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
        yield from (f"{title}:", "", fence, *(str(printable(line)) for line in text.rstrip("\n").split("\n")), fence, "")
    for table in section.tables:
        yield from (f"### {table.title}", "")
        yield from _table(table)
