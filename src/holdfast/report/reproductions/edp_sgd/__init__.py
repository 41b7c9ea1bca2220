"""The report of a grid of noise levels and seeds: promise against measurement."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Evidence
from holdfast.report.numbers import RATIO
from holdfast.report.reproductions.edp_sgd.grid import (
    ADVANTAGE,
    LEAKAGE,
    NAIVE,
    PROMISE,
    SECONDS,
    STATEMENT,
    GridCell,
    cells,
    usefulness,
)
from holdfast.report.reproductions.edp_sgd.page import render
from holdfast.report.reproductions.edp_sgd.reading import readings
from holdfast.report.reproductions.presentation import Presentation, Row

__all__ = ["PRESENTATION", "STATEMENT", "GridCell", "cells", "readings"]


def _rows(summary: Evidence) -> Sequence[Row]:
    return [Row(subject=cell.subject, labels={"method": cell.method, "seeds": cell.seeds}) for cell in cells(summary)]


def _quantities(summary: Evidence) -> Sequence[str]:
    return [PROMISE, NAIVE, LEAKAGE, ADVANTAGE, *usefulness(summary), SECONDS, SECONDS + RATIO]


PRESENTATION = Presentation(
    statement=STATEMENT,
    render=render,
    readings=readings,
    rows=_rows,
    quantities=_quantities,
    printed=_rows,
    columns={
        PROMISE: "epsilon",
        NAIVE: "naive (unproved)",
        LEAKAGE: "AUC",
        ADVANTAGE: "advantage",
        "intent_accuracy": "intent accuracy",
        SECONDS: "s/epoch",
        SECONDS + RATIO: "x non-private",
    },
    banded=frozenset({LEAKAGE}),
)
"""How the study is shown."""
