"""The report of planted secrets over lengths, repetitions, defences and seeds."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Condition, Evidence
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    ALL,
    EXPOSURE,
    GAP,
    HAMMING,
    KNOWS,
    PROMISE,
    RANDOM,
    RANK,
    STATEMENT,
    STOPPED,
    SecretCell,
    cells,
    defences,
    secrets,
    usefulness,
)
from holdfast.report.reproductions.canary_extraction.page import render
from holdfast.report.reproductions.canary_extraction.reading import answer, readings
from holdfast.report.reproductions.presentation import Presentation, Row

__all__ = ["PRESENTATION", "STATEMENT", "SecretCell", "answer", "cells", "defences", "readings"]


def _row(one: SecretCell) -> Row:
    place: dict[str, Condition] = {
        "length": "" if one.length is None else one.length,
        "repetitions": "" if one.repetitions is None else one.repetitions,
    }
    return Row(subject=one.subject, labels={"defence": one.defence, **place, "secret": one.secret, "trainings": one.trainings})


def _rows(summary: Evidence) -> Sequence[Row]:
    """The cells over all patterns, then by pattern, then the defences over all cells."""
    every = [one for secret in (ALL, *secrets(summary)) for one in cells(summary, secret=secret)]
    return [_row(one) for one in (*every, *defences(summary))]


def _printed(summary: Evidence) -> Sequence[Row]:
    return [_row(one) for one in cells(summary)]


def _quantities(summary: Evidence) -> Sequence[str]:
    return [ACCURACY, HAMMING, EXPOSURE, RANK, KNOWS, RANDOM, GAP, *usefulness(summary), STOPPED, PROMISE]


PRESENTATION = Presentation(
    statement=STATEMENT,
    render=render,
    readings=readings,
    rows=_rows,
    quantities=_quantities,
    printed=_printed,
    columns={
        ACCURACY: "found",
        HAMMING: "wrong words",
        EXPOSURE: "exposure (bits)",
        RANK: "median rank",
        RANDOM: "random",
        GAP: "gap",
        "intent_accuracy": "intent accuracy",
        "slot_f1": "slot F1",
        STOPPED: "epochs",
        PROMISE: "epsilon",
    },
    banded=frozenset({EXPOSURE}),
)
"""How the study is shown."""
