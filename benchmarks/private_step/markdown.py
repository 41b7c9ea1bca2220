"""The figures of a run as the two tables of the documentation: a line for each case, a column for each engine."""

from __future__ import annotations

from collections.abc import Sequence

from harness import Row

from private_step import UNIT

TABLES = {"step_seconds": ("Time of a step", "ms", 1000.0), "peak_memory": ("Peak memory of a step", "MiB", 1.0)}


def tables(rows: Sequence[Row]) -> str:
    """Markdown; the unit in its own measure, the others as ratios to it, and "-" where there is none."""
    return "\n\n".join(_table(metric, rows) for metric in TABLES if any(row.metric == metric for row in rows)) + "\n"


def _table(metric: str, rows: Sequence[Row]) -> str:
    title, measure, factor = TABLES[metric]
    figures = {(row.case, row.engine): row for row in rows if row.metric == metric}
    cases, engines = (list(dict.fromkeys(key[part] for key in figures)) for part in (0, 1))

    def cell(case: str, engine: str) -> str:
        row = figures.get((case, engine))
        if row is None or row.value is None:
            return "-"
        if engine == UNIT:
            return f"{row.value * factor:.0f} {measure}"
        return "-" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.0f}"

    lines = [["", *engines], ["---"] * (1 + len(engines)), *([case, *(cell(case, engine) for engine in engines)] for case in cases)]
    return f"{title}:\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
