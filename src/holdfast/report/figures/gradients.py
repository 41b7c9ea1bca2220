"""How many tokens gradients give away as batches, cohorts, clipping and noise grow: a small panel for each that was varied."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.report.document import Document
from holdfast.report.extraction.rounds import PARAMETERS, PRIOR, Attempt, Sweep, Value, method_name, setting_words, sweeps, value_words
from holdfast.report.figures.labels import shortened, spread, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role
from holdfast.report.numbers import written

LEFT = 40  # room for the labels of the y axis
RIGHT = 112  # room for the names of the methods
APART = 0.07  # of the step between two values, so that the intervals of two methods do not hide each other
SIZE = 64  # area of a mark
_LOOKS: tuple[dict[str, Any], ...] = (  # methods are told apart by mark and dash: colours belong to runs
    {"shape": "circle", "strokeDash": [1, 0]},
    {"shape": "square", "strokeDash": [6, 3]},
    {"shape": "triangle-up", "strokeDash": [2, 3]},
    {"shape": "diamond", "strokeDash": [8, 3, 2, 3]},
)


def describe(document: Document) -> str:
    """The panels in words, for whoever does not see them."""
    parts = []
    for sweep in sweeps(document):
        lines = [f"{method_name(method)} {_spoken(sweep, line)}" for method, line in sweep.lines.items()]
        held = setting_words(sweep.held)
        parts.append(f"{document.names[sweep.run]}, by {PARAMETERS[sweep.parameter].lower()} ({held}): {'; '.join(lines)}")
    return f"Token F1 of each method. {'. '.join(parts)}."


def chart(document: Document, *, width: int, height: int, columns: int) -> Any:
    """A panel for each run and each parameter that varies, with a line for each method.

    Args:
        document: What to draw; at least one row of settings.
        width: Of the inside of a panel, in pixels.
        height: Of the inside of a panel.
        columns: Panels in a row.
    """
    import altair as alt

    found = sweeps(document)
    several = len({sweep.run for sweep in found}) > 1
    panels = [_panel(sweep, document.names[sweep.run] if several else "", width=width, height=height) for sweep in found]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": RIGHT + LEFT + 14, "row": 84})


def _panel(sweep: Sweep, name: str, *, width: int, height: int) -> Any:
    import altair as alt

    count = len(sweep.values)
    ticks = [value_words(sweep.parameter, value) for value in sweep.values]
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[-0.3, count - 0.7], nice=False),
        axis=alt.Axis(
            values=list(range(0, count, math.ceil(sum(text_width(tick) + 8 for tick in ticks) / width))),
            labelExpr=f"{json.dumps(ticks)}[datum.value]",
            title=None,
            grid=False,
            ticks=False,
            labelOverlap=False,
        ),
    )
    up = alt.Axis(
        title=None,
        values=[0, 0.25, 0.5, 0.75, 1],
        labelExpr="format(datum.value * 100, '~r') + '%'",
        domain=False,
        ticks=False,
        minExtent=LEFT,
        maxExtent=LEFT,
    )
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=up)
    layers: list[Any] = [_empty(x, y)]
    for place, method in enumerate(sweep.lines):
        layers += _line(sweep, method, (place - (len(sweep.lines) - 1) / 2) * APART, x, y)
    layers += _names(sweep, width, height)
    heading = PARAMETERS[sweep.parameter] + (f", {shortened(name)}" if name else "")
    layers.append(text(heading, x=-LEFT, y=-34, size=13, bold=True, ink=colour(sweep.run)))
    layers.append(text(setting_words(sweep.held), x=-LEFT, y=-16, ink="muted"))
    return alt.layer(*layers, width=width, height=height)


def _empty(x: Any, y: Any) -> Any:
    return over([{"x": 0, "y": 0}]).mark_point(opacity=0, color=role("page")).encode(x=x, y=y)


def _line(sweep: Sweep, method: str, shift: float, x: Any, y: Any) -> Iterator[Any]:
    """One method: a line, the intervals and the marks."""
    import altair as alt

    rows = []
    for place, value in enumerate(sweep.values):
        attempt = sweep.lines[method].get(value)
        if attempt is not None and attempt.f1 is not None:
            ends = attempt.figures["token_f1"].interval
            span = (attempt.f1, attempt.f1) if ends is None else (max(0.0, ends.low), min(1.0, ends.high))
            rows.append({"x": place + shift, "y": attempt.f1, "low": span[0], "high": span[1]})
    if not rows:
        return
    ink, look = _ink(sweep, method), _look(sweep, method)
    base = over(rows)
    yield base.mark_line(color=ink, strokeWidth=1.8, strokeDash=look["strokeDash"]).encode(x=x, y=y)
    yield base.mark_rule(color=ink, strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q")
    yield base.mark_point(filled=True, color=ink, size=SIZE, opacity=1, shape=look["shape"]).encode(x=x, y=y)


def _names(sweep: Sweep, width: int, height: int) -> Iterator[Any]:
    """The names of the methods at the ends of their lines."""
    import altair as alt

    ends = {method: last for method, line in sweep.lines.items() if (last := _last(sweep, line)) is not None}
    wishes = [height * (1 - end) for end in ends.values()]
    for method, place in zip(ends, spread(wishes, gap=15, low=4, high=height - 4), strict=True):
        mark = over([{}]).mark_point(filled=True, color=_ink(sweep, method), shape=_look(sweep, method)["shape"], size=40, opacity=1)
        yield mark.encode(x=alt.value(width + 8), y=alt.value(place))
        name = shortened(method_name(method), 14)
        yield text(name, x=width + 16, y=place, ink=_ink(sweep, method))


def _last(sweep: Sweep, line: Mapping[Value, Attempt]) -> float | None:
    known = [line[value].f1 for value in sweep.values if value in line and line[value].f1 is not None]
    return known[-1] if known else None


def _ink(sweep: Sweep, method: str) -> str:
    return role("muted") if method == PRIOR else colour(sweep.run)


def _look(sweep: Sweep, method: str) -> dict[str, Any]:
    if method == PRIOR:
        return {"shape": "cross", "strokeDash": [1, 3]}
    methods = [other for other in sweep.lines if other != PRIOR]
    return _LOOKS[methods.index(method) % len(_LOOKS)]


def _spoken(sweep: Sweep, line: Mapping[Value, Attempt]) -> str:
    figures = [
        f"{written(line[value].figures['token_f1']).full} at {value_words(sweep.parameter, value)}"
        for value in sweep.values
        if value in line
    ]
    return ", ".join(figures)
