"""Colours and shapes: one for each run through the whole page, in light and dark, told apart without colour vision too."""

from __future__ import annotations

import re

RUNS_LIGHT = ("#20262c", "#c8480c", "#1b3fa8", "#0c8275", "#a3328f", "#7b4a20")
RUNS_DARK = ("#eef1f4", "#f5833f", "#5b86f7", "#63d9c4", "#d983e0", "#f7d878")
"""Chosen so that any two differ under each kind of colour blindness, and each can be read as text on the page."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
"""A second mark of a run, for whoever sees no colour, and for the seventh run, which has the colour of the first."""

ROLES = {  # name: (light, dark)
    "page": ("#ffffff", "#14181c"),
    "surface": ("#f5f7f8", "#1c2126"),
    "ink": ("#1a2026", "#e9edf0"),
    "muted": ("#56606a", "#a3adb7"),
    "rule": ("#aab3bb", "#59636d"),
    "grid": ("#e3e7ea", "#2b3239"),
    "faint": ("#c9d0d6", "#434c55"),
    "link": ("#0b57a4", "#8ebcff"),
    "good": ("#1a6b3c", "#7fd6a0"),
    "caution": ("#8a5300", "#f0b75e"),
    "bad": ("#b01124", "#ff8f95"),
}
FONT = "Liberation Sans"  # measured with in the charts; the page replaces it by the reader's own


def colour(run: int) -> str:
    """The light colour of a run counted from 0, which stands in a chart until `as_variables` replaces it."""
    return RUNS_LIGHT[run % len(RUNS_LIGHT)]


def shape(run: int) -> str:
    """The mark of a run counted from 0. After six runs each colour comes again with another mark."""
    return SHAPES[(run + run // len(RUNS_LIGHT)) % len(SHAPES)]


def role(name: str) -> str:
    """The light colour of a role, which stands in a chart until `as_variables` replaces it."""
    return ROLES[name][0]


def variables() -> dict[str, tuple[str, str]]:
    """Every CSS variable of the page with its light and its dark value."""
    runs = {f"run-{number}": pair for number, pair in enumerate(zip(RUNS_LIGHT, RUNS_DARK, strict=True), start=1)}
    return {f"--{name}": pair for name, pair in (ROLES | runs).items()}


def as_variables(tag: str) -> str:
    """Replaces each colour of a tag by its CSS variable, with the light colour to fall back on."""
    return _COLOUR.sub(lambda match: f'"var({_NAMES[match[1]]}, {match[1]})"' if match[1] in _NAMES else match[0], tag)


_NAMES = {light: name for name, (light, _) in variables().items()}
_COLOUR = re.compile(r'"(#[0-9a-f]{6})"')
