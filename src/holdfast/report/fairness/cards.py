"""The card of each metric: what it measures, on whom, what is wrong with it, and how to measure it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.report.fairness.names import FAMILIES
from holdfast.report.fairness.reading import Fair, title_of
from holdfast.report.numbers import significant
from holdfast.report.view import Cell, Table, plain

_ROWS = (
    ("notion", "Notion"),
    ("groups", "Groups"),
    ("source_text", "Words that it looks at"),
    ("level", "Looks at"),
    ("kind", "Kind"),
    ("unit", "Unit"),
    ("ideal", "At parity"),
    ("direction", "Direction"),
    ("criticism", "Criticism"),
    ("harms", "Harms"),
    ("reference", "Reference"),
)
_NO_CARD = "Its record holds no card, so what it measures, on whom, and what has been said against it are not known here."


def cards(found: Sequence[Fair]) -> tuple[Table, ...]:
    """A table for each metric, in the order of the evidence; a metric without a card says so."""
    metrics = dict.fromkeys(metric for run in found for metric in run.metrics)
    return tuple(_card(found, metric) for metric in metrics)


def card_of(found: Sequence[Fair], metric: str) -> Mapping[str, Any]:
    """The card of a metric, from the first run that holds one."""
    return next((card for run in found if (card := run.card(metric))), {})


def seconds(run: Fair, metric: str) -> float | None:
    """How long the metric took."""
    found = _told(run, "seconds", metric)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _card(found: Sequence[Fair], metric: str) -> Table:
    card = card_of(found, metric)
    rows = [("Name", metric), ("Family", FAMILIES[found[0].family(metric) if not card else _family(found, metric)])]
    for key, name in _ROWS:
        value = card.get(key)
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None and item != "":
                rows.append((name, plain(item)))
    if card and card.get("ideal") is None:
        rows.append(("At parity", "no single value"))
    notes = [note for run in found if metric in run.metrics for note in _notes(run, metric)]
    rows += [("Note", note) for note in dict.fromkeys(notes)]
    for run in found:
        if metric in run.metrics:
            rows += _run_rows(run, metric, several=len(found) > 1)
    body = tuple((Cell(text=name), Cell(text=value)) for name, value in rows)
    return Table(title=f"Card: {title_of(found, metric)}", columns=("Property", "Value"), rows=body, text="" if card else _NO_CARD)


def _family(found: Sequence[Fair], metric: str) -> Any:
    return next(run for run in found if run.card(metric)).family(metric)


def _run_rows(run: Fair, metric: str, *, several: bool) -> list[tuple[str, str]]:
    """How the metric was measured on one run."""
    whose = f" ({run.name})" if several else ""
    took, command, source = seconds(run, metric), _told(run, "commands", metric), run.settings.get("source")
    rows = [] if took is None else [(f"Seconds{whose}", significant(took))]
    rows += [(f"Measured alone by{whose}", str(command))] if command else []
    return rows + ([(f"Data{whose}", str(source))] if isinstance(source, str) and source else [])


def _notes(run: Fair, metric: str) -> list[str]:
    """What the metric itself said that its numbers do not show."""
    told = _told(run, "notes", metric)
    return [str(note) for note in told] if isinstance(told, list | tuple) else []


def _told(run: Fair, key: str, metric: str) -> object:
    found = run.settings.get(key)
    return found.get(metric) if isinstance(found, Mapping) else None
