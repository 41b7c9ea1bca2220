"""How a study over a grid is shown: its page, its sentences, and the figures of its table and of the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.report.document import Document


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A sentence about one part of a grid, or about all of it.

    Args:
        lead: What it speaks of.
        text: The sentences.
        colour: Number of the colour of what it speaks of; None for all together.
    """

    lead: str
    text: str
    colour: int | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of figures.

    Args:
        subject: What its evidence speaks of.
        labels: Its place in the grid, by the heads of the table.
    """

    subject: str
    labels: Mapping[str, Condition] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What a study shows, all of it made from the summary alone.

    Args:
        statement: What the study is, and what it is not.
        render: Draws the page.
        readings: What the numbers say, in sentences that are true of them.
        rows: Of the table file, each with the same labels.
        quantities: Of the table file, by their names in the evidence.
        printed: The rows that the command prints.
        columns: What it prints of each: the name of an estimate and the head of its column.
        banded: Those that it prints with their interval.
    """

    statement: str
    render: Callable[[Document], str]
    readings: Callable[[Evidence], Sequence[Reading]]
    rows: Callable[[Evidence], Sequence[Row]]
    quantities: Callable[[Evidence], Sequence[str]]
    printed: Callable[[Evidence], Sequence[Row]]
    columns: Mapping[str, str]
    banded: frozenset[str] = frozenset()

    def printed_cells(self, summary: Evidence) -> list[list[str]]:
        """The rows that the command prints, as text: the subject and a cell for each column, "-" where there is no figure."""
        return [[row.subject, *(self._cell(summary.estimate(name, row.subject)) for name in self.columns)] for row in self.printed(summary)]

    def _cell(self, estimate: Estimate | None) -> str:
        if estimate is None or estimate.value is None:
            return "-"
        interval = estimate.interval
        band = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval is not None and estimate.name in self.banded else ""
        return f"{estimate.value:.3g}{band}"
