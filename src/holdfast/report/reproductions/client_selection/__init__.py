"""The report of client selection over strategies, aggregation weights, schedules and seeds."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Condition, Evidence
from holdfast.report.reproductions.client_selection.grid import (
    GAIN,
    GAIN_HEAVY,
    GAIN_LIGHT,
    GINI,
    HEAVY,
    LIGHT,
    QUANTITIES,
    ROUNDS,
    SCORE,
    STATEMENT,
    WORST,
    SelectionCell,
    cells,
)
from holdfast.report.reproductions.client_selection.page import render
from holdfast.report.reproductions.client_selection.reading import answer, readings, tally
from holdfast.report.reproductions.presentation import Presentation, Row

__all__ = ["PRESENTATION", "STATEMENT", "SelectionCell", "answer", "cells", "readings", "tally"]


def _rows(summary: Evidence) -> Sequence[Row]:
    return [_row(one) for one in cells(summary)]


def _row(one: SelectionCell) -> Row:
    tau: Condition = "" if one.tau is None else one.tau
    labels: dict[str, Condition] = {"select": one.select, "tau": tau, "weighting": one.weighting, "schedule": one.schedule}
    return Row(subject=one.subject, labels={**labels, "seeds": one.seeds})


def _quantities(summary: Evidence) -> Sequence[str]:
    return QUANTITIES


PRESENTATION = Presentation(
    statement=STATEMENT,
    render=render,
    readings=readings,
    rows=_rows,
    quantities=_quantities,
    printed=_rows,
    columns={
        SCORE: "score",
        GAIN: "gain",
        LIGHT: "light",
        GAIN_LIGHT: "gain, light",
        HEAVY: "heavy",
        GAIN_HEAVY: "gain, heavy",
        WORST: "worst decile",
        ROUNDS: "rounds",
        GINI: "Gini",
    },
    banded=frozenset({GAIN, GAIN_LIGHT}),
)
"""How the study is shown."""
